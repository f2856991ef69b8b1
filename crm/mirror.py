"""A copy of the source's rows on this machine, indexed by lead: what the service reads beside its own state.

It can be made anew at any time, so it is replaced as a whole: a reader sees the old copy or the new one.
"""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from crm.config import Workspace
from crm.expressions import columns_of
from crm.lead_files import placing_leads, unfinished_of
from crm.mirror_leads import delete_leads, leads_in
from crm.parsing import quote
from crm.progress import Progress
from crm.state_tables import contract_table
from crm.store import Tables
from crm.tables import TABLES

__all__ = ["MIRRORED", "mirror_path", "open_mirror", "write_mirror"]

_METADATA = sa.MetaData()
MIRRORED = {
    name: contract_table(TABLES[name], _METADATA)
    for name in ("leads", "lead_changes", "lead_merges", "touches", "stages", "opportunities", "hand_offs")
}
"""The contract's tables; ``leads`` has its attributes as JSON."""
MIRRORED["leads"].append_column(sa.Column("attributes", sa.Text))
ROWS_AT_A_TIME = 100_000


def mirror_path(workspace: Workspace) -> Path:
    """Return where a workspace's copy lies."""
    return workspace.folder / ".kizashi" / "history.db"


def write_mirror(workspace: Workspace, tables: Tables, progress: Progress) -> None:
    """Replace the copy by the rows of ``tables`` that come from the source.

    Of touches only those by leads are kept: nothing that is scored reads the others. Leads that were erased since
    ``tables`` were taken in are left out.
    """
    path = mirror_path(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = unfinished_of(path)
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    with progress.step("Copying history") as step:
        connection = sqlite3.connect(unfinished)
        try:
            count = _fill(connection, tables)
            with placing_leads(workspace) as erased:
                if erased is not None and (gone := erased(leads_in(connection))):
                    delete_leads(connection, gone)
                unfinished.replace(path)
        finally:
            connection.close()
            unfinished.unlink(missing_ok=True)
        step.note(f"{count:,} rows")


def _fill(connection: sqlite3.Connection, tables: Tables) -> int:
    # The file is renamed once it is whole: what is cut short is made anew.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    dialect = sa.create_engine("sqlite://").dialect
    count = 0
    for name, table in MIRRORED.items():
        connection.execute(str(CreateTable(table).compile(dialect=dialect)))
        if tables.has(name):
            for rows in _batches(tables, name, [column.name for column in table.columns]):
                marks = ", ".join("?" * len(table.columns))
                connection.executemany(f"INSERT INTO {quote(name)} VALUES ({marks})", rows)
                count += len(rows)
        for index in table.indexes:
            connection.execute(str(CreateIndex(index).compile(dialect=dialect)))
    connection.execute("ANALYZE")
    connection.commit()
    return count


def _batches(tables: Tables, name: str, columns: list[str]) -> Iterator[list[tuple[Any, ...]]]:
    own = {"arrived_us": "recorded_us", "origin": "'source'", "attributes": "''"}
    found = set(tables.table(name).columns)
    wanted = [
        own.get(column, quote(column) if column in found else "NULL") for column in columns if column != "attributes"
    ]
    if name == "lead_changes":
        wanted[columns.index("value")] = _value_sql(tables)
    attributes = _columns_of_leads(tables) if name == "leads" else []
    sql = f"SELECT {', '.join([*wanted, *map(quote, attributes)])} FROM {name} WHERE arrived_us IS NULL"
    if name == "touches":
        sql += " AND actor = 'lead'"
    connection: Any = tables.backend
    reader: Any = connection.con.cursor().sql(sql).to_arrow_reader(ROWS_AT_A_TIME)
    for batch in reader:
        lists = [column.to_pylist() for column in batch.columns]
        rows = list(zip(*lists[: len(wanted)], strict=True))
        if name == "leads":
            rows = [
                (*row, json.dumps(dict(zip(attributes, values, strict=True)), ensure_ascii=False))
                for row, *values in zip(rows, *lists[len(wanted) :], strict=True)
            ]
        yield rows


def _columns_of_leads(tables: Tables) -> list[str]:
    """Name the attributes whose column says something of every moment: at creation, or for rules of [exclude] today."""
    ruled = columns_of(tables.exclude.values())
    return [
        a.name
        for a in tables.attributes
        if (a.known_at_creation and not a.refused)
        or (a.name in ruled and not a.has_history and a.name in tables.table("leads").columns)
    ]


def _value_sql(tables: Tables) -> str:
    """Write yes and no as numbers, as which attributes of that type are read."""
    flags = [a.name.replace("'", "''") for a in tables.used_attributes if a.type == "boolean" and a.has_history]
    if not flags:
        return "value"
    names = ", ".join(f"'{name}'" for name in flags)
    return (
        f"CASE WHEN field IN ({names}) THEN CAST(CAST(TRY_CAST(value AS BOOLEAN) AS INTEGER) AS VARCHAR) ELSE value END"
    )


def open_mirror(workspace: Workspace) -> sqlite3.Connection | None:
    """Open the copy for reading; None while there is none."""
    path = mirror_path(workspace)
    if not path.is_file():
        return None
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection
