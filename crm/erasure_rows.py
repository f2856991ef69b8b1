"""Erasing leads from the tables of the state: their own rows, and what others say of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from crm.naming import Naming, leads_of_row
from crm.pull_places import forget_places
from crm.state_tables import (
    CURRENT_SCORES,
    DEAD_LETTERS,
    HOOK_EVENTS,
    LEDGER,
    OUTBOX,
    PUSHED,
    RESCORE_QUEUE,
    SHADOW_SCORES,
    TOLD,
    TOLD_QUARANTINE,
)

__all__ = ["erase_rows", "linked_leads", "stop_scoring"]

_OF_LEADS = (LEDGER, SHADOW_SCORES, CURRENT_SCORES, RESCORE_QUEUE, OUTBOX, DEAD_LETTERS, PUSHED)
_OF_SCORING = (CURRENT_SCORES, RESCORE_QUEUE, OUTBOX, DEAD_LETTERS)
_LEAD_COLUMNS = ("lead_id", "from_lead_id", "into_lead_id")


def linked_leads(
    connection: sa.Connection, ids: Collection[str], merges: Collection[tuple[str, str]] = ()
) -> list[str]:
    """Return some leads and every lead of the same persons, by merges of the state and others, in order of ids.

    Parameters
    ----------
    connection
        Of the state.
    ids
        Of the leads.
    merges
        Further pairs of leads that are one person.
    """
    table = TOLD["lead_merges"]
    found, new = set(ids), set(ids)
    while new:
        told = connection.execute(
            sa.select(table.c.from_lead_id, table.c.into_lead_id).where(
                sa.or_(table.c.from_lead_id.in_(new), table.c.into_lead_id.in_(new))
            )
        )
        pairs = [(str(row[0]), str(row[1])) for row in told]
        pairs += [pair for pair in merges if new & set(pair)]
        new = {lead for pair in pairs for lead in pair} - found
        found |= new
    return sorted(found)


def erase_rows(connection: sa.Connection, ids: Sequence[str], *, dry_run: bool) -> dict[str, int]:
    """Delete every row of some leads and empty every text that names them; return the counts by table.

    Parameters
    ----------
    connection
        A transaction that writes, or with ``dry_run`` any.
    ids
        Of the leads.
    dry_run
        Count and change nothing.
    """
    counts: dict[str, int] = {}
    for table in (*TOLD.values(), *_OF_LEADS):
        condition = _of(table, ids)
        counts[table.name] = _count(connection, table, condition)
        if not dry_run and counts[table.name]:
            connection.execute(sa.delete(table).where(condition))
    naming = Naming(ids)
    unusable = _unusable_rows(connection, set(ids), naming)
    counts[TOLD_QUARANTINE.name] = len(unusable)
    if not dry_run:
        for seq in unusable:
            connection.execute(sa.delete(TOLD_QUARANTINE).where(TOLD_QUARANTINE.c.seq == seq))
        forget_places(connection, naming)
    for table, column, emptied in _MESSAGES:
        found = _rows_naming(connection, table, column, naming)
        counts[table.name] = counts.get(table.name, 0) + len(found)
        if not dry_run:
            for row in found:
                here = sa.and_(*(key == row[key.name] for key in table.primary_key))
                connection.execute(sa.update(table).where(here).values({column: emptied}))
    return {f"state/{name}": count for name, count in counts.items() if count}


def stop_scoring(connection: sa.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Delete the scores of some leads that are in force or under way; what was issued stays in the ledger."""
    counts: dict[str, int] = {}
    for table in _OF_SCORING:
        condition = _of(table, ids)
        counts[table.name] = _count(connection, table, condition)
        connection.execute(sa.delete(table).where(condition))
    return {f"state/{name}": count for name, count in counts.items() if count}


# Words of a CRM or of ours that may name a lead, and what each becomes. Payloads of the outbox hold no ids
# (crm.outbox.PAYLOAD), only numbers that look like one.
_MESSAGES: tuple[tuple[sa.Table, str, str | None], ...] = (
    (HOOK_EVENTS, "last_error", None),
    (OUTBOX, "last_error", None),
    (DEAD_LETTERS, "message", ""),
)


def _of(table: sa.Table, ids: Sequence[str]) -> sa.ColumnElement[bool]:
    """Return which rows of a table are those of some leads."""
    return sa.or_(*(table.c[name].in_(ids) for name in _LEAD_COLUMNS if name in table.c))


def _count(connection: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(condition)).scalar_one())


def _unusable_rows(connection: sa.Connection, ids: Collection[str], naming: Naming) -> list[int]:
    """Return the numbers of the rows in quarantine that are about some leads."""
    content = TOLD_QUARANTINE.c.content
    rows = connection.execute(sa.select(TOLD_QUARANTINE.c.seq, content).where(_roughly(content, naming)))
    return [row.seq for row in rows if leads_of_row(row.content) & set(ids)]


def _rows_naming(connection: sa.Connection, table: sa.Table, column: str, naming: Naming) -> list[Mapping[str, Any]]:
    """Return the rows whose text names a lead: the database looks for the letters, we for the word."""
    rows = connection.execute(sa.select(table).where(_roughly(table.c[column], naming))).mappings()
    return [dict(row) for row in rows if naming.is_in(row[column])]


def _roughly(column: sa.ColumnElement[str], naming: Naming) -> sa.ColumnElement[bool]:
    return sa.or_(*(column.contains(form, autoescape=True) for form in naming.forms))
