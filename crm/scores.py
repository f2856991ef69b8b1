"""The scores table: every score that kizashi issued, appended, never changed.

Training writes time-forward out-of-fold rows, ``kizashi score`` batch rows. Alignment reads these, never a score that a
model gave to rows it had learned from.
"""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crm.config import Workspace
from crm.lead_files import placing_leads, unfinished_of

__all__ = ["SCORES_SCHEMA", "append_scores", "read_scores"]

_TIME = pa.timestamp("us", "UTC")
SCORES_SCHEMA = pa.schema(
    [
        pa.field("lead_id", pa.string(), nullable=False),
        pa.field("as_of", _TIME, nullable=False),
        pa.field("issued_at", _TIME, nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("line_version", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("p_sql", pa.float64()),
        pa.field("p_won", pa.float64()),
        pa.field("expected_revenue", pa.float64()),
        pa.field("expected_value", pa.float64()),
        pa.field("is_mql", pa.bool_()),
        pa.field("points", pa.string()),
        pa.field("origin", pa.string(), nullable=False),
    ]
)


def append_scores(
    workspace: Workspace, rows: pa.Table, origin: Literal["batch", "out_of_fold"], issued_at: datetime
) -> Path:
    """Append rows, as one more file of the table; those of leads that were erased meanwhile are left out.

    Parameters
    ----------
    workspace
        Whose table.
    rows
        Columns of :data:`SCORES_SCHEMA` but ``issued_at`` and ``origin``; ``points`` may be missing.
    origin
        Where the scores come from.
    issued_at
        When they were issued. Timezone-aware.

    Returns
    -------
    Path
        The file.
    """
    size = rows.num_rows
    columns = {
        field.name: rows.column(field.name).cast(field.type)
        if field.name in rows.column_names
        else pa.nulls(size, field.type)
        for field in SCORES_SCHEMA
        if field.name not in ("issued_at", "origin")
    }
    columns["issued_at"] = pa.array([issued_at] * size, _TIME)
    columns["origin"] = pa.array([origin] * size, pa.string())
    folder = workspace.tables_folder / "scores"
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{issued_at:%Y%m%dT%H%M%S%f}-{origin}"
    table = pa.table(columns, schema=SCORES_SCHEMA)
    with placing_leads(workspace) as erased:
        if erased is not None and (gone := erased(table.column("lead_id").unique().to_pylist())):
            table = table.filter(pc.invert(pc.is_in(table.column("lead_id"), pa.array(sorted(gone), pa.string()))))
        path = next(path for path in _free_names(folder, stem) if not path.exists())
        unfinished = unfinished_of(path)
        pq.write_table(table, unfinished)
        unfinished.replace(path)  # a reader sees the whole file or none
    return path


def _free_names(folder: Path, stem: str) -> Iterator[Path]:
    """Yield names for one more file; scores issued twice at one moment are two files."""
    yield folder / f"{stem}.parquet"
    yield from (folder / f"{stem}-{number}.parquet" for number in count(2))


def read_scores(workspace: Workspace) -> pa.Table:
    """Return every score issued so far; no rows when there are none."""
    folder = workspace.tables_folder / "scores"
    files = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
    if not files:
        return SCORES_SCHEMA.empty_table()
    return pa.concat_tables([pq.read_table(path, schema=SCORES_SCHEMA) for path in files])
