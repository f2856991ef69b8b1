"""Two versions on identical rows: what each said of a lead that it had not learned from, and what became of the lead.

Everything that the gate asks is a sum over accounts, so that thousands of draws of accounts are products of matrices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

__all__ = ["Drawn", "PairedRows", "draw_accounts", "on_list"]

Matrix = NDArray[np.float64]
DRAWS = 2000
CHUNK = 100
SEED = 1
P_RANGE = (1e-9, 1 - 1e-9)
SIDES = ("champion", "challenger")


@dataclass(frozen=True, eq=False)
class PairedRows:
    """Rows of which both versions spoke unseen; every array has shape (n,).

    Parameters
    ----------
    outcome
        ``sql`` or ``won``: the endpoint that is judged.
    lead, group
        Lead and account number. A lead has one row an origin.
    origin
        Number of the test period: the challenger knew nothing of what came after its start.
    happened
        The label.
    held
        What working the lead captures: revenue, workspace currency, or 1 for an SQL.
    probability, rank
        By side (``champion``, ``challenger``): probability of the outcome, and what the list is sorted by.
    share
        Share of the leads that sales can work, above 0 and at most 1.
    segments
        By name: the lead belonged to it.
    shipped
        The champion spoke as it was shipped: the row is later than its training.
    """

    outcome: str
    lead: NDArray[np.int64]
    group: NDArray[np.int64]
    origin: NDArray[np.int64]
    happened: NDArray[np.bool_]
    held: Matrix
    probability: Mapping[str, Matrix]
    rank: Mapping[str, Matrix]
    share: float
    segments: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    shipped: NDArray[np.bool_] | None = None


def on_list(rank: Matrix, origin: NDArray[np.int64], share: float) -> Matrix:
    """Return how much of each row is on its origin's list, 0 to 1, shape (n,); rows of equal rank share a place.

    Examples
    --------
    >>> on_list(np.array([3.0, 2.0, 2.0, 1.0]), np.zeros(4, dtype=np.int64), 0.5).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """
    found = np.zeros(len(rank))
    for number in np.unique(origin):
        rows = np.flatnonzero(origin == number)
        rows = rows[np.argsort(-rank[rows], kind="stable")]
        starts = np.append(0, np.flatnonzero(np.diff(rank[rows])) + 1)
        sizes = np.diff(np.append(starts, len(rows)))
        found[rows] = np.repeat(np.clip((share * len(rows) - starts) / sizes, 0.0, 1.0), sizes)
    return found


class Drawn:
    """Named sums over the rows: of the data itself, and of draws of accounts.

    Attributes
    ----------
    value
        Sums of the data by name.
    draws
        Sums of each draw by name, shape (draws,).
    """

    def __init__(self, names: tuple[str, ...], plain: Matrix, drawn: Matrix) -> None:
        self.value = dict(zip(names, plain.tolist(), strict=True))
        self.draws = dict(zip(names, drawn.T, strict=True))

    def ratio(self, top: str, bottom: str) -> tuple[float, Matrix]:
        """Return a ratio of two sums and its draws; NaN where the lower one is nought."""
        below = self.draws[bottom]
        drawn = np.divide(self.draws[top], below, out=np.full(len(below), np.nan), where=below != 0)
        return (self.value[top] / self.value[bottom] if self.value[bottom] else float("nan")), drawn

    def slope(self, side: str) -> tuple[float, Matrix]:
        """Return the calibration slope of a side and its draws, one Newton step from the fit on the data each."""
        at = self.value[f"{side}.slope"]
        gradient = [self.draws[f"{side}.g{number}"] for number in range(2)]
        h00, h01, h11 = (self.draws[f"{side}.h{number}"] for number in range(3))
        determinant = h00 * h11 - h01 * h01
        step = np.divide(
            h00 * gradient[1] - h01 * gradient[0],
            determinant,
            out=np.full(len(h00), np.nan),
            where=determinant > 0,
        )
        return at, at + step


def draw_accounts(rows: PairedRows, *, draws: int = DRAWS, seed: int = SEED) -> Drawn:
    """Draw accounts with replacement, the same for both sides.

    Parameters
    ----------
    rows
        The pairs.
    draws
        How many.
    seed
        Of the draws.

    Returns
    -------
    Drawn
        By side: ``loss`` (nats), ``expected``, ``captured`` and ``captured.SEGMENT``; ``rows`` and ``observed``.
    """
    columns: dict[str, Matrix] = {"rows": np.ones(len(rows.group)), "observed": rows.happened.astype(np.float64)}
    slopes: dict[str, float] = {}
    for side in SIDES:
        p = np.clip(rows.probability[side], *P_RANGE)
        captured = rows.held * on_list(rows.rank[side], rows.origin, rows.share)
        columns[f"{side}.loss"] = -np.where(rows.happened, np.log(p), np.log1p(-p))
        columns[f"{side}.expected"] = p
        columns[f"{side}.captured"] = captured
        for name, member in rows.segments.items():
            columns[f"{side}.captured.{name}"] = captured * member
        slopes[f"{side}.slope"], parts = _slope_parts(logit(p), rows.happened)
        columns |= {f"{side}.{name}": part for name, part in parts.items()}
    names = tuple(columns)
    _, position = np.unique(rows.group, return_inverse=True)
    count = int(position.max()) + 1 if len(position) else 0
    sums = np.stack([np.bincount(position, column, count) for column in columns.values()], axis=1)
    rng = np.random.default_rng(seed)
    parts_drawn: list[Matrix] = []
    for start in range(0, draws, CHUNK):
        chosen = rng.integers(0, count, (min(CHUNK, draws - start), count))
        weights = np.stack([np.bincount(row, minlength=count) for row in chosen]).astype(np.float64)
        parts_drawn.append(weights @ sums)
    found = Drawn(names, sums.sum(axis=0), np.concatenate(parts_drawn))
    found.value |= slopes
    return found


def _slope_parts(z: Matrix, happened: NDArray[np.bool_]) -> tuple[float, dict[str, Matrix]]:
    """Fit ``logit P(y) = a + b z``; return b, and each row's part of the gradient and of the Hessian there."""
    columns = np.stack([np.ones_like(z), z - z.mean()], axis=1)
    at = np.array([z.mean(), 1.0])
    y = happened.astype(np.float64)
    for _ in range(100):
        p = expit(columns @ at)
        hessian = (columns * (p * (1 - p))[:, None]).T @ columns + 1e-9 * np.eye(2)
        step = np.clip(np.linalg.solve(hessian, columns.T @ (y - p)), -0.5, 0.5)
        at = at + step
        if float(np.abs(step).max()) < 1e-8:
            break
    p = expit(columns @ at)
    w = p * (1 - p)
    first, second = columns.T
    return float(at[1]), {
        "g0": (y - p) * first,
        "g1": (y - p) * second,
        "h0": w,
        "h1": w * second,
        "h2": w * second * second,
    }
