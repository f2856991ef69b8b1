"""Storing rows that were told: new ones appended, repetitions and conflicts told apart, by key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from crm.attribute_text import attribute_text
from crm.state_tables import TOLD, TOLD_QUARANTINE, micros_name
from crm.tables import TableSchema
from crm.told_rows import OWN, PERSONAL_ID, held_name
from crm.upserts import insert_into

__all__ = [
    "Row",
    "Tally",
    "Told",
    "as_changes",
    "held_names",
    "insert_new",
    "parts",
    "quarantine",
    "store",
    "store_changes",
    "update_lead",
]

Row = dict[str, Any]
LOOKED_UP = 400
"""Keys in one query; SQLite takes a bounded number of values."""


@dataclass(frozen=True)
class Told:
    """What became of rows that were told.

    Parameters
    ----------
    stored, repeated
        Rows that are new, and rows that were there already.
    conflicting
        Positions of rows whose key was there with other content, which stays.
    quarantined
        Positions of rows that cannot be used, with the reason.
    erased
        Positions of rows of leads that were erased; nothing of them was kept.
    lead_ids
        Leads of which something new is known, as they are held here.
    named
        Leads of every row that is here now, new or not.
    personal
        Names of attributes that are personal data, which were not kept.
    """

    stored: int = 0
    repeated: int = 0
    conflicting: tuple[int, ...] = ()
    quarantined: tuple[tuple[int, str], ...] = ()
    erased: tuple[int, ...] = ()
    lead_ids: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    personal: frozenset[str] = frozenset()


@dataclass
class Tally:
    """What is found about rows while they are taken in."""

    stored: int = 0
    repeated: int = 0
    conflicting: list[int] = field(default_factory=list)
    quarantined: list[tuple[int, str]] = field(default_factory=list)
    erased: list[int] = field(default_factory=list)
    lead_ids: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    personal: set[str] = field(default_factory=set)

    def told(self) -> Told:
        """Return what was found, as it is answered."""
        return Told(
            self.stored,
            self.repeated,
            tuple(self.conflicting),
            tuple(self.quarantined),
            tuple(self.erased),
            frozenset(self.lead_ids),
            frozenset(self.named),
            frozenset(self.personal),
        )


def update_lead(connection: sa.Connection, before: Row, row: Row, new: dict[str, Row]) -> bool:
    """Take over an account or a source that is told later: a CRM learns the company after the person. Tell if so."""
    later = {"account_id": row["account_id"]} if row["account_id"] not in (None, before["account_id"]) else {}
    if before["source"] is None and row["source"] is not None:
        later["source"] = row["source"]
    if not later:
        return False
    if row["lead_id"] in new:
        new[row["lead_id"]].update(later)
    else:
        leads = TOLD["leads"]
        connection.execute(sa.update(leads).where(leads.c.lead_id == row["lead_id"]).values(**later))
    return True


def as_changes(row: Row) -> list[Row]:
    """Return the attributes of a lead as rows of ``lead_changes``, recorded when the lead's row was."""
    return [
        {
            "lead_id": row["lead_id"],
            "field": name,
            "value": attribute_text(value),
            "recorded_us": row["recorded_us"],
            "changed_by_team": None,
        }
        for name, value in row["attributes"].items()
    ]


def store_changes(connection: sa.Connection, changes: list[Row], way: tuple[str, int]) -> set[str]:
    """Store the changes that change something, and name their leads; before each is the newest recorded by then."""
    table = TOLD["lead_changes"]
    history: dict[tuple[str, str], list[tuple[int, str | None]]] = {}
    for part in parts(list({change["lead_id"] for change in changes})):
        columns = (table.c.lead_id, table.c.field, table.c.recorded_us, table.c.value)
        for lead_id, name, at, value in connection.execute(sa.select(*columns).where(table.c.lead_id.in_(part))):
            history.setdefault((lead_id, name), []).append((at, value))
    new: list[Row] = []
    for change in changes:
        past = history.setdefault((change["lead_id"], change["field"]), [])
        before = max((one for one in past if one[0] <= change["recorded_us"]), default=(0, None))
        if change["value"] != before[1] and before[0] != change["recorded_us"]:
            past.append((change["recorded_us"], change["value"]))
            new.append({**change, "origin": way[0], "arrived_us": way[1]})
    insert_new(connection, table, new)
    return {change["lead_id"] for change in new}


