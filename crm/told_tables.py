"""What was told to the service as tables of the contract: a source like any other, both clocks kept."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa
import sqlalchemy as sa

from crm.state import State
from crm.state_tables import EXPECTATIONS, TOLD, micros_name
from crm.tables import TABLES

__all__ = ["told_tables"]

_TYPES = {
    "text": pa.string(),
    "time": pa.timestamp("us", "UTC"),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}
ROWS_AT_A_TIME = 50_000


def told_tables(state: State, *, always: Collection[str] = ()) -> Mapping[str, pa.Table]:
    """Return every row that was posted or pulled, by table; a table without rows is left out.

    Parameters
    ----------
    state
        The service's state.
    always
        Tables that are there without rows, too.

    Returns
    -------
    Mapping
        Tables with the contract's columns and ``arrived_us``, microseconds since 1970 UTC, all read at one moment.
    """
    found: dict[str, pa.Table] = {}
    with state.reading() as connection:
        for name, table in (*TOLD.items(), ("expectations", EXPECTATIONS)):
            rows = _read(connection, name, table)
            if rows.num_rows or name in always:
                found[name] = rows
    return found


def _read(connection: sa.Connection, name: str, table: sa.Table) -> pa.Table:
    columns = {c.name: micros_name(c.name) if c.type == "time" else c.name for c in TABLES[name].columns}
    schema = pa.schema([*((n, _TYPES[TABLES[name].column(n).type]) for n in columns), ("arrived_us", pa.int64())])
    wanted = [table.c[held] for held in columns.values()]
    # In order of arrival, so that of two rows of one key in different places the first is kept.
    query = sa.select(*wanted, table.c.arrived_us).order_by(table.c.arrived_us, *table.primary_key)
    parts: list[pa.Table] = []
    for rows in connection.execution_options(yield_per=ROWS_AT_A_TIME).execute(query).partitions():
        lists = list(zip(*rows, strict=True))
        parts.append(pa.table([pa.array(v, f.type) for v, f in zip(lists, schema, strict=True)], schema=schema))
    return pa.concat_tables(parts) if parts else schema.empty_table()
