"""What a person should know of tables that were taken in: outcomes that reach no lead, or speak against each other."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import duckdb

from crm.quarantine import count_of
from crm.tables import ENDING_STAGES

__all__ = ["gap_notes", "outcome_notes"]

LONG_GAP = timedelta(days=14)


def gap_notes(until: datetime | None, newest: datetime | None) -> list[str]:
    """Say where outcomes count as observed long after the last one was recorded.

    Parameters
    ----------
    until
        ``[outcome] observed_until``, None when it is not set.
    newest
        Newest recorded outcome, None without any.
    """
    if until is None or newest is None or until - newest <= LONG_GAP:
        return []
    return [
        f"[outcome] observed_until is {until:%Y-%m-%d}, but the newest outcome was recorded on {newest:%Y-%m-%d}: "
        "for the time between, leads without an outcome count as lost."
    ]


def outcome_notes(connection: duckdb.DuckDBPyConnection, tables: Collection[str]) -> list[str]:
    """Count outcomes that reach no lead, or speak against each other; one sentence for each kind that there is.

    Parameters
    ----------
    connection
        Where the clean tables lie.
    tables
        Names of those that there are.
    """
    asked = [
        (
            {"opportunities"},
            "SELECT count(DISTINCT opportunity_id) FROM opportunities o WHERE o.lead_id IS NULL AND NOT EXISTS "
            "(SELECT 1 FROM leads l WHERE l.account_id = o.account_id AND l.created_at < o.created_at)",
            "{n} opportunities belong to an account that had no lead before them: they are no lead's outcome.",
        ),
        (
            {"opportunities", "stages"},
            "SELECT count(DISTINCT s.lead_id) FROM stages s JOIN leads l USING (lead_id) WHERE s.stage = 'closed_won' "
            "AND NOT EXISTS (SELECT 1 FROM opportunities o WHERE o.is_won AND "
            "(o.lead_id = s.lead_id OR (o.lead_id IS NULL AND o.account_id = l.account_id)))",
            "{n} leads are closed_won in stages without a won opportunity: opportunities rule, they count as not won.",
        ),
        (
            {"stages"},
            "SELECT count(DISTINCT s.lead_id) FROM stages s JOIN leads l USING (lead_id) "
            "WHERE s.stage IN (SELECT unnest($endings)) AND s.entered_at < l.created_at",
            "{n} leads were decided before their own creation (a migration?): they count as open from it on.",
        ),
    ]
    bound = {"endings": list(ENDING_STAGES)}
    counted = [
        (count_of(connection, sql, bound if "$endings" in sql else None), words)
        for needed, sql, words in asked
        if needed <= set(tables)
    ]
    return [words.format(n=f"{count:,}") for count, words in counted if count]
