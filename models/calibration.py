"""From the blend's logit to a probability, by as much freedom as the number of outcomes allows (methods 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit, log_expit

from models.level import shift_to

__all__ = ["Calibrator", "fit_calibrator"]

Matrix = NDArray[np.float64]
Kind = Literal["intercept", "platt", "beta"]
MIN_PLATT = 100
MIN_BETA = 500
MIN_SLOPE, MAX_SLOPE = 0.05, 20.0
# Beta's two slopes stay within a factor of two: with rare outcomes one end of the scale is hardly seen, and a slope
# near 0 there would hold the best leads down.
MAX_RATIO = 2.0
LOGIT_RANGE = 40.0


@dataclass(frozen=True)
class Calibrator:
    """A strictly rising map from logit to probability.

    ``logit p = slope * g + intercept`` (intercept only: slope 1; Platt: slope fitted), or for ``beta`` (Kull et al.
    2017) ``logit p = a * ln q - b * ln(1 - q) + intercept`` with ``q = sigmoid(g)`` and a, b > 0.

    Examples
    --------
    >>> Calibrator("platt", 1.0, 1.0, 0.0).probability(np.array([0.0]))
    array([0.5])
    """

    kind: Kind
    slope: float
    slope_high: float
    intercept: float

    def logit(self, g: Matrix) -> Matrix:
        """Return the calibrated logit, shape of ``g``."""
        if self.kind == "beta":
            return self.slope * log_expit(g) - self.slope_high * log_expit(-g) + self.intercept
        return self.slope * g + self.intercept

    def probability(self, g: Matrix) -> Matrix:
        """Return the probability, shape of ``g``."""
        return expit(self.logit(g))

    def inverse(self, probability: float) -> float:
        """Return the ``g`` whose probability this is."""
        wanted = float(np.log(probability) - np.log1p(-probability))
        return float(cast(float, brentq(lambda g: float(self.logit(np.array([g]))[0]) - wanted, -1_000.0, 1_000.0)))

    def g_of(self, logit: Matrix) -> Matrix:
        """Return the ``g`` whose calibrated logit is given, shape of ``logit``."""
        if self.kind != "beta":
            return (logit - self.intercept) / self.slope
        grid = np.linspace(-LOGIT_RANGE, LOGIT_RANGE, 16_001)
        return np.interp(logit, self.logit(grid), grid)

    def moved(self, shift: float) -> Calibrator:
        """Return the calibrator with every logit higher by ``shift``."""
        return Calibrator(self.kind, self.slope, self.slope_high, self.intercept + shift)

    def shifted_to(self, g: Matrix, mean: float) -> Calibrator:
        """Return the calibrator with its intercept moved until the mean probability over ``g`` is ``mean``."""
        return Calibrator(self.kind, self.slope, self.slope_high, shift_to(self.logit(g) - self.intercept, mean))

    def to_json(self) -> dict[str, Any]:
        """Return the calibrator as plain JSON."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(item["kind"], float(item["slope"]), float(item["slope_high"]), float(item["intercept"]))


def fit_calibrator(g: Matrix, happened: NDArray[np.bool_], period: NDArray[np.int64] | None = None) -> Calibrator:
    """Fit on out-of-fold logits: the level below 100 outcomes, Platt to 500, above it the better of Platt and beta.

    Parameters
    ----------
    g
        Time-forward out-of-fold logits, shape (n,).
    happened
        Labels, shape (n,).
    period
        Fold of each row, shape (n,). Each fold has a level of its own while the slopes are fitted: models of different
        pasts differ in level, and a slope that made up for it would be wrong inside every fold. None for one level.

    Returns
    -------
    Calibrator
        With the slopes of the rows, and the level at which their mean probability is their rate.
    """
    outcomes = int(happened.sum())
    plain = Calibrator("intercept", 1.0, 1.0, 0.0)
    if outcomes == 0 or outcomes == len(happened):
        return plain
    rate = float(happened.mean())
    if outcomes < MIN_PLATT:
        return plain.shifted_to(g, rate)
    _, level = np.unique(np.zeros(len(g)) if period is None else period, return_inverse=True)
    platt, platt_loss = _fit(g, happened, level, "platt")
    if outcomes >= MIN_BETA:
        beta, beta_loss = _fit(g, happened, level, "beta")
        # Beta has one parameter more; the Akaike criterion charges it one nat.
        if beta_loss < platt_loss - 1.0:
            return beta.shifted_to(g, rate)
    return platt.shifted_to(g, rate)


def _fit(g: Matrix, happened: NDArray[np.bool_], level: NDArray[np.int64], kind: Kind) -> tuple[Calibrator, float]:
    """Fit the slopes with one free level a period, and return them with the total log-loss in nats."""
    slopes = 1 if kind == "platt" else 2

    def build(parameters: Matrix) -> Calibrator:
        low = float(np.exp(parameters[0]))
        return Calibrator(kind, low, low * float(np.exp(parameters[1])) if kind == "beta" else low, 0.0)

    def loss(parameters: Matrix) -> float:
        z = build(parameters).logit(g) + parameters[slopes:][level]
        return float(-np.where(happened, log_expit(z), log_expit(-z)).sum())

    levels = int(level.max()) + 1
    # Slope and ratio in logs, inside bounds that the search knows: where a clipped slope is flat, it would stop.
    ratio = float(np.log(MAX_RATIO))
    bounds = [(float(np.log(MIN_SLOPE)), float(np.log(MAX_SLOPE))), (-ratio, ratio)][:slopes] + [(None, None)] * levels
    start = np.zeros(slopes + levels)
    found = minimize(lambda p: loss(p) / len(g), start, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500})
    return build(found.x), loss(found.x)
