"""Learning what a win brings: from who the lead is, and from more where that predicts the wins better (docs/adr/0015).

How a lead behaves tells whether it buys and seldom for how much, so features of engagement are read only where they
help. What a lost deal would have brought hangs on the same things as what a won one brings, and lost deals are as many
or more. But only winners pay: the level, the spread and what is judged are theirs alone, and lost deals are read only
where they help as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from features.feature import Shape
from models.amount import LEVELS, AmountModel
from models.transform import Transform

__all__ = ["AmountRows", "fit_amount"]

Matrix = NDArray[np.float64]
MIN_WINS = 30
WINSOR = 98.5
ALPHAS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
BLOCKS = 5
RESCALE_OUTSIDE = (0.9, 1.1)
MIN_ERRORS = 0.5
"""Standard errors of the squared error of log amounts that whatever is added must save: odds of two to one that it
helps."""
LOST = 30.0
"""The column that tells lost deals: so large that the penalty hardly holds their level back."""


@dataclass(frozen=True)
class AmountRows:
    """Training rows with a deal that was won, or that was lost; won ones in time order.

    Parameters
    ----------
    matrix
        Features, shape (n, n_features).
    amount
        Sum won, or lost, inside the horizon, shape (n,), workspace currency, no NaN.
    groups
        Account of each row, shape (n,).
    weights
        Shape (n,): one over the rows of the same lead.
    """

    matrix: Matrix
    amount: Matrix
    groups: NDArray[np.int64]
    weights: Matrix


def fit_amount(
    rows: AmountRows,
    shapes: Sequence[Shape],
    *,
    default_amount: float | None,
    lost: AmountRows | None = None,
    fit: Sequence[int] = (),
) -> AmountModel:
    """Fit the amount of a win.

    Parameters
    ----------
    rows
        Won rows with a known amount.
    shapes
        How each feature is spread.
    default_amount
        What a win is worth where the data does not say; needed when no win has an amount above zero.
    lost
        Rows of deals that were lost, with amounts above zero; None for none.
    fit
        Numbers of the features that say who the lead is, which are read before any others; none for all at once.

    Raises
    ------
    ValueError
        When neither the data nor the workspace says what a win is worth.
    """
    positive = rows.amount > 0
    wins = len(np.unique(rows.groups[positive]))
    if wins == 0:
        if default_amount is None:
            raise ValueError("No win has an amount and [value] default_amount is not set.")
        return AmountModel("configured", default_amount)
    capped = _capped(rows)
    if wins < MIN_WINS:
        mean = float(np.average(capped, weights=rows.weights))
        deviation = float(np.sqrt(np.average((capped - mean) ** 2, weights=rows.weights)))
        count = len(np.unique(rows.groups))
        return AmountModel("mean", mean, deviation=deviation, quantiles=_quantiles(rows, count))
    found = _chosen(rows, shapes, lost, list(fit))
    model = _two_part(rows, capped, found)
    return replace(model, reads_engagement=not set(found.paid.only) <= set(fit))


def _capped(rows: AmountRows) -> Matrix:
    """Return the amounts, the largest of them cut to the :data:`WINSOR` percentile of those above zero."""
    return np.minimum(rows.amount, np.percentile(rows.amount[rows.amount > 0], WINSOR))


def _chosen(rows: AmountRows, shapes: Sequence[Shape], lost: AmountRows | None, fit: list[int]) -> _Searched:
    """Add the other features to those of fit, and lost deals to wins, where that helps by more than chance would."""
    every = list(range(len(shapes)))
    only = fit or every
    found = _search(_Paid.of(rows, shapes, only))
    if len(only) < len(every):
        wider = _search(_Paid.of(rows, shapes, every))
        if _standard_errors_saved(found, wider) > MIN_ERRORS:
            found, only = wider, every
    if lost is not None and len(lost.amount):
        wider = _search(_Paid.of(rows, shapes, only, lost))
        if _standard_errors_saved(found, wider) > MIN_ERRORS:
            found = wider
    return found


@dataclass(frozen=True)
class _Paid:
    """Rows for ridge regression: won ones first, then lost ones.

    Columns of the features whose numbers are ``only``, log amounts (0 where nothing was paid), whether anything was,
    weights and accounts, one entry a row; the number of won rows, and of leads with a lost deal.
    """

    only: list[int]
    transform: Transform
    columns: Matrix
    logs: Matrix
    is_paid: NDArray[np.bool_]
    weights: Matrix
    groups: NDArray[np.int64]
    wins: int
    lost_deals: int

    @classmethod
    def of(cls, rows: AmountRows, shapes: Sequence[Shape], only: list[int], lost: AmountRows | None = None) -> _Paid:
        """Put won rows, and lost ones where there are any, into columns."""
        parts = [rows] if lost is None else [rows, lost]
        matrix = np.concatenate([part.matrix for part in parts])
        amount = np.concatenate([_capped(part) for part in parts])
        is_paid = amount > 0
        transform = Transform.learn(matrix[is_paid], shapes)
        columns = transform.standard(matrix)[:, only]
        wins = len(rows.amount)
        if lost is not None:
            is_lost = (np.arange(len(amount)) >= wins).astype(np.float64)
            columns = np.hstack([columns, LOST * is_lost[:, None]])
        return cls(
            only,
            transform,
            columns,
            np.log(np.where(is_paid, amount, 1.0)),
            is_paid,
            np.concatenate([part.weights for part in parts]),
            np.concatenate([part.groups for part in parts]),
            wins,
            0 if lost is None else round(float(lost.weights.sum())),
        )

    @property
    def is_win(self) -> NDArray[np.bool_]:
        """Which rows are paid wins, shape (n,)."""
        return self.is_paid & (np.arange(len(self.logs)) < self.wins)

    def ridge(self, alpha: float, rows: NDArray[np.int64]) -> Ridge:
        """Fit the rows that are given."""
        return Ridge(alpha=alpha).fit(self.columns[rows], self.logs[rows], sample_weight=self.weights[rows])


@dataclass(frozen=True)
class _Searched:
    """The penalty that predicts wins best that it had not learned from, and what it predicts of the won rows."""

    paid: _Paid
    alpha: float
    error: float
    predicted: Matrix
    level: Matrix

    @property
    def squared(self) -> Matrix:
        """Squared errors of the log amounts of paid wins."""
        is_win = self.paid.is_win[: self.paid.wins]
        return ((self.paid.logs[: self.paid.wins] - self.predicted) ** 2)[is_win]


def _search(paid: _Paid) -> _Searched:
    weights = paid.weights[paid.is_win]
    found: _Searched | None = None
    for alpha in ALPHAS:
        tried = _Searched(paid, alpha, 0.0, *_blocked(paid, alpha))
        error = float(np.average(tried.squared, weights=weights))
        if found is None or error < found.error:
            found = _Searched(paid, alpha, error, tried.predicted, tried.level)
    assert found is not None  # noqa: S101 - ALPHAS is not empty
    return found


def _standard_errors_saved(before: _Searched, after: _Searched) -> float:
    """Return by how many standard errors, counted by accounts, the squared error fell."""
    is_win = before.paid.is_win
    weights, saved = before.paid.weights[is_win], before.squared - after.squared
    mean = float(np.average(saved, weights=weights))
    _, account = np.unique(before.paid.groups[is_win], return_inverse=True)
    error = float(np.sqrt((np.bincount(account, weights * (saved - mean)) ** 2).sum()) / weights.sum())
    return mean / error if error > 0 else 0.0


def _two_part(rows: AmountRows, capped: Matrix, found: _Searched) -> AmountModel:
    paid, positive = found.paid, rows.amount > 0
    logs, weights = paid.logs[paid.is_win], rows.weights[positive]
    share = float(np.average(positive, weights=rows.weights))
    ridge = paid.ridge(found.alpha, np.flatnonzero(paid.is_paid))
    read = np.zeros(rows.matrix.shape[1])
    read[paid.only] = ridge.coef_[: len(paid.only)]
    unscaled = np.exp(np.clip(found.predicted, logs.min(), logs.max()) + found.error / 2)
    ratio = float((weights * capped[positive]).sum() / (weights * unscaled[positive]).sum())
    scale = ratio if not RESCALE_OUTSIDE[0] <= ratio <= RESCALE_OUTSIDE[1] else 1.0
    return AmountModel(
        "two_part",
        float(np.average(capped, weights=rows.weights)),
        paid.transform,
        float(ridge.intercept_),
        read,
        (float(logs.min()), float(logs.max())),
        found.error,
        share,
        scale,
        ratio,
        found.alpha,
        lost_deals=paid.lost_deals,
        out_of_fold=share * scale * unscaled,
        out_of_fold_rank=np.exp(found.predicted - found.level),
    )


def _blocked(paid: _Paid, alpha: float) -> tuple[Matrix, Matrix]:
    """Predict each block of time of the won rows from the other rows, no account on both sides.

    Returns
    -------
    tuple of Matrix
        Log amounts predicted, paid or not, and the mean log amount of the wins they were learned from; shapes (n_won,).
    """
    predicted, level = np.empty(paid.wins), np.empty(paid.wins)
    is_win = paid.is_win
    for block in np.array_split(np.arange(paid.wins), BLOCKS):
        is_other = ~np.isin(paid.groups, paid.groups[block])
        wins = np.flatnonzero(is_win & is_other)
        used = wins if len(wins) >= BLOCKS else np.flatnonzero(is_win)
        level[block] = np.average(paid.logs[used], weights=paid.weights[used])
        if len(wins) < BLOCKS:
            predicted[block] = level[block]
            continue
        ridge = paid.ridge(alpha, np.flatnonzero(paid.is_paid & is_other))
        predicted[block] = ridge.predict(paid.columns[block])
    return predicted, level


def _quantiles(rows: AmountRows, count: int) -> tuple[float | None, ...]:
    """Return quantiles of the next win's amount after ``count`` accounts with wins.

    The next of n + 1 exchangeable amounts is below the k-th of the others with probability k / (n + 1); further out
    than the first and the last nothing is known.
    """
    order = np.argsort(rows.amount, kind="stable")
    weight = rows.weights[order]
    position = np.cumsum(weight) / weight.sum() * count / (count + 1)
    found = np.interp(LEVELS, position, rows.amount[order])
    is_known = np.minimum(LEVELS, 1 - LEVELS) * (count + 1) > 1 - 1e-9
    return tuple(float(value) if known else None for value, known in zip(found, is_known, strict=True))
