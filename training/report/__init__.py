"""What a run has to say for itself, section by section, as numbers that a page can show."""
