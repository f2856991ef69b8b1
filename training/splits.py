"""Time-forward folds: train on the past, test on what came next, no account on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crm.known import from_micros

__all__ = ["Fold", "time_forward_folds"]

FOLDS = 4
FIRST_TEST_SHARE = 0.36
MIN_TRAIN_OUTCOMES = 25


@dataclass(frozen=True)
class Fold:
    """One split of the training rows.

    Parameters
    ----------
    train, test
        Row numbers. Every account is on one side alone.
    has_gap
        Labels of ``train`` were all mature when ``test`` begins. False where the history is too short for such a gap.
    sentence
        What was trained and tested when, for the report.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    has_gap: bool
    sentence: str


def time_forward_folds(
    as_of_us: NDArray[np.int64],
    happened: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    horizon_us: int,
) -> tuple[Fold, ...]:
    """Cut the rows into up to four test periods, each after its training rows.

    Training rows end a horizon before the test period begins, so that their labels were known by then; where that leaves
    fewer than 25 outcomes, they end where it begins, and the fold says so. Accounts of the test period are taken out of
    the training rows.

    Parameters
    ----------
    as_of_us
        Moments of the rows, microseconds, shape (n,).
    happened
        Labels, shape (n,).
    groups
        Account number of each row, shape (n,).
    horizon_us
        Horizon in microseconds.

    Returns
    -------
    tuple of Fold
        In time order; folds without outcomes on either side are left out.
    """
    edges = np.quantile(as_of_us, np.linspace(FIRST_TEST_SHARE, 1.0, FOLDS + 1)).astype(np.int64)
    edges[-1] += 1
    folds: list[Fold] = []
    for start, end in zip(edges[:-1], edges[1:], strict=True):
        test = np.flatnonzero((as_of_us >= start) & (as_of_us < end))
        fold = _fold(as_of_us, happened, groups, test, int(start), horizon_us)
        if fold is not None:
            folds.append(fold)
    return tuple(folds)


def _fold(
    as_of_us: NDArray[np.int64],
    happened: NDArray[np.bool_],
    groups: NDArray[np.int64],
    test: NDArray[np.int64],
    start: int,
    horizon_us: int,
) -> Fold | None:
    other_account = ~np.isin(groups, groups[test])
    for gap in (horizon_us, 0):
        before = as_of_us + gap <= start if gap else as_of_us < start
        train = np.flatnonzero(before & other_account)
        outcomes = int(happened[train].sum())
        if outcomes >= MIN_TRAIN_OUTCOMES and happened[test].any() and not happened[test].all():
            return Fold(train, test, gap > 0, _sentence(as_of_us, happened, train, test, gap > 0))
    return None


def _sentence(
    as_of_us: NDArray[np.int64],
    happened: NDArray[np.bool_],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    has_gap: bool,
) -> str:
    first, last = (from_micros(int(edge)).date().isoformat() for edge in (as_of_us[test].min(), as_of_us[test].max()))
    text = (
        f"{first} to {last}: trained on {len(train):,} rows with {int(happened[train].sum()):,} outcomes, "
        f"tested on {len(test):,} with {int(happened[test].sum()):,}"
    )
    return text if has_gap else f"{text}; the history is too short for a gap of one horizon between them"
