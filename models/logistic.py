"""The logistic member: L2-regularised logistic regression on transformed, standardised features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from features.feature import Shape

__all__ = ["LogisticFitter", "LogisticMember", "Transform", "fit_logistic"]

Matrix = NDArray[np.float64]
MIN_SPREAD = 1e-9
SKEWED = 2.0
KNOTS = (0.2, 0.4, 0.6, 0.75, 0.85, 0.95)
# Features that are free of the penalty are scaled up so far that it no longer holds their weights back.
FREE_SCALE = 10.0
MIN_HINGE_ROWS = 200
PIECE = 4_096
"""Rows that are worked on at a time: their columns stay in the processor's cache, which is three times as fast."""


@dataclass(frozen=True)
class Transform:
    """How raw features become the logistic member's columns.

    Counts and ages go through ``log(1 + x)``, as do skewed non-negative numbers; values are kept inside the range
    seen in training, so that an outlier does not run away with a score; missing values take the mean and are flagged.

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
    hinge_feature, hinge_knot, hinge_center, hinge_scale
        Shape (n_hinges,): ages bend, as a lead that has been silent for a year is not twice as cold as after half of
        one. Each hinge is ``max(value - knot, 0)`` of one feature's (logged) value, standardised.
    """

    is_log: NDArray[np.bool_]
    low: Matrix
    high: Matrix
    center: Matrix
    scale: Matrix
    missing_share: Matrix
    hinge_feature: NDArray[np.int64]
    hinge_knot: Matrix
    hinge_center: Matrix
    hinge_scale: Matrix

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
        hinges = _learn_hinges(logged, shapes)
        return cls(
            is_log,
            np.where(empty, 0.0, low),
            np.where(empty, 0.0, high),
            center,
            np.where(spread < MIN_SPREAD, 1.0, spread),
            missing.mean(axis=0),
            np.array([feature for feature, *_ in hinges], dtype=np.int64),
            *(np.array([hinge[part] for hinge in hinges], dtype=np.float64) for part in (1, 2, 3)),
        )

    def standard(self, matrix: Matrix) -> Matrix:
        """Return standardised values, shape of ``matrix``, mean 0, missing ones 0."""
        return self._standard_of(self._inside(matrix))

    def _inside(self, matrix: Matrix) -> Matrix:
        """Return the (logged) values, kept inside the range seen in training, shape of ``matrix``."""
        logged = _log_where(matrix, self.is_log)
        return np.clip(logged, self.low, self.high, out=logged)

    def _standard_of(self, inside: Matrix) -> Matrix:
        found = (inside - self.center) / self.scale
        found[np.isnan(found)] = 0.0
        return found

    def flags(self, matrix: Matrix) -> Matrix:
        """Return centred missing flags, shape of ``matrix``, mean 0."""
        return np.where(self.missing_share > 0, np.isnan(matrix) - self.missing_share, 0.0)

    def hinges(self, matrix: Matrix) -> Matrix:
        """Return standardised hinges, shape (n, n_hinges), mean 0, missing ones 0."""
        return self._hinges_of(self._inside(matrix))

    def _hinges_of(self, inside: Matrix) -> Matrix:
        found = inside[:, self.hinge_feature]
        found -= self.hinge_knot
        np.maximum(found, 0.0, out=found)  # not a number stays none
        found -= self.hinge_center
        found /= self.hinge_scale
        found[np.isnan(found)] = 0.0
        return found

    def columns(self, matrix: Matrix) -> tuple[Matrix, Matrix, Matrix]:
        """Return what :meth:`standard`, :meth:`flags` and :meth:`hinges` return."""
        inside = self._inside(matrix)
        return self._standard_of(inside), self.flags(matrix), self._hinges_of(inside)

    def to_json(self) -> dict[str, Any]:
        """Return the transform as plain JSON."""
        return {key: np.asarray(value).tolist() for key, value in vars(self).items()}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        exact: dict[str, Any] = {"is_log": np.bool_, "hinge_feature": np.int64}
        return cls(**{key: np.asarray(value, dtype=exact.get(key, np.float64)) for key, value in item.items()})


