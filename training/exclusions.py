"""What the rules of ``[exclude]`` leave out, and whether one of them knows the outcome."""

# pandas-stubs types a column of a frame as all that it may be.
# Ibis gives every column of a table the type Column, which has no operators.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from crm.known import to_micros
from crm.outcomes import Observation, outcome_events
from crm.rules import columns_of_today, excluded_at
from crm.store import Tables

__all__ = ["ExcludedLeads", "count_excluded", "exclusion_notes"]

# A rule that picks buyers out this often is looked at; with fewer outcomes than this, rates say nothing.
TIMES, MIN_OUTCOMES = 2.0, 5


@dataclass(frozen=True)
class ExcludedLeads:
    """The leads that one rule leaves out, as known at the end of the run; a lead counts for the first rule it meets.

    Parameters
    ----------
    rule
        Name in ``[exclude]``.
    leads
        How many leads it leaves out.
    sql
        How many of them reached an SQL.
    columns_of_today
        Columns that it reads and that have no history: by these it leaves a lead out at every moment.
    other_leads, other_sql
        The same counts over the leads that no rule leaves out.
    """

    rule: str
    leads: int
    sql: int
    columns_of_today: tuple[str, ...]
    other_leads: int
    other_sql: int

    @property
    def knows_outcome(self) -> bool:
        """Whether it picks out leads that became SQLs, by columns that may have been set because they did."""
        expected = self.leads * self.other_sql / max(self.other_leads, 1)
        return bool(self.columns_of_today) and self.sql >= MIN_OUTCOMES and self.sql > TIMES * expected


def count_excluded(tables: Tables, seen: Observation, events: pd.DataFrame | None = None) -> tuple[ExcludedLeads, ...]:
    """Count the leads that each rule leaves out, as known at ``seen.as_of``.

    Parameters
    ----------
    tables
        The workspace's tables, with the rules.
    seen
        The run's moment.
    events
        As :func:`crm.outcomes.outcome_events` gives them for that moment; looked up when not given.
    """
    if not tables.exclude:
        return ()
    moment = to_micros(seen.as_of)
    leads = tables.table("leads")
    ids = leads.filter(leads["created_us"] <= moment).lead_id.to_pyarrow()
    count = len(ids)
    rule = excluded_at(
        tables,
        pa.table(
            {"row_id": pa.array(np.arange(count)), "lead_id": ids, "as_of_us": pa.array([moment] * count, pa.int64())}
        ),
    )
    events = outcome_events(tables, seen.as_of) if events is None else events
    reached = np.isin(
        np.asarray(ids.to_pylist(), dtype=object), events.loc[events["outcome"] == "sql", "lead_id"].unique()
    )
    is_other = pd.isna(rule)
    return tuple(
        ExcludedLeads(
            name,
            int((rule == name).sum()),
            int(reached[rule == name].sum()),
            columns_of_today(tables, text),
            int(is_other.sum()),
            int(reached[is_other].sum()),
        )
        for name, text in tables.exclude.items()
    )


def exclusion_notes(excluded: tuple[ExcludedLeads, ...]) -> list[str]:
    """Say which rules seem to know the outcome, one sentence each."""
    total = sum(one.sql for one in excluded) + (excluded[0].other_sql if excluded else 0)
    return [
        f"Rule '{one.rule}' of [exclude] leaves out {one.sql:,} of {total:,} leads with an SQL, by what "
        f"{', '.join(one.columns_of_today)} says today. If buying sets it, the model learns from the others alone: "
        "give its history in lead_changes."
        for one in excluded
        if one.knows_outcome
    ]
