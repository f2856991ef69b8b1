"""Which columns of a lead are attributes, and which are refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import duckdb

from crm.config import WorkspaceConfig
from crm.parsing import NUMBER_TYPES, quote, trimmed
from crm.personal import forbidden_reason, looks_personal, personal_name_reason
from crm.store import Attribute
from crm.tables import TABLES

__all__ = ["RESERVED", "find_attributes"]

AttributeType = Literal["number", "text", "boolean"]

RESERVED = frozenset(
    (
        "row_number_",
        "reason_",
        "arrived_us",
        "created_us",
        "recorded_us",
        "row_id",
        "as_of_us",
        "new_value",
        "change_row",
    )
)
"""Names that no attribute may have: columns that are put beside the attributes while they are looked up."""
_SAMPLE = 2_000
NO_HISTORY = "no history in lead_changes and not in [columns] known_at_creation"


def find_attributes(
    connection: duckdb.DuckDBPyConnection,
    config: WorkspaceConfig,
    creation: Collection[str],
    *,
    has_changes: bool,
) -> tuple[tuple[Attribute, ...], tuple[str, ...]]:
    """List the attributes of the taken-in leads, and retype their columns in place.

    Parameters
    ----------
    connection
        Where ``leads`` and ``lead_changes`` lie.
    config
        The workspace file.
    creation
        Attributes whose column holds the value at creation.
    has_changes
        Whether there is a table ``lead_changes``.

    Returns
    -------
    attributes, notes
        Every column of ``leads`` beyond the contract's and every field of ``lead_changes``, each with the reason when
        it is refused; and a sentence for each entry of ``[columns]`` that names no column.
    """
    declared = {*TABLES["leads"].column_names, "arrived_us", "created_us", "recorded_us"} - {"source"}
    described = connection.execute("DESCRIBE leads").fetchall()
    columns = {row[0]: str(row[1]) for row in described if row[0] not in declared}
    history: set[str] = set()
    if has_changes:
        history = {row[0] for row in connection.execute("SELECT DISTINCT field FROM lead_changes").fetchall()}
    names = [*columns, *sorted(history - set(columns))]
    found: list[Attribute] = []
    for name in names:
        if name in config.columns.ignore:
            continue
        if name == "source" and name not in history and _is_empty(connection, name):
            continue
        is_creation = name == "source" or name in creation
        facts = _Facts(name, columns.get(name), is_creation, name in history)
        found.append(_attribute(connection, config, facts, taken=names[: names.index(name)]))
    named = {*config.columns.known_at_creation, *config.columns.ignore, *config.columns.allow_personal}
    unknown = named - set(columns) - history - declared
    notes = tuple(f"[columns] names '{name}', which no table has." for name in sorted(unknown))
    return tuple(found), notes


def _is_empty(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    return int(connection.execute(f"SELECT count({quote(name)}) FROM leads").fetchall()[0][0]) == 0


@dataclass(frozen=True)
class _Facts:
    name: str
    raw_type: str | None
    is_creation: bool
    has_history: bool


def _attribute(
    connection: duckdb.DuckDBPyConnection, config: WorkspaceConfig, facts: _Facts, *, taken: Collection[str]
) -> Attribute:
    refused = _refusal(config, facts, taken)
    kind = _retype(connection, facts)
    if facts.raw_type == "DATE" or (facts.raw_type or "").startswith("TIME"):
        refused = refused or "a time is not an attribute; select an age or a weekday instead"
    if kind == "text" and not refused and facts.name not in config.columns.allow_personal:
        refused = looks_personal(_sample(connection, facts)) or ""
    is_creation = facts.is_creation and facts.raw_type is not None
    return Attribute(facts.name, kind, is_creation, facts.has_history, refused)


def _refusal(config: WorkspaceConfig, facts: _Facts, taken: Collection[str]) -> str:
    """Say why the attribute is not used, going by its name and history alone; empty when nothing speaks against it."""
    name = facts.name
    if facts.raw_type is None and (name.lower() in RESERVED or name.lower() in TABLES["leads"].column_names):
        return "its name is used inside"
    twin = next((other for other in taken if other.lower() == name.lower()), None)
    if twin is not None:
        return f"its name differs from '{twin}' by upper and lower case alone"
    personal = None if name in config.columns.allow_personal else personal_name_reason(name)
    unknown = NO_HISTORY if not facts.is_creation and not facts.has_history else ""
    return personal or forbidden_reason(name) or unknown


def _retype(connection: duckdb.DuckDBPyConnection, facts: _Facts) -> AttributeType:
    """Give the attribute's column its final type, and tell which."""
    name, column = facts.name, quote(facts.name)
    if facts.raw_type is None:
        return _type_of_changes(connection, name)
    if facts.has_history and facts.raw_type != "BOOLEAN" and _is_empty(connection, name):
        kind = _type_of_changes(connection, name)
        connection.execute(f"ALTER TABLE leads ALTER {column} TYPE {'DOUBLE' if kind == 'number' else 'VARCHAR'}")
        return kind
    if facts.raw_type == "BOOLEAN":
        return "boolean"
    if facts.raw_type.startswith(NUMBER_TYPES):
        connection.execute(f"ALTER TABLE leads ALTER {column} TYPE DOUBLE")
        connection.execute(f"UPDATE leads SET {column} = NULL WHERE NOT isfinite({column})")
        return "number"
    connection.execute(f"ALTER TABLE leads ALTER {column} TYPE VARCHAR")
    connection.execute(f"UPDATE leads SET {column} = {trimmed(column)}")
    return "text"


def _sample(connection: duckdb.DuckDBPyConnection, facts: _Facts) -> Iterator[str]:
    """Yield values that the attribute has had, at creation and later."""
    if facts.raw_type is not None:
        column = quote(facts.name)
        rows = connection.execute(
            f"SELECT {column} FROM leads WHERE {column} IS NOT NULL ORDER BY hash(lead_id) LIMIT {_SAMPLE}"
        )
        yield from (str(row[0]) for row in rows.fetchall())
    if facts.has_history:
        rows = connection.execute(
            "SELECT value FROM lead_changes WHERE field = ? AND value IS NOT NULL "
            f"ORDER BY hash(lead_id) LIMIT {_SAMPLE}",
            [facts.name],
        )
        yield from (str(row[0]) for row in rows.fetchall())


def _type_of_changes(connection: duckdb.DuckDBPyConnection, name: str) -> AttributeType:
    """Numbers when every recorded value is one, text otherwise."""
    row = connection.execute(
        "SELECT count(value), count(TRY_CAST(value AS DOUBLE)) FROM lead_changes WHERE field = ?", [name]
    ).fetchall()[0]
    return "number" if row[0] and row[0] == row[1] else "text"
