"""Rows that the service holds, by lead: the copy of the source and what was told since, joined as training joins them.

Of two rows of one key the source's counts, and times and values are read as the tables for training read them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

import sqlalchemy as sa

from crm.config import Workspace
from crm.known import follow_merges
from crm.mirror import mirror_path, open_mirror
from crm.state import State
from crm.state_tables import TOLD

__all__ = ["HeldRows"]

Row = dict[str, Any]
LOOKED_UP = 400


@dataclass
class HeldRows:
    """Reads rows of leads that are held here.

    Parameters
    ----------
    workspace
        Whose copy of the source.
    state
        Where posted and pulled rows lie.
    """

    workspace: Workspace
    state: State
    _mirror: sqlite3.Connection | None = None
    _mirror_stamp: tuple[int, int] | None = None
    _merges: list[tuple[str, str, int]] | None = None
    _lock: RLock = field(default_factory=RLock)

    def refresh(self) -> bool:
        """Open the source's copy again if it was replaced; tell whether it was."""
        path = mirror_path(self.workspace)
        stamp = (path.stat().st_ino, path.stat().st_mtime_ns) if path.is_file() else None
        with self._lock:
            if stamp == self._mirror_stamp:
                return False
            if self._mirror is not None:
                self._mirror.close()
            self._mirror, self._mirror_stamp, self._merges = open_mirror(self.workspace), stamp, None
            return True

    def forget_merges(self) -> None:
        """Read merges anew the next time: one was told."""
        self._merges = None

    def close(self) -> None:
        """Close the copy; the state is its owner's to close."""
        if self._mirror is not None:
            self._mirror.close()

    def rows(self, name: str, column: str, wanted: Collection[str]) -> list[Row]:
        """Return the rows of a table of the contract whose ``column`` is one of ``wanted``, oldest recorded first.

        Times are microseconds since 1970 UTC under ``*_us``. Rows of ``leads`` have ``attributes``: their values at
        creation by name, as far as these are known.
        """
        if not wanted:
            return []
        found = self._copied(name, column, wanted)
        key = [c.name for c in TOLD[name].primary_key]
        there = {tuple(row[part] for part in key) for row in found}
        told = [row for row in self._told(name, column, wanted) if tuple(row[part] for part in key) not in there]
        rows = [*found, *told]
        if name == "leads":
            for row in rows:
                row["attributes"] = _attributes(row)
        elif name == "lead_changes":
            rows.sort(key=lambda row: row["recorded_us"])
        return rows

    def merges(self) -> Sequence[tuple[str, str, int]]:
        """Return every merge, chains followed: from, into, and when it was known, microseconds since 1970 UTC."""
        with self._lock:
            if self._merges is None:
                links: dict[str, list[tuple[str, int]]] = {}
                for row in self._all_merges():
                    links.setdefault(row["from_lead_id"], []).append((row["into_lead_id"], row["recorded_us"]))
                self._merges = follow_merges(links)
            return self._merges

    def lead_ids(self, after: str, limit: int) -> list[str]:
        """Return up to ``limit`` ids of leads that are held here, in order, from behind ``after`` on."""
        leads = TOLD["leads"]
        query = sa.select(leads.c.lead_id).where(leads.c.lead_id > after).order_by(leads.c.lead_id).limit(limit)
        with self.state.reading() as connection:
            found = {str(row[0]) for row in connection.execute(query)}
        with self._lock:
            if self._mirror is not None:
                sql = "SELECT lead_id FROM leads WHERE lead_id > ? ORDER BY lead_id LIMIT ?"
                with closing(self._mirror.execute(sql, (after, limit))) as rows:
                    found |= {str(row[0]) for row in rows}
        return sorted(found)[:limit]

    def accounts_of(self, connection: sa.Connection, lead_ids: Collection[str]) -> set[str]:
        """Return the accounts of some leads, as a transaction that has just stored rows sees them."""
        found = {row["account_id"] for row in self._copied("leads", "lead_id", lead_ids)}
        found |= {row["account_id"] for row in _select(connection, "leads", "lead_id", lead_ids)}
        return found - {None}

    def _copied(self, name: str, column: str, wanted: Collection[str]) -> list[Row]:
        with self._lock:
            if self._mirror is None:
                return []
            found: list[Row] = []
            for part in _parts(wanted):
                marks = ", ".join("?" * len(part))
                # Names are the contract's own; values are bound.
                sql = f"SELECT * FROM {name} WHERE {column} IN ({marks})"  # noqa: S608
                with closing(self._mirror.execute(sql, part)) as rows:
                    found += [dict(row) for row in rows]
            return found

    def _told(self, name: str, column: str, wanted: Collection[str]) -> Iterator[Row]:
        with self.state.reading() as connection:
            yield from _select(connection, name, column, wanted)

    def _all_merges(self) -> Iterable[Row]:
        table = TOLD["lead_merges"]
        with self.state.reading() as connection:
            told = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
        copied: list[Row] = []
        if self._mirror is not None:
            with closing(self._mirror.execute("SELECT * FROM lead_merges")) as rows:
                copied = [dict(row) for row in rows]
        there = {(row["from_lead_id"], row["recorded_us"]) for row in copied}
        return [*copied, *(row for row in told if (row["from_lead_id"], row["recorded_us"]) not in there)]


def _select(connection: sa.Connection, name: str, column: str, wanted: Collection[str]) -> Iterator[Row]:
    table = TOLD[name]
    for part in _parts(wanted):
        rows = connection.execute(sa.select(table).where(table.c[column].in_(part))).mappings()
        yield from (dict(row) for row in rows)


def _attributes(lead: Row) -> Mapping[str, Any]:
    given: dict[str, Any] = json.loads(lead.get("attributes") or "{}")
    return given if "source" in given else {**given, "source": lead["source"]}


def _parts(wanted: Collection[str]) -> Iterator[list[str]]:
    values = sorted(wanted)
    for start in range(0, len(values), LOOKED_UP):
        yield values[start : start + LOOKED_UP]
