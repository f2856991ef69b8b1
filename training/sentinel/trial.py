"""A small model of the sentinel's own, fitted on the past and tried on what came later.

It is no candidate for anything: it only has to rank about as well as the real one, within seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from training.prepare import TrainingData
from training.sentinel.association import auc_of
from training.splits import Fold, time_forward_folds

__all__ = ["DAY_US", "AucGap", "LiftRatio", "Trial", "bootstrap", "fit_predict", "forward", "lift_of", "take_trial"]

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]

DAY_US = 86_400_000_000
MAX_ROWS = 16_000
MIN_OUTCOMES = 40
ROUNDS = 40
DRAWS = 100
TOP = 0.10


@dataclass(frozen=True)
class Trial:
    """Mature rows of SQL, their time-forward folds, and what a model of the past says of each tested row.

    Parameters
    ----------
    rows
        Numbers of the snapshots, shape (n,).
    matrix
        Features, shape (n, n_features).
    happened, group, as_of_us, lead
        Of the rows, shape (n,).
    folds
        Time-forward, no account on both sides.
    predicted
        Log-odds out of fold, NaN where never tested, shape (n,).
    """

    rows: NDArray[np.int64]
    matrix: Matrix
    happened: Flags
    group: NDArray[np.int64]
    as_of_us: NDArray[np.int64]
    lead: NDArray[np.int64]
    folds: tuple[Fold, ...]
    predicted: Matrix

    @property
    def tested(self) -> NDArray[np.int64]:
        """Positions of the rows that were tested."""
        return np.flatnonzero(~np.isnan(self.predicted))


def take_trial(data: TrainingData, *, seed: int = 0) -> Trial | str:
    """Fit the sentinel's model on SQL; a sentence instead where the data cannot carry it.

    Of many rows a sample of whole accounts is taken.
    """
    rows = np.flatnonzero(data.sql.is_mature)
    if len(rows) > MAX_ROWS:
        groups = np.unique(data.snapshots.group[rows])
        kept = np.random.default_rng(seed).permutation(groups)[: max(int(len(groups) * MAX_ROWS / len(rows)), 1)]
        rows = rows[np.isin(data.snapshots.group[rows], kept)]
    happened, group = data.sql.happened[rows], data.snapshots.group[rows]
    as_of = data.snapshots.as_of_us[rows]
    is_once = len(np.unique(data.snapshots.lead[rows])) == len(rows)
    horizon = round(data.sql.horizon_days * DAY_US)
    every = np.ones(len(rows), dtype=np.bool_)
    folds = time_forward_folds(as_of, happened, group, every, horizon_us=horizon, is_once=is_once)
    if not folds:
        return "outcomes are too few, or the history is too short, to train on the past and test on what came later"
    matrix = data.matrix[rows]
    predicted = forward(matrix, happened, folds)
    found = int(happened[~np.isnan(predicted)].sum())
    if found < MIN_OUTCOMES:
        return f"{found} snapshots with an outcome can be tested on later periods, fewer than {MIN_OUTCOMES}"
    return Trial(rows, matrix, happened, group, as_of, data.snapshots.lead[rows], folds, predicted)


def fit_predict(train: Matrix, happened: Flags, test: Matrix) -> Matrix:
    """Fit a small, cautious LightGBM and return the log-odds of the test rows."""
    settings = {
        "objective": "binary",
        "num_leaves": 7,
        "learning_rate": 0.1,
        "min_data_in_leaf": max(20, len(happened) // 500),
        "lambda_l2": 10.0,
        "feature_fraction": 0.5,
        "max_bin": 63,
        "seed": 1,
        "deterministic": True,
        "num_threads": 1,
        "verbose": -1,
    }
    rows = lgb.Dataset(train, happened.astype(np.float64), params=settings)
    booster = lgb.train(settings, rows, num_boost_round=ROUNDS)
    return np.asarray(booster.predict(test, raw_score=True, num_threads=1), dtype=np.float64)


def forward(matrix: Matrix, happened: Flags, folds: tuple[Fold, ...]) -> Matrix:
    """Return out-of-fold log-odds, NaN where never tested, shape (n,)."""
    found = np.full(len(happened), np.nan)
    for fold in folds:
        if happened[fold.train].any() and not happened[fold.train].all():
            found[fold.test] = fit_predict(matrix[fold.train], happened[fold.train], matrix[fold.test])
    return found


def lift_of(scores: Matrix, happened: Flags, top: float = TOP) -> float:
    """Return the rate of the best tenth divided by the rate of all; NaN without outcomes."""
    base = float(happened.mean()) if len(happened) else 0.0
    if base == 0.0:
        return float("nan")
    best = np.argsort(-scores, kind="stable")[: max(int(len(scores) * top), 1)]
    return float(happened[best].mean()) / base


def bootstrap(
    group: NDArray[np.int64], measure: Callable[[NDArray[np.int64]], float], *, seed: int = 0, draws: int = DRAWS
) -> Matrix:
    """Measure again and again on drawn accounts.

    Parameters
    ----------
    group
        Account of each row, shape (n,).
    measure
        From row positions (some of them several times) to a number.
    seed, draws
        Of the bootstrap.

    Returns
    -------
    NDArray[np.float64]
        One number a draw that has one, shape (<= draws,).
    """
    order = np.argsort(group, kind="stable")
    _, starts, sizes = np.unique(group[order], return_index=True, return_counts=True)
    rng = np.random.default_rng(seed)
    found = np.full(draws, np.nan)
    for draw in range(draws):
        picked = rng.integers(0, len(starts), len(starts))
        lengths = sizes[picked]
        offset = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        found[draw] = measure(order[np.repeat(starts[picked], lengths) + offset])
    return found[np.isfinite(found)]


@dataclass(frozen=True)
class AucGap:
    """AUC of the first scoring minus that of the second, on rows by position."""

    happened: Flags
    one: Matrix
    two: Matrix

    def __call__(self, at: NDArray[np.int64]) -> float:
        """Measure on these rows."""
        happened = self.happened[at]
        return auc_of(self.one[at], happened) - auc_of(self.two[at], happened)


@dataclass(frozen=True)
class LiftRatio:
    """Lift without some rows, divided by the lift with all of them, on rows by position."""

    happened: Flags
    scores: Matrix
    left_out: Flags

    def __call__(self, at: NDArray[np.int64]) -> float:
        """Measure on these rows."""
        kept = at[~self.left_out[at]]
        whole = lift_of(self.scores[at], self.happened[at])
        return lift_of(self.scores[kept], self.happened[kept]) / whole if whole > 0 else float("nan")
