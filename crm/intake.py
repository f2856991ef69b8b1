"""Taking raw tables in: types, two clocks, quarantine, keys, currencies.

Nothing is dropped silently: rows read = rows kept + identical copies + rows in quarantine, for every table.
"""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import duckdb
import ibis
import pyarrow as pa

from crm.attributes import RESERVED, find_attributes
from crm.config import WorkspaceConfig
from crm.errors import ConfigError, TableError
from crm.intake_notes import gap_notes, outcome_notes
from crm.left_out import LeftOut
from crm.old_rule import old_rule_notes, old_rule_problems
from crm.parsing import SQL_TYPES, Parsed, parse_column, quote, trimmed
from crm.progress import Progress
from crm.quarantine import ID_COLUMNS, PERSONAL_ID, Staging, check_ids, count_of, mark_bad_rows
from crm.rules import rule_problems
from crm.sources import Source
from crm.store import TableCount, Tables
from crm.tables import TABLES, Column, TableSchema

__all__ = ["take_in"]

NOTHING_TOLD: Mapping[str, pa.Table] = MappingProxyType({})
# Leads and merges first: the others are checked against them. Rates before amounts.
_FIRST = ("leads", "lead_merges", "fx_rates")
_KIND_WORDS = {"time": "time", "number": "number", "boolean": "yes or no", "date": "date", "text": "text"}


def take_in(  # noqa: PLR0913 - what was told and who was erased are facts of their own
    source: Source,
    config: WorkspaceConfig,
    *,
    now: datetime,
    progress: Progress,
    id_key: str | None = None,
    told: Mapping[str, pa.Table] = NOTHING_TOLD,
    erased: Callable[[Sequence[str]], set[str]] | None = None,
) -> Tables:
    """Read every table of a source, and what was told to the service, into a local DuckDB, typed and checked.

    Parameters
    ----------
    source
        Where the raw rows come from.
    config
        The workspace file.
    now
        Rows that lie more than a day after this moment are impossible and go to quarantine. Timezone-aware.
    progress
        Where to report each table.
    id_key
        Key for hashed ids, needed when ``hash_ids = true``.
    told
        Tables as :func:`crm.told_tables.told_tables` gives them. Of a row that the source has under the same key, the
        source's counts.
    erased
        Returns those of some leads whose rows are left out of every table, as if the source had none
        (:func:`crm.lead_hashes.left_out_leads`); by default none are.

    Returns
    -------
    Tables
        Clean tables, quarantine and counts.

    Raises
    ------
    TableError
        When a table lacks a required column, has no rows where some are needed, or an id is personal data.
    ConfigError
        When an expression of the workspace file reads a column that is not there.
    """
    _check_inputs({*source.tables, *told}, config, now, id_key)
    backend = ibis.duckdb.connect()
    # Where Python runs without a script file, DuckDB would draw bars of its own into what is printed.
    backend.con.execute("SET enable_progress_bar = false")
    try:
        left_out = LeftOut(erased) if erased is not None else None
        return _take_in(backend, source, told, Staging(backend.con, config, id_key, now, left_out), progress)
    except BaseException:
        backend.disconnect()
        raise


def _check_inputs(names: set[str], config: WorkspaceConfig, now: datetime, id_key: str | None) -> None:
    until = config.outcome.observed_until
    if until is not None and until > now:
        # Outcomes of the future are not recorded: taken for observed, open leads would count as lost.
        problem = f"outcome.observed_until: {until.isoformat()} lies in the future; expected a moment before now"
        raise ConfigError(path="kizashi.toml", problems=[problem])
    if "leads" not in names:
        raise TableError(
            found=f"no table 'leads' among {', '.join(sorted(names)) or 'none'}",
            expected="a table of leads, which every other table refers to",
            fix="add leads to [source.tables] in kizashi.toml",
        )
    if config.workspace.hash_ids and not id_key:
        raise TableError(
            found="hash_ids = true without a key",
            expected="the environment variable KIZASHI_ID_KEY",
            fix="set KIZASHI_ID_KEY to a long random text and keep it: the same key gives the same ids",
        )


