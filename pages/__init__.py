"""What reports and the board are made of: templates, charts, words in two languages."""
