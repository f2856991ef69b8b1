"""The columns of a lead that the workspace file's expressions may read, and what each lead's were at a moment."""

# Ibis types a column as its widest class, which knows neither arithmetic nor the methods of its own kind.
# pyarrow publishes no types. Ibis declares what every backend has on the backends only.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches

import pyarrow as pa

from crm.attributes import RESERVED
from crm.expressions import COLUMN_TYPES, ColumnKind, Kind
from crm.known import attributes_known
from crm.parsing import NUMBER_TYPES, quote, trimmed
from crm.store import Attribute, Tables
from crm.tables import TABLES

__all__ = ["LeadColumn", "column_problems", "lead_columns", "rows_known"]

MOMENTS, ROWS = "rule_moments", "rule_rows"
SHOWN = 40
_HOLDS: Mapping[ColumnKind, str] = {"text": "text", "number": "numbers", "boolean": "true and false", "any": "anything"}


@dataclass(frozen=True)
class LeadColumn:
    """One column of a lead.

    Parameters
    ----------
    name, kind
        As in the tables.
    attribute
        How its value at a moment is looked up; None for ``lead_id`` and ``account_id``.
    """

    name: str
    kind: Kind
    attribute: Attribute | None = None

    @property
    def is_known_then(self) -> bool:
        """Whether the tables tell what it was at an earlier moment; else there is only the value of today."""
        return self.attribute is None or self.attribute.known_at_creation or self.attribute.has_history


def lead_columns(tables: Tables) -> dict[str, LeadColumn]:
    """List every column of a lead, by name: ids, source and attributes, those that never become features included."""
    columns = {name: LeadColumn(name, "text") for name in ("lead_id", "account_id")}
    columns["source"] = LeadColumn("source", "text", Attribute("source", "text", True, False))
    taken = {name.lower() for name in (*TABLES["leads"].column_names, *RESERVED)} - {"source"}
    for attribute in (*tables.attributes, *_ignored(tables)):
        if attribute.name.lower() not in taken:
            columns[attribute.name] = LeadColumn(attribute.name, attribute.type, attribute)
            taken.add(attribute.name.lower())
    return columns


def _ignored(tables: Tables) -> Iterable[Attribute]:
    """Yield the columns that ``[columns] ignore`` keeps from ever becoming features."""
    listed = {attribute.name for attribute in tables.attributes} | {"source"}
    described = tables.backend.con.execute("DESCRIBE leads").fetchall()
    history: set[str] = set()
    if tables.has("lead_changes"):
        rows = tables.backend.con.execute("SELECT DISTINCT field FROM lead_changes").fetchall()
        history = {str(row[0]) for row in rows}
    for name, raw_type in ((str(row[0]), str(row[1])) for row in described):
        if name not in listed:
            is_number, is_boolean = raw_type.startswith(NUMBER_TYPES), raw_type == "BOOLEAN"
            kind: Kind = "number" if is_number else "boolean" if is_boolean else "text"
            yield Attribute(name, kind, known_at_creation=False, has_history=name in history)


def column_problems(
    tables: Tables, columns: Mapping[str, LeadColumn], wanted: Mapping[str, ColumnKind], *, takes_today: bool
) -> list[str]:
    """Say what is wrong with the columns that one expression reads; nothing when all is well.

    Parameters
    ----------
    tables
        The workspace's tables.
    columns
        As :func:`lead_columns` gives them.
    wanted
        Columns by name, each with what it is taken for.
    takes_today
        Whether a column without history will do.
    """
    problems: list[str] = []
    for name, kind in wanted.items():
        column = columns.get(name)
        if column is None:
            problems.append(f"no column '{name}'; {_suggestion(name, columns)}")
        elif kind not in ("any", column.kind) and not _is_empty(tables, column):
            hint = f"; write {name} = 1" if (column.kind, kind) == ("number", "boolean") else ""
            problems.append(f"column '{name}' holds {_HOLDS[column.kind]}, and is taken for {_HOLDS[kind]}{hint}")
        elif not takes_today and not column.is_known_then:
            problems.append(
                f"what '{name}' was at an earlier moment is not known: give its history in lead_changes, or list it in "
                "[columns] known_at_creation"
            )
    return problems


def _suggestion(name: str, columns: Collection[str]) -> str:
    close = get_close_matches(name, columns, n=1)
    listed = ", ".join(list(columns)[:SHOWN]) + (" and others" if len(columns) > SHOWN else "")
    return (f"did you mean '{close[0]}'? " if close else "") + f"leads have {listed}"


def _is_empty(tables: Tables, column: LeadColumn) -> bool:
    """Tell whether no lead has a value: what kind an empty column is of says nothing."""
    if column.attribute is None or column.attribute.has_history:
        return False
    found = tables.backend.con.execute(f"SELECT count({quote(column.name)}) FROM leads").fetchall()
    return int(found[0][0]) == 0


@contextmanager
def rows_known(
    tables: Tables, columns: Mapping[str, LeadColumn], wanted: Mapping[str, ColumnKind], moments: pa.Table
) -> Generator[str]:
    """Give the SQL of a relation with the columns of each moment's lead as known then, while the block lasts.

    The values are gone afterwards: they may be personal.

    Parameters
    ----------
    tables
        The workspace's tables.
    columns
        As :func:`lead_columns` gives them.
    wanted
        Columns by name, each with what it is taken for.
    moments
        ``row_id``, ``lead_id``, ``as_of_us``.

    Yields
    ------
    str
        A SELECT in parentheses: ``row_id``, ``as_of_us`` and the columns, typed as :data:`COLUMN_TYPES` says.
    """
    attributes: Sequence[Attribute] = [a for name in wanted if (a := columns[name].attribute) is not None]
    asked = tables.backend.create_table(MOMENTS, moments.select(["row_id", "lead_id", "as_of_us"]), overwrite=True)
    known = attributes_known(tables, asked, attributes).drop("created_us", "as_of_us")
    tables.backend.create_table(ROWS, known, overwrite=True)
    typed = "".join(f", {_typed(name, kind)} AS {quote(name)}" for name, kind in wanted.items())
    try:
        yield f"(SELECT row_id, as_of_us{typed} FROM {MOMENTS} JOIN {ROWS} USING (row_id))"
    finally:
        tables.backend.drop_table(ROWS, force=True)
        tables.backend.drop_table(MOMENTS, force=True)


def _typed(name: str, kind: ColumnKind) -> str:
    value = f"TRY_CAST({quote(name)} AS {COLUMN_TYPES[kind]})"
    if kind == "number":
        return f"CASE WHEN isfinite({value}) THEN {value} END"
    return value if kind == "boolean" else trimmed(value)
