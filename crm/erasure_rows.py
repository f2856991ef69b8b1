"""Erasing leads from the tables of the state: their own rows, and what others say of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from crm.naming import Naming
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
    for table, columns, emptied in _TEXTS:
        found = _rows_naming(connection, table, columns, naming)
        counts[table.name] = counts.get(table.name, 0) + len(found)
        if not dry_run:
            for row in found:
                _empty(connection, table, row, emptied, naming)
    return {f"state/{name}": count for name, count in counts.items() if count}


def stop_scoring(connection: sa.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Delete the scores of some leads that are in force or under way; what was issued stays in the ledger."""
    counts: dict[str, int] = {}
    for table in _OF_SCORING:
        condition = _of(table, ids)
        counts[table.name] = _count(connection, table, condition)
        connection.execute(sa.delete(table).where(condition))
    return {f"state/{name}": count for name, count in counts.items() if count}


# Tables whose texts may name a lead; what each text becomes, or None where the whole row goes.
_TEXTS: tuple[tuple[sa.Table, tuple[str, ...], Mapping[str, Any] | None], ...] = (
    (TOLD_QUARANTINE, ("key", "content", "reason"), None),
    (HOOK_EVENTS, ("body", "answer", "last_error"), {"body": None, "answer": "{}", "last_error": None}),
    # What is told to a CRM holds no ids (crm.outbox.PAYLOAD), only numbers that look like one: emptied for
    # the lead '1', it would stop everything that is told after it.
    (OUTBOX, ("last_error",), {"last_error": None}),
    (DEAD_LETTERS, ("message",), {"message": ""}),
)


def _of(table: sa.Table, ids: Sequence[str]) -> sa.ColumnElement[bool]:
    """Return which rows of a table are those of some leads."""
    return sa.or_(*(table.c[name].in_(ids) for name in _LEAD_COLUMNS if name in table.c))


def _count(connection: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(condition)).scalar_one())


def _rows_naming(
    connection: sa.Connection, table: sa.Table, columns: Sequence[str], naming: Naming
) -> list[Mapping[str, Any]]:
    """Return the rows of which a text names a lead: the database looks for the letters, we for the word."""
    roughly = sa.or_(*(table.c[name].contains(form, autoescape=True) for name in columns for form in naming.forms))
    rows = connection.execute(sa.select(table).where(roughly)).mappings()
    return [dict(row) for row in rows if any(naming.is_in(row[name]) for name in columns)]


def _empty(
    connection: sa.Connection,
    table: sa.Table,
    row: Mapping[str, Any],
    emptied: Mapping[str, Any] | None,
    naming: Naming,
) -> None:
    here = sa.and_(*(column == row[column.name] for column in table.primary_key))
    if emptied is None:
        connection.execute(sa.delete(table).where(here))
        return
    values = {name: value for name, value in emptied.items() if naming.is_in(row[name])}
    if "body" in values:
        values["next_try_us"] = None  # a webhook that is emptied is not worked on any more
    connection.execute(sa.update(table).where(here).values(values))