def _take_in(
    backend: ibis.BaseBackend, source: Source, told: Mapping[str, pa.Table], staging: Staging, progress: Progress
) -> Tables:
    connection, config = staging.connection, staging.config
    connection.execute("SET TimeZone = 'UTC'")
    # With several threads sums of floats come in any order, and two runs on the same data would differ in the last bit.
    connection.execute("SET threads = 1")
    connection.execute(
        'CREATE TABLE quarantine ("table" VARCHAR, "row" BIGINT, key VARCHAR, reason VARCHAR, content VARCHAR)'
    )
    counts: dict[str, TableCount] = {}
    for name in (*_FIRST, *(name for name in TABLES if name not in _FIRST)):
        if name not in source.tables and name not in told:
            continue
        with progress.step(f"Reading {name}") as step:
            raw = source.read(name) if name in source.tables else told[name].slice(0, 0).drop_columns(["arrived_us"])
            counts[name] = _take_table(staging, TABLES[name], raw, told.get(name))
            step.note(_count_words(counts[name]))
    if counts["leads"].kept == 0:
        raise TableError(
            found=f"no usable row in table 'leads' ({_why_none(connection, counts['leads'])})",
            expected="at least one lead",
            fix="correct the SELECT or the file",
        )
    creation = (*config.columns.known_at_creation, *source.known_at_creation)
    attributes, notes = find_attributes(connection, config, creation, has_changes="lead_changes" in counts)
    if config.source.order_only:
        notes = (*notes, "The data has no dates: times are positions in an order, and weeks are not weeks.")
    if staging.left_out is not None:
        notes = (*notes, *staging.left_out.notes)
    newest = _observed_until(connection, counts)
    notes = (*notes, *gap_notes(config.outcome.observed_until, newest), *outcome_notes(connection, tuple(counts)))
    tables = Tables(backend, counts, attributes, notes, newest, config.exclude)
    problems = [*rule_problems(tables, config), *old_rule_problems(tables, config)]
    if problems:
        raise ConfigError(path="kizashi.toml", problems=problems)
    return replace(tables, notes=(*notes, *old_rule_notes(tables, config)))


def _count_words(count: TableCount) -> str:
    words = f"{count.kept:,} rows"
    if count.identical:
        words += f", {count.identical:,} identical copies left out"
    if count.quarantined:
        words += f", {count.quarantined:,} in quarantine"
    return words


def _why_none(connection: duckdb.DuckDBPyConnection, count: TableCount) -> str:
    rows = connection.execute(
        "SELECT reason, count(*) FROM quarantine WHERE \"table\" = 'leads' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1"
    ).fetchall()
    return f"{count.read:,} read" + (f", most often: {rows[0][0]}" if rows else "")


def _take_table(staging: Staging, schema: TableSchema, raw: pa.Table, told: pa.Table | None) -> TableCount:
    connection = staging.connection
    raw = raw.rename_columns(_column_names(schema, raw.column_names))
    connection.register("raw", raw)
    connection.execute(f"SET TimeZone = '{staging.config.source_timezone}'")
    connection.execute(f"CREATE TEMP TABLE staged AS {_staged_sql(staging, schema, raw.column_names)}")
    connection.execute("SET TimeZone = 'UTC'")
    connection.unregister("raw")
    if told is not None:
        _add_told(staging, told)
    dropped = staging.left_out.drop(connection, schema) if staging.left_out is not None else 0
    read = raw.num_rows + (0 if told is None else told.num_rows) - dropped
    check_ids(staging, schema)
    identical = mark_bad_rows(staging, schema)
    quarantined = count_of(connection, "SELECT count(*) FROM staged WHERE reason_ IS NOT NULL")
    _keep(staging, schema)
    connection.execute("DROP TABLE staged")
    return TableCount(read, read - identical - quarantined, identical, quarantined)


