"""Which columns of a lead are attributes, and which are refused."""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from crm.config import WorkspaceConfig
from crm.parsing import quote
from crm.personal import forbidden_reason, looks_personal, personal_name_reason
from crm.store import Attribute
from crm.tables import TABLES

__all__ = ["find_attributes"]

_NUMBER_TYPES = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
)
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
        Every column of ``leads`` beyond the contract's and every field of ``lead_changes``, each with the reason when it
        is refused; and a sentence for each entry of ``[columns]`` that names no column.
    """
    declared = {"source", "account_id", *TABLES["leads"].column_names, "created_us", "recorded_us"}
    columns = {row[0]: str(row[1]) for row in connection.execute("DESCRIBE leads").fetchall()}
    history: set[str] = set()
    if has_changes:
        history = {row[0] for row in connection.execute("SELECT DISTINCT field FROM lead_changes").fetchall()}
    names = ["source", *(name for name in columns if name not in declared), *sorted(history - set(columns))]
    found: list[Attribute] = []
    for name in names:
        if name in config.columns.ignore or (name == "source" and _is_empty(connection, name)):
            continue
        is_creation = name == "source" or name in creation
        found.append(_attribute(connection, config, name, columns.get(name), is_creation, name in history))
    unknown = (set(config.columns.known_at_creation) | set(config.columns.ignore)) - set(columns) - history
    notes = tuple(f"[columns] names '{name}', which no table has." for name in sorted(unknown))
    return tuple(found), notes


def _is_empty(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    return int(connection.execute(f"SELECT count({quote(name)}) FROM leads").fetchall()[0][0]) == 0


def _attribute(
    connection: duckdb.DuckDBPyConnection,
    config: WorkspaceConfig,
    name: str,
    raw_type: str | None,
    creation: bool,
    has_history: bool,
) -> Attribute:
    refused = ""
    if name not in config.columns.allow_personal:
        refused = personal_name_reason(name) or ""
    refused = refused or forbidden_reason(name) or ""
    if not creation and not has_history:
        refused = refused or NO_HISTORY
    if raw_type is None:
        return Attribute(name, _type_of_changes(connection, name), False, True, refused)
    if raw_type == "BOOLEAN":
        return Attribute(name, "boolean", creation, has_history, refused)
    if raw_type.startswith(_NUMBER_TYPES):
        connection.execute(f"ALTER TABLE leads ALTER {quote(name)} TYPE DOUBLE")
        connection.execute(f"UPDATE leads SET {quote(name)} = NULL WHERE NOT isfinite({quote(name)})")
        return Attribute(name, "number", creation, has_history, refused)
    if raw_type == "DATE" or raw_type.startswith("TIME"):
        return Attribute(
            name,
            "text",
            creation,
            has_history,
            refused or "a time is not an attribute; select an age or a weekday instead",
        )
    connection.execute(f"ALTER TABLE leads ALTER {quote(name)} TYPE VARCHAR")
    connection.execute(f"UPDATE leads SET {quote(name)} = nullif(trim({quote(name)}), '')")
    if not refused and name not in config.columns.allow_personal:
        rows = connection.execute(
            f"SELECT {quote(name)} FROM leads WHERE {quote(name)} IS NOT NULL LIMIT {_SAMPLE}"
        )
        refused = looks_personal(str(row[0]) for row in rows.fetchall()) or ""
    return Attribute(name, "text", creation, has_history, refused)


def _type_of_changes(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """Numbers when every recorded value is one, text otherwise."""
    row = connection.execute(
        "SELECT count(value), count(TRY_CAST(value AS DOUBLE)) FROM lead_changes WHERE field = ?", [name]
    ).fetchall()[0]
    return "number" if row[0] and row[0] == row[1] else "text"