def _learn_hinges(logged: Matrix, shapes: Sequence[Shape]) -> list[tuple[int, float, float, float]]:
    found: list[tuple[int, float, float, float]] = []
    for feature, shape in enumerate(shapes):
        column = logged[:, feature]
        present = column[~np.isnan(column)]
        if shape != "days" or present.size < MIN_HINGE_ROWS:
            continue
        for knot in np.unique(np.quantile(present, KNOTS)):
            above = np.maximum(present - knot, 0.0)
            if above.std() > MIN_SPREAD:
                found.append((feature, float(knot), float(above.mean()), float(above.std())))
    return found


def _is_logged(column: Matrix, shape: Shape) -> bool:
    if shape in ("count", "days"):
        return True
    present = column[~np.isnan(column)]
    if shape == "flag" or present.size == 0 or present.min() < 0 or present.std() < MIN_SPREAD:
        return False
    skew = float((((present - present.mean()) / present.std()) ** 3).mean())
    return skew > SKEWED


def _pieces(count: int) -> list[slice]:
    return [slice(start, min(start + PIECE, count)) for start in range(0, max(count, 1), PIECE)]


def _log_where(matrix: Matrix, is_log: NDArray[np.bool_]) -> Matrix:
    found = matrix.astype(np.float64, copy=True)
    found[:, is_log] = np.log1p(np.maximum(found[:, is_log], 0.0))
    return found


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
    hinge_weights
        Shape (n_hinges,): logit per standard deviation of each hinge.
    penalty
        Inverse strength C of the L2 penalty, in scikit-learn's sense.
    """

    transform: Transform
    intercept: float
    weights: Matrix
    missing_weights: Matrix
    hinge_weights: Matrix
    penalty: float

    name = "logistic"

    @property
    def base(self) -> float:
        """What every lead starts from, in logit."""
        return self.intercept

    def contributions(self, matrix: Matrix) -> Matrix:
        """Return each feature's part of the logit, shape (n, n_features); with :attr:`base` they sum to it."""
        return np.concatenate([self._parts(matrix[rows]) for rows in _pieces(len(matrix))])

    def _parts(self, matrix: Matrix) -> Matrix:
        standard, flags, hinges = self.transform.columns(matrix)
        parts = standard * self.weights + flags * self.missing_weights
        bent, first = np.unique(self.transform.hinge_feature, return_index=True)  # hinges come feature by feature
        if bent.size:
            parts[:, bent] += np.add.reduceat(hinges * self.hinge_weights, first, axis=1)
        return parts

    def split(self, matrix: Matrix) -> tuple[Matrix, Matrix]:
        """Return each feature's part of the logit, shape (n, n_features), and the base, shape (n,)."""
        return self.contributions(matrix), np.full(matrix.shape[0], self.intercept)

    def logit(self, matrix: Matrix) -> Matrix:
        """Return the logit, shape (n,)."""
        # A sum by row, not a product of matrices: a lead's score does not depend on the leads beside it.
        sums = [self._parts(matrix[rows]).sum(axis=1) for rows in _pieces(len(matrix))]
        return self.intercept + np.concatenate(sums)

    def to_json(self) -> dict[str, Any]:
        """Return the member as plain JSON."""
        return {
            "member": self.name,
            "transform": self.transform.to_json(),
            "intercept": self.intercept,
            "weights": self.weights.tolist(),
            "missing_weights": self.missing_weights.tolist(),
            "hinge_weights": self.hinge_weights.tolist(),
            "penalty": self.penalty,
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(
            Transform.from_json(item["transform"]),
            float(item["intercept"]),
            np.asarray(item["weights"], dtype=np.float64),
            np.asarray(item["missing_weights"], dtype=np.float64),
            np.asarray(item["hinge_weights"], dtype=np.float64),
            float(item["penalty"]),
        )


class LogisticFitter:
    """Logistic regressions of the same rows at one penalty after another, each begun where the last one ended.

    Parameters
    ----------
    matrix
        Raw features, shape (n, n_features), NaN where missing.
    happened
        Labels, shape (n,). No class weights: they spoil calibration and do not help ranking (methods 4).
    shapes
        How each feature is spread.
    only
        Numbers of the features that may have a weight; None for all.
    free
        Numbers of the features whose weights are not shrunk: those with few weights and much to say.
    offset
        What the time that each row was watched adds to its logit, shape (n,), 0 for a whole horizon. It has one free
        weight, as scikit-learn knows no fixed offsets. None for no offsets.
    weights
        Row weights, shape (n,); None for equal ones.
    """

    def __init__(  # noqa: PLR0913 - what a regression takes
        self,
        matrix: Matrix,
        happened: NDArray[np.bool_],
        shapes: Sequence[Shape],
        *,
        only: NDArray[np.int64] | None = None,
        free: NDArray[np.int64] | None = None,
        offset: Matrix | None = None,
        weights: Matrix | None = None,
    ) -> None:
        self._transform = transform = Transform.learn(matrix, shapes)
        self._used = np.arange(matrix.shape[1]) if only is None else only
        self._flagged = self._used[transform.missing_share[self._used] > 0]
        self._bent = np.flatnonzero(np.isin(transform.hinge_feature, self._used))
        owner = np.concatenate([self._used, self._flagged, transform.hinge_feature[self._bent]])
        self._scale = np.where(np.isin(owner, [] if free is None else free), FREE_SCALE, 1.0)
        self._is_timed = offset is not None and bool(offset.any())
        timed = [np.asarray(offset)[:, None] * FREE_SCALE] if self._is_timed else []
        self._columns = np.hstack([self.columns(matrix), *timed])
        self._happened, self._weights = happened, weights
        self._model = LogisticRegression(solver="newton-cholesky", max_iter=200, warm_start=True)

    def columns(self, matrix: Matrix) -> Matrix:
        """Return the columns of other rows, shape (m, n_columns), for :meth:`logit`."""
        found = np.empty((len(matrix), len(self._scale)))
        for rows in _pieces(len(matrix)):
            standard, flags, hinges = self._transform.columns(matrix[rows])
            found[rows] = np.hstack([standard[:, self._used], flags[:, self._flagged], hinges[:, self._bent]])
            found[rows] *= self._scale
        return found

    def logit(self, columns: Matrix) -> Matrix:
        """Return what the regression that was fitted last says of rows, shape (m,)."""
        return float(np.ravel(self._model.intercept_)[0]) + columns @ self._model.coef_[0][: columns.shape[1]]

    def fit(self, penalty: float) -> tuple[LogisticMember, float]:
        """Fit at an inverse strength C of the L2 penalty, in scikit-learn's sense.

        Returns
        -------
        LogisticMember
            The member, for rows watched for the whole horizon.
        float
            The weight of the offset; 1 without one.
        """
        self._model.set_params(C=penalty).fit(self._columns, self._happened, sample_weight=self._weights)
        coefficients = self._model.coef_[0].astype(np.float64)
        features, hinges = len(self._transform.is_log), len(self._transform.hinge_feature)
        weights, missing_weights, hinge_weights = np.zeros(features), np.zeros(features), np.zeros(hinges)
        weights[self._used], missing_weights[self._flagged], hinge_weights[self._bent] = np.split(
            coefficients[: len(self._scale)] * self._scale, [len(self._used), len(self._used) + len(self._flagged)]
        )
        intercept = float(np.ravel(self._model.intercept_)[0])
        member = LogisticMember(self._transform, intercept, weights, missing_weights, hinge_weights, penalty)
        return member, float(coefficients[-1]) * FREE_SCALE if self._is_timed else 1.0


def fit_logistic(
    matrix: Matrix,
    happened: NDArray[np.bool_],
    shapes: Sequence[Shape],
    *,
    penalty: float,
    only: NDArray[np.int64] | None = None,
    free: NDArray[np.int64] | None = None,
) -> LogisticMember:
    """Fit one logistic member on rows that all weigh the same and were all watched for the horizon.

    Parameters
    ----------
    matrix, happened, shapes, only, free
        As for :class:`LogisticFitter`.
    penalty
        Inverse strength C of the L2 penalty, in scikit-learn's sense.
    """
    return LogisticFitter(matrix, happened, shapes, only=only, free=free).fit(penalty)[0]
