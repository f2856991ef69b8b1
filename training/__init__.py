"""From tables to a registered model: labels, splits, fit, report."""
