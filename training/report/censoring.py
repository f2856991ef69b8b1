"""The newest test period judged with its open leads: mature ones alone, and all of them weighted for follow-up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.censored_metrics import CensoredJudgement
from models.intervals import cluster_bootstrap
from pages.report_evidence import CensoredRow
from training.report.parts import ReportParts, estimate_of
from training.report.unseen import Unseen

__all__ = ["censored_row"]

Matrix = NDArray[np.float64]
DRAWS = 200
SEED = 4
MEASURES = ("auc", "brier", "observed_over_expected")


def censored_row(parts: ReportParts, unseen: Unseen) -> CensoredRow | None:
    """Judge the models of the newest test period on every lead since, open ones too.

    Only leads of accounts from which those models had learned nothing, not even from an open row. None where
    follow-up ended for none of them, or where wins are ranked as SQLs.
    """
    data, fitted, folds = parts.data, unseen.fitted, parts.learned.folds[unseen.outcome]
    if not folds or len(folds) != len(fitted.by_fold) or parts.learned.won_from_sql:
        return None
    newest = max(fold.start_us for fold in folds)
    chance = np.full(len(data.snapshots.as_of_us), np.nan)
    watched = data.follow_up_days
    for fold, endpoint in zip(folds, fitted.by_fold, strict=True):
        if fold.start_us != newest:
            continue
        learned = data.snapshots.group[np.concatenate([fold.train, fold.open])]
        free = data.snapshots.is_judged & (data.snapshots.as_of_us >= newest) & np.isnan(chance) & (watched > 0)
        rows = np.flatnonzero(free & ~np.isin(data.snapshots.group, learned))
        if len(rows):
            chance[rows] = endpoint.probability(data.matrix[rows])
    rows = np.flatnonzero(~np.isnan(chance))
    mature = unseen.labels.is_mature[rows]
    if not len(rows) or mature.all() or not unseen.labels.happened[rows[mature]].any():
        return None
    return _judged(parts, unseen, rows, chance[rows])


def _judged(parts: ReportParts, unseen: Unseen, rows: NDArray[np.int64], chance: Matrix) -> CensoredRow:
    data, labels = parts.data, unseen.labels
    watched, horizon = data.follow_up_days[rows], labels.horizon_days
    came = labels.days[rows] < watched
    days = np.where(came, labels.days[rows], watched)
    judged = CensoredJudgement(chance, days, came.astype(np.int64), horizon)
    weighted = cluster_bootstrap(judged.measure, data.snapshots.group[rows], seed=SEED, draws=DRAWS)
    at = np.flatnonzero(labels.is_mature[rows])
    plain = CensoredJudgement(chance[at], np.maximum(days[at], 0.0), came[at].astype(np.int64), horizon)
    mature = cluster_bootstrap(plain.measure, data.snapshots.group[rows[at]], seed=SEED, draws=DRAWS)
    return CensoredRow(
        unseen.outcome,
        len(rows),
        len(rows) - len(at),
        {name: estimate_of(mature[name]) for name in MEASURES},
        {name: estimate_of(weighted[name]) for name in MEASURES},
        weighted["followed"].value,
    )
