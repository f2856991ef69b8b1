"""One raw table as SQL: every column of the contract typed, and the first reason against a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crm.attributes import RESERVED
from crm.errors import TableError
from crm.parsing import SQL_TYPES, Parsed, parse_column, quote, trimmed
from crm.quarantine import ID_COLUMNS, Staging
from crm.tables import Column, TableSchema

__all__ = ["column_names", "staged_sql", "versions_sql"]

_KIND_WORDS = {"time": "time", "number": "number", "boolean": "yes or no", "date": "date", "text": "text"}


def column_names(schema: TableSchema, found: Sequence[str]) -> list[str]:
    """Spell the contract's columns as the contract does, as SQL knows no case; refuse what cannot be told apart."""
    spelt = {name.lower(): name for name in schema.column_names}
    names = [spelt.get(str(name).lower(), str(name)) for name in found]
    folded = [name.lower() for name in names]
    twice = sorted({name for name, low in zip(names, folded, strict=True) if folded.count(low) > 1})
    if twice:
        raise TableError(
            found=f"two columns called '{twice[0]}' in table '{schema.name}'",
            expected="names that differ by more than upper and lower case",
            fix="name one of them otherwise in the SELECT: ... AS other_name",
        )
    if schema.open_columns and (taken := sorted(set(folded) & RESERVED)):
        raise TableError(
            found=f"a column '{taken[0]}' in table '{schema.name}'",
            expected="another name, this one is used inside",
            fix=f"name it otherwise in the SELECT: {taken[0]} AS other_name",
        )
    missing = [column.name for column in schema.columns if column.required and column.name not in names]
    if missing:
        raise TableError(
            found=f"table '{schema.name}' with the columns {', '.join(names) or '(none)'}",
            expected=f"the required column{'s' if len(missing) > 1 else ''} {', '.join(missing)} as well",
            fix=f"name {'them' if len(missing) > 1 else 'it'} in the SELECT: ... AS {missing[0]}",
        )
    return names


def staged_sql(staging: Staging, schema: TableSchema, found: Sequence[str]) -> str:
    """Select every declared column typed, the open ones as they are, and the first reason against the row.

    ``raw`` has the columns found and ``row_number_``: numbered here, rows would go through one thread.
    """
    types = {row[0]: str(row[1]) for row in staging.connection.execute("DESCRIBE SELECT * FROM raw").fetchall()}
    parsed = {
        column.name: parse_column(column, types[column.name], schema)
        for column in schema.columns
        if column.name in types
    }
    fields = [f"{_value_sql(staging, schema, name, parsed)} AS {quote(name)}" for name in schema.column_names]
    if schema.open_columns:
        fields += [quote(name) for name in found if name not in schema.column_names]
    return (
        f"SELECT row_number_, {', '.join(fields)}, "
        f"{_reason_sql(schema, parsed)} AS reason_, CAST(NULL AS BIGINT) AS arrived_us FROM raw"
    )


def _value_sql(staging: Staging, schema: TableSchema, name: str, parsed: Mapping[str, Parsed]) -> str:
    column = schema.column(name)
    if name == "recorded_at" and schema.clock not in (None, "recorded_at"):
        return _recorded_sql(staging, schema, parsed)
    value = parsed[name].value if name in parsed else f"CAST(NULL AS {SQL_TYPES[column.type]})"
    if name == "touch_id":
        value = f"coalesce({value}, CAST('row-' || row_number_ AS VARCHAR))"
    if column.default:
        value = f"coalesce({value}, '{column.default}')"
    if name == "content_id":
        # A query string may carry an e-mail address.
        bare = trimmed(f"regexp_replace({value}, '[?#].*$', '', 's')")
        value = f"CASE WHEN contains({value}, '?') OR contains({value}, '#') THEN {bare} ELSE {value} END"
    if name == "currency":
        value = f"upper({value})"
    if column.choices:
        value = f"lower({value})"
    if name in ID_COLUMNS and staging.config.workspace.hash_ids:
        value = f"substr(sha256('{_sql_text(staging.id_key or '')}' || chr(31) || {value}), 1, 32)"
    return value


def _sql_text(text: str) -> str:
    return text.replace("'", "''")


def _lag_sql(staging: Staging, schema: TableSchema) -> str:
    hours = float(staging.config.source.lag.get(schema.name, 0.0))
    return f"to_microseconds({round(hours * 3_600_000_000)})"


def _recorded_sql(staging: Staging, schema: TableSchema, parsed: Mapping[str, Parsed]) -> str:
    clock = parsed[schema.clock or ""]
    next_day = "INTERVAL 1 DAY" if schema.moment == "cause" else "INTERVAL 0 DAY"
    default = (
        f"CASE WHEN {clock.is_date} THEN {clock.value} + {next_day} ELSE {clock.value} END"
        f" + {_lag_sql(staging, schema)}"
    )
    if schema.versions:  # one row without a recording time stands for two versions, see versions_sql
        default = "CAST(NULL AS TIMESTAMPTZ)"
    return f"coalesce({parsed['recorded_at'].value}, {default})" if "recorded_at" in parsed else default


def _reason_sql(schema: TableSchema, parsed: Mapping[str, Parsed]) -> str:
    whens = [
        when
        for column in schema.columns
        if column.name in parsed
        for when in _column_reasons(column, parsed[column.name])
    ]
    return f"CASE {' '.join(whens)} END"


def _column_reasons(column: Column, part: Parsed) -> list[str]:
    shown = f"left({part.raw}, 40)"
    whens = [f"WHEN {part.failed} THEN '{column.name} is no {_KIND_WORDS[column.type]}: ' || {shown}"]
    if column.required:
        whens.append(f"WHEN ({part.value}) IS NULL THEN '{column.name} is missing'")
    if column.choices:
        choices = ", ".join(f"'{choice}'" for choice in column.choices)
        whens.append(
            f"WHEN lower({part.value}) NOT IN ({choices}) "
            f"THEN '{column.name} is none of {', '.join(column.choices)}: ' || {shown}"
        )
    return whens


# Of a row without a recording time: when its end was known, and what was not known before that.
_ENDS = {
    "opportunities": ("closed_at", ("closed_at", "is_won")),
    "hand_offs": ("accepted_at", ("accepted_at", "disposition", "disposition_reason")),
}


def versions_sql(staging: Staging, schema: TableSchema) -> str:
    """Make two versions of a row without a recording time: what was known at its start, and at its end.

    A row that ended as it began, or that has not ended, is one version.
    """
    end, unknown = _ENDS[schema.name]
    lag, clock = _lag_sql(staging, schema), quote(schema.clock or "")
    nothing = ", ".join(f"CAST(NULL AS {SQL_TYPES[schema.column(name).type]}) AS {name}" for name in unknown)
    undated = "FROM staged WHERE recorded_at IS NULL"
    return (
        "SELECT * FROM staged WHERE recorded_at IS NOT NULL "
        f"UNION ALL SELECT * REPLACE ({clock} + {lag} AS recorded_at, {nothing}) {undated} AND {end} > {clock} "
        f"UNION ALL SELECT * REPLACE (greatest({clock}, {end}) + {lag} AS recorded_at) {undated}"
    )
