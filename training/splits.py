"""Time-forward folds: train on the past, test on what came next, no account on both sides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crm.known import from_micros

__all__ = ["MANY_ROWS", "Fold", "time_forward_folds"]

FOLDS = 4
FIRST_TEST_SHARE = 0.36
MIN_TRAIN_OUTCOMES = 25
MANY_ROWS = 30_000
HASH_STEP, HASH_SIZE = 40_503, 65_521  # scatters account numbers, which rise in time


@dataclass(frozen=True)
class Fold:
    """One split of the training rows.

    Parameters
    ----------
    train, test
        Row numbers. Every account is on one side alone.
    open
        Rows of the past that were still open when ``test`` begins, of accounts that are not tested.
    start_us
        Start of the test period, microseconds since 1970 UTC.
    has_gap
        Labels of ``train`` were all mature when ``test`` begins. False where the history is too short for such a gap.
    sentence
        What was trained and tested when, for the report.
    is_searched
        Settings are chosen on this fold. On the others, which are there so that every account is tested once, the
        choice is only applied.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    open: NDArray[np.int64]
    start_us: int
    has_gap: bool
    sentence: str
    is_searched: bool = True


def time_forward_folds(
    as_of_us: NDArray[np.int64],
    happened: NDArray[np.bool_],
    groups: NDArray[np.int64],
    is_mature: NDArray[np.bool_],
    *,
    horizon_us: int,
    is_once: bool,
) -> tuple[Fold, ...]:
    """Cut the rows into four test periods, each after its training rows.

    Training rows end a horizon before the test period begins, so that their labels were known by then; where that
    leaves fewer than 25 accounts with an outcome, they end where it begins, and the fold says so. No account is on both
    sides: where each lead has one row, accounts that were trained on are not tested. Where leads have several, that
    would leave no older lead to test; there each half of the accounts is tested in turn, and trained on the other.
    Where rows are many, settings are chosen on one of the halves alone.

    Parameters
    ----------
    as_of_us
        Moments of the rows, microseconds, shape (n,).
    happened
        Labels, shape (n,); they count where ``is_mature``.
    groups
        Account number of each row, shape (n,).
    is_mature
        Shape (n,): the label is settled by the run's moment. Only such rows are trained on or tested.
    horizon_us
        Horizon in microseconds.
    is_once
        Each lead has one row.

    Returns
    -------
    tuple of Fold
        In time order; folds without outcomes on either side are left out.
    """
    edges = np.quantile(as_of_us[is_mature], np.linspace(FIRST_TEST_SHARE, 1.0, FOLDS + 1)).astype(np.int64)
    edges[-1] += 1
    folds: list[Fold] = []
    for start, end in pairwise(edges):
        test = np.flatnonzero((as_of_us >= start) & (as_of_us < end) & is_mature)
        halves = [test] if is_once else _halves(groups, test)
        found = [
            _fold(_Rows(as_of_us, happened, groups, is_mature, is_once), half, int(start), horizon_us)
            for half in halves
        ]
        both = [fold for fold in found if fold is not None]
        if is_mature.sum() >= MANY_ROWS:
            both[1:] = [replace(fold, is_searched=False) for fold in both[1:]]
        folds += both
    return tuple(folds)


def _halves(groups: NDArray[np.int64], test: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Part the test rows by account: a period touches most accounts, and without all of them little is left."""
    half = (groups[test] * HASH_STEP % HASH_SIZE) % 2
    return [test[half == number] for number in (0, 1)]


@dataclass(frozen=True)
class _Rows:
    as_of_us: NDArray[np.int64]
    happened: NDArray[np.bool_]
    groups: NDArray[np.int64]
    is_mature: NDArray[np.bool_]
    is_once: bool


def _fold(rows: _Rows, test: NDArray[np.int64], start: int, horizon_us: int) -> Fold | None:
    for gap in (horizon_us, 0):
        before = rows.is_mature & (rows.as_of_us + gap <= start if gap else rows.as_of_us < start)
        if rows.is_once:
            train = np.flatnonzero(before)
            tested = test[~np.isin(rows.groups[test], rows.groups[train])]
        else:
            train = np.flatnonzero(before & ~np.isin(rows.groups, rows.groups[test]))
            tested = test
        learned, happened = rows.happened[train], rows.happened[tested]
        both = happened.any() and not happened.all() and not learned.all()
        accounts = len(np.unique(rows.groups[train][learned]))
        if accounts >= MIN_TRAIN_OUTCOMES and both:
            still = (rows.as_of_us < start) & (rows.as_of_us + gap > start) & ~np.isin(rows.groups, rows.groups[tested])
            open_ = np.flatnonzero(still) if gap else np.zeros(0, dtype=np.int64)
            return Fold(train, tested, open_, start, gap > 0, _sentence(rows, train, tested, gap > 0))
    return None


def _sentence(rows: _Rows, train: NDArray[np.int64], test: NDArray[np.int64], has_gap: bool) -> str:
    moments = rows.as_of_us[test]
    first, last = (from_micros(int(edge)).date().isoformat() for edge in (moments.min(), moments.max()))
    text = (
        f"{first} to {last}: trained on {len(train):,} rows with {int(rows.happened[train].sum()):,} outcomes, "
        f"tested on {len(test):,} with {int(rows.happened[test].sum()):,}"
    )
    return text if has_gap else f"{text}; the history is too short for a gap of one horizon between them"
