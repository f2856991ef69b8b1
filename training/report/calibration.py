"""Whether probabilities are right: over all leads, and group by group."""

from __future__ import annotations

import numpy as np

from models.corp import Reliability
from models.intervals import poisson_ratio
from models.shrinkage import holm, poisson_p_value, shrink_ratios
from pages.estimate import Estimate
from pages.report_evidence import LevelRow, LevelState, ReliabilityReport
from training.report.parts import ReportParts
from training.report.unseen import Group, Unseen, age_groups, in_group, month_groups, report_groups

__all__ = ["level_rows", "level_states", "reliability_report"]

SEED = 1
DRAWS = 100
POINTS = 60


def reliability_report(unseen: Unseen) -> ReliabilityReport | None:
    """Return the CORP curve with its consistency band; None where there is no row."""
    if not len(unseen.rows):
        return None
    found = Reliability(unseen.probability, unseen.happened)
    curve = found.curve(seed=SEED, draws=DRAWS, points=POINTS)
    null, null_95 = found.miscalibration_null(seed=SEED, draws=DRAWS)
    outside = (curve.recalibrated < curve.low) | (curve.recalibrated > curve.high)
    arrays = (curve.predicted, curve.recalibrated, curve.low, curve.high)
    said, seen, low, high = (tuple(array.tolist()) for array in arrays)
    numbers = found.corp().miscalibration, null, null_95
    # The curve's points are spread over the leads evenly, so the share of points is one of leads.
    return ReliabilityReport(unseen.outcome, said, seen, low, high, *numbers, float(np.mean(outside)))


def level_rows(parts: ReportParts, unseen: Unseen) -> tuple[LevelRow, ...]:
    """Return observed over expected outcomes by segment, by age and by month."""
    kinds = (report_groups(parts), age_groups(parts), month_groups(parts))
    return tuple(row for groups in kinds for row in _levels(unseen, groups))


def _levels(unseen: Unseen, groups: tuple[Group, ...]) -> list[LevelRow]:
    found = [(group, places) for group, places in in_group(unseen, groups)]
    if not found:
        return []
    observed = np.array([float(unseen.happened[places].sum()) for _, places in found])
    expected = np.array([max(float(unseen.probability[places].sum()), 1e-9) for _, places in found])
    shrunk = shrink_ratios(observed, expected)
    off = holm(np.array([poisson_p_value(o, e) for o, e in zip(observed, expected, strict=True)]))
    return [
        LevelRow(
            unseen.outcome,
            group.kind,
            group.name,
            len(places),
            int(observed[at]),
            float(expected[at]),
            Estimate(float(observed[at] / expected[at]), *poisson_ratio(float(observed[at]), float(expected[at]))),
            Estimate(*(float(array[at]) for array in (shrunk.value, shrunk.low, shrunk.high))),
            bool(off[at]),
        )
        for at, (group, places) in enumerate(found)
    ]


def level_states(parts: ReportParts) -> tuple[LevelState, ...]:
    """Say for each endpoint whether its level follows the newest leads."""
    return tuple(
        LevelState(outcome, update.factor, len(update.origins), update.reason)
        for outcome, update in parts.learned.levels.items()
    )
