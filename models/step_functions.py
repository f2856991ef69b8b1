"""Functions of one feature that are constant between thresholds, one by one and all of a member's at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FlatSteps", "StepFunction"]

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class StepFunction:
    """A function of one feature that is constant between thresholds.

    Parameters
    ----------
    thresholds
        Rising, shape (k,). Interval *i* holds ``thresholds[i - 1] < x <= thresholds[i]``.
    values
        Shape (k + 1,), in logit.
    missing
        Value for a missing feature.
    """

    thresholds: Matrix
    values: Matrix
    missing: float

    def __call__(self, column: Matrix) -> Matrix:
        """Look up a column, shape (n,)."""
        found = self.values[np.searchsorted(self.thresholds, column, side="left").clip(max=len(self.thresholds))]
        return np.where(np.isnan(column), self.missing, found)


class FlatSteps:
    """Step functions of many features, evaluated at once: a lead takes a few array operations and not some a feature.

    Parameters
    ----------
    steps
        Function by feature number, with at least one threshold each.
    """

    def __init__(self, steps: Mapping[int, StepFunction]) -> None:
        functions = list(steps.values())
        self.features = np.array(list(steps), dtype=np.int64)
        sizes = [len(step.thresholds) for step in functions]
        self._owner = np.repeat(self.features, sizes)
        self._first = np.cumsum([0, *sizes[:-1]])
        self._thresholds = np.concatenate([np.empty(0), *(step.thresholds for step in functions)])
        self._jumps = np.concatenate([np.empty(0), *(np.diff(step.values) for step in functions)])
        self._lowest = np.array([step.values[0] for step in functions])
        self._missing = np.array([step.missing for step in functions])

    def __call__(self, matrix: Matrix) -> Matrix:
        """Look up the columns of :attr:`features`, shape (n, len(features))."""
        if not self.features.size:
            return np.zeros((len(matrix), 0))
        jumped = (matrix[:, self._owner] > self._thresholds) * self._jumps
        found = np.add.reduceat(jumped, self._first, axis=1) + self._lowest
        return np.where(np.isnan(matrix[:, self.features]), self._missing, found)
