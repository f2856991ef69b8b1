"""The logistic member: L2-regularised logistic regression on transformed, standardised features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from features.feature import Shape

__all__ = ["LogisticMember", "Transform", "fit_logistic"]

Matrix = NDArray[np.float64]
MIN_SPREAD = 1e-9
SKEWED = 4.0


@dataclass(frozen=True)
class Transform:
    """How raw features become the logistic member's columns.

    Counts and ages go through ``log(1 + x)``, as do skewed non-negative numbers; values are kept inside the range seen in
    training, so that an outlier does not run away with a score; missing values take the mean and are flagged.

    Parameters
    ----------
    is_log
        Shape (n_features,), whether the feature is logged.
    low, high
        Range of the (logged) values in training.
    center, scale
        Mean and standard deviation of the (logged) values in training.
    missing_share
        Share of missing values in training.
    """

    is_log: NDArray[np.bool_]
    low: Matrix
    high: Matrix
    center: Matrix
    scale: Matrix
    missing_share: Matrix

    @classmethod
    def learn(cls, matrix: Matrix, shapes: Sequence[Shape]) -> Self:
        """Learn the transform of a training matrix, shape (n, n_features)."""
        is_log = np.array([_is_logged(matrix[:, j], shape) for j, shape in enumerate(shapes)], dtype=bool)
        logged = _log_where(matrix, is_log)
        missing = np.isnan(logged)
        filled = np.where(missing, 0.0, logged)
        present = np.maximum((~missing).sum(axis=0), 1)
        center = filled.sum(axis=0) / present
        spread = np.sqrt((np.where(missing, 0.0, logged - center) ** 2).sum(axis=0) / present)
        low = np.where(missing, np.inf, logged).min(axis=0, initial=np.inf)
        high = np.where(missing, -np.inf, logged).max(axis=0, initial=-np.inf)
        empty = missing.all(axis=0)
        return cls(
            is_log,
            np.where(empty, 0.0, low),
            np.where(empty, 0.0, high),
            center,
            np.where(spread < MIN_SPREAD, 1.0, spread),
            missing.mean(axis=0),
        )

    def apply(self, matrix: Matrix) -> tuple[Matrix, Matrix]:
        """Return standardised values and centred missing flags, each of the matrix's shape; both have mean 0."""
        logged = np.clip(_log_where(matrix, self.is_log), self.low, self.high)
        missing = np.isnan(logged)
        standard = np.where(missing, 0.0, (logged - self.center) / self.scale)
        flags = np.where(self.missing_share > 0, missing - self.missing_share, 0.0)
        return standard, flags


def _is_logged(column: Matrix, shape: Shape) -> bool:
    if shape in ("count", "days"):
        return True
    present = column[~np.isnan(column)]
    if shape == "flag" or present.size == 0 or present.min() < 0 or present.std() < MIN_SPREAD:
        return False
    skew = float((((present - present.mean()) / present.std()) ** 3).mean())
    return skew > SKEWED / 2


def _log_where(matrix: Matrix, is_log: NDArray[np.bool_]) -> Matrix:
    return np.where(is_log, np.log1p(np.maximum(matrix, 0.0)), matrix)


@dataclass(frozen=True)
class LogisticMember:
    """A fitted logistic regression whose logit splits exactly into one part a feature.

    Parameters
    ----------
    transform
        From raw features to columns.
    intercept
        Logit of a lead with average columns.
    weights, missing_weights
        Shape (n_features,): logit per standard deviation, and of being missing.
    penalty
        Inverse strength C that cross-validation chose.
    """

    transform: Transform
    intercept: float
    weights: Matrix
    missing_weights: Matrix
    penalty: float

    name = "logistic"

    @property
    def base(self) -> float:
        """What every lead starts from, in logit."""
        return self.intercept

    def contributions(self, matrix: Matrix) -> Matrix:
        """Return each feature's part of the logit, shape (n, n_features); with :attr:`base` they sum to it."""
        standard, flags = self.transform.apply(matrix)
        return standard * self.weights + flags * self.missing_weights

    def logit(self, matrix: Matrix) -> Matrix:
        """Return the logit, shape (n,)."""
        return self.intercept + self.contributions(matrix).sum(axis=1)

    def to_json(self) -> dict[str, Any]:
        """Return the member as plain JSON."""
        transform = {key: np.asarray(value).tolist() for key, value in vars(self.transform).items()}
        return {
            "member": self.name,
            "transform": transform,
            "intercept": self.intercept,
            "weights": self.weights.tolist(),
            "missing_weights": self.missing_weights.tolist(),
            "penalty": self.penalty,
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        raw = item["transform"]
        transform = Transform(
            np.asarray(raw["is_log"], dtype=bool),
            *(np.asarray(raw[key], dtype=np.float64) for key in ("low", "high", "center", "scale", "missing_share")),
        )
        return cls(
            transform,
            float(item["intercept"]),
            np.asarray(item["weights"], dtype=np.float64),
            np.asarray(item["missing_weights"], dtype=np.float64),
            float(item["penalty"]),
        )


def fit_logistic(
    matrix: Matrix, happened: NDArray[np.bool_], shapes: Sequence[Shape], *, penalty: float
) -> LogisticMember:
    """Fit one logistic member.

    Parameters
    ----------
    matrix
        Raw features, shape (n, n_features), NaN where missing.
    happened
        Labels, shape (n,). No class weights: they spoil calibration and do not help ranking (methods 4).
    shapes
        How each feature is spread.
    penalty
        Inverse strength C of the L2 penalty, in scikit-learn's sense.
    """
    transform = Transform.learn(matrix, shapes)
    standard, flags = transform.apply(matrix)
    flagged = np.flatnonzero(transform.missing_share > 0)
    columns = np.hstack([standard, flags[:, flagged]])
    model = LogisticRegression(C=penalty, solver="newton-cholesky", max_iter=200).fit(columns, happened)
    weights = model.coef_[0].astype(np.float64)
    missing_weights = np.zeros(matrix.shape[1])
    missing_weights[flagged] = weights[matrix.shape[1] :]
    return LogisticMember(transform, float(model.intercept_[0]), weights[: matrix.shape[1]], missing_weights, penalty)
