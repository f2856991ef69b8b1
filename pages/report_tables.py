"""The tables of a report as CSV files: the cells of the page, with numbers in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

from pages.formats import Shown
from pages.report_parts import Badge, Cell, Column, Table
from pages.safe_csv import Value, write_csv

__all__ = ["find_tables", "write_tables"]

DIGITS = 10


def find_tables(part: object) -> Iterator[Table]:
    """Give every table with a name inside the sections of a page."""
    if isinstance(part, Table):
        yield from [part] if part.name else []
        return
    for item in _inside(part):
        yield from find_tables(item)


def _inside(part: object) -> list[object]:
    if isinstance(part, Mapping):
        return list(cast(Mapping[str, object], part).values())
    if isinstance(part, tuple | list):
        return list(cast(Sequence[object], part))
    if is_dataclass(part) and not isinstance(part, type):
        return [getattr(part, field.name) for field in fields(part)]
    return []


def write_tables(tables: Iterable[Table], folder: Path) -> tuple[Path, ...]:
    """Write each table as ``NAME.csv``: intervals as two columns, numbers without rounding for readers.

    Raises
    ------
    ValueError
        When two tables have one name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for table in tables:
        path = folder / f"{table.name}.csv"
        if path in written:
            raise ValueError(f"Found two tables called '{table.name}'; expected a name of its own for each.")
        header, rows = _plain(table)
        write_csv(path, header, rows)
        written.append(path)
    return tuple(written)


def _plain(table: Table) -> tuple[list[str], list[list[Value]]]:
    """Return header and rows; a column of intervals becomes its lower and its upper ends."""
    header: list[str] = []
    columns: list[list[Value]] = []
    named = ""
    for at, column in enumerate(table.columns):
        cells = [row[at] for row in table.rows]
        width = max((len(cell.values) for cell in cells if isinstance(cell, Shown)), default=1)
        name = column.key or str(at)
        if width == 2:
            header += [f"{named or name}_low", f"{named or name}_high"]
            columns += [[_number(cell, end) for cell in cells] for end in (0, 1)]
            continue
        named = name
        header.append(name)
        columns.append([_value(cell, column) for cell in cells])
    return header, [list(row) for row in zip(*columns, strict=True)]


def _number(cell: Cell, end: int) -> Value:
    if not isinstance(cell, Shown) or end >= len(cell.values):
        return None
    return _rounded(cell.values[end])


def _value(cell: Cell, column: Column) -> Value:
    if isinstance(cell, Shown) and column.kind == "number":
        return _number(cell, 0)
    if isinstance(cell, Badge):
        return cell.text
    return "; ".join(cell) if isinstance(cell, tuple) else str(cell)


def _rounded(value: float | None) -> Value:
    if value is None:
        return None
    number: Any = float(f"{value:.{DIGITS}g}")
    return int(number) if number == int(number) and abs(number) < 1e15 else number
