"""The unseen weeks as a file: what ``kizashi line`` needs to compare old rule and new line at another capacity or cost.

Two files. The one in the bundle holds numbers alone (leads and accounts are counted through, not named) and is verified
with the bundle. Which lead a row is, and when, lies in the workspace's own folder and never in MLflow.
"""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false
from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crm.errors import BundleError
from crm.lead_files import unfinished_of
from models.gain import GainRows

__all__ = ["GAIN_FILE", "read_gain", "read_gain_moments", "write_gain", "write_gain_moments"]

GAIN_FILE = "gain.parquet"
_KEY = b"kizashi.weeks"
_TYPES = {
    "lead": pa.int64(),
    "group": pa.int64(),
    "week": pa.int64(),
    "expected_revenue": pa.float64(),
    "sql": pa.bool_(),
    "won": pa.bool_(),
    "revenue": pa.float64(),
    "is_old": pa.bool_(),
}
_MOMENTS = pa.schema([pa.field("lead_id", pa.string()), pa.field("as_of_us", pa.int64())])


def write_gain(rows: GainRows, path: Path) -> None:
    """Write unseen weeks as Parquet; leads and accounts are numbered anew from 0.

    Parameters
    ----------
    rows
        The weeks.
    path
        File to write.
    """
    columns = {name: getattr(rows, name) for name in _TYPES}
    for name in ("lead", "group"):
        columns[name] = np.unique(columns[name], return_inverse=True)[1]
    said = {f.name: getattr(rows, f.name) for f in fields(rows) if f.name not in _TYPES}
    arrays = [pa.array(columns[name], kind) for name, kind in _TYPES.items()]
    schema = pa.schema(list(_TYPES.items()), metadata={_KEY: json.dumps(said).encode()})
    pq.write_table(pa.table(arrays, schema=schema), path, compression="zstd")


def read_gain(content: bytes) -> GainRows:
    """Read what :func:`write_gain` wrote, from bytes that were verified.

    Raises
    ------
    BundleError
        When they are no such file.
    """
    try:
        table = pq.read_table(io.BytesIO(content))
        said: Mapping[str, Any] = json.loads((table.schema.metadata or {})[_KEY])
        columns = {name: table.column(name).cast(kind).to_numpy() for name, kind in _TYPES.items()}
        return GainRows(
            **columns,
            lead_in=int(said["lead_in"]),
            weeks=int(said["weeks"]),
            since=str(said["since"]),
            until=str(said["until"]),
            share=float(said["share"]),
        )
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise BundleError(
            found=f"'{GAIN_FILE}', which does not hold the unseen weeks ({type(error).__name__})",
            expected="a file written by this version of kizashi",
            fix="train again",
        ) from error


def write_gain_moments(lead_ids: list[str], as_of_us: NDArray[np.int64], path: Path) -> None:
    """Write which lead each row is, and its moment.

    Parameters
    ----------
    lead_ids
        Length n.
    as_of_us
        Microseconds since 1970 UTC, shape (n,).
    path
        File to write, in the workspace and not in MLflow.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = pa.table([pa.array(lead_ids, pa.string()), pa.array(as_of_us, pa.int64())], schema=_MOMENTS)
    unfinished = unfinished_of(path)
    pq.write_table(rows, unfinished)
    unfinished.replace(path)


def read_gain_moments(path: Path, rows: int) -> tuple[list[str], NDArray[np.int64]] | None:
    """Return lead and moment of each row; None where the file is gone or is not one of so many rows."""
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path, schema=_MOMENTS)
    except (ValueError, pa.ArrowException):
        return None
    if table.num_rows != rows:
        return None
    return table.column("lead_id").to_pylist(), table.column("as_of_us").to_numpy()
