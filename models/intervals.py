"""Intervals by bootstrap over accounts: leads of one account rise and fall together, so they are drawn together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "cluster_bootstrap"]

Matrix = NDArray[np.float64]
DRAWS = 400


@dataclass(frozen=True)
class Interval:
    """A number, its 90% interval, and the lower end of its two-sided 95% interval; NaN ends where there is none."""

    value: float
    low: float
    high: float
    low_95: float

    @classmethod
    def of(cls, value: float) -> Self:
        """Return a number without an interval."""
        return cls(value, float("nan"), float("nan"), float("nan"))


def cluster_bootstrap(
    measure: Callable[[NDArray[np.float64]], Mapping[str, float]],
    groups: NDArray[np.int64],
    *,
    seed: int,
    draws: int = DRAWS,
) -> dict[str, Interval]:
    """Draw accounts with replacement and measure again.

    Parameters
    ----------
    measure
        From row weights, shape (n,), to named numbers. Weights are how often a row's account was drawn.
    groups
        Account of each row, shape (n,), any integers.
    seed
        Seed of the draws.
    draws
        How many.

    Returns
    -------
    dict of str to Interval
        The value is that of the data itself; the ends are percentiles of the draws (5, 95 and 2.5), NaN draws left out.
    """
    _, position = np.unique(groups, return_inverse=True)
    count = int(position.max()) + 1 if len(position) else 0
    plain = measure(np.ones(len(groups)))
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {name: [] for name in plain}
    for _ in range(draws):
        weights = np.bincount(rng.integers(0, count, count), minlength=count).astype(np.float64)[position]
        for name, value in measure(weights).items():
            found[name].append(value)
    intervals: dict[str, Interval] = {}
    for name, value in plain.items():
        drawn = np.array([number for number in found[name] if np.isfinite(number)])
        ends = np.percentile(drawn, [5.0, 95.0, 2.5]) if drawn.size else np.full(3, np.nan)
        intervals[name] = Interval(value, float(ends[0]), float(ends[1]), float(ends[2]))
    return intervals
