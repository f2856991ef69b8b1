"""When outcomes come: how the odds of an outcome grow with the days that one waits for it.

Proportional odds in time (Bennett 1983): ``logit P(outcome within d days | x) = g(x) + s(d)`` with ``s(horizon) = 0``.
One curve serves all leads, so that ``g`` and its points mean the same at every horizon, and a lead that was watched for
``d`` days only still teaches ``g``: its label is what came within ``d`` days, its offset ``s(d)`` (docs/adr/0009).

Where leads are scored at many ages the curve flattens with age: of new leads that will buy fewer do so within the month
than of those that have been looking around for long, so ``s(d)`` is multiplied by a power of one plus the age. The
horizon's own chance, and so ``g``, knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logit

from models.level import shift_to

__all__ = ["Timing", "TimingByAge", "fit_timing", "fit_timing_by_age", "learn_timing", "timing_from_json"]

Matrix = NDArray[np.float64]
STEPS = 40
MIN_AT_RISK = 100
SMALLEST = 1e-6
MIN_OUTCOMES_BY_AGE = 400
"""Rows with an outcome inside the horizon from which the curve may know a lead's age."""
ASKED = (1 / 6, 1 / 4, 1 / 3, 1 / 2, 0.7)
"""Shares of the horizon by which the power of age is judged; most of a curve's bend lies there."""
MAX_POWER, POWER_SD = 0.3, 0.1
"""Largest power of age, and what is expected of it before anything is seen (standard deviation around nought)."""
MOST_WITHOUT = 40_000


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

        Between the knots it is linear in the log of days. Before the first it goes on as in the first piece; at least
        in proportion to time, as hardly anything comes at once.
        """
        waited = np.maximum(days, SMALLEST)
        found = np.interp(np.log(waited), np.log(self.days), self.offsets)
        found += self._first_slope * np.minimum(np.log(waited / self.days[0]), 0.0)
        return np.where(waited > self.longest_days * (1 + 1e-9), np.nan, found)

    @property
    def _first_slope(self) -> float:
        if len(self.days) < 2:
            return 1.0
        return max(float((self.offsets[1] - self.offsets[0]) / np.log(self.days[1] / self.days[0])), 1.0)

    def of_rows(self, days: Matrix, matrix: Matrix) -> Matrix:
        """Return the offset of each row of a matrix of features, shape (n,): the same for all."""
        return np.broadcast_to(self.at(days), (len(matrix),))

    def over(self, days: tuple[float, ...], matrix: Matrix) -> Matrix:
        """Return the offset of each row at each of k days, shape (n, k): the same for all rows."""
        return np.broadcast_to(self.at_each(days), (len(matrix), len(days)))

    def at_each(self, days: tuple[float, ...]) -> Matrix:
        """Return what :meth:`at` does, kept: the same few days are asked of lead after lead, shape (k,)."""
        found = self._asked.get(days)
        if found is None:
            found = self._asked[days] = self.at(np.array(days))
        return found

    @cached_property
    def _asked(self) -> dict[tuple[float, ...], Matrix]:
        return {}

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
    """The curve of leads of a typical age, flatter or steeper for others.

    ``s(d, age) = s(d) * ((1 + age) / (1 + typical age)) ** power``: at any age ``s`` is nought at the horizon and never
    falls.

    Parameters
    ----------
    curve
        Of a lead of the typical age.
    power
        Below 0 where older leads that buy do so sooner.
    typical_days
        Typical age of a lead that buys, days.
    column
        Number of the feature that is a lead's age in days; a lead whose age is not known counts as typical.
    """

    curve: Timing
    power: float
    typical_days: float
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
        return self.curve.at(days) * _flattened(matrix[:, self.column], self.power, self.typical_days)

    def over(self, days: tuple[float, ...], matrix: Matrix) -> Matrix:
        """Return the offset of each row at each of k days, shape (n, k); NaN where no history is so long."""
        return self.curve.at_each(days) * _flattened(matrix[:, self.column], self.power, self.typical_days)[:, None]

    def to_json(self) -> dict[str, Any]:
        """Return the curve as plain JSON."""
        return {
            "curve": self.curve.to_json(),
            "power": self.power,
            "typical_days": self.typical_days,
            "column": self.column,
        }


def _flattened(age_days: Matrix, power: float, typical_days: float) -> Matrix:
    """Return what the curve is multiplied by at each age, shape of ``age_days``; 1 where it is not known."""
    known = np.where(np.isnan(age_days), typical_days, np.maximum(age_days, 0.0))
    return np.exp(power * (np.log1p(known) - np.log1p(typical_days)))


def timing_from_json(item: Mapping[str, Any]) -> Timing | TimingByAge:
    """Read what either kind's ``to_json`` wrote."""
    if "curve" not in item:
        return Timing.from_json(item)
    curve = Timing.from_json(item["curve"])
    return TimingByAge(curve, float(item["power"]), float(item["typical_days"]), int(item["column"]))


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


