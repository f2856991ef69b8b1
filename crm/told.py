"""Taking in rows that a CRM posts or that are pulled from one: checked, idempotent by key, appended.

A row whose key is already there is a repetition; one with other content under the same key does not replace the first.
A lead's attributes become rows of ``lead_changes``, known from when they were recorded. A row without ``recorded_at``
is recorded when it arrives: before that nothing here knew of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from crm.bots import mark_bots
from crm.config import WorkspaceConfig
from crm.personal import hash_id
from crm.state_tables import TOLD
from crm.tables import TABLES, TableSchema
from crm.told_rows import ID_COLUMNS, made_touch_id, reason_against, typed_row, without_personal
from crm.told_storing import (
    Row,
    Tally,
    Told,
    as_changes,
    held_names,
    insert_new,
    parts,
    quarantine,
    store,
    store_changes,
    update_lead,
)

__all__ = ["Teller"]


def _nobody(connection: sa.Connection, lead_ids: Collection[str]) -> Collection[str]:
    del connection, lead_ids
    return ()


@dataclass(frozen=True)
class Teller:
    """Takes rows in by the rules of one workspace.

    Parameters
    ----------
    config
        The workspace file.
    id_key
        Key for hashed ids, needed when ``hash_ids = true``.
    erased
        Tells, in the transaction that would store them, which of some leads were erased.
    ids_are_held
        Ids are those under which leads are held here: rows made of rows that are here already.
    """

    config: WorkspaceConfig
    id_key: str | None = None
    erased: Callable[[sa.Connection, Collection[str]], Collection[str]] = _nobody
    ids_are_held: bool = False

    def tell(
        self, connection: sa.Connection, table: str, rows: Sequence[Mapping[str, Any]], origin: str, now_us: int
    ) -> Told:
        """Store rows of one table of the contract.

        Parameters
        ----------
        connection
            In a transaction; everything is stored with it, or nothing.
        table
            One of :data:`crm.state_tables.TOLD`.
        rows
            Columns of the contract; times as timezone-aware moments, or as microseconds under ``*_us``. Rows of
            ``leads`` may have attributes besides.
        origin
            Which way they came: ``posted``, ``hubspot``, ...
        now_us
            The clock, microseconds since 1970 UTC.
        """
        schema, tally = TABLES[table], Tally()
        clean: list[tuple[int, Row]] = []
        typed = [(number, self._typed(schema, raw, now_us, tally)) for number, raw in enumerate(rows)]
        if table == "touches":
            mark_bots(connection, [row for _, row in typed], self.config.serve.bots)
        # Before anything else: not even the quarantine keeps a row of an erased lead.
        for number, row in self._without_erased(connection, typed, tally):
            reason = reason_against(schema, row, now_us, takes_any_id=self.config.workspace.hash_ids)
            if reason:
                tally.quarantined.append((number, reason))
                quarantine(connection, schema, row, reason, (origin, now_us))
            else:
                clean.append((number, row))
        if table == "leads":
            self._tell_leads(connection, clean, tally, (origin, now_us))
        else:
            store(connection, schema, clean, tally, (origin, now_us))
        return tally.told()

    def held_id(self, lead_id: str) -> str:
        """Return the id under which a lead is held: its hash where the workspace hashes ids."""
        is_hashed = self.config.workspace.hash_ids and not self.ids_are_held
        return hash_id(lead_id, self.id_key or "") if is_hashed else lead_id

    def _typed(self, schema: TableSchema, raw: Mapping[str, Any], now_us: int, tally: Tally) -> Row:
        row = typed_row(schema, raw, now_us)
        for name in ID_COLUMNS:
            if row.get(name) is not None:
                row[name] = self.held_id(str(row[name]))
        if schema.name == "touches" and not row["touch_id"]:
            row["touch_id"] = made_touch_id(row)
        if schema.open_columns:
            kept, personal = without_personal(row["attributes"], self.config.columns.allow_personal)
            row["attributes"] = kept
            tally.personal.update(personal)
        return row

    def _without_erased(
        self, connection: sa.Connection, rows: list[tuple[int, Row]], tally: Tally
    ) -> list[tuple[int, Row]]:
        names = ("lead_id", "from_lead_id", "into_lead_id")
        gone = set(self.erased(connection, {str(row[name]) for _, row in rows for name in names if row.get(name)}))
        if not gone:
            return rows
        kept: list[tuple[int, Row]] = []
        for number, row in rows:
            if any(row.get(name) in gone for name in names):
                tally.erased.append(number)
            else:
                kept.append((number, row))
        return kept

    def _tell_leads(
        self, connection: sa.Connection, rows: list[tuple[int, Row]], tally: Tally, way: tuple[str, int]
    ) -> None:
        """Store leads, and what is new of their attributes as changes."""
        leads = TOLD["leads"]
        known = {
            str(row["lead_id"]): dict(row)
            for part in parts([row["lead_id"] for _, row in rows])
            for row in connection.execute(sa.select(leads).where(leads.c.lead_id.in_(part))).mappings()
        }
        new: dict[str, Row] = {}
        changes: list[Row] = []
        again: list[tuple[str, bool]] = []
        for number, row in rows:
            lead_id = row["lead_id"]
            before = new.get(lead_id) or known.get(lead_id)
            if before is not None and before["created_us"] != row["created_us"]:
                tally.conflicting.append(number)
                tally.named.add(lead_id)
                continue
            changes += as_changes(row)
            if before is None:
                new[lead_id] = {name: row[name] for name in held_names(leads)}
                tally.stored += 1
            else:
                again.append((lead_id, update_lead(connection, before, row, new)))
            tally.named.add(lead_id)
        insert_new(connection, leads, [{**row, "origin": way[0], "arrived_us": way[1]} for row in new.values()])
        changed = store_changes(connection, changes, way)
        tally.lead_ids.update(new, changed, (lead_id for lead_id, is_new in again if is_new))
        news = sum(is_new or lead_id in changed for lead_id, is_new in again)
        tally.stored += news
        tally.repeated += len(again) - news
