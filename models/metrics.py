"""How good predictions are: ranking, calibration, and what the best tenth holds.

Every measure takes row weights, so that the same code serves the data and its bootstrap draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from models.intervals import jeffreys

__all__ = [
    "Bin",
    "CalibrationError",
    "Decile",
    "Judgement",
    "calibration_bins",
    "calibration_error",
    "deciles",
    "ece_null",
    "gains",
    "normalised_gini",
    "pairs_in_order",
    "run_ends",
]

Matrix = NDArray[np.float64]
BINS = 10
TOP = 0.1
NULL_DRAWS = 500
P_RANGE = (1e-9, 1 - 1e-9)


@dataclass(frozen=True)
class Bin:
    """Leads with similar predictions: mean prediction, observed rate, its 90% interval (Jeffreys), how many."""

    predicted: float
    observed: float
    low: float
    high: float
    leads: int


@dataclass(frozen=True)
class Decile:
    """A tenth of the leads, best first."""

    decile: int
    leads: int
    outcomes: int
    rate: float
    lift: float


class Judgement:
    """Predictions and labels, sorted once, measured under any weights.

    Parameters
    ----------
    probability
        Predictions, shape (n,).
    happened
        Labels, shape (n,).
    stratum
        Stratum of each row, shape (n,): ``auc_same_age`` compares rows of one stratum alone. None to leave it out.

    Examples
    --------
    >>> judged = Judgement(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))
    >>> judged.measure(np.ones(4))["auc"]
    1.0
    """

    def __init__(
        self, probability: Matrix, happened: NDArray[np.bool_], stratum: NDArray[np.int64] | None = None
    ) -> None:
        self.order = np.argsort(-probability, kind="stable")
        self.p = np.clip(probability[self.order], *P_RANGE)
        self.y = happened[self.order].astype(np.float64)
        self.z = logit(self.p)
        self.losses = -np.where(self.y > 0, np.log(self.p), np.log1p(-self.p))
        # Ends of runs of equal predictions: ties count half in the AUC and are never split.
        self.ends = run_ends(self.p)
        self.strata: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self.has_strata = stratum is not None
        if stratum is not None:
            of_row = stratum[self.order]
            for value in np.unique(of_row):
                rows = np.flatnonzero(of_row == value)
                if 0 < self.y[rows].sum() < len(rows):  # others have no pair to compare
                    self.strata.append((rows, run_ends(self.p[rows])))

    def measure(self, weights: Matrix) -> Mapping[str, float]:
        """Return every measure by name, from ``auc`` to ``lift_at_10``; NaN where all rows have one label."""
        w = weights[self.order]
        positives, total = float((w * self.y).sum()), float(w.sum())
        names = (*_NAMES, "auc_same_age") if self.has_strata else _NAMES
        if positives == 0 or positives == total:
            return dict.fromkeys(names, float("nan"))
        same_age = {"auc_same_age": self._auc_in_strata(w)} if self.has_strata else {}
        return {
            **self._ranking(w, positives, total),
            **same_age,
            "log_loss": float((w * self.losses).sum() / total),
            "brier": float((w * (self.p - self.y) ** 2).sum() / total),
            "observed_over_expected": positives / float((w * self.p).sum()),
            "calibration_slope": _slope(self.z, self.y, w),
        }

    def _ranking(self, w: Matrix, positives: float, total: float) -> dict[str, float]:
        true = np.cumsum(w * self.y)[self.ends]
        all_ = np.cumsum(w)[self.ends]
        steps_true = np.diff(true, prepend=0.0)
        auc = pairs_in_order(true, all_ - true) / (positives * (total - positives))
        precision = np.divide(true, all_, out=np.zeros_like(true), where=all_ > 0)
        top = TOP * total
        found = float(np.interp(top, np.append(0.0, all_), np.append(0.0, true)))
        return {
            "auc": auc,
            "average_precision": float((steps_true * precision).sum() / positives),
            "lift_at_10": found / positives / TOP,
        }

    def _auc_in_strata(self, w: Matrix) -> float:
        """Return the share of pairs in the right order among the pairs of one stratum."""
        right, pairs = 0.0, 0.0
        for rows, ends in self.strata:
            true = np.cumsum(w[rows] * self.y[rows])[ends]
            false = np.cumsum(w[rows])[ends] - true
            right += pairs_in_order(true, false)
            pairs += float(true[-1] * false[-1])
        return right / pairs if pairs > 0 else float("nan")

    def ece(self, w: Matrix) -> float:
        """Return the expected calibration error over ten bins of equal weight.

        It has no bootstrap interval: drawing rows again adds a binning error of its own, and the interval would not
        hold the value. :func:`ece_null` says how large it is by chance.
        """
        cumulative = np.cumsum(w)
        number = np.minimum((cumulative - w / 2) / cumulative[-1] * BINS, BINS - 1).astype(np.int64)
        size = np.bincount(number, w, BINS)
        gap = np.abs(np.bincount(number, w * self.p, BINS) - np.bincount(number, w * self.y, BINS))
        return float(gap[size > 0].sum() / size.sum())


def run_ends(ordered: Matrix) -> NDArray[np.int64]:
    """Return where runs of equal predictions end."""
    return np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)


def pairs_in_order(true: Matrix, false: Matrix) -> float:
    """Return the weight of pairs in the right order, ties half, from cumulated weights, best first."""
    steps_true, steps_false = np.diff(true, prepend=0.0), np.diff(false, prepend=0.0)
    return float((steps_false * (true - steps_true / 2)).sum())


_NAMES = (
    "auc",
    "average_precision",
    "lift_at_10",
    "log_loss",
    "brier",
    "observed_over_expected",
    "calibration_slope",
)


def _slope(z: Matrix, y: Matrix, w: Matrix) -> float:
    """Fit ``logit P(y) = a + b z`` by Newton's method and return b; 1 is perfect, below 1 is over-confident."""
    center = float((w * z).sum() / w.sum())
    columns = np.stack([np.ones_like(z), z - center], axis=1)
    parameters = np.array([center, 1.0])

    def loss(at: Matrix) -> float:
        logits = columns @ at
        return float(w @ (np.logaddexp(0.0, logits) - y * logits))

    now = loss(parameters)
    for _ in range(50):
        p = expit(columns @ parameters)
        gradient = columns.T @ (w * (y - p))
        hessian = (columns * (w * p * (1 - p))[:, None]).T @ columns + 1e-9 * np.eye(2)
        step = np.clip(np.linalg.solve(hessian, gradient), -2.0, 2.0)
        # Where predictions are far off, a full step overshoots and would swing from side to side for ever.
        while (after := loss(parameters + step)) > now + 1e-9 and float(np.abs(step).max()) > 1e-8:
            step = step / 2
        parameters, now = parameters + step, after
        if float(np.abs(step).max()) < 1e-8:
            break
    return float(parameters[1])


