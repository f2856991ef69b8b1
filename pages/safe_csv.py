"""CSV files that a spreadsheet opens as text and numbers, and never runs."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

__all__ = ["Value", "safe_cell", "write_csv", "write_frame"]

Value = str | int | float | bool | None

_RUNS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
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
    safe = {str(safe_cell(str(name))): _safe_column(frame[name]) for name in frame.columns}
    pd.DataFrame(safe, index=frame.index).to_csv(
        path, index=False, encoding="utf-8-sig", lineterminator="\r\n", float_format="%.10g"
    )


def _safe_column(column: pd.Series) -> pd.Series:
    """Neutralise the texts of a column; only those that might need it are looked at one by one."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return column
    texts = column.astype(object)
    suspect = texts.map(_is_suspect, na_action="ignore").fillna(False).astype(bool)
    if suspect.any():
        texts[suspect] = [safe_cell(str(text)) for text in texts[suspect]]
    return texts


def _is_suspect(value: object) -> bool:
    return isinstance(value, str) and value != "" and (not value[0].isalnum() or "\x00" in value)
