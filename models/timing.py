"""When outcomes come: how the odds of an outcome grow with the days that one waits for it.

Proportional odds in time (Bennett 1983): ``logit P(outcome within d days | x) = g(x) + s(d)`` with ``s(horizon) = 0``.
One curve serves all leads, so that ``g`` and its points mean the same at every horizon, and a lead that was watched for
``d`` days only still teaches ``g``: its label is what came within ``d`` days, its offset ``s(d)`` (docs/adr/0009).

Where leads are scored at many ages the curve bends with age: of new leads that will buy fewer do so within the month
than of those that have been looking around for one. The horizon's own chance, and so ``g``, knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from models.level import shift_to

__all__ = ["Timing", "TimingByAge", "fit_timing", "fit_timing_by_age", "learn_timing", "timing_from_json"]

Matrix = NDArray[np.float64]
STEPS = 40
MIN_AT_RISK = 100
SMALLEST = 1e-6
MIN_OUTCOMES_AN_AGE = 200
"""Rows with an outcome inside the horizon, on either side of an age, from which each side has its own curve."""


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

    def of_rows(self, days: Matrix, matrix: Matrix) -> Matrix:
        """Return the offset of each row of a matrix of features, shape (n,): the same for all."""
        return np.broadcast_to(self.at(days), (len(matrix),))

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


@dataclass(frozen=True)
class TimingByAge:
    """The curve of leads that are scored young and that of older ones; those in between have a part of both.

    Parameters
    ----------
    young, older
        The two curves.
    ages_days
        The ages that they speak of, rising.
    column
        Number of the feature that is a lead's age in days.
    """

    young: Timing
    older: Timing
    ages_days: tuple[float, float]
    column: int

    def of_rows(self, days: Matrix, matrix: Matrix) -> Matrix:
        """Return the offset of waiting so many days for each row, shape (n,); NaN where no history is so long.

        Parameters
        ----------
        days
            Shape (n,) or (1,).
        matrix
            Features, shape (n, n_features).
        """
        low, high = np.log1p(self.ages_days)
        share = np.clip((np.log1p(np.maximum(matrix[:, self.column], 0.0)) - low) / (high - low), 0.0, 1.0)
        share = np.nan_to_num(share, nan=0.5)
        return (1.0 - share) * self.young.at(days) + share * self.older.at(days)

    def to_json(self) -> dict[str, Any]:
        """Return the curves as plain JSON."""
        curves = {"young": self.young.to_json(), "older": self.older.to_json()}
        return {**curves, "ages_days": list(self.ages_days), "column": self.column}


def timing_from_json(item: Mapping[str, Any]) -> Timing | TimingByAge:
    """Read what either kind's ``to_json`` wrote."""
    if "older" not in item:
        return Timing.from_json(item)
    young, older = (Timing.from_json(item[name]) for name in ("young", "older"))
    low, high = item["ages_days"]
    return TimingByAge(young, older, (float(low), float(high)), int(item["column"]))


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


def fit_timing_by_age(
    logit_of: Matrix, days: Matrix, follow_up: Matrix, horizon_days: float, ages: tuple[int, Matrix] | None
) -> Timing | TimingByAge:
    """Fit one curve, or where both have enough outcomes one for the younger and one for the older half of them.

    Parameters
    ----------
    logit_of, days, follow_up, horizon_days
        As in :func:`fit_timing`.
    ages
        Number of the feature that is a lead's age, and the ages in days, shape (n,); None where all have one age.
    """
    if ages is not None:
        column, age = ages
        came = (days < follow_up) & (days < horizon_days)
        cut = float(np.median(age[came])) if came.any() else 0.0
        sides = [age <= cut, age > cut]
        if min(int((came & side).sum()) for side in sides) >= MIN_OUTCOMES_AN_AGE:
            young, older = (fit_timing(logit_of[side], days[side], follow_up[side], horizon_days) for side in sides)
            centres = [float(np.expm1(np.log1p(age[came & side]).mean())) for side in sides]
            return TimingByAge(young, older, (centres[0], centres[1]), column)
    return fit_timing(logit_of, days, follow_up, horizon_days)


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
