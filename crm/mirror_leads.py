"""Leads in the copy of the source, whichever of its tables name them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from crm.naming import LEAD_COLUMNS
from crm.parsing import quote

__all__ = ["counts_of", "delete_leads", "lead_tables", "leads_in"]


def lead_tables(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Return the tables that have columns of leads, each with these columns."""
    names = [str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found: dict[str, list[str]] = {}
    for name in names:
        columns = [str(row[1]) for row in connection.execute(f"PRAGMA table_info({quote(name)})")]
        if present := [column for column in LEAD_COLUMNS if column in columns]:
            found[name] = present
    return found


def leads_in(connection: sqlite3.Connection) -> list[str]:
    """Return the ids of all leads that any table names."""
    each = " UNION ".join(
        f"SELECT {quote(column)} FROM {quote(table)} WHERE {quote(column)} IS NOT NULL"
        for table, columns in lead_tables(connection).items()
        for column in columns
    )
    return [str(row[0]) for row in connection.execute(each)] if each else []


def counts_of(connection: sqlite3.Connection, ids: Collection[str]) -> dict[str, int]:
    """Return the number of rows of some leads by table."""
    counts: dict[str, int] = {}
    for table, where in _conditions(connection):
        counted = connection.execute(f"SELECT count(*) FROM {quote(table)} WHERE {where}", _bound(ids))
        counts[table] = int(counted.fetchone()[0])
    return counts


def delete_leads(connection: sqlite3.Connection, ids: Collection[str]) -> None:
    """Delete the rows of some leads; what was deleted is in no page of the file afterwards.

    Parameters
    ----------
    connection
        Outside a transaction.
    ids
        Of the leads.
    """
    for table, where in _conditions(connection):
        connection.execute(f"DELETE FROM {quote(table)} WHERE {where}", _bound(ids))
    connection.commit()
    connection.execute("VACUUM")


def _conditions(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return each table with the SQL that is true for the rows of some leads."""
    chosen = "(SELECT value FROM json_each(:ids))"
    return [
        (table, " OR ".join(f"{quote(column)} IN {chosen}" for column in columns))
        for table, columns in lead_tables(connection).items()
    ]


def _bound(ids: Collection[str]) -> dict[str, str]:
    return {"ids": json.dumps(sorted(ids))}