def _add_told(staging: Staging, told: pa.Table) -> None:
    """Put what was told behind the source's rows; it has the contract's types, and its ids are hashed already."""
    connection = staging.connection
    connection.register("told", told)
    connection.execute(
        "INSERT INTO staged BY NAME "
        "SELECT (SELECT count(*) FROM staged) + row_number() OVER () AS row_number_, * FROM told"
    )
    connection.unregister("told")


def _column_names(schema: TableSchema, found: Sequence[str]) -> list[str]:
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


def _staged_sql(staging: Staging, schema: TableSchema, found: Sequence[str]) -> str:
    """Select every declared column typed, the open ones as they are, and the first reason against the row."""
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
        f"SELECT row_number() OVER () AS row_number_, {', '.join(fields)}, "
        f"{_reason_sql(schema, parsed)} AS reason_, CAST(NULL AS BIGINT) AS arrived_us FROM raw"
    )


def _value_sql(staging: Staging, schema: TableSchema, name: str, parsed: Mapping[str, Parsed]) -> str:
    column = schema.column(name)
    if name == "recorded_at" and schema.clock not in (None, "recorded_at"):
        return _recorded_sql(staging, schema, parsed)
    value = parsed[name].value if name in parsed else f"CAST(NULL AS {SQL_TYPES[column.type]})"
    if name == "touch_id":
        value = f"coalesce({value}, CAST('row-' || row_number() OVER () AS VARCHAR))"
    if column.default:
        value = f"coalesce({value}, '{column.default}')"
    if name == "content_id":
        # A query string may carry an e-mail address.
        value = trimmed(f"regexp_replace({value}, '[?#].*$', '', 's')")
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
    if schema.versions:  # one row without a recording time stands for two versions, see _versions_sql
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


def _keep(staging: Staging, schema: TableSchema) -> None:
    connection = staging.connection
    key = " || '|' || ".join(f"coalesce(CAST({quote(name)} AS VARCHAR), '')" for name in schema.key)
    content = ", ".join(f"{quote(name)} := {quote(name)}" for name in schema.column_names)
    # A row that is there for an id that is personal data does not carry it into another file.
    is_plain = f"NOT ends_with(reason_, '{PERSONAL_ID}')"
    connection.execute(
        f"INSERT INTO quarantine SELECT '{schema.name}', row_number_, CASE WHEN {is_plain} THEN {key} END, reason_, "
        f"CASE WHEN {is_plain} THEN CAST(to_json(struct_pack({content})) AS VARCHAR) END "
        "FROM staged WHERE reason_ IS NOT NULL"
    )
    rows = f"({_versions_sql(staging, schema)})" if schema.versions else "staged"
    clocks = [name for name in (schema.clock, "recorded_at", "closed_at") if name in schema.column_names]
    micros = "".join(
        f", epoch_us({quote(name)}) AS {name.removesuffix('_at')}_us" for name in dict.fromkeys(clocks) if name
    )
    connection.execute(
        f"CREATE TABLE {schema.name} AS SELECT * EXCLUDE (row_number_, reason_){micros} "
        f"FROM {rows} WHERE reason_ IS NULL"
    )


# Of a row without a recording time: when its end was known, and what was not known before that.
_ENDS = {
    "opportunities": ("closed_at", ("closed_at", "is_won")),
    "hand_offs": ("accepted_at", ("accepted_at", "disposition", "disposition_reason")),
}


def _versions_sql(staging: Staging, schema: TableSchema) -> str:
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


def _observed_until(connection: duckdb.DuckDBPyConnection, counts: Mapping[str, TableCount]) -> datetime | None:
    newest: list[datetime] = []
    for name in ("stages", "opportunities", "hand_offs"):
        if name in counts:
            micros: Any = connection.execute(f"SELECT max(recorded_us) FROM {name}").fetchall()[0][0]
            if micros is not None:
                newest.append(datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(micros)))
    return max(newest) if newest else None
