"""What a workspace lacks, and what to collect next, most useful first."""

# Ibis gives every column of a table the type Column, which has no operators.
# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crm.attributes import NO_HISTORY
from crm.config import WorkspaceConfig
from crm.known import to_micros
from crm.persons import merged_persons
from crm.recorded import hand_offs_recorded
from crm.store import Tables
from training.sentinel.facts import DAY_US, Facts

__all__ = ["AbsentTable", "absent_tables", "next_steps"]

ALLOWS = {
    "touches": "signals of what leads do; without it attributes alone rank them",
    "stages": "SQLs, and the moment at which sales decides",
    "opportunities": "amounts, expected revenue and an MQL line in money",
    "hand_offs": "the end of marketing's time, what working a lead adds, follow-up and its SLA, capacity by team",
    "lead_changes": "attributes that change, each as known at its moment",
    "lead_merges": "duplicates as one lead, from the moment at which they were merged",
    "campaigns": "cost by campaign, and what a campaign brings",
    "content": "which content helps deals, and who made it",
    "expectations": "what each team expected of a campaign, beside what came of it",
    "fx_rates": "amounts in other currencies",
}
NEEDED_LEADS = 20
MAX_NAMED = 3
WAIT_DAYS = 60.0
FEW_WITHOUT = 0.10


@dataclass(frozen=True)
class AbsentTable:
    """A table that the workspace does not have, and what it would allow."""

    table: str
    allows: str


def absent_tables(tables: Tables) -> tuple[AbsentTable, ...]:
    """List the tables that the workspace does not have."""
    return tuple(AbsentTable(name, words) for name, words in ALLOWS.items() if not tables.has(name))


def next_steps(
    tables: Tables,
    config: WorkspaceConfig,
    facts: Facts,
    missing: Mapping[str, tuple[int, int, float]],
    segments: Sequence[tuple[str, int, int, int]],
) -> tuple[str, ...]:
    """Say what to collect next, most useful first.

    Parameters
    ----------
    tables, config, facts
        The workspace.
    missing
        By outcome: leads found, leads missing, leads a week of late.
    segments
        Segments with too few SQLs: words, leads, SQLs, SQLs missing.
    """
    steps = [
        *_outcomes(config, missing),
        *_tables(tables),
        *_unanswered(tables, facts),
        *_amounts(tables, facts),
        *_histories(tables),
        *_segments(segments),
    ]
    return tuple(steps)


def _outcomes(config: WorkspaceConfig, missing: Mapping[str, tuple[int, int, float]]) -> Iterator[str]:
    _, lacking, pace = missing["sql"]
    if lacking:
        yield (
            f"{lacking} more leads with an SQL inside {config.outcome.sql_horizon_days:g} days, before which nothing "
            f"can be trained{_weeks(lacking, pace)}."
        )
    _, lacking, pace = missing["won"]
    if lacking:
        yield (
            f"{lacking} more won outcomes for a score that speaks of won{_weeks(lacking, pace)}; "
            "until then it speaks of SQL."
        )


def _weeks(lacking: int, pace: float) -> str:
    if pace <= 0:
        return ", of which none came in the last 13 weeks"
    weeks = math.ceil(lacking / pace)
    return f", about {weeks:,} week{'s' if weeks > 1 else ''} at {pace:.1f} a week"


def _tables(tables: Tables) -> Iterator[str]:
    if not tables.has("touches"):
        yield f"The table touches: {ALLOWS['touches']}."
    if not tables.has("opportunities"):
        yield f"The table opportunities: {ALLOWS['opportunities']}."
    if not tables.has("hand_offs"):
        yield f"The table hand_offs: {ALLOWS['hand_offs']}."


def _unanswered(tables: Tables, facts: Facts) -> Iterator[str]:
    """Count leads that were handed off, and of which nobody wrote down what became."""
    if not tables.has("hand_offs"):
        return
    known = to_micros(facts.seen.as_of)
    person = merged_persons(tables, known)

    def persons(lead_ids: Iterable[str]) -> pd.Series:
        return pd.Series([person.get(lead, lead) for lead in lead_ids], dtype=object)

    hand_offs = hand_offs_recorded(tables, known)
    old = to_micros(facts.seen.observed_until) - round(WAIT_DAYS * DAY_US)
    hand_offs = hand_offs.assign(person=persons(hand_offs["lead_id"]))
    by_person = hand_offs.groupby("person").agg(at=("handed_off_us", "min"), said=("disposition", "count"))
    by_person = by_person[by_person["at"] <= old]
    answered = by_person["said"] > 0
    if tables.has("stages"):
        stages = tables.table("stages")
        ended = stages.filter(
            stages["stage"].isin(["sql", "opportunity", "closed_won", "closed_lost", "disqualified", "recycled"])
        )
        ids = ended.filter(ended["recorded_us"] <= known).select("lead_id").to_pyarrow().column("lead_id").to_pylist()
        answered |= by_person.index.isin(persons(ids))
    reached = facts.leads["lead_id"][np.isfinite(facts.column("first_outcome_us"))]
    answered |= by_person.index.isin(persons(reached))
    count, total = int((~answered).sum()), len(by_person)
    if total >= NEEDED_LEADS and count > FEW_WITHOUT * total:
        yield (
            f"What became of {count:,} of the {total:,} leads handed off over {WAIT_DAYS:g} days ago: they have no "
            "later stage and no disposition, and count as not won."
        )


def _amounts(tables: Tables, facts: Facts) -> Iterator[str]:
    if not tables.has("opportunities"):
        return
    deals = tables.table("opportunities")
    deals = deals.filter((deals["recorded_us"] <= to_micros(facts.seen.as_of)) & deals["is_won"])
    frame = deals.group_by("opportunity_id").aggregate(known=deals["amount"].count()).to_pyarrow().to_pandas()
    without = int((frame["known"] == 0).sum())
    if len(frame) and without > FEW_WITHOUT * len(frame):
        yield f"The amount of {without:,} of {len(frame):,} won opportunities: without it expected revenue is a guess."


def _histories(tables: Tables) -> Iterator[str]:
    unused = [attribute.name for attribute in tables.attributes if attribute.refused == NO_HISTORY]
    if unused:
        shown = ", ".join(unused[:MAX_NAMED]) + (
            f" and {len(unused) - MAX_NAMED} more" if len(unused) > MAX_NAMED else ""
        )
        count = f"{len(unused)} attribute{'s' if len(unused) > 1 else ''}"
        yield f"The history of {count} in lead_changes, or the value at creation: {shown}. Today none of it is used."


def _segments(segments: Sequence[tuple[str, int, int, int]]) -> Iterator[str]:
    largest = sorted(segments, key=lambda segment: -segment[1])[:MAX_NAMED]
    for words, leads, sql, lacking in largest:
        yield f"{lacking} more SQLs in {words} ({leads:,} leads, {sql:,} SQLs) to judge it on its own."
