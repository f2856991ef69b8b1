"""The leak sentinel, which asks of every single signal whether it knows the outcome.

Real leads scored before sales speaks to them are ranked with an AUC of 0.6 to 0.85 by everything together; one column
that reaches 0.9 alone was almost surely filled in afterwards (methods 1.5, L5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crm.errors import LeakError
from models.intervals import jeffreys
from training.prepare import TrainingData

__all__ = ["Suspect", "find_suspects", "refuse_leaks"]

Matrix = NDArray[np.float64]
MAX_AUC = 0.90
MAX_RATE = 0.90
RARE_BASE = 0.20
MIN_ROWS, MIN_GROUPS = 20, 10
BINS = 20
PRIOR_ROWS = 20.0


@dataclass(frozen=True)
class Suspect:
    """A signal that knows too much.

    Parameters
    ----------
    signal
        The attribute or kind of touch.
    outcome
        ``sql`` or ``won``.
    auc
        Of the signal alone, its rates learned on one half of the leads and tried on the other.
    why
        What gave it away.
    """

    signal: str
    outcome: str
    auc: float
    why: str


def find_suspects(data: TrainingData) -> tuple[Suspect, ...]:
    """Try every signal alone against both outcomes, on mature snapshots."""
    found: list[Suspect] = []
    newest = data.snapshots.newest_of_lead
    for labels in (data.sql, data.won):
        rows = np.flatnonzero(labels.is_mature)
        happened = labels.happened[rows]
        if happened.sum() < MIN_ROWS or happened.all():
            continue
        halves = data.snapshots.group[rows] % 2
        for position, signal in enumerate(data.features.signals):
            if any(suspect.signal == signal for suspect in found):
                continue
            numbers = np.flatnonzero(data.features.signal_of == position)
            best = _best_auc(data.matrix[np.ix_(rows, numbers)], happened, halves)
            if best > MAX_AUC:
                why = f"alone it ranks {labels.outcome} with an AUC of {best:.2f}"
            else:
                ever = data.ever[labels.outcome][newest]
                why = _telling_value(data.matrix[np.ix_(newest, numbers)], ever, data.snapshots.group[newest])
            if why:
                found.append(Suspect(signal, labels.outcome, best, why))
    return tuple(found)


def refuse_leaks(suspects: tuple[Suspect, ...]) -> None:
    """Raise ``LeakError`` when there is any suspect."""
    if not suspects:
        return
    listed = "; ".join(f"'{s.signal}' ({s.why})" for s in suspects)
    raise LeakError(
        found=f"{len(suspects)} column{'s' if len(suspects) > 1 else ''} that tell the outcome: {listed}",
        expected="columns whose values were set before sales worked the lead",
        fix=(
            f"add {', '.join(repr(s.signal) for s in suspects)} to [columns] ignore, or give their history in "
            "lead_changes so that the value at the moment of scoring is used"
        ),
    )


def _best_auc(columns: Matrix, happened: NDArray[np.bool_], halves: NDArray[np.int64]) -> float:
    """Return the best AUC of the signal's features, each alone; the levels of one attribute also taken together."""
    tried = [_bins(columns[:, number]) for number in range(columns.shape[1])]
    if len(tried) > 1 and bool(np.isin(columns, (0.0, 1.0)).all()):
        tried.append(columns.argmax(axis=1))
    return max(_auc_of_rates(bins, happened, halves) for bins in tried)


def _bins(column: Matrix) -> NDArray[np.int64]:
    present = column[~np.isnan(column)]
    if present.size == 0:
        return np.zeros(len(column), dtype=np.int64)
    edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.where(np.isnan(column), len(edges) + 1, np.searchsorted(edges, column, side="left")).astype(np.int64)


def _auc_of_rates(bins: NDArray[np.int64], happened: NDArray[np.bool_], halves: NDArray[np.int64]) -> float:
    """Learn a rate a bin on one half of the accounts and rank the other half by it, both ways round."""
    base = float(happened.mean())
    size = int(bins.max()) + 1
    cells = bins + size * (halves == 0)  # rows of one half and one bin share their score
    rows = np.bincount(cells, minlength=2 * size).astype(np.float64)
    wins = np.bincount(cells, happened, minlength=2 * size)
    rates = np.roll((wins + PRIOR_ROWS * base) / (rows + PRIOR_ROWS), size)  # each half is ranked by the other's rates
    _, score = np.unique(rates, return_inverse=True)
    won, lost = np.bincount(score, wins), np.bincount(score, rows - wins)
    below = np.cumsum(lost) - lost
    return float((won * (below + lost / 2)).sum() / (won.sum() * lost.sum()))


def _telling_value(columns: Matrix, happened: NDArray[np.bool_], groups: NDArray[np.int64]) -> str:
    """Find a value that only leads with the outcome have, as a column has that is filled in at the sale.

    One row a lead, and the outcome whenever it was recorded: a column may be filled in at a sale that lies beyond the
    horizon, and for some of the sales only. Leads of one account may share their outcome, so a value has to be that of
    several accounts.
    """
    base = float(happened.mean())
    if base >= RARE_BASE:
        return ""
    for number in range(columns.shape[1]):
        column = columns[:, number]
        masks = [~np.isnan(column)] if np.isnan(column).any() else []
        if np.isin(column, (0.0, 1.0)).all():
            masks.append(column == 1.0)
        for mask in masks:
            rows, wins = int(mask.sum()), int(happened[mask].sum())
            tells = rows >= MIN_ROWS and jeffreys(wins, rows)[0] > MAX_RATE
            if tells and len(np.unique(groups[mask])) >= MIN_GROUPS:
                return f"{wins} of the {rows} leads that have the value have the outcome, against {base:.1%} of all"
    return ""
