"""The logistic member: L2-regularised logistic regression on transformed, standardised features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from features.feature import Shape
from models.transform import LinearParts, Transform

__all__ = ["LogisticFitter", "LogisticMember", "fit_logistic"]

Matrix = NDArray[np.float64]
# Features that are free of the penalty are scaled up so far that it no longer holds their weights back.
FREE_SCALE = 10.0
PIECE = 4_096
"""Rows that are worked on at a time: their columns stay in the processor's cache, which is three times as fast."""


def _pieces(count: int) -> list[slice]:
    return [slice(start, min(start + PIECE, count)) for start in range(0, max(count, 1), PIECE)]


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
        parts = np.zeros(matrix.shape)
        for rows in _pieces(len(matrix)):
            parts[rows, self._linear.features] = self._linear(matrix[rows])
        return parts

    @cached_property
    def _linear(self) -> LinearParts:
        return LinearParts(self.transform, self.weights, self.missing_weights, self.hinge_weights)

    def split(self, matrix: Matrix) -> tuple[Matrix, Matrix]:
        """Return each feature's part of the logit, shape (n, n_features), and the base, shape (n,)."""
        return self.contributions(matrix), np.full(matrix.shape[0], self.intercept)

    def logit(self, matrix: Matrix) -> Matrix:
        """Return the logit, shape (n,)."""
        # A sum by row, not a product of matrices: a lead's score does not depend on the leads beside it.
        sums = [self._linear(matrix[rows]).sum(axis=1) for rows in _pieces(len(matrix))]
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
