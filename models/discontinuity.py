"""The jump at a cut-off: what a hand-off brings about, told by leads just above and just below the old rule's points.

Leads with hardly more and hardly fewer points than the rule asks for are much alike, except that the first were handed
over (regression discontinuity, Thistlethwaite and Campbell 1960). Where some are handed over all the same, or not in
spite of their points, the jump of outcomes is divided by that of hand-offs (fuzzy, Hahn, Todd and van der Klaauw 2001).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.intervals import Interval, cluster_bootstrap

__all__ = ["Jump", "Sides", "bandwidth_for", "jump_at"]

Matrix = NDArray[np.float64]
DRAWS = 400
MIN_SIDE = 100
PILOT = 1.84
"""Of the pilot bandwidth 1.84 sd n^(-1/5) (Imbens and Kalyanaraman 2012, step 1)."""


@dataclass(frozen=True, eq=False)
class Sides:
    """Leads on both sides of a cut-off; every array has shape (n,).

    Parameters
    ----------
    distance
        Points less the cut-off; leads from 0 on are above.
    handed
        Handed over by the moment at which points were counted.
    happened
        The outcome came.
    account
        Account numbers, whose leads rise and fall together.
    """

    distance: Matrix
    handed: NDArray[np.bool_]
    happened: NDArray[np.bool_]
    account: NDArray[np.int64]

    def within(self, bandwidth: float) -> Sides:
        """Return the leads closer to the cut-off than ``bandwidth``."""
        near = np.abs(self.distance) < bandwidth
        return Sides(self.distance[near], self.handed[near], self.happened[near], self.account[near])

    @property
    def counts(self) -> tuple[int, int]:
        """How many leads lie below and above."""
        above = int((self.distance >= 0).sum())
        return len(self.distance) - above, above


@dataclass(frozen=True)
class Jump:
    """What changes at the cut-off.

    Parameters
    ----------
    bandwidth
        Points on either side within which leads are compared.
    below, above
        Leads compared.
    handed, happened
        By how much the shares of hand-offs and of outcomes jump.
    effect
        The second over the first: by how much a hand-off raises the chance of the outcome for leads at the cut-off;
        without a value where hand-offs do not surely jump.
    bunching
        Logarithm of the ratio of the leads' density above to that below. Away from 0, leads or people steer points to
        one side, and the sides are not alike.
    """

    bandwidth: float
    below: int
    above: int
    handed: Interval
    happened: Interval
    effect: Interval
    bunching: Interval


def bandwidth_for(distance: Matrix) -> float | None:
    """Return a bandwidth with at least 100 leads on either side; None where there is none within the points given.

    Parameters
    ----------
    distance
        Points less the cut-off, shape (n,).
    """
    above, below = np.sort(distance[distance >= 0]), np.sort(-distance[distance < 0])
    if min(len(above), len(below)) < MIN_SIDE:
        return None
    pilot = PILOT * float(distance.std()) * len(distance) ** -0.2
    return max(pilot, float(np.nextafter(max(above[MIN_SIDE - 1], below[MIN_SIDE - 1]), np.inf)))


def jump_at(sides: Sides, bandwidth: float, *, seed: int) -> Jump:
    """Estimate the jump by a straight line on either side, near leads weighing most (triangular kernel).

    Parameters
    ----------
    sides
        The leads.
    bandwidth
        Above 0, in points.
    seed
        Of the draws of accounts.
    """
    near = sides.within(bandwidth)
    kernel = 1.0 - np.abs(near.distance) / bandwidth
    above = near.distance >= 0
    width = _bin_width(sides.distance, bandwidth)

    def measure(weights: Matrix) -> Mapping[str, float]:
        def jump(y: NDArray[np.bool_]) -> float:
            ends = [_at_zero(near.distance[side], y[side], (weights * kernel)[side]) for side in (above, ~above)]
            return ends[0] - ends[1]

        handed, happened = jump(near.handed), jump(near.happened)
        return {
            "handed": handed,
            "happened": happened,
            "effect": happened / handed if abs(handed) > 1e-9 else float("nan"),
            "bunching": _bunching(near.distance, weights, width, bandwidth),
        }

    found = cluster_bootstrap(measure, near.account, seed=seed, draws=DRAWS)
    effect = found["effect"] if found["handed"].low_95 > 0 else Interval.of(float("nan"))
    below, over = near.counts
    return Jump(bandwidth, below, over, found["handed"], found["happened"], effect, found["bunching"])


def _at_zero(x: Matrix, y: NDArray[np.bool_] | Matrix, weights: Matrix) -> float:
    """Return the value at 0 of the weighted straight line through points; NaN where there is no line."""
    s0, s1, s2 = float(weights.sum()), float(weights @ x), float(weights @ x**2)
    t0, t1 = float(weights @ y), float((weights * x) @ y)
    size = s0 * s2 - s1**2
    return (s2 * t0 - s1 * t1) / size if size > 1e-12 * max(s0 * s2, 1e-300) else float("nan")


def _bin_width(distance: Matrix, bandwidth: float) -> float:
    """Return the width of the density's bins: McCrary's (2008), in whole steps of points, five bins a side or more."""
    steps = np.diff(np.unique(distance))
    step = float(steps.min()) if steps.size else bandwidth
    wanted = min(2.0 * float(distance.std()) * len(distance) ** -0.5, bandwidth / 5.0)
    return max(round(wanted / step), 1) * step


def _bunching(distance: Matrix, weights: Matrix, width: float, bandwidth: float) -> float:
    reach = max(int(bandwidth / width), 2)
    place = np.floor(distance / width).astype(np.int64)
    inside = (place >= -reach) & (place < reach)
    density = np.bincount(place[inside] + reach, weights[inside], 2 * reach).astype(np.float64)
    middle = (np.arange(-reach, reach, dtype=np.float64) + 0.5) * width
    kernel = np.maximum(1.0 - np.abs(middle) / (reach * width), 0.0)
    above = middle > 0
    ends = [_at_zero(middle[side], density[side], kernel[side]) for side in (above, ~above)]
    return float(np.log(ends[0] / ends[1])) if min(ends) > 0 else float("nan")
