"""What a win brings: the amount given a win, in workspace currency.

Two parts: the probability of winning is the endpoint's; here is ``E[amount | won] = share * exp(mu(x) + s^2 / 2) *
scale`` with ``mu`` from ridge regression of the log amount over the winners, ``s^2`` their residual variance out of
fold, ``share`` the part of wins that brought anything, and ``scale`` the rescaling check of methods 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from features.feature import Shape
from models.logistic import Transform

__all__ = ["AmountModel", "AmountRows", "fit_amount"]

Matrix = NDArray[np.float64]
MIN_WINS = 30
WINSOR = 98.5
ALPHAS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
BLOCKS = 5
RESCALE_OUTSIDE = (0.9, 1.1)


@dataclass(frozen=True)
class AmountRows:
    """Won training rows, in time order.

    Parameters
    ----------
    matrix
        Features, shape (n, n_features).
    amount
        Sum won inside the horizon, shape (n,), workspace currency, no NaN.
    groups
        Account of each row, shape (n,).
    weights
        Shape (n,): one over the rows of the same lead.
    """

    matrix: Matrix
    amount: Matrix
    groups: NDArray[np.int64]
    weights: Matrix


@dataclass(frozen=True)
class AmountModel:
    """The amount of a win.

    Parameters
    ----------
    method
        ``two_part``, ``mean`` (too few wins with an amount) or ``configured`` (none).
    mean
        Amount for every lead unless ``two_part``.
    transform, intercept, weights
        Ridge regression of the log amount; None and empty unless ``two_part``.
    log_range
        Lowest and highest log amount in training; predictions stay inside.
    residual_variance, positive_share, scale
        As in the formula above.
    alpha
        Penalty that blocked cross-validation chose.
    out_of_fold
        Predictions for the training rows by models that did not see them, shape (n,); not kept in the bundle.
    """

    method: Literal["two_part", "mean", "configured"]
    mean: float
    transform: Transform | None = None
    intercept: float = 0.0
    weights: Matrix | None = None
    log_range: tuple[float, float] = (0.0, 0.0)
    residual_variance: float = 0.0
    positive_share: float = 1.0
    scale: float = 1.0
    alpha: float = 0.0
    out_of_fold: Matrix | None = None

    def expected(self, matrix: Matrix) -> Matrix:
        """Return the expected amount given a win, shape (n,)."""
        if self.transform is None or self.weights is None:
            return np.full(matrix.shape[0], self.mean)
        mu = np.clip(self.intercept + self.transform.standard(matrix) @ self.weights, *self.log_range)
        return self.positive_share * np.exp(mu + self.residual_variance / 2) * self.scale

    def to_json(self) -> dict[str, Any]:
        """Return the model as plain JSON."""
        item = {key: value for key, value in vars(self).items() if key not in ("transform", "weights", "out_of_fold")}
        if self.transform is not None and self.weights is not None:
            item["transform"] = self.transform.to_json()
            item["weights"] = self.weights.tolist()
        return item

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        plain = {key: value for key, value in item.items() if key not in ("transform", "weights", "log_range")}
        transform, weights = None, None
        if "transform" in item:
            transform = Transform.from_json(item["transform"])
            weights = np.asarray(item["weights"], dtype=np.float64)
        low, high = item["log_range"]
        return cls(**plain, transform=transform, weights=weights, log_range=(float(low), float(high)))


def fit_amount(rows: AmountRows, shapes: Sequence[Shape], *, default_amount: float | None) -> AmountModel:
    """Fit the amount of a win.

    Parameters
    ----------
    rows
        Won rows with a known amount.
    shapes
        How each feature is spread.
    default_amount
        What a win is worth where the data does not say; needed when no win has an amount above zero.

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
    cap = float(np.percentile(rows.amount[positive], WINSOR))
    capped = np.minimum(rows.amount, cap)
    mean = float(np.average(capped, weights=rows.weights))
    share = float(np.average(positive, weights=rows.weights))
    if wins < MIN_WINS:
        return AmountModel("mean", mean)
    return _two_part(rows, positive, capped, mean, share, shapes)


def _two_part(
    rows: AmountRows, positive: NDArray[np.bool_], capped: Matrix, mean: float, share: float, shapes: Sequence[Shape]
) -> AmountModel:
    matrix, weights = rows.matrix[positive], rows.weights[positive]
    logs, groups = np.log(capped[positive]), rows.groups[positive]
    transform = Transform.learn(matrix, shapes)
    columns = transform.standard(matrix)
    best: tuple[float, float, Matrix] | None = None
    for alpha in ALPHAS:
        predicted = _blocked(columns, logs, weights, groups, alpha)
        error = float(np.average((logs - predicted) ** 2, weights=weights))
        if best is None or error < best[0]:
            best = (error, alpha, predicted)
    assert best is not None  # noqa: S101 - ALPHAS is not empty
    variance, alpha, predicted = best
    ridge = Ridge(alpha=alpha).fit(columns, logs, sample_weight=weights)
    unscaled = np.exp(np.clip(predicted, logs.min(), logs.max()) + variance / 2)
    ratio = float((weights * capped[positive]).sum() / (weights * unscaled).sum())
    scale = ratio if not RESCALE_OUTSIDE[0] <= ratio <= RESCALE_OUTSIDE[1] else 1.0
    out_of_fold = np.full(len(rows.amount), share * scale * np.exp(logs.mean() + variance / 2))
    out_of_fold[positive] = share * scale * unscaled
    return AmountModel(
        "two_part",
        mean,
        transform,
        float(ridge.intercept_),
        np.asarray(ridge.coef_, dtype=np.float64),
        (float(logs.min()), float(logs.max())),
        variance,
        share,
        scale,
        alpha,
        out_of_fold,
    )


def _blocked(columns: Matrix, logs: Matrix, weights: Matrix, groups: NDArray[np.int64], alpha: float) -> Matrix:
    """Predict each block of time from the other blocks, no account on both sides."""
    predicted = np.empty_like(logs)
    for block in np.array_split(np.arange(len(logs)), BLOCKS):
        others = np.flatnonzero(~np.isin(groups, groups[block]))
        if len(others) < BLOCKS:
            predicted[block] = np.average(logs, weights=weights)
            continue
        ridge = Ridge(alpha=alpha).fit(columns[others], logs[others], sample_weight=weights[others])
        predicted[block] = ridge.predict(columns[block])
    return predicted