def fit_timing(
    logit_of: Matrix, days: Matrix, follow_up: Matrix, horizon_days: float, *, times: Matrix | None = None
) -> Timing:
    """Fit the curve beside a model, so that its mean at every day is the share that had the outcome by then.

    From knot to knot, starting at the horizon, whose own level is the model's, on the rows that were watched for both.

    Parameters
    ----------
    logit_of
        Calibrated logits for the horizon, shape (n,).
    days, follow_up, horizon_days
        As in :func:`learn_timing`.
    times
        What each row's offset is multiplied by, shape (n,); None where all have the same curve.
    """
    order = np.sort(follow_up)
    longest = max(float(order[-min(MIN_AT_RISK, len(order))]), horizon_days) if len(order) else horizon_days
    waits = days[(days < follow_up) & (days < longest)]
    if waits.size == 0:
        return Timing.plain(horizon_days)
    knots = _knots(waits, horizon_days, longest)
    rows = _Watched(logit_of, days, follow_up, times)
    at, offsets = int(np.searchsorted(knots, horizon_days)), np.zeros(len(knots))
    for later in (*range(at + 1, len(knots)), *range(at, 0, -1)):
        grown = rows.growth(float(knots[later - 1]), float(knots[later]))
        if later > at:
            offsets[later] = offsets[later - 1] + grown
        else:
            offsets[later - 1] = offsets[later] - grown
    known = np.isfinite(offsets)
    return Timing(knots[known], offsets[known])


def fit_timing_by_age(
    logit_of: Matrix, days: Matrix, follow_up: Matrix, horizon_days: float, ages: tuple[int, Matrix] | None
) -> Timing | TimingByAge:
    """Fit the curve, and where outcomes are enough how it flattens with a lead's age.

    Parameters
    ----------
    logit_of, days, follow_up, horizon_days
        As in :func:`fit_timing`.
    ages
        Number of the feature that is a lead's age, and the ages in days, shape (n,); None where all have one age.
    """
    came = (days < follow_up) & (days < horizon_days)
    if ages is None or int(came.sum()) < MIN_OUTCOMES_BY_AGE:
        return fit_timing(logit_of, days, follow_up, horizon_days)
    column, age = ages
    typical = float(np.expm1(np.nanmean(np.log1p(np.maximum(age[came], 0.0)))))
    power = _fit_power(_Watched(logit_of, days, follow_up, None), came, horizon_days, (age, typical))
    times = _flattened(age, power, typical)
    return TimingByAge(fit_timing(logit_of, days, follow_up, horizon_days, times=times), power, typical, column)


def _fit_power(rows: _Watched, came: NDArray[np.bool_], horizon_days: float, ages: tuple[Matrix, float]) -> float:
    """Fit the power of age by what came within parts of the horizon; of very many rows without an outcome by a part.

    ``ages`` are those of the rows, and the typical one.
    """
    every = max(int((~came).sum()) // MOST_WITHOUT, 1)
    kept = np.flatnonzero(came | (np.arange(len(came)) % every == 0))
    weights = np.where(came[kept], 1.0, float(every))
    rows = _Watched(rows.logit_of[kept], rows.days[kept], rows.follow_up[kept], None)
    age, typical = ages[0][kept], ages[1]
    asked = [share * horizon_days for share in ASKED]

    def loss(power: float) -> float:
        return rows.loss(asked, _flattened(age, power, typical), weights) + len(asked) * (power / POWER_SD) ** 2 / 2

    found: Any = minimize_scalar(loss, bounds=(-MAX_POWER, MAX_POWER), method="bounded", options={"xatol": 1e-3})
    return float(found.x)


@dataclass(frozen=True, eq=False)
class _Watched:
    """Rows with their logits for the horizon, days to the outcome, days watched, and how steep each one's curve is."""

    logit_of: Matrix
    days: Matrix
    follow_up: Matrix
    times: Matrix | None

    def growth(self, first: float, second: float) -> float:
        """Return by how much the level grows between two days, in log-odds, on the rows that were watched for both.

        One set of rows for both days: leads of long ago had another level than those of late, and that is no growth.
        """
        watched = self.follow_up >= second
        z = self.logit_of[watched]
        times = None if self.times is None else self.times[watched]
        shares = [float((self.days[watched] < day).mean()) if len(z) else 0.0 for day in (first, second)]
        if not 0.0 < shares[0] <= shares[1] < 1.0:
            return np.inf if 0.0 == shares[0] < shares[1] else 0.0
        low, high = (shift_to(z, share, times=times) for share in shares)
        return high - low

    def loss(self, asked: Sequence[float], times: Matrix, weights: Matrix) -> float:
        """Return the sum of log-losses, nats, of what came by the asked days, each at the level that it had."""
        found = 0.0
        for day in asked:
            watched = self.follow_up >= day
            z, each, came, heavy = self.logit_of[watched], times[watched], self.days[watched] < day, weights[watched]
            if not 0 < came.sum() < len(came):
                continue
            said = z + shift_to(z, float(np.average(came, weights=heavy)), heavy, times=each) * each
            found += float(heavy @ (np.logaddexp(0.0, said) - said * came))
        return found
