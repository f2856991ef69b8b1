# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# pyarrow publishes no types.
"""Arrow columns out of the simulator's arrays: times, ids, and values by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crm.simulator_difficulty import WORLD_DAYS, WORLD_START
from crm.simulator_people import Bools, Floats, Ints

__all__ = [
    "account_ids",
    "empty_text",
    "ids",
    "lead_ids",
    "micros",
    "numbers",
    "table_of",
    "texts",
    "times",
    "to_days",
]

_DAY_MICROS = 86_400_000_000
_START_MICROS = int(WORLD_START.timestamp()) * 1_000_000
_TIME = pa.timestamp("us", "UTC")


def micros(days: Floats) -> Ints:
    """Return microseconds since 1970 of finite days since the start of the world."""
    return _START_MICROS + np.rint(days * _DAY_MICROS).astype(np.int64)


def to_days(micros_since_1970: Ints) -> Floats:
    """Return days since the start of the world; the inverse of :func:`micros`."""
    return (micros_since_1970 - _START_MICROS) / _DAY_MICROS


def times(days: Floats) -> pa.Array:
    """Return a UTC time column; infinite days become null."""
    known = np.isfinite(days)
    return pa.array(micros(np.where(known, days, 0.0)), mask=~known).cast(_TIME)


def ids(prefix: str, numbers: Ints, width: int) -> pa.Array:
    """Return ids such as ``L000123``; wider where the numbers need it."""
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(prefix, digits, "")


def lead_ids(lead: Ints) -> pa.Array:
    """Return the ids of leads by position."""
    return ids("L", lead, 6)


def account_ids(firm: Ints, known: Bools) -> pa.Array:
    """Return the ids of accounts by position, null where the CRM knows none."""
    return pc.if_else(pa.array(known), ids("A", firm, 5), pa.scalar(None, pa.string()))


def texts(names: Sequence[str], codes: Ints) -> pa.Array:
    """Return the names at these positions; null where the position is negative."""
    return pa.array(names, pa.string()).take(pa.array(codes, mask=codes < 0))


def numbers(values: Floats) -> pa.Array:
    """Return a number column; NaN becomes null."""
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def empty_text(size: int) -> pa.Array:
    """Return a text column without values."""
    return pa.nulls(size, pa.string())


def table_of(columns: Mapping[str, pa.Array], *, recorded: Floats | None = None) -> pa.Table:
    """Return a table: of the rows recorded before the end of the world, oldest first, or of all rows.

    Parameters
    ----------
    columns
        Columns of equal length.
    recorded
        When each row was recorded, in days since the start of the world; without it every row is kept.
    """
    table = pa.table(dict(columns))
    if recorded is None:
        return table
    order = np.argsort(recorded, kind="stable")
    return table.take(pa.array(order[recorded[order] < WORLD_DAYS]))
