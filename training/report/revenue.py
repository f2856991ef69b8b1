"""What leads were expected to bring against what they brought."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.intervals import cluster_bootstrap
from models.metrics import normalised_gini
from models.revenue import revenue_sum_of
from pages.estimate import Estimate
from pages.report_evidence import RevenueReport, RevenueTenth
from training.report.parts import ReportParts, estimate_of
from training.report.unseen import Unseen

__all__ = ["revenue_report"]

Matrix = NDArray[np.float64]
DRAWS = 200
SUM_DRAWS = 400
SEED = 5
TENTHS = 10


def revenue_report(parts: ReportParts, unseen: Unseen | None) -> RevenueReport | None:
    """Set chance to win times amount against the amounts won, both by models of the past alone.

    Wins without an amount count with the configured one, else they are left out of both sides. None where no unseen
    lead has an expected revenue.
    """
    if unseen is None:
        return None
    data, config = parts.data, parts.workspace.config
    amounts = parts.learned.amount_unseen[unseen.rows]
    won = np.where(unseen.happened, data.won.amount[unseen.rows], 0.0)
    unpriced = np.isnan(won)
    if config.value.default_amount is not None:
        won = np.where(unpriced, config.value.default_amount, won)
    known = ~np.isnan(amounts) & ~np.isnan(won)
    expected, actual, account = (unseen.probability * amounts)[known], won[known], unseen.account[known]
    if not known.any() or expected.sum() <= 0 or actual.sum() <= 0:
        return None

    def measure(weights: Matrix) -> Mapping[str, float]:
        return {
            "ratio": float(weights @ actual) / max(float(weights @ expected), 1e-9),
            "gini": normalised_gini(expected, actual, weights) if float(weights @ actual) > 0 else float("nan"),
        }

    found = cluster_bootstrap(measure, account, seed=SEED, draws=DRAWS)
    now, value, count = _now(parts)
    return RevenueReport(
        int(known.sum()),
        int((actual > 0).sum()),
        int(unpriced.sum()),
        float(expected.sum()),
        float(actual.sum()),
        estimate_of(found["ratio"]),
        estimate_of(found["gini"]),
        _tenths(expected, actual, account),
        now,
        count,
        value,
    )


def _tenths(expected: Matrix, actual: Matrix, account: NDArray[np.int64]) -> tuple[RevenueTenth, ...]:
    number = np.empty(len(expected), dtype=np.int64)
    number[np.argsort(-expected, kind="stable")] = np.arange(len(expected)) * TENTHS // len(expected)
    size = np.bincount(number, minlength=TENTHS)

    def measure(weights: Matrix) -> Mapping[str, float]:
        leads = np.bincount(number, weights, TENTHS)
        money = np.bincount(number, weights * actual, TENTHS)
        return {str(at): float(money[at] / leads[at]) if leads[at] > 0 else float("nan") for at in range(TENTHS)}

    found = cluster_bootstrap(measure, account, seed=SEED, draws=DRAWS)
    return tuple(
        RevenueTenth(at + 1, int(size[at]), float(expected[number == at].mean()), estimate_of(found[str(at)]))
        for at in range(TENTHS)
        if size[at]
    )


def _now(parts: ReportParts) -> tuple[Estimate | None, Estimate | None, int]:
    """Return what all leads at risk now bring together by chance, and the mean expected value of one of them.

    Nothing where the line speaks of what working a lead adds: that is no revenue that wins as they are run could bring.
    """
    weeks, line = parts.weeks, parts.drawn[0]
    if not weeks.p_won.size or not weeks.p_won.sum() > 0 or parts.bundle.basis == "if_worked":
        return None, None, 0
    mean = np.divide(weeks.revenue, weeks.p_won, out=np.zeros_like(weeks.revenue), where=weeks.p_won > 0)
    total = revenue_sum_of(parts.bundle.amount, weeks.p_won, mean, seed=SEED, draws=SUM_DRAWS)
    count = len(weeks.p_won)
    ends = [line.expected_value(np.array([end / count]))[0] for end in (total.value, total.low, total.high)]
    return estimate_of(total), Estimate(*(float(end) for end in ends)), count
