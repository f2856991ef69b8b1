"""Ratios of few outcomes, pulled to the ratio of all by as much as the groups are alike (empirical Bayes)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, gammaln
from scipy.stats import poisson

__all__ = ["Shrunk", "holm", "poisson_p_value", "shrink_ratios"]

Matrix = NDArray[np.float64]
STEPS = 60


@dataclass(frozen=True)
class Shrunk:
    """Ratios of observed to expected counts after shrinkage, with 90% credible intervals, each of shape (n_groups,)."""

    value: Matrix
    low: Matrix
    high: Matrix


def shrink_ratios(observed: Matrix, expected: Matrix) -> Shrunk:
    """Pull the ratios of groups to that of all of them.

    Counts are Poisson and the groups' ratios Gamma around the common one; how far they spread is what makes the counts
    most likely (gamma-Poisson empirical Bayes). Groups that differ by chance alone come out alike.

    Parameters
    ----------
    observed
        Outcomes that happened in each group, shape (n_groups,).
    expected
        Sum of the predictions of each group, shape (n_groups,), above 0.

    Examples
    --------
    >>> found = shrink_ratios(np.array([52.0, 49.0, 2.0]), np.array([50.0, 50.0, 4.0]))
    >>> found.value.round(2).tolist()
    [1.01, 0.99, 0.97]
    """
    mean = (float(observed.sum()) + 0.5) / (float(expected.sum()) + 0.5)
    # The prior may know no more than all groups together do.
    strengths = np.geomspace(1.0, max(float(expected.sum()), 2.0), STEPS)
    # Negative binomial likelihood of each strength a: shape a * mean, rate a.
    shape = strengths[:, None] * mean
    logs = (
        gammaln(observed + shape)
        - gammaln(shape)
        + shape * np.log(strengths[:, None])
        - (observed + shape) * np.log(strengths[:, None] + expected)
    ) + observed * np.log(expected)
    strength = float(strengths[int(np.argmax(logs.sum(axis=1)))])
    posterior, rate = observed + strength * mean, expected + strength
    low, high = (gammaincinv(posterior, tail) / rate for tail in (0.05, 0.95))
    return Shrunk(posterior / rate, np.asarray(low), np.asarray(high))


def poisson_p_value(observed: float, expected: float) -> float:
    """Return how often chance is as far from the expected count: twice the smaller tail, at most 1.

    Examples
    --------
    >>> round(poisson_p_value(10, 20.0), 3), poisson_p_value(20, 20.0)
    (0.022, 1.0)
    """
    below, above = float(poisson.cdf(observed, expected)), float(poisson.sf(observed - 1, expected))
    return min(1.0, 2 * min(below, above))


def holm(p_values: Matrix, level: float = 0.1) -> NDArray[np.bool_]:
    """Tell which of several findings hold though so many were looked at (Holm 1979), shape (n,); NaN never does.

    Examples
    --------
    >>> holm(np.array([0.001, 0.04, 0.2])).tolist()
    [True, True, False]
    """
    found = np.zeros(len(p_values), dtype=bool)
    order = np.argsort(p_values)  # NaN last
    count = int(np.isfinite(p_values).sum())
    for place, number in enumerate(order[:count]):
        if p_values[number] > level / (count - place):
            break
        found[number] = True
    return found
