"""What leads will bring: the spread of one lead's revenue, and the sum over many with its interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.amount import AmountModel
from models.intervals import Interval

__all__ = ["revenue_sum", "revenue_sum_of", "revenue_variance"]

Matrix = NDArray[np.float64]
DRAWS = 2000


def revenue_variance(model: AmountModel, p_won: Matrix, matrix: Matrix) -> Matrix:
    """Return the variance of each lead's revenue, workspace currency squared, shape (n,).

    ``Var = p * E[amount^2 | won] - (p * E[amount | won])^2``; with the two-part model that is
    ``p * share * scale^2 * exp(2 mu + 2 s^2) - (p * share * scale * exp(mu + s^2 / 2))^2``. A configured amount is
    taken as certain, so that only winning or not is left.

    Parameters
    ----------
    model
        The amount of a win.
    p_won
        Probability of a win, shape (n,).
    matrix
        Features, shape (n, n_features).

    Examples
    --------
    >>> revenue_variance(AmountModel("configured", 100.0), np.array([0.5, 1.0]), np.zeros((2, 1))).tolist()
    [2500.0, 0.0]
    """
    expected = model.expected(matrix)
    return p_won * model.mean_square(expected) - (p_won * expected) ** 2


def revenue_sum(model: AmountModel, p_won: Matrix, matrix: Matrix, *, seed: int, draws: int = DRAWS) -> Interval:
    """Return the revenue expected of all these leads together, with its 90% interval by simulation.

    The interval is chance alone: who wins and what a win brings, each lead for itself. That probabilities and amounts
    may be wrong, and that leads of one account win together, is not in it, so the truth is wider.

    Parameters
    ----------
    model, p_won, matrix
        As in :func:`revenue_variance`.
    seed
        Seed of the draws.
    draws
        How many; 2,000 leave each end uncertain by a few percent of the width.

    Examples
    --------
    >>> found = revenue_sum(AmountModel("configured", 100.0), np.full(1000, 0.1), np.zeros((1000, 1)), seed=1)
    >>> found.value, 8000 < found.low < 9000, 11000 < found.high < 12000
    (10000.0, True, True)
    """
    return revenue_sum_of(model, p_won, model.expected(matrix), seed=seed, draws=draws)


def revenue_sum_of(model: AmountModel, p_won: Matrix, expected: Matrix, *, seed: int, draws: int = DRAWS) -> Interval:
    """Return the same as :func:`revenue_sum` for leads whose expected amounts of a win are given, shape (n,)."""
    rng = np.random.default_rng(seed)
    sums = np.empty(draws)
    for number in range(draws):
        won = np.flatnonzero(rng.random(len(p_won)) < p_won)
        sums[number] = model.draw(expected[won], rng).sum()
    low, high, low_95 = np.percentile(sums, [5.0, 95.0, 2.5]).tolist()
    return Interval(float((p_won * expected).sum()), low, high, low_95)
