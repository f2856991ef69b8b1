"""Rows of leads that no table may hold: erased ones, and for whatever trains or scores those that object."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import duckdb

from crm.parsing import quote
from crm.tables import TableSchema

__all__ = ["LeftOut"]

_COLUMNS = ("lead_id", "from_lead_id", "into_lead_id")


class LeftOut:
    """Takes rows out of ``staged`` before anything is made of them, so that not even the quarantine names their leads.

    Parameters
    ----------
    erased
        Returns those of some leads that are to be left out.
    """

    def __init__(self, erased: Callable[[Sequence[str]], set[str]]) -> None:
        self._erased = erased
        self._judged: set[str] = set()
        self._gone: set[str] = set()
        self.rows = 0

    def drop(self, connection: duckdb.DuckDBPyConnection, schema: TableSchema) -> int:
        """Delete the rows of such leads from the table ``staged`` and return their number."""
        columns = [name for name in _COLUMNS if name in schema.column_names]
        if not columns:
            return 0
        each = " UNION ".join(f"SELECT {quote(name)} FROM staged WHERE {quote(name)} IS NOT NULL" for name in columns)
        found = {str(row[0]) for row in connection.execute(each).fetchall()}
        self._gone |= self._erased(sorted(found - self._judged))
        self._judged |= found
        gone = sorted(found & self._gone)
        if not gone:
            return 0
        where = " OR ".join(f"{quote(name)} IN (SELECT unnest($gone))" for name in columns)
        dropped = int(connection.execute(f"DELETE FROM staged WHERE {where}", {"gone": gone}).fetchall()[0][0])
        self.rows += dropped
        return dropped

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of it: how many rows, never whose."""
        if not self.rows:
            return ()
        return (f"{self.rows:,} rows of leads that were erased, or that object, were left out.",)
