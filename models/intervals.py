"""Intervals: by bootstrap over accounts, whose leads rise and fall together, and exact ones for plain counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, gammaincinv

__all__ = ["NORMAL_90", "Interval", "cluster_bootstrap", "jeffreys", "poisson_ratio"]

Matrix = NDArray[np.float64]
DRAWS = 400
NORMAL_90 = 1.6448536269514722
"""Half the width of a 90% interval, in standard errors."""


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


def poisson_ratio(observed: float, expected: float, level: float = 0.9) -> tuple[float, float]:
    """Return the exact interval of observed over expected, the count being Poisson (Garwood 1936).

    Parameters
    ----------
    observed
        Outcomes that happened, 0 or more.
    expected
        Sum of the probabilities, above 0.
    level
        Of the interval.

    Returns
    -------
    tuple of float
        Both ends; the lower is 0 where nothing happened.

    Examples
    --------
    Ten wins where twenty were expected: fewer than the model says, and not by chance.

    >>> low, high = poisson_ratio(10, 20.0)
    >>> round(low, 3), round(high, 3)
    (0.271, 0.848)
    """
    tail = (1 - level) / 2
    # Quantiles of chi-square with 2k degrees of freedom, halved, are those of a gamma with shape k.
    low = float(gammaincinv(observed, tail)) if observed > 0 else 0.0
    return low / expected, float(gammaincinv(observed + 1, 1 - tail)) / expected


def jeffreys(successes: float, trials: float, level: float = 0.9) -> tuple[float, float]:
    """Return Jeffreys' interval of a rate: quantiles of Beta(successes + 1/2, trials - successes + 1/2).

    The lower end is 0 without a success and the upper end 1 without a failure, so that the interval holds the rate
    (Brown, Cai and DasGupta 2001).

    Examples
    --------
    >>> low, high = jeffreys(3, 100)
    >>> round(low, 4), round(high, 4)
    (0.0109, 0.0688)
    >>> jeffreys(0, 100)[0]
    0.0
    """
    tail = (1 - level) / 2
    wins, losses = successes + 0.5, trials - successes + 0.5
    low = float(betaincinv(wins, losses, tail)) if successes > 0 else 0.0
    return low, float(betaincinv(wins, losses, 1 - tail)) if successes < trials else 1.0
