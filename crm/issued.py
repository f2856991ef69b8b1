"""Every score that was issued, wherever: the files of training and batches, and the service's ledger."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false

from __future__ import annotations

import pyarrow as pa
import sqlalchemy as sa

from crm.config import Workspace
from crm.scores import SCORES_SCHEMA, read_scores
from crm.state import has_state, open_state
from crm.state_tables import LEDGER

__all__ = ["ISSUED_COLUMNS", "issued_scores"]

ISSUED_COLUMNS = ("lead_id", "as_of", "issued_at", "p_sql", "p_won", "expected_value", "origin")
ROWS_AT_A_TIME = 50_000


def issued_scores(workspace: Workspace) -> pa.Table:
    """Return the columns :data:`ISSUED_COLUMNS` of every score issued; no rows when there are none.

    Replays, and scores of leads that came in a request's body and are not held here, are left out.
    """
    schema = pa.schema([SCORES_SCHEMA.field(name) for name in ISSUED_COLUMNS])
    parts = [read_scores(workspace).select(list(ISSUED_COLUMNS))]
    if has_state(workspace):
        state = open_state(workspace)
        try:
            with state.reading() as connection:
                parts += _ledger(connection, schema)
        finally:
            state.close()
    return pa.concat_tables(parts)


def _ledger(connection: sa.Connection, schema: pa.Schema) -> list[pa.Table]:
    columns = (LEDGER.c.lead_id, LEDGER.c.as_of_us, LEDGER.c.issued_us, LEDGER.c.p_sql, LEDGER.c.p_won)
    query = sa.select(*columns, LEDGER.c.expected_value, LEDGER.c.origin).where(
        LEDGER.c.is_stored, LEDGER.c.origin.in_(("served", "batch"))
    )
    parts: list[pa.Table] = []
    for rows in connection.execution_options(yield_per=ROWS_AT_A_TIME).execute(query).partitions():
        lists = list(zip(*rows, strict=True))
        arrays = [pa.array(values, field.type) for values, field in zip(lists, schema, strict=True)]
        parts.append(pa.Table.from_arrays(arrays, schema=schema))
    return parts
