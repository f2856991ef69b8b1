"""The Brier score in three parts: how wrong the level is, how well leads are told apart, how uncertain all is.

CORP (Dimitriadis, Gneiting and Jordan 2021, PNAS 118): predictions are recalibrated by isotonic regression, which needs
no bins and no choices, and the Brier score is split as *miscalibration - discrimination + uncertainty*. Miscalibration
is what recalibrating would save, discrimination what the recalibrated predictions save over the base rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

__all__ = ["Corp", "Reliability", "ReliabilityCurve", "corp"]

Matrix = NDArray[np.float64]
DRAWS = 200
POINTS = 100


@dataclass(frozen=True)
class Corp:
    """Parts of a Brier score: ``brier = miscalibration - discrimination + uncertainty``, none below 0.

    ``miscalibration`` and ``discrimination`` are above 0 even for predictions without fault or merit, because isotonic
    regression follows chance: :meth:`Reliability.miscalibration_null` says how far. Drawing rows again adds chance of
    its own, so a bootstrap interval of either may lie above its value; that of a difference between two models may be
    used.
    """

    brier: float
    miscalibration: float
    discrimination: float
    uncertainty: float


@dataclass(frozen=True)
class ReliabilityCurve:
    """Recalibrated against predicted probability, and where chance alone puts it.

    Parameters
    ----------
    predicted
        Predictions, rising, shape (k,).
    recalibrated
        What isotonic regression makes of them, shape (k,); on the diagonal if calibrated.
    low, high
        Consistency band, shape (k,): where the curve lies if every prediction is right, point by point.
    """

    predicted: Matrix
    recalibrated: Matrix
    low: Matrix
    high: Matrix


class Reliability:
    """Predictions and labels, sorted once, taken apart under any weights.

    Parameters
    ----------
    probability
        Predictions, shape (n,), n > 0.
    happened
        Labels, shape (n,).

    Examples
    --------
    >>> found = Reliability(np.array([0.1, 0.2, 0.6, 0.9]), np.array([False, False, True, True]))
    >>> round(found.corp().miscalibration, 3), round(found.corp(np.array([1.0, 1.0, 0.0, 0.0])).miscalibration, 3)
    (0.055, 0.025)
    >>> found.curve(seed=1).recalibrated.tolist()
    [0.0, 0.0, 1.0, 1.0]
    """

    def __init__(self, probability: Matrix, happened: NDArray[np.bool_]) -> None:
        self.order = np.argsort(probability, kind="stable")
        self.p = probability[self.order]
        self.y = happened[self.order].astype(np.float64)
        # Equal predictions are one prediction: they get one recalibrated value.
        self.starts = np.append(0, np.flatnonzero(np.diff(self.p)) + 1)
        self.values = self.p[self.starts]

    def corp(self, weights: Matrix | None = None) -> Corp:
        """Return the parts under row weights, shape (n,); NaN where they sum to 0."""
        w = np.ones(len(self.p)) if weights is None else weights[self.order]
        all_, true = self._sums(w, self.y)
        total = float(all_.sum())
        if total <= 0:
            return Corp(*[float("nan")] * 4)
        recalibrated = _isotonic(all_, true)
        rate = float(true.sum()) / total

        def score(prediction: Matrix) -> float:
            # The squared distance summed over runs: labels are 0 or 1, so y^2 is y.
            return float((true - 2 * true * prediction + all_ * prediction**2).sum()) / total

        brier, best = score(self.values), score(recalibrated)
        uncertainty = rate * (1 - rate)
        return Corp(brier, max(brier - best, 0.0), max(uncertainty - best, 0.0), uncertainty)

    def measure(self, weights: Matrix) -> Mapping[str, float]:
        """Return the parts by name, for :func:`models.intervals.cluster_bootstrap`."""
        return asdict(self.corp(weights))

    def curve(
        self,
        *,
        seed: int,
        weights: Matrix | None = None,
        draws: int = DRAWS,
        level: float = 0.9,
        points: int = POINTS,
    ) -> ReliabilityCurve:
        """Return the recalibrated curve of a reliability diagram with its consistency band.

        Parameters
        ----------
        seed
            Seed of the band's draws: labels with the predicted probabilities, each lead for itself.
        weights
            Row weights, shape (n,).
        draws, level
            How many draws, and the share of them between ``low`` and ``high``.
        points
            At most so many predictions, spread over the leads evenly; the lowest and the highest are among them.
        """
        w = np.ones(len(self.p)) if weights is None else weights[self.order]
        all_, true = self._sums(w, self.y)
        kept = np.flatnonzero(all_ > 0)
        position = (np.cumsum(all_[kept]) - all_[kept] / 2) / all_.sum()
        wanted = np.searchsorted(position, np.linspace(0, 1, points)).clip(0, max(len(kept) - 1, 0))
        shown = kept[np.unique(wanted)]
        rng = np.random.default_rng(seed)
        drawn = np.empty((draws, len(shown)))
        for draw in drawn:
            _, by_chance = self._sums(w, (rng.random(len(self.p)) < self.p).astype(np.float64))
            draw[:] = _isotonic(all_, by_chance)[shown]
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return ReliabilityCurve(self.values[shown], _isotonic(all_, true)[shown], low, high)

    def miscalibration_null(self, *, seed: int, draws: int = DRAWS) -> tuple[float, float]:
        """Return the miscalibration that right predictions would show by chance: its mean, and its 95% point.

        A measured one below the second says nothing against the calibration.
        """
        rng = np.random.default_rng(seed)
        found = np.empty(draws)
        for number in range(draws):
            by_chance = (rng.random(len(self.p)) < self.p).astype(np.float64)
            all_, true = self._sums(np.ones(len(self.p)), by_chance)
            better = _isotonic(all_, true)
            gain = all_ * (self.values**2 - better**2) - 2 * true * (self.values - better)
            found[number] = max(float(gain.sum()) / len(self.p), 0.0)
        return float(found.mean()), float(np.quantile(found, 0.95))

    def _sums(self, w: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
        """Return weight and weight of the outcomes of each run of equal predictions."""
        return np.add.reduceat(w, self.starts), np.add.reduceat(w * y, self.starts)


def corp(probability: Matrix, happened: NDArray[np.bool_], weights: Matrix | None = None) -> Corp:
    """Split the Brier score of predictions.

    Parameters
    ----------
    probability, happened, weights
        Predictions, labels and row weights, shape (n,), n > 0.

    Examples
    --------
    Predictions that are twice too high and in the right order:

    >>> p, y = np.array([0.2, 0.2, 1.0, 1.0]), np.array([False, False, True, False])
    >>> {name: round(value, 4) for name, value in vars(corp(p, y)).items()}
    {'brier': 0.27, 'miscalibration': 0.145, 'discrimination': 0.0625, 'uncertainty': 0.1875}
    """
    return Reliability(probability, happened).corp(weights)


def _isotonic(all_: Matrix, true: Matrix) -> Matrix:
    """Return the rising rates closest to those of the runs; runs without weight take that of a neighbour."""
    kept = all_ > 0
    fitted = np.asarray(isotonic_regression(true[kept] / all_[kept], weights=all_[kept]).x, dtype=np.float64)
    if kept.all():
        return fitted
    return fitted[np.maximum(np.cumsum(kept) - 1, 0)]
