"""How one raw column becomes a typed one, as SQL for the local DuckDB.

Only names from our own schemas, quoted, are put into the text; values never are. The session's time zone is the
source's while these expressions run, so that a time without a zone means what the source meant by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from crm.errors import TableError
from crm.tables import Column, TableSchema

__all__ = ["BLANKS", "NUMBER_TYPES", "SQL_TYPES", "Parsed", "is_plain", "parse_column", "quote", "trimmed"]

SQL_TYPES = {
    "text": "VARCHAR",
    "time": "TIMESTAMPTZ",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
}
_TEXT = ("VARCHAR", "ENUM", "UUID", "BLOB")
NUMBER_TYPES = (
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
    *("FLOAT", "DOUBLE", "DECIMAL"),
)
BLANKS = " \t\n\r\u00a0\u3000"
"""What is taken off both ends of a text, from tables and request bodies alike; Japanese blanks are blanks."""
_NOT_PLAIN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ALL_NULL = ('"NULL"', "NULL", "SQLNULL")


@dataclass(frozen=True)
class Parsed:
    """SQL of one parsed column.

    Parameters
    ----------
    value
        Expression of the typed value, null where there is none.
    is_date
        Expression that is true where the raw value was a date alone (time columns only).
    failed
        Expression that is true where a raw value is present and does not parse.
    raw
        Expression of the raw value as text, for the reason.
    """

    value: str
    is_date: str
    failed: str
    raw: str


def is_plain(text: str) -> bool:
    r"""Tell whether a text holds neither control nor half characters, so that it may be an id.

    Examples
    --------
    >>> is_plain("リード　1"), is_plain("L1\n"), is_plain("L\ud800")
    (True, False, False)
    """
    return _NOT_PLAIN.search(text) is None


def quote(name: str) -> str:
    """Quote an identifier for DuckDB.

    Examples
    --------
    >>> print(quote('Lead "Source" x'))
    "Lead ""Source"" x"
    """
    return '"' + name.replace('"', '""') + '"'


def trimmed(sql: str) -> str:
    """Give the SQL of a text without :data:`BLANKS` around it, null when nothing is left."""
    blanks = " || ".join(f"chr({ord(blank)})" for blank in BLANKS)
    # To look at both ends takes a third of the time of a trim, which most texts do not need.
    ends = f"ascii({sql}) BETWEEN 33 AND 126 AND ascii(right({sql}, 1)) BETWEEN 33 AND 126"
    return f"CASE WHEN {ends} THEN {sql} ELSE nullif(trim({sql}, {blanks}), '') END"


def parse_column(column: Column, raw_type: str, schema: TableSchema) -> Parsed:
    """Give the SQL that types one raw column.

    Parameters
    ----------
    column
        The declared column.
    raw_type
        DuckDB's type of the raw column.
    schema
        The table, whose ``moment`` places dates.

    Raises
    ------
    TableError
        When the whole raw column has a type that can never be this column, such as a number for a time.
    """
    raw = quote(column.name)
    text = trimmed(f"CAST({raw} AS VARCHAR)")
    if raw_type in _ALL_NULL:
        return Parsed(f"CAST(NULL AS {SQL_TYPES[column.type]})", "false", "false", text)
    if column.type == "text":
        return Parsed(text, "false", "false", text)
    if column.type == "time":
        return _parse_time(column, raw_type, schema, raw, text)
    if column.type == "number":
        number = f"TRY_CAST({raw if not raw_type.startswith(_TEXT) else text} AS DOUBLE)"
        value = f"CASE WHEN isfinite({number}) THEN {number} END"
        return Parsed(
            value,
            "false",
            f"({text} IS NOT NULL AND lower({text}) NOT IN ('nan') AND ({value}) IS NULL)",
            text,
        )
    target = SQL_TYPES[column.type]
    value = f"TRY_CAST({raw if not raw_type.startswith(_TEXT) else text} AS {target})"
    return Parsed(value, "false", f"({text} IS NOT NULL AND {value} IS NULL)", text)


def _parse_time(column: Column, raw_type: str, schema: TableSchema, raw: str, text: str) -> Parsed:
    # recorded_at as a bare date: the system knew it at the end of that day at the latest.
    later = schema.moment == "outcome" or column.name == "recorded_at"
    days = 1 if later else 0
    if raw_type == "DATE":
        value = _midnight(raw, days)
        return Parsed(value, f"({raw} IS NOT NULL)", f"({raw} IS NOT NULL AND ({value}) IS NULL)", text)
    if raw_type.startswith("TIMESTAMP"):
        value = f"TRY_CAST({raw} AS TIMESTAMPTZ)"
        return Parsed(value, "false", f"({raw} IS NOT NULL AND {value} IS NULL)", text)
    if not raw_type.startswith(_TEXT):
        kind = "a number" if raw_type.startswith(NUMBER_TYPES) else raw_type
        raise TableError(
            found=f"column '{column.name}' of table '{schema.name}' as {kind} ({raw_type})",
            expected="a date, a timestamp or ISO 8601 text",
            fix=f"cast it in the SELECT, for example to_timestamp({column.name}) AS {column.name}",
        )
    date = f"regexp_full_match({text}, '\\d{{4}}[-/]\\d{{1,2}}[-/]\\d{{1,2}}')"
    day = f"TRY_CAST(replace({text}, '/', '-') AS DATE)"
    value = (
        f"CASE WHEN {date} THEN {_midnight(day, days)} "
        f"WHEN regexp_matches({text}, '^\\d{{4}}') THEN TRY_CAST({text} AS TIMESTAMPTZ) END"
    )
    return Parsed(value, f"coalesce({date}, false)", f"({text} IS NOT NULL AND ({value}) IS NULL)", text)


def _midnight(day: str, days: int) -> str:
    """Give the SQL of the session zone's 00:00 of a day, or of the day after it; null for days beyond any calendar."""
    day = f"CASE WHEN {day} < DATE '99999-01-01' THEN {day} END"
    return f"CAST(CAST({day} AS TIMESTAMP) + INTERVAL {days} DAY AS TIMESTAMPTZ)"
