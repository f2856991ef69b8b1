"""When outcomes come: how the odds of an outcome grow with the days that one waits for it.

Proportional odds in time (Bennett 1983): ``logit P(outcome within d days | x) = g(x) + s(d)`` with ``s(horizon) = 0``.
One curve serves all leads, so that ``g`` and its points mean the same at every horizon, and a lead that was watched for
``d`` days only still teaches ``g``: its label is what came within ``d`` days, its offset ``s(d)`` (docs/adr/0009).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from models.level import shift_to

__all__ = ["Timing", "fit_timing", "learn_timing"]

Matrix = NDArray[np.float64]
STEPS = 40
MIN_AT_RISK = 100
SMALLEST = 1e-6
REACH = 60.0


@dataclass(frozen=True)
class Timing:
    """Offsets in log-odds by days waited, relative to the endpoint's horizon.

    Parameters
    ----------
    days
        Rising, above 0, shape (k,); the horizon is one of them.
    offsets
        Shape (k,), never falling; 0 at the horizon.

    Examples
    --------
    >>> timing = Timing(np.array([1.0, 10.0, 30.0]), np.array([-2.0, -0.5, 0.0]))
    >>> timing.at(np.array([10.0, 30.0])).tolist()
    [-0.5, 0.0]
    """

    days: Matrix
    offsets: Matrix

    @property
    def longest_days(self) -> float:
        """The longest wait that the data could speak of."""
        return float(self.days[-1])

    def at(self, days: Matrix) -> Matrix:
        """Return the offset of waiting so many days, shape of ``days``; NaN beyond :attr:`longest_days`.

        Between the knots it is linear in the log of days; before the first, the odds grow in proportion to time.
        """
        waited = np.maximum(days, SMALLEST)
        found = np.interp(np.log(waited), np.log(self.days), self.offsets)
        found += np.minimum(np.log(waited / self.days[0]), 0.0)
        return np.where(waited > self.longest_days * (1 + 1e-9), np.nan, found)

    def to_json(self) -> dict[str, Any]:
        """Return the curve as plain JSON."""
        return {"days": self.days.tolist(), "offsets": self.offsets.tolist()}

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(np.asarray(item["days"], dtype=np.float64), np.asarray(item["offsets"], dtype=np.float64))

    @classmethod
    def plain(cls, horizon_days: float) -> Self:
        """Return a curve that knows the horizon alone, before which odds grow in proportion to time."""
        return cls(np.array([horizon_days]), np.zeros(1))


def learn_timing(days: Matrix, follow_up: Matrix, horizon_days: float) -> Timing:
    """Learn the curve from the share of rows with the outcome by each day, open rows at risk while they were watched.

    The share is one minus the product-limit estimate (Kaplan and Meier 1958). Knots lie at quantiles of the waits of
    those with the outcome, and after the horizon as far as a hundred rows were watched.

    Parameters
    ----------
    days
        Days to the first outcome, infinite where none came, shape (n,).
    follow_up
        Days for which each row was watched, above 0, shape (n,).
    horizon_days
        Where the curve is 0.
    """
    seen = days < follow_up
    if not (seen & (days < horizon_days)).any():
        return Timing.plain(horizon_days)
    ended = np.where(seen, days, follow_up)
    order = np.sort(follow_up)
    longest = max(float(order[-min(MIN_AT_RISK, len(order))]), horizon_days)
    knots = _knots(days[seen], horizon_days, longest)
    steps, came = np.unique(ended[seen], return_counts=True)
    left = len(ended) - np.searchsorted(np.sort(ended), steps, side="left")
    survival = np.cumprod(1.0 - came / left)
    share = 1.0 - np.append(1.0, survival)[np.searchsorted(steps, knots, side="right")]
    share = np.clip(np.maximum.accumulate(share), 0.5 / len(days), 1.0 - 0.5 / len(days))
    offsets = logit(share)
    return Timing(knots, offsets - offsets[int(np.searchsorted(knots, horizon_days))])


def _knots(waits: Matrix, horizon_days: float, longest: float) -> Matrix:
    inside = waits[waits <= longest]
    knots = np.quantile(inside, np.linspace(0.02, 1.0, STEPS))
    return np.unique(np.concatenate([knots[knots > horizon_days / 1000.0], [horizon_days, longest]]))


def fit_timing(logit_of: Matrix, days: Matrix, follow_up: Matrix, horizon_days: float) -> Timing:
    """Fit the curve beside a model, so that its mean at every day is the share that had the outcome by then.

    From knot to knot, starting at the horizon, whose own level is the model's, on the rows that were watched for both.

    Parameters
    ----------
    logit_of
        Calibrated logits for the horizon, shape (n,).
    days, follow_up, horizon_days
        As in :func:`learn_timing`.
    """
    order = np.sort(follow_up)
    longest = max(float(order[-min(MIN_AT_RISK, len(order))]), horizon_days) if len(order) else horizon_days
    waits = days[(days < follow_up) & (days < longest)]
    if waits.size == 0:
        return Timing.plain(horizon_days)
    knots = _knots(waits, horizon_days, longest)
    at, offsets = int(np.searchsorted(knots, horizon_days)), np.zeros(len(knots))
    for later in (*range(at + 1, len(knots)), *range(at, 0, -1)):
        grown = _growth(logit_of, days, follow_up, (float(knots[later - 1]), float(knots[later])))
        if later > at:
            offsets[later] = offsets[later - 1] + grown
        else:
            offsets[later - 1] = offsets[later] - grown
    known = np.isfinite(offsets)
    return Timing(knots[known], offsets[known])


def _growth(logit_of: Matrix, days: Matrix, follow_up: Matrix, between: tuple[float, float]) -> float:
    """Return by how much the level grows between two days, in log-odds, on the rows that were watched for both.

    One set of rows for both days: leads of long ago had another level than those of late, and that is no growth.
    """
    watched = follow_up >= between[1]
    z = logit_of[watched]
    shares = [float((days[watched] < day).mean()) if len(z) else 0.0 for day in between]
    if not 0.0 < shares[0] <= shares[1] < 1.0:
        return np.inf if 0.0 == shares[0] < shares[1] else 0.0
    return shift_to(z, shares[1]) - shift_to(z, shares[0])
