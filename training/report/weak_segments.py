"""Groups of leads among which the model ranks less well than among all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from models.intervals import Interval, cluster_bootstrap
from models.metrics import pairs_in_order, run_ends
from models.shrinkage import holm
from pages.report_evidence import SegmentRow
from training.report.parts import ReportParts, estimate_of
from training.report.unseen import Unseen, age_groups, in_group, report_groups

__all__ = ["segment_rows"]

Matrix = NDArray[np.float64]
TOP = 0.1
MIN_OUTCOMES = 10
"""Outcomes below which a group is not called weak: their bootstrap says too little."""
DRAWS = 200
SEED = 2
SD_OF_RANGE = 2 * 1.6449
"""Standard deviations between the ends of a 90% interval."""
P_RANGE = (1e-9, 1 - 1e-9)


@dataclass(frozen=True)
class _Sorted:
    """Rows of one group, best first."""

    order: NDArray[np.int64]
    happened: Matrix
    ends: NDArray[np.int64]

    def auc(self, weights: Matrix) -> float:
        if not len(self.order):
            return float("nan")
        w = weights[self.order]
        true, false = (np.cumsum(w * part)[self.ends] for part in (self.happened, 1 - self.happened))
        pairs = float(true[-1] * false[-1])
        return pairs_in_order(true, false) / pairs if pairs > 0 else float("nan")


def segment_rows(parts: ReportParts, unseen: Unseen) -> tuple[SegmentRow, ...]:
    """Return ranking, log-loss and captured outcomes of each segment and age group.

    A group is weak where the rest of the leads is ranked better and the difference holds after Holm's correction for
    the number of groups; its p-value is that of a normal difference with the spread of the account-cluster bootstrap.
    """
    groups = (*report_groups(parts), *age_groups(parts))
    found = [(group, places) for group, places in in_group(unseen, groups) if unseen.happened[places].any()]
    if not found:
        return ()
    measured = [_measure(unseen, places) for _, places in found]
    enough = [unseen.happened[places].sum() >= MIN_OUTCOMES for _, places in found]
    weak = holm(np.array([_p_value(m["behind"]) if many else np.nan for m, many in zip(measured, enough, strict=True)]))
    p = np.clip(unseen.probability, *P_RANGE)
    losses = -np.where(unseen.happened, np.log(p), np.log1p(-p))
    return tuple(
        SegmentRow(
            unseen.outcome,
            group.kind,
            group.name,
            len(places),
            int(unseen.happened[places].sum()),
            estimate_of(measured[at]["auc"]),
            float(losses[places].mean()),
            _base_loss(float(unseen.happened[places].mean())),
            estimate_of(measured[at]["captured"]),
            bool(weak[at]),
        )
        for at, (group, places) in enumerate(found)
    )


def _measure(unseen: Unseen, places: NDArray[np.int64]) -> Mapping[str, Interval]:
    p, happened = unseen.probability, unseen.happened.astype(np.float64)
    is_inside = np.zeros(len(p), dtype=bool)
    is_inside[places] = True
    order = np.argsort(-p, kind="stable")
    inside, outside = order[is_inside[order]], order[~is_inside[order]]
    ranked, rest = (_Sorted(at, happened[at], run_ends(p[at])) for at in (inside, outside))
    top = np.zeros(len(p))
    top[order[: round(TOP * len(order))]] = 1.0
    caught = happened * is_inside

    def measure(weights: Matrix) -> Mapping[str, float]:
        auc = ranked.auc(weights)
        total = float(weights @ caught)
        behind = rest.auc(weights) - auc if len(outside) else float("nan")
        return {
            "auc": auc,
            "behind": behind,
            "captured": float(weights @ (caught * top)) / total if total > 0 else float("nan"),
        }

    return cluster_bootstrap(measure, unseen.account, seed=SEED, draws=DRAWS)


def _p_value(behind: Interval) -> float:
    """Return the two-sided p-value of a group that is behind the rest; 1 where it is ahead."""
    sd = (behind.high - behind.low) / SD_OF_RANGE
    if not np.isfinite(behind.value) or not sd > 0:
        return float("nan")
    return float(2 * ndtr(-behind.value / sd)) if behind.value > 0 else 1.0


def _base_loss(rate: float) -> float:
    rate = min(max(rate, P_RANGE[0]), P_RANGE[1])
    return float(-(rate * np.log(rate) + (1 - rate) * np.log1p(-rate)))
