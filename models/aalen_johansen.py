"""How many had the outcome by a day, when some were not followed that long and others fell out for good.

Aalen-Johansen (1978) with the product's convention of time: a row followed for ``days`` was watched over ``[0, days)``,
so an outcome on its last day could not be seen and the row is not at risk on it. Textbooks count it as at risk; the
two differ only where outcomes and ends of follow-up fall on the same day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from models.intervals import jeffreys

__all__ = ["Incidence", "cumulative_incidence"]

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Incidence:
    """Share with the outcome before each day, and its interval.

    Parameters
    ----------
    days
        The days asked for, shape (k,).
    value, low, high
        Share of all rows, shape (k,). NaN where nobody was followed that far, though some were lost from sight before.
    at_risk
        Weight of the rows still without any event that were followed that far, shape (k,).
    """

    days: Matrix
    value: Matrix
    low: Matrix
    high: Matrix
    at_risk: Matrix


@dataclass(frozen=True)
class _Steps:
    """What happened on each distinct day, and the state after it."""

    day: Matrix
    at_risk: Matrix  # without those whose follow-up ends on the day
    wins: Matrix
    ends: Matrix  # wins and competing events
    before: Matrix  # share without an event before the day
    incidence: Matrix  # share with the outcome, the day included


def cumulative_incidence(
    days: Matrix, event: NDArray[np.integer], weights: Matrix | None, at: Matrix, *, level: float = 0.9
) -> Incidence:
    """Return the share with the outcome before each of some days, competing events taken into account.

    Parameters
    ----------
    days
        Days to the first event, or to the end of follow-up, shape (n,), none below 0.
    event
        What ended the row, shape (n,): 0 nothing (follow-up ended), 1 the outcome, 2 or more a competing event after
        which the outcome cannot come.
    weights
        Row weights, shape (n,); None for 1 each. Rows are taken as independent: give one row a lead. The interval is
        that of ``(sum w)^2 / sum w^2`` rows.
    at
        Days, shape (k,): counted are outcomes with ``days < at``.
    level
        Of the interval.

    Returns
    -------
    Incidence
        The interval is on the log-log scale, from the delta-method variance of Greenwood's kind (Marubini and
        Valsecchi 1995). With no outcome at all it is Jeffreys' of none among the rows followed that far.

    Raises
    ------
    ValueError
        When days are negative or NaN.

    Examples
    --------
    Five leads: won on day 10, lost on day 20, followed for 25 days, won on day 28, followed for 40 days.

    >>> days, event = np.array([10.0, 20.0, 25.0, 28.0, 40.0]), np.array([1, 2, 0, 1, 0])
    >>> cumulative_incidence(days, event, None, np.array([15.0, 30.0, 60.0])).value.round(3).tolist()
    [0.2, 0.5, nan]
    """
    if not (days >= 0).all():
        raise ValueError("days must be 0 or more")
    w = np.ones(len(days)) if weights is None else weights
    size = float((w**2).sum())
    effective = w * (w.sum() / size) if size > 0 else w
    steps = _steps(days, event, effective)
    rows: list[tuple[float, float, float]] = []
    for day in at.tolist():
        is_followed = days >= day
        lost_sight = float(effective[~is_followed & (event == 0)].sum())
        rows.append(_at(steps, day, float(effective[is_followed].sum()), lost_sight, level))
    value, low, high = np.array(rows).reshape(len(at), 3).T
    return Incidence(at, value, low, high, np.array([float(w[days >= day].sum()) for day in at.tolist()]))


def _steps(days: Matrix, event: NDArray[np.integer], w: Matrix) -> _Steps:
    present = w > 0
    day, number = np.unique(days[present], return_inverse=True)
    w, event = w[present], event[present]
    wins, ends, here = (
        np.asarray(np.bincount(number, part, len(day)), dtype=np.float64)
        for part in (w * (event == 1), w * (event != 0), w)
    )
    later = np.append(np.cumsum(here[::-1])[::-1][1:], 0.0)
    at_risk = later + ends
    left = np.divide(later, at_risk, out=np.ones_like(later), where=at_risk > 0)
    after = np.cumprod(left)
    before = np.append(1.0, after[:-1])
    rate = np.divide(wins, at_risk, out=np.zeros_like(wins), where=at_risk > 0)
    return _Steps(day, at_risk, wins, ends, before, np.cumsum(before * rate))


def _at(steps: _Steps, day: float, followed: float, lost_sight: float, level: float) -> tuple[float, float, float]:
    count = int(np.searchsorted(steps.day, day))
    if followed <= 0 and lost_sight > 0:
        return float("nan"), float("nan"), float("nan")
    value = min(float(steps.incidence[count - 1]), 1.0) if count else 0.0
    if value == 0.0:
        return 0.0, 0.0, jeffreys(0.0, followed if followed > 0 else float(steps.ends[:count].sum()), level)[1]
    if value > 1 - 1e-12:
        wins = float(steps.wins[:count].sum())
        return 1.0, jeffreys(wins, wins, level)[0], 1.0
    z, log = float(ndtri((1 + level) / 2)), np.log1p(-value)
    spread = np.exp(z * np.sqrt(_variance(steps, count)) / ((1 - value) * -log))
    return value, float(-np.expm1(log / spread)), float(-np.expm1(log * spread))


def _variance(steps: _Steps, count: int) -> float:
    """Return the delta-method variance of the incidence after ``count`` days with events."""
    n, wins, ends, before = (part[:count] for part in (steps.at_risk, steps.wins, steps.ends, steps.before))
    inside = n > 0
    n, wins, ends, before = n[inside], wins[inside], ends[inside], before[inside]
    to_come = steps.incidence[count - 1] - steps.incidence[:count][inside]
    greenwood = np.divide(ends, n * (n - ends), out=np.zeros_like(n), where=n - ends > 0)
    parts = to_come**2 * greenwood + before**2 * (n - wins) * wins / n**3 - 2 * to_come * before * wins / n**2
    return max(float(parts.sum()), 0.0)
