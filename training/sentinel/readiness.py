"""What can be learned from a workspace's tables, for whom, and what to collect next."""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportArgumentType=false, reportOperatorIssue=false
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crm.config import WorkspaceConfig
from crm.known import from_micros, to_micros
from crm.outcomes import Outcome
from crm.store import Tables
from training.prepare import MIN_OUTCOMES, TrainingData
from training.sentinel.collect import AbsentTable, absent_tables, next_steps
from training.sentinel.facts import DAY_US, Facts

__all__ = ["NEEDED", "CohortCount", "OutcomeCount", "Readiness", "SegmentCount", "read_readiness", "segment_columns"]

NEEDED: Mapping[Outcome, int] = {"sql": MIN_OUTCOMES, "won": 100}
"""Leads with a mature outcome: for training at all, and for a score that speaks of won."""
SEGMENT_NEEDED = 30
MAX_LEVELS = 12
MIN_SHARE = 0.01
NAMES: Mapping[Outcome, str] = {"sql": "SQL", "won": "won"}


@dataclass(frozen=True)
class OutcomeCount:
    """One endpoint: leads with a mature outcome inside the horizon (days), how many are needed, how many are missing.

    ``per_week`` is how many leads reached it a week over the last 13 weeks.
    """

    outcome: str
    horizon_days: float
    found: int
    mature_snapshots: int
    needed: int
    missing: int
    per_week: float


@dataclass(frozen=True)
class SegmentCount:
    """One value of a segment: its leads, those whose horizon is over, their outcomes, and how many SQLs are missing.

    Parameters
    ----------
    segment, value
        Such as ``source`` and ``webinar``; an empty value for leads without one.
    leads, mature
        Leads, and those created at least one SQL horizon before the end of the observed span.
    sql, won
        Leads with the outcome so far.
    missing
        SQLs until the segment can be judged on its own (30).
    """

    segment: str
    value: str
    leads: int
    mature: int
    sql: int
    won: int
    missing: int


@dataclass(frozen=True)
class CohortCount:
    """Leads created in one quarter, the share (0 to 1) whose horizon is over, and their outcomes so far."""

    quarter: str
    leads: int
    mature_sql: float
    mature_won: float
    sql: int
    won: int


