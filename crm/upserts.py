"""INSERT ... ON CONFLICT, which SQLite and PostgreSQL spell alike and SQLAlchemy offers for each of them."""

from __future__ import annotations

from typing import TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["Insert", "insert_for", "insert_into"]

Insert: TypeAlias = postgresql.Insert | sqlite.Insert


def insert_into(connection: sa.Connection, table: sa.Table) -> Insert:
    """Return an INSERT of the connection's own database, with ``on_conflict_do_update`` and ``excluded``."""
    return insert_for(connection.dialect.name, table)


def insert_for(database: str, table: sa.Table) -> Insert:
    """Return an INSERT of a database by the name of its dialect, for statements that are made once and kept."""
    return postgresql.insert(table) if database == "postgresql" else sqlite.insert(table)
