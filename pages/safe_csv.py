"""CSV files that a spreadsheet opens as text and numbers, and never runs."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow.csv import write_csv as write_arrow

__all__ = ["Value", "safe_cell", "write_csv", "write_frame"]

Value = str | int | float | bool | None

_RUNS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
DIGITS = 10
_SUSPECT = r"^[^\pL\pN]|\x00"
"""Texts that begin with neither a letter nor a digit, or hold a NUL."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def safe_cell(value: Value) -> Value:
    """Return a cell that no spreadsheet takes for a formula.

    Text that begins like a formula (``=``, ``+``, ``-``, ``@`` in either width, a tab or a carriage return,
    also after blanks) gets an apostrophe in front, which spreadsheets read as "this is text". Numbers stay
    numbers, negative ones too.

    Parameters
    ----------
    value
        What the cell holds.

    Returns
    -------
    str, int, float, bool or None
        What may be written.

    Examples
    --------
    >>> safe_cell("=HYPERLINK(A1)")
    "'=HYPERLINK(A1)"
    >>> safe_cell("-12.5"), safe_cell(-12.5), safe_cell("ACME-2")
    ('-12.5', -12.5, 'ACME-2')
    """
    if not isinstance(value, str):
        return value
    text = value.replace("\x00", "")
    begins = text.lstrip(" \u3000\u00a0\ufeff\n")
    if begins.startswith(_RUNS) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
    """Write a table as CSV in UTF-8 with a byte-order mark, so that Excel reads Japanese.

    Every cell goes through :func:`safe_cell`, the header too; lines end in CR LF, as spreadsheets write them
    (RFC 4180).

    Parameters
    ----------
    path
        File to write; an old one is replaced.
    header
        Column names.
    rows
        Cells in the order of ``header``.

    Raises
    ------
    ValueError
        When a row has more or fewer cells than the header.
    """
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([safe_cell(name) for name in header])
        for number, row in enumerate(rows, start=1):
            if len(row) != len(header):
                raise ValueError(f"Found {len(row)} cells in row {number}; expected {len(header)} as in the header.")
            writer.writerow([safe_cell(cell) for cell in row])


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a table of many rows as :func:`write_csv` does: column by column, numbers with ten digits.

    Parameters
    ----------
    path
        File to write; an old one is replaced.
    frame
        Columns of texts, numbers and truths; what is missing becomes an empty cell.
    """
    names = [str(safe_cell(str(name))) for name in frame.columns]
    table = pa.Table.from_arrays([_safe_column(frame[name]) for name in frame.columns], names)
    with path.open("wb") as file:
        file.write(b"\xef\xbb\xbf")
        write_arrow(table, file)


def _safe_column(column: pd.Series) -> pa.Array:
    if pd.api.types.is_bool_dtype(column):
        return pa.array(column.map({True: "True", False: "False"}), pa.string(), from_pandas=True)
    if pd.api.types.is_float_dtype(column):
        return pa.array(_rounded(column.to_numpy(dtype="float64", na_value=np.nan)), from_pandas=True)
    if pd.api.types.is_numeric_dtype(column):
        return pa.array(column, from_pandas=True)
    known = column.astype(object).where(column.notna(), None)
    texts = pa.array([None if text is None else str(text) for text in known], pa.string())
    return _safe_texts(texts)


def _safe_texts(texts: pa.Array) -> pa.Array:
    """Neutralise texts; only those that might need it are looked at one by one."""
    suspect = pc.fill_null(pc.match_substring_regex(texts, _SUSPECT), False)
    if not pc.any(suspect).as_py():
        return texts
    safe = [safe_cell(text) for text in texts.filter(suspect).to_pylist()]
    return pc.replace_with_mask(texts, suspect, pa.array(safe, pa.string()))


def _rounded(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to ten digits, so that no binary noise is written."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.floor(np.log10(np.abs(numbers)))
    shift = np.where(np.isfinite(size), DIGITS - 1 - size, 0.0)
    up, down = 10.0 ** np.maximum(shift, 0.0), 10.0 ** np.maximum(-shift, 0.0)
    return np.round(numbers / down * up) / up * down
