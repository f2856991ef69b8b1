"""The board: what the reports found, as sections of one page, in two languages."""
