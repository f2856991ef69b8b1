"""The leak sentinel: every way in which a table may know its outcome, asked one after the other."""
