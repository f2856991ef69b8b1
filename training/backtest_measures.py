"""What a backtest measures of each method on the same rows, with intervals over accounts.

All methods are measured on the same draws of accounts, so that the difference of two has an interval of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.corp import Reliability
from models.intervals import Interval, cluster_bootstrap
from models.metrics import Judgement, ece_null
from training.baselines import Said

__all__ = [
    "Captured",
    "Compared",
    "JudgedRows",
    "Probabilities",
    "Ranking",
    "compare",
]

Matrix = NDArray[np.float64]
TOPS = (0.05, 0.10, 0.20)
CELLS = 2000
NULL_DRAWS = 100
DRAWS = 300
P_RANGE = (1e-9, 1 - 1e-9)


PARTS = ("miscalibration", "discrimination", "uncertainty")


class _List:
    """Rows in order of a score, of which few hold something; sorted once, counted under any weights.

    Rows of equal score are one run, which is never split: they count in proportion. Only runs that hold something are
    looked at, so that hundreds of draws of many rows take no minutes.

    Parameters
    ----------
    score
        More comes first, shape (n,).
    values
        What rows hold, 0 or more, shape (k, n).
    """

    def __init__(self, score: Matrix, values: Matrix) -> None:
        self.order = np.argsort(-score, kind="stable")
        ordered = score[self.order]
        starts = np.append(0, np.flatnonzero(np.diff(ordered)) + 1)
        ends = np.append(starts[1:], len(ordered))
        held = values[:, self.order]
        self.rows = np.flatnonzero(held.any(axis=0))
        runs, self.run = np.unique(np.searchsorted(starts, self.rows, side="right") - 1, return_inverse=True)
        self.start, self.end, self.held = starts[runs], ends[runs], held[:, self.rows]

    def count(self, weights: Matrix) -> tuple[Matrix, Matrix, Matrix, float]:
        """Return the weight of rows before and through each run, what each holds, shape (k, n_runs), and all weight."""
        w = weights[self.order]
        listed = np.append(0.0, np.cumsum(w))
        mine = w[self.rows]
        found = [np.bincount(self.run, mine * values, len(self.start)) for values in self.held]
        return listed[self.start], listed[self.end], np.array(found, dtype=np.float64), float(listed[-1])


def _worked(wanted: float, before: Matrix, through: Matrix) -> Matrix:
    """Return which share of each run has been worked after ``wanted`` rows."""
    size = through - before
    return np.clip(np.divide(wanted - before, size, out=np.zeros_like(size), where=size > 0), 0.0, 1.0)


class Ranking:
    """Scores and labels, sorted once, measured under any weights.

    Parameters
    ----------
    score
        More is better, any scale, shape (n,).
    happened
        Labels, shape (n,).
    """

    def __init__(self, score: Matrix, happened: NDArray[np.bool_]) -> None:
        self.list = _List(score, happened[None, :].astype(np.float64))

    def measure(self, weights: Matrix) -> dict[str, float]:
        """Return auc, average_precision and the lift of the best 5, 10 and 20%; NaN where all have one label."""
        before, through, found, total = self.list.count(weights)
        true = found[0]
        positives, reached = float(true.sum()), np.cumsum(true)
        names = [f"lift_at_{top * 100:.0f}" for top in TOPS]
        if positives in (0.0, total):
            return dict.fromkeys(("auc", "average_precision", *names), float("nan"))
        # Rows without the outcome that come after each run, and half of those inside it.
        later = (total - positives) - (through - reached)
        right = float(true @ (later + (through - before - true) / 2))
        precision = np.divide(reached, through, out=np.zeros_like(true), where=through > 0)
        tops = [float(true @ _worked(top * total, before, through)) / positives / top for top in TOPS]
        return {
            "auc": right / (positives * (total - positives)),
            "average_precision": float(true @ precision) / positives,
            **dict(zip(names, tops, strict=True)),
        }


class Probabilities:
    """Probabilities and labels, measured under any weights.

    Parameters
    ----------
    probability
        Shape (n,).
    happened
        Labels, shape (n,).
    """

    def __init__(self, probability: Matrix, happened: NDArray[np.bool_]) -> None:
        self.p, self.happened = np.clip(probability, *P_RANGE), happened
        self.losses = -np.where(happened, np.log(self.p), np.log1p(-self.p))
        self.squares = (self.p - happened) ** 2
        # The slope and the parts are found by iteration or regression; neighbours are joined before, so that hundreds
        # of draws of many rows take no minutes.
        levels, cell = np.unique(self.p, return_inverse=True)
        if len(levels) > CELLS:
            rank = np.empty(len(self.p), dtype=np.int64)
            rank[np.argsort(self.p, kind="stable")] = np.arange(len(self.p))
            cell = rank * CELLS // len(self.p)
            levels = np.bincount(cell, self.p) / np.bincount(cell)
        self.cell = 2 * cell.astype(np.int64) + happened
        self.level, self.label = np.repeat(levels, 2), np.tile([False, True], len(levels))
        self.joined = Judgement(self.level, self.label)

    def measure(self, weights: Matrix) -> dict[str, float]:
        """Return log_loss, brier, observed_over_expected and calibration_slope."""
        total, happened = float(weights.sum()), float(weights[self.happened].sum())
        in_cells = np.bincount(self.cell, weights, len(self.level)).astype(np.float64)
        return {
            "log_loss": float(weights @ self.losses) / total,
            "brier": float(weights @ self.squares) / total,
            "observed_over_expected": happened / float(weights @ self.p),
            "calibration_slope": self.joined.measure(in_cells)["calibration_slope"],
        }

    def calibration_error(self, seed: int) -> dict[str, float]:
        """Return the parts of the Brier score (CORP), the ECE, what chance makes of it, and the ECE less that.

        None of them has a bootstrap interval: drawing rows again adds an error of its own to a distance.
        """
        split = Reliability(self.p, self.happened).corp()
        ece = Judgement(self.p, self.happened).ece(np.ones(len(self.p)))
        mean, high = ece_null(self.p, seed=seed, draws=NULL_DRAWS)
        parts = {name: float(getattr(split, name)) for name in PARTS}
        return {**parts, "ece": ece, "ece_null": mean, "ece_null_95": high, "ece_excess": ece - mean}


class Captured:
    """What a list of as many leads as sales can work would have caught, origin by origin.

    Parameters
    ----------
    rank
        What the list is sorted by, more first, shape (n,).
    tested
        The rows.
    """

    def __init__(self, rank: Matrix, tested: JudgedRows) -> None:
        self.lists: list[tuple[NDArray[np.int64], _List, float]] = []
        for number, origin in enumerate(np.unique(tested.origin)):
            rows = np.flatnonzero(tested.origin == origin)
            rows = rows[np.argsort(-rank[rows], kind="stable")]
            _, first = np.unique(tested.person[rows], return_index=True)
            once = np.zeros(len(rows))
            once[first] = 1.0  # whoever has two leads on the list is bought from once
            values = np.stack([tested.wins[rows], tested.revenue[rows]]) * once
            self.lists.append((rows, _List(rank[rows], values), tested.worked[number]))

    def measure(self, weights: Matrix) -> dict[str, float]:
        """Return captured_wins and captured_revenue, a window on average, and their shares of what was there."""
        caught, there = np.zeros(2), np.zeros(2)
        for rows, listed, share in self.lists:
            before, through, found, total = listed.count(weights[rows])
            caught += found @ _worked(share * total, before, through)
            there += found.sum(axis=1)
        shares = np.divide(caught, there, out=np.full(2, np.nan), where=there > 0)
        wins, revenue = caught / max(len(self.lists), 1)
        return {
            "captured_wins": float(wins),
            "captured_wins_share": float(shares[0]),
            "captured_revenue": float(revenue),
            "captured_revenue_share": float(shares[1]),
        }


@dataclass(frozen=True)
class JudgedRows:
    """Rows on which every method is measured.

    Parameters
    ----------
    happened, group, origin, person
        Label, account, origin and person of each row, shape (n,).
    wins, revenue
        What working the person captures, shape (n,).
    worked
        By origin, in order: the share of its rows that sales can work.
    """

    happened: NDArray[np.bool_]
    group: NDArray[np.int64]
    origin: NDArray[np.int64]
    person: NDArray[np.int64]
    wins: Matrix
    revenue: Matrix
    worked: Sequence[float]


@dataclass(frozen=True)
class Compared:
    """Methods side by side.

    Parameters
    ----------
    measures
        By method and measure.
    gains
        By baseline and measure: the first method less the baseline, on the same draws.
    """

    measures: Mapping[str, Mapping[str, Interval]]
    gains: Mapping[str, Mapping[str, Interval]]


def compare(
    tested: JudgedRows,
    said: Mapping[str, Said],
    ranks: Mapping[str, Matrix] | None,
    *,
    seed: int,
    draws: int = DRAWS,
) -> Compared:
    """Measure methods on identical rows, and the first of them against each other one.

    Parameters
    ----------
    tested
        The rows.
    said
        By method, the one to be compared with the others first.
    ranks
        By method, what a list at capacity is sorted by; None to leave out what is captured.
    seed
        Of the draws.
    draws
        Draws of accounts.
    """
    judges: dict[str, list[Ranking | Probabilities | Captured]] = {}
    errors: dict[str, dict[str, float]] = {}
    for method, answer in said.items():
        judges[method] = [Ranking(answer.score, tested.happened)]
        if answer.probability is not None:
            probabilities = Probabilities(answer.probability, tested.happened)
            judges[method].append(probabilities)
            errors[method] = probabilities.calibration_error(seed)
        if ranks is not None:
            judges[method].append(Captured(ranks[method], tested))
    champion, *others = said

    def measure(weights: Matrix) -> dict[str, float]:
        found = {
            (method, name): value
            for method, parts_of in judges.items()
            for judge in parts_of
            for name, value in judge.measure(weights).items()
        }
        flat = {f"{method}|{name}": value for (method, name), value in found.items()}
        for method in others:
            names = [name for whose, name in found if whose == method and (champion, name) in found]
            flat |= {f"{method}|{name}|gain": found[champion, name] - found[method, name] for name in names}
        return flat

    measures: dict[str, dict[str, Interval]] = {method: {} for method in said}
    gains: dict[str, dict[str, Interval]] = {method: {} for method in others}
    for key, interval in cluster_bootstrap(measure, tested.group, seed=seed, draws=draws).items():
        method, name, *is_gain = key.split("|")
        (gains if is_gain else measures)[method][name] = interval
    for method, values in errors.items():
        measures[method] |= {name: Interval.of(value) for name, value in values.items()}
    return Compared(measures, gains)
