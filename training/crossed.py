"""The leads that sales works under one rule and not under the other, and what sets the two groups apart."""

# pyarrow publishes no types.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crm.store import Tables
from features.build import build_features
from features.feature import Language
from models.answers import answers
from models.gain import Comparison, Picks
from models.reasons import signal_words
from models.scoring import LoadedModel, Scores, score_matrix
from training.gain import UnseenWeeks

__all__ = [
    "CrossedLead",
    "RulesCompared",
    "ScoredCrossings",
    "SignalGap",
    "crossed_leads",
    "largest_gaps",
    "score_crossings",
    "signal_gaps",
]

# That a lead was an MQL by the old rule is what makes it one of the lost: no news.
CIRCULAR = "mql"
MIN_GAP = 0.5  # points; as for a reason


@dataclass(frozen=True)
class SignalGap:
    """Mean points of a signal among leads gained and among leads lost.

    Parameters
    ----------
    signal
        Its name.
    gained, lost
        Points.
    """

    signal: str
    gained: float
    lost: float


@dataclass(frozen=True)
class CrossedLead:
    """A lead that sales works under one rule alone.

    Parameters
    ----------
    lead_id
        The lead.
    as_of
        When it crossed, ISO 8601.
    rule
        ``new`` for a lead gained, ``old`` for one lost.
    expected_value
        As judged then by a model that knew neither these weeks nor the lead's account, workspace currency.
    score
        By the version in force.
    sql, won, revenue
        What became of it inside the horizons; revenue in workspace currency.
    reasons
        By the version in force, in words.
    """

    lead_id: str
    as_of: str
    rule: str
    expected_value: float
    score: float
    sql: bool
    won: bool
    revenue: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class RulesCompared:
    """Old rule and new line, the weeks on which they were compared, and what sets gained and lost leads apart."""

    unseen: UnseenWeeks
    comparison: Comparison
    gaps: tuple[SignalGap, ...]


@dataclass(frozen=True, eq=False)
class ScoredCrossings:
    """The leads worked under one rule alone, at the moments at which they crossed, scored by a version.

    Parameters
    ----------
    rows
        Rows of the unseen weeks.
    is_new
        Worked under the new line, else under the old rule; shape of ``rows``.
    scores
        By the version, in the order of ``rows``; None without rows.
    """

    rows: NDArray[np.int64]
    is_new: NDArray[np.bool_]
    scores: Scores | None


def score_crossings(tables: Tables, model: LoadedModel, unseen: UnseenWeeks, picks: Picks) -> ScoredCrossings:
    """Score the leads gained and lost; leads that are not, or no longer, in the tables are left out.

    Parameters
    ----------
    tables
        The workspace's tables.
    model
        The version whose points and reasons are shown.
    unseen
        The weeks.
    picks
        What each rule picked.
    """
    gained, lost = (picks.worked_only(unseen.rows, side) for side in ("new", "old"))
    rows = np.concatenate([gained, lost])
    is_new = np.repeat([True, False], [len(gained), len(lost)])
    known = set(tables.table("leads").lead_id.to_pyarrow().to_pylist())
    there = np.array([unseen.lead_ids[row] in known for row in rows], dtype=bool)
    rows, is_new = rows[there], is_new[there]
    if len(rows) == 0:
        return ScoredCrossings(rows, is_new, None)
    matrix = _features(tables, model, unseen, rows)
    return ScoredCrossings(rows, is_new, score_matrix(model.bundle, model.line, matrix))


def signal_gaps(model: LoadedModel, crossings: ScoredCrossings) -> tuple[SignalGap, ...]:
    """Compare the points of leads gained and lost, signal by signal, in the order of the features.

    Parameters
    ----------
    model
        The version that scored them.
    crossings
        The leads.

    Returns
    -------
    tuple of SignalGap
        Nothing where one of the groups is empty.
    """
    is_new = crossings.is_new
    if crossings.scores is None or is_new.all() or not is_new.any():
        return ()
    points = crossings.scores.points
    means = (points[is_new].mean(axis=0), points[~is_new].mean(axis=0))
    return tuple(
        SignalGap(signal, float(gained), float(lost))
        for signal, gained, lost in zip(model.bundle.features.signals, *means, strict=True)
    )


def largest_gaps(gaps: Sequence[SignalGap], language: Language, count: int = 6) -> list[tuple[str, float, float]]:
    """Return the signals that set gained and lost leads apart most: words, mean points of the gained and of the lost.

    Examples
    --------
    >>> largest_gaps((SignalGap("mql", 0.0, 9.0), SignalGap("recycled", -2.0, 1.0), SignalGap("chat", 0.1, 0.0)), "en")
    [('recycled before', -2.0, 1.0)]
    """
    shown = [gap for gap in gaps if gap.signal != CIRCULAR and abs(gap.gained - gap.lost) >= MIN_GAP]
    shown.sort(key=lambda gap: -abs(gap.gained - gap.lost))
    return [(signal_words(gap.signal, language), gap.gained, gap.lost) for gap in shown[:count]]


def crossed_leads(
    model: LoadedModel, unseen: UnseenWeeks, crossings: ScoredCrossings, language: Language
) -> list[CrossedLead]:
    """List the leads gained, then those lost, each by the value it was judged at, with reasons.

    Parameters
    ----------
    model
        The version that scored them, with the line whose terms say what a lead is worth.
    unseen
        The weeks.
    crossings
        The leads.
    language
        Of the reasons.
    """
    if crossings.scores is None:
        return []
    kept, rows = unseen.rows, crossings.rows
    ids = [unseen.lead_ids[row] for row in rows]
    said = answers(model, crossings.scores, ids, unseen.as_of_us[rows], language)
    values = model.line.expected_value(kept.expected_revenue[rows])
    found = [
        CrossedLead(
            lead_id=answer["lead_id"],
            as_of=answer["as_of"],
            rule="new" if is_new else "old",
            expected_value=float(value),
            score=answer["score"],
            sql=bool(kept.sql[row]),
            won=bool(kept.won[row]),
            revenue=float(kept.revenue[row]),
            reasons=tuple(answer["reasons"]),
        )
        for row, is_new, value, answer in zip(rows, crossings.is_new, values, said, strict=True)
    ]
    return sorted(found, key=lambda lead: (lead.rule, -lead.expected_value))


def _features(tables: Tables, model: LoadedModel, unseen: UnseenWeeks, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    moments = pa.table(
        {
            "row_id": pa.array(np.arange(len(rows)), pa.int64()),
            "lead_id": pa.array([unseen.lead_ids[row] for row in rows], pa.string()),
            "as_of_us": pa.array(unseen.as_of_us[rows], pa.int64()),
        }
    )
    return build_features(tables, moments, model.bundle.features)