def store(
    connection: sa.Connection,
    schema: TableSchema,
    rows: list[tuple[int, Row]],
    tally: Tally,
    way: tuple[str, int],
) -> None:
    """Append the rows whose key is new, and note in ``tally`` what became of each; ``way`` is origin and arrival."""
    table = TOLD[schema.name]
    names = held_names(table)
    keys = [column.name for column in table.primary_key]
    if schema.versions:
        _recorded_as_before(connection, table, keys[0], rows)
    there = _there(connection, table, keys, names, [row for _, row in rows])
    new: dict[tuple[Any, ...], Row] = {}
    for number, row in rows:
        tally.named.update(_leads_of(row))
        content = {name: row[name] for name in names}
        key = tuple(row[name] for name in keys)
        before = new.get(key) or there.get(key)
        if before is None:
            new[key] = content
            tally.stored += 1
            tally.lead_ids.update(_leads_of(row))
        elif _is_same(before, content, is_recorded_given=row["is_recorded_given"]):
            tally.repeated += 1
        else:
            tally.conflicting.append(number)
    insert_new(connection, table, [{**row, "origin": way[0], "arrived_us": way[1]} for row in new.values()])


def _leads_of(row: Row) -> set[str]:
    return {str(row[name]) for name in ("lead_id", "from_lead_id", "into_lead_id") if row.get(name)}


def _is_same(before: Row, content: Row, *, is_recorded_given: bool) -> bool:
    """Compare two rows of one key; of a row that does not say when it was recorded, the first arrival counts."""
    ignored = () if is_recorded_given else ("recorded_us",)
    return all(before[name] == value for name, value in content.items() if name not in ignored)


def _recorded_as_before(connection: sa.Connection, table: sa.Table, key: str, rows: list[tuple[int, Row]]) -> None:
    """Give a version that is told again, without saying when it was recorded, the moment of its first arrival."""
    undated = [row for _, row in rows if not row["is_recorded_given"]]
    newest: dict[str, Row] = {}
    for part in parts([row[key] for row in undated]):
        found = connection.execute(sa.select(table).where(table.c[key].in_(part)).order_by(table.c.recorded_us))
        newest |= {one[key]: dict(one) for one in found.mappings()}
    for row in undated:
        before = newest.get(row[key])
        if before is not None and _is_same(
            before, {n: row[n] for n in before if n not in OWN}, is_recorded_given=False
        ):
            row["recorded_us"] = before["recorded_us"]


def _there(
    connection: sa.Connection, table: sa.Table, keys: Sequence[str], names: Sequence[str], rows: Iterable[Row]
) -> dict[tuple[Any, ...], Row]:
    found: dict[tuple[Any, ...], Row] = {}
    columns = [table.c[name] for name in names]
    for part in parts(list({row[keys[0]] for row in rows})):
        # By the first column of the key, which every table has an index on.
        for one in connection.execute(sa.select(*columns).where(table.c[keys[0]].in_(part))).mappings():
            found[tuple(one[name] for name in keys)] = dict(one)
    return found


def insert_new(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Append rows; one whose key another process has just written is left out."""
    if not rows:
        return
    connection.execute(insert_into(connection, table).on_conflict_do_nothing(), list(rows))


def quarantine(connection: sa.Connection, schema: TableSchema, row: Row, reason: str, way: tuple[str, int]) -> None:
    """Keep a row that cannot be used with the reason; where an id is personal data, the reason alone."""
    is_plain = reason != PERSONAL_ID
    content = {name: row.get(name) for name in map(held_name, schema.columns)}
    keys = [micros_name(name) if name.endswith("_at") else name for name in schema.key]
    connection.execute(
        sa.insert(TOLD_QUARANTINE),
        {
            "table": schema.name,
            "key": "|".join(str(row.get(name) or "") for name in keys) if is_plain else None,
            "reason": reason,
            "content": json.dumps(content, ensure_ascii=False, default=str) if is_plain else None,
            "origin": way[0],
            "arrived_us": way[1],
        },
    )


def held_names(table: sa.Table) -> list[str]:
    """Return the columns that come from outside."""
    return [column.name for column in table.columns if column.name not in OWN]


def parts(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Yield the distinct values in parts of :data:`LOOKED_UP`, which one query can take."""
    distinct = list(dict.fromkeys(values))
    for start in range(0, len(distinct), LOOKED_UP):
        yield distinct[start : start + LOOKED_UP]
