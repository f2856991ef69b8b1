"""How raw features become columns of a regression, and the parts of a logit that lines upon them make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.feature import Shape

__all__ = ["LinearParts", "Transform"]

Matrix = NDArray[np.float64]
MIN_SPREAD = 1e-9
SKEWED = 2.0
KNOTS = (0.2, 0.4, 0.6, 0.75, 0.85, 0.95)
MIN_HINGE_ROWS = 200


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


def _log_where(matrix: Matrix, is_log: NDArray[np.bool_]) -> Matrix:
    found = matrix.astype(np.float64, copy=True)
    found[:, is_log] = np.log1p(np.maximum(found[:, is_log], 0.0))
    return found


class LinearParts:
    """What each feature adds to a logit that is linear in a transform's columns, in few operations.

    The same numbers as the columns times their weights, for the features that have any: a lead takes a dozen array
    operations, and no column is standardised for a weight of nought.

    Parameters
    ----------
    form
        The transform.
    weights, missing_weights, hinge_weights
        Of its columns: shape (n_features,) twice, and (n_hinges,).
    """

    def __init__(self, form: Transform, weights: Matrix, missing_weights: Matrix, hinge_weights: Matrix) -> None:
        flagged = np.where(form.missing_share > 0, missing_weights, 0.0)
        hinges = np.flatnonzero(hinge_weights)
        bent = form.hinge_feature[hinges]
        has_weight = (weights != 0) | (flagged != 0)
        has_weight[bent] = True
        used = np.flatnonzero(has_weight)
        # Those that are logged come first, so that the logarithm is taken of one slice.
        self.features = used = np.concatenate([used[form.is_log[used]], used[~form.is_log[used]]])
        self._logged = int(form.is_log[used].sum())
        self._low, self._high, self._center = form.low[used], form.high[used], form.center[used]
        self._slope = weights[used] / form.scale[used]
        self._present = -(flagged * form.missing_share)[used]
        self._missing = (flagged * (1.0 - form.missing_share))[used]
        # Hinges come feature by feature, so that each feature's lie side by side.
        rising = np.argsort(used)
        owner = rising[np.searchsorted(used[rising], bent)]
        by_owner = np.argsort(owner, kind="stable")
        hinges, self._owner = hinges[by_owner], owner[by_owner]
        self._bent, self._first = np.unique(self._owner, return_index=True)
        self._knot, self._hinge_center = form.hinge_knot[hinges], form.hinge_center[hinges]
        self._hinge_slope = hinge_weights[hinges] / form.hinge_scale[hinges]

    def __call__(self, matrix: Matrix) -> Matrix:
        """Return the parts of :attr:`features`, shape (n, len(features))."""
        inside = matrix[:, self.features]
        logged = inside[:, : self._logged]
        np.maximum(logged, 0.0, out=logged)  # not a number stays none, here and below
        np.log1p(logged, out=logged)
        np.maximum(inside, self._low, out=inside)
        np.minimum(inside, self._high, out=inside)
        found = inside - self._center
        found *= self._slope
        found += self._present
        if self._bent.size:
            found[:, self._bent] += np.add.reduceat(self._hinges(inside), self._first, axis=1)
        np.copyto(found, self._missing, where=np.isnan(inside))
        return found

    def _hinges(self, inside: Matrix) -> Matrix:
        found = inside[:, self._owner]
        found -= self._knot
        np.maximum(found, 0.0, out=found)
        found -= self._hinge_center
        found *= self._hinge_slope
        return found
