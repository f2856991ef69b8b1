"""From the blend's logit to a probability, by as much freedom as the number of outcomes allows (methods 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit, log_expit

__all__ = ["Calibrator", "fit_calibrator"]

Matrix = NDArray[np.float64]
Kind = Literal["intercept", "platt", "beta"]
MIN_PLATT = 100
MIN_BETA = 500
MIN_SLOPE = 0.05
# Beta's two slopes stay within a factor of two: with rare outcomes one end of the scale is hardly seen, and a slope near 0
# there would hold the best leads down.
MAX_RATIO = 2.0
LOGIT_RANGE = (-40.0, 40.0)


@dataclass(frozen=True)
class Calibrator:
    """A strictly rising map from logit to probability.

    ``logit p = slope * g + intercept`` (intercept only: slope 1; Platt: slope fitted), or for ``beta`` (Kull et al. 2017)
    ``logit p = a * ln q - b * ln(1 - q) + intercept`` with ``q = sigmoid(g)`` and a, b > 0.

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
        return float(brentq(lambda g: float(self.logit(np.array([g]))[0]) - wanted, -1_000.0, 1_000.0))

    def shifted_to(self, g: Matrix, mean: float) -> Calibrator:
        """Return the calibrator with its intercept moved until the mean probability over ``g`` is ``mean``."""
        raw = self.logit(g) - self.intercept

        def excess(intercept: float) -> float:
            return float(expit(raw + intercept).mean()) - mean

        return Calibrator(self.kind, self.slope, self.slope_high, float(brentq(excess, *LOGIT_RANGE)))

    def to_json(self) -> dict[str, Any]:
        """Return the calibrator as plain JSON."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(item["kind"], float(item["slope"]), float(item["slope_high"]), float(item["intercept"]))


def fit_calibrator(g: Matrix, happened: NDArray[np.bool_]) -> Calibrator:
    """Fit on out-of-fold logits: intercept alone below 100 outcomes, Platt to 500, above it the better of Platt and beta.

    Parameters
    ----------
    g
        Time-forward out-of-fold logits, shape (n,).
    happened
        Labels, shape (n,).
    """
    outcomes = int(happened.sum())
    if outcomes == 0 or outcomes == len(happened):
        return Calibrator("intercept", 1.0, 1.0, 0.0)
    if outcomes < MIN_PLATT:
        return Calibrator("intercept", 1.0, 1.0, 0.0).shifted_to(g, float(happened.mean()))
    platt = _fit(g, happened, "platt")
    if outcomes < MIN_BETA:
        return platt
    beta = _fit(g, happened, "beta")
    # Beta has one parameter more; the Akaike criterion charges it one nat.
    return beta if _loss(beta, g, happened) < _loss(platt, g, happened) - 1.0 else platt


def _fit(g: Matrix, happened: NDArray[np.bool_], kind: Kind) -> Calibrator:
    def build(parameters: Matrix) -> Calibrator:
        low, high, intercept = (parameters[0], parameters[0], parameters[1]) if kind == "platt" else parameters
        low = max(float(low), MIN_SLOPE)
        high = min(max(float(high), low / MAX_RATIO), low * MAX_RATIO)
        return Calibrator(kind, low, high, float(intercept))

    start = np.array([1.0, 0.0]) if kind == "platt" else np.array([1.0, 1.0, 0.0])
    found = minimize(lambda p: _loss(build(p), g, happened) / len(g), start, method="Nelder-Mead", options={"maxiter": 2000, "xatol": 1e-6, "fatol": 1e-10})
    return build(found.x)


def _loss(calibrator: Calibrator, g: Matrix, happened: NDArray[np.bool_]) -> float:
    z = calibrator.logit(g)
    return float(-np.where(happened, log_expit(z), log_expit(-z)).sum())