@dataclass(frozen=True)
class Readiness:
    """What the tables can carry.

    Parameters
    ----------
    outcomes, segments, cohorts
        Counts.
    absent
        Tables that the workspace does not have, and what each would allow.
    collect
        What to collect next, most useful first, one sentence each.
    """

    outcomes: tuple[OutcomeCount, ...]
    segments: tuple[SegmentCount, ...]
    cohorts: tuple[CohortCount, ...]
    absent: tuple[AbsentTable, ...]
    collect: tuple[str, ...]

    def sentences(self) -> tuple[str, ...]:
        """Say of each endpoint how many outcomes there are, and how many are missing."""
        return tuple(_sentence(count) for count in self.outcomes)

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain JSON."""
        return asdict(self)


def _sentence(count: OutcomeCount) -> str:
    text = (
        f"{NAMES['sql' if count.outcome == 'sql' else 'won']}: {count.found:,} leads with a mature outcome inside "
        f"{count.horizon_days:g} days, {count.mature_snapshots:,} mature snapshots"
    )
    if count.missing:
        until = "the score will speak of SQL until then" if count.outcome == "won" else "training is refused"
        text += f"; {count.missing} more are needed for {count.needed} ({until})"
    return text


def read_readiness(tables: Tables, config: WorkspaceConfig, facts: Facts, data: TrainingData | None) -> Readiness:
    """Count what there is.

    Parameters
    ----------
    tables, config
        The workspace.
    facts
        Its leads.
    data
        Labelled snapshots; None where training would be refused, when leads are counted from their creation.
    """
    outcomes = tuple(_outcome(config, facts, data, outcome) for outcome in NEEDED)
    segments = tuple(
        count for name, values in segment_columns(facts).items() for count in _segment(config, facts, name, values)
    )
    absent = absent_tables(tables)
    lacking = [
        (f"{count.segment} = '{count.value}'", count.leads, count.sql, count.missing)
        for count in segments
        if count.missing and count.value
    ]
    missing = {count.outcome: (count.found, count.missing, count.per_week) for count in outcomes}
    collect = next_steps(tables, config, facts, missing, lacking)
    return Readiness(outcomes, segments, _cohorts(config, facts), absent, collect)


def _horizon_us(config: WorkspaceConfig, outcome: Outcome) -> int:
    days = config.outcome.sql_horizon_days if outcome == "sql" else config.outcome.won_horizon_days
    return round(days * DAY_US)


def _is_mature(config: WorkspaceConfig, facts: Facts, outcome: Outcome) -> NDArray[np.bool_]:
    until = to_micros(facts.seen.observed_until)
    return facts.column("created_us") + _horizon_us(config, outcome) <= until


def _outcome(config: WorkspaceConfig, facts: Facts, data: TrainingData | None, outcome: Outcome) -> OutcomeCount:
    reached = facts.column(f"{outcome}_us")
    horizon = _horizon_us(config, outcome)
    mature = _is_mature(config, facts, outcome)
    found = int((mature & (reached < facts.column("created_us") + horizon)).sum())
    snapshots = int(mature.sum())
    if data is not None:
        labels = data.sql if outcome == "sql" else data.won
        found, snapshots = data.outcomes(labels), int(labels.is_mature.sum())
    until = to_micros(facts.seen.observed_until)
    recent = int(((reached > until - 91 * DAY_US) & (reached <= until)).sum())
    needed = NEEDED[outcome]
    return OutcomeCount(outcome, horizon / DAY_US, found, snapshots, needed, max(needed - found, 0), recent / 13.0)


def segment_columns(facts: Facts) -> dict[str, pd.Series]:
    """Return what leads can be told apart by: attributes known at creation with few values, the source among them.

    Named segments of the workspace file come before them once they are given as columns of the same length.
    """
    found: dict[str, pd.Series] = {}
    for name in sorted(facts.values.columns, key=lambda name: name != "source"):
        values = facts.values[name]
        if values.dtype.kind in "fi" or not 2 <= values.nunique() <= MAX_LEVELS:
            continue
        found[name] = values.astype(object).where(values.notna(), "").astype(str)
    return found


def _segment(config: WorkspaceConfig, facts: Facts, name: str, values: pd.Series) -> list[SegmentCount]:
    mature = _is_mature(config, facts, "sql")
    found: list[SegmentCount] = []
    for value, rows in values.groupby(values).groups.items():
        at = np.asarray(rows)
        if len(at) < MIN_SHARE * len(values):
            continue
        sql, won = (int(facts.outcomes[outcome][at].sum()) for outcome in ("sql", "won"))
        missing = max(SEGMENT_NEEDED - sql, 0)
        found.append(SegmentCount(name, str(value), len(at), int(mature[at].sum()), sql, won, missing))
    return sorted(found, key=lambda count: -count.leads)


def _cohorts(config: WorkspaceConfig, facts: Facts) -> tuple[CohortCount, ...]:
    moments = [from_micros(int(us)) for us in facts.column("created_us")]
    quarter = pd.Series([f"{at.year}-Q{(at.month + 2) // 3}" for at in moments], dtype=object)
    mature = {outcome: _is_mature(config, facts, outcome) for outcome in NEEDED}
    found: list[CohortCount] = []
    for name, rows in quarter.groupby(quarter).groups.items():
        at = np.asarray(rows)
        shares = (float(mature[outcome][at].mean()) for outcome in ("sql", "won"))
        counts = (int(facts.outcomes[outcome][at].sum()) for outcome in ("sql", "won"))
        found.append(CohortCount(str(name), len(at), *shares, *counts))
    return tuple(sorted(found, key=lambda count: count.quarter))
