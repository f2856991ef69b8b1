"""The leads that sales works under one rule and not under the other, and what sets the two groups apart."""

# pyarrow publishes no types.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crm.store import Tables
from features.build import build_features
from features.feature import Language
from models.gain import Comparison, Picks
from models.reasons import signal_words
from models.scoring import LoadedModel, answers, score_matrix
from training.gain import UnseenWeeks

__all__ = ["CrossedLead", "RulesCompared", "SignalGap", "crossed_leads", "largest_gaps", "signal_gaps"]

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


def signal_gaps(tables: Tables, model: LoadedModel, unseen: UnseenWeeks, picks: Picks) -> tuple[SignalGap, ...]:
    """Compare the points of leads gained and lost, signal by signal, in the order of the features.

    Parameters
    ----------
    tables
        The workspace's tables.
    model
        The version whose points are shown.
    unseen
        The weeks.
    picks
        What each rule picked.

    Returns
    -------
    tuple of SignalGap
        Nothing where one of the groups is empty.
    """
    means: list[NDArray[np.float64]] = []
    for side in ("new", "old"):
        rows = _still_there(tables, unseen, picks.worked_only(unseen.rows, side))
        if len(rows) == 0:
            return ()
        means.append(score_matrix(model.bundle, model.line, _features(tables, model, unseen, rows)).points.mean(axis=0))
    signals = model.bundle.features.signals
    return tuple(
        SignalGap(signal, float(gained), float(lost)) for signal, gained, lost in zip(signals, *means, strict=True)
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
    tables: Tables, model: LoadedModel, unseen: UnseenWeeks, picks: Picks, language: Language
) -> list[CrossedLead]:
    """List the leads gained and lost, each by the value it was judged at, with reasons.

    Parameters
    ----------
    tables
        The workspace's tables. Leads that are no longer in them are left out.
    model
        The version whose scores and reasons are shown, with the line that the picks follow.
    unseen
        The weeks.
    picks
        What each rule picked.
    language
        Of the reasons.
    """
    found: list[CrossedLead] = []
    for side in ("new", "old"):
        rows = _still_there(tables, unseen, picks.worked_only(unseen.rows, side))
        if len(rows):
            found += _described(model, unseen, rows, side, _answers(tables, model, unseen, rows, language))
    return sorted(found, key=lambda lead: (lead.rule, -lead.expected_value))


def _answers(
    tables: Tables, model: LoadedModel, unseen: UnseenWeeks, rows: NDArray[np.int64], language: Language
) -> list[dict[str, Any]]:
    scores = score_matrix(model.bundle, model.line, _features(tables, model, unseen, rows))
    return answers(model, scores, [unseen.lead_ids[row] for row in rows], unseen.as_of_us[rows], language)


def _described(
    model: LoadedModel, unseen: UnseenWeeks, rows: NDArray[np.int64], side: str, said: Sequence[dict[str, Any]]
) -> list[CrossedLead]:
    kept = unseen.rows
    values = model.line.expected_value(kept.expected_revenue[rows])
    return [
        CrossedLead(
            lead_id=answer["lead_id"],
            as_of=answer["as_of"],
            rule=side,
            expected_value=float(value),
            score=answer["score"],
            sql=bool(kept.sql[row]),
            won=bool(kept.won[row]),
            revenue=float(kept.revenue[row]),
            reasons=tuple(answer["reasons"]),
        )
        for row, value, answer in zip(rows, values, said, strict=True)
    ]


def _still_there(tables: Tables, unseen: UnseenWeeks, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leave out rows of leads that are not, or no longer, in the tables."""
    known = set(tables.table("leads").lead_id.to_pyarrow().to_pylist())
    return rows[np.array([unseen.lead_ids[row] in known for row in rows], dtype=bool)] if len(rows) else rows


def _features(tables: Tables, model: LoadedModel, unseen: UnseenWeeks, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    moments = pa.table(
        {
            "row_id": pa.array(np.arange(len(rows)), pa.int64()),
            "lead_id": pa.array([unseen.lead_ids[row] for row in rows], pa.string()),
            "as_of_us": pa.array(unseen.as_of_us[rows], pa.int64()),
        }
    )
    return build_features(tables, moments, model.bundle.features)
