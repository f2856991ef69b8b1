"""How the amount of a win is predicted, and how well."""

from __future__ import annotations

import numpy as np

from pages.report_data import AmountReport
from training.judge import judge_amount
from training.report.parts import ReportParts, estimate_of

__all__ = ["amount_report"]


def amount_report(parts: ReportParts) -> AmountReport:
    """Return the method and the quality of the amounts."""
    data, amount = parts.data, parts.learned.amount
    won = data.won.is_mature & data.won.happened
    amounts = data.won.amount[won]
    present = amounts[~np.isnan(amounts) & (amounts > 0)]
    judged = judge_amount(data, amount)
    return AmountReport(
        method=amount.method,
        wins=data.outcomes(data.won),
        wins_with_amount=len(np.unique(data.snapshots.lead[won][~np.isnan(amounts) & (amounts > 0)])),
        mean_amount=float(present.mean()) if present.size else amount.mean,
        median_amount=float(np.median(present)) if present.size else amount.mean,
        log_residual_sd=float(np.sqrt(amount.residual_variance)) if amount.method == "two_part" else None,
        normalised_gini=None if judged is None else estimate_of(judged.normalised_gini),
        coverage_80=None if judged is None else estimate_of(judged.coverage),
        predicted_over_actual=None if judged is None else estimate_of(judged.predicted_over_actual),
        rescaling=None if judged is None else judged.rescaling,
        reads_engagement=amount.reads_engagement,
        lost_deals=amount.lost_deals,
    )