@dataclass(frozen=True)
class CalibrationError:
    """The expected calibration error beside what chance alone makes of perfectly calibrated predictions.

    Parameters
    ----------
    ece
        Mean gap between predicted and observed rate over ten bins of equal size.
    null, null_95
        Mean and 95% point of the same for labels drawn with the predicted probabilities.
    excess
        ``ece - null``: what chance does not explain; below 0 when the predictions fit better than chance would.
    p_value
        Share of the draws, the data counted among them, with an error at least as large.
    """

    ece: float
    null: float
    null_95: float
    excess: float
    p_value: float


def calibration_error(
    probability: Matrix, happened: NDArray[np.bool_], *, seed: int, draws: int = NULL_DRAWS
) -> CalibrationError:
    """Return the ECE with its null: on few leads, or rare outcomes, most of it is chance.

    Examples
    --------
    >>> p = np.repeat([0.1, 0.3], 500)
    >>> wrong = calibration_error(p, np.arange(1000) % 2 == 0, seed=1)
    >>> round(wrong.ece, 3), wrong.excess > 0.25, round(wrong.p_value, 3)
    (0.3, True, 0.002)
    """
    found = _null_errors(probability, seed, draws)
    ece, mean = Judgement(probability, happened).ece(np.ones(len(happened))), float(np.mean(found))
    p_value = (1 + int((found >= ece - 1e-12).sum())) / (draws + 1)
    return CalibrationError(ece, mean, float(np.quantile(found, 0.95)), ece - mean, p_value)


