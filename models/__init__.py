"""Estimators and their judgement: members, calibration, amount, points, the line, the bundle."""