def ece_null(probability: Matrix, *, seed: int, draws: int = NULL_DRAWS) -> tuple[float, float]:
    """Return the ECE that perfectly calibrated predictions of this size would show: its mean, and its 95% point.

    A measured ECE below the second says nothing against the calibration (methods 4).
    """
    found = _null_errors(probability, seed, draws)
    return float(np.mean(found)), float(np.quantile(found, 0.95))


def _null_errors(probability: Matrix, seed: int, draws: int) -> Matrix:
    """Return the ECE of labels drawn with the predicted probabilities, shape (draws,)."""
    rng = np.random.default_rng(seed)
    judged = Judgement(np.sort(probability)[::-1], np.zeros(len(probability), dtype=np.bool_))
    weights, found = np.ones(len(probability)), np.empty(draws)
    for number in range(draws):
        judged.y = (rng.random(len(judged.p)) < judged.p).astype(np.float64)
        found[number] = judged.ece(weights)
    return found


def calibration_bins(probability: Matrix, happened: NDArray[np.bool_], bins: int = BINS) -> tuple[Bin, ...]:
    """Group predictions into bins of equal size and compare with what happened."""
    order = np.argsort(probability, kind="stable")
    found: list[Bin] = []
    for part in np.array_split(order, min(bins, len(order))):
        wins = int(happened[part].sum())
        mean, rate = float(probability[part].mean()), wins / len(part)
        found.append(Bin(mean, rate, *jeffreys(wins, len(part)), len(part)))
    return tuple(found)


def deciles(probability: Matrix, happened: NDArray[np.bool_]) -> tuple[Decile, ...]:
    """Cut the leads into ten, best first."""
    order = np.argsort(-probability, kind="stable")
    rate = float(happened.mean())
    found: list[Decile] = []
    for number, part in enumerate(np.array_split(order, BINS), start=1):
        if len(part):
            wins = int(happened[part].sum())
            lift = wins / len(part) / rate if rate else float("nan")
            found.append(Decile(number, len(part), wins, wins / len(part), lift))
    return tuple(found)


def gains(probability: Matrix, happened: NDArray[np.bool_], points: int = 50) -> tuple[tuple[float, float], ...]:
    """Return pairs (share of leads worked, share of outcomes found), best leads first."""
    order = np.argsort(-probability, kind="stable")
    found = np.append(0.0, np.cumsum(happened[order]))
    shares = np.linspace(0.0, 1.0, points + 1)
    wins = np.interp(shares * len(order), np.arange(len(order) + 1), found)
    return tuple((float(a), float(b)) for a, b in zip(shares, wins / max(found[-1], 1.0), strict=True))


def normalised_gini(predicted: Matrix, amount: Matrix, weights: Matrix) -> float:
    """Return the Gini of amounts in predicted order over that in perfect order (Wang et al. 2019); 1 is perfect."""

    def gini(order: NDArray[np.int64]) -> float:
        w, a = weights[order], (weights * amount)[order]
        people, money = np.cumsum(w) / w.sum(), np.cumsum(a) / a.sum()
        return float((np.diff(people, prepend=0.0) * (money - np.diff(money, prepend=0.0) / 2)).sum() - 0.5)

    if float((weights * amount).sum()) <= 0:
        return float("nan")
    best = gini(np.argsort(-amount, kind="stable"))
    return gini(np.argsort(-predicted, kind="stable")) / best if best > 0 else float("nan")
