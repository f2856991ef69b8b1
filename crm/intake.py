"""Taking raw tables in: types, two clocks, quarantine, keys, currencies.

Nothing is dropped silently: rows read = rows kept + identical copies + rows in quarantine, for every table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import ibis
import pyarrow as pa

from crm.attributes import find_attributes
from crm.config import WorkspaceConfig
from crm.errors import TableError
from crm.parsing import Parsed, parse_column, quote
from crm.personal import looks_personal
from crm.progress import Progress
from crm.sources import Source
from crm.store import TableCount, Tables
from crm.tables import TABLES, TableSchema

__all__ = ["take_in"]

# What a row's own clock may run ahead of the recording, and both ahead of now: skew of servers and zones.
TOLERANCE = timedelta(days=1)
ID_COLUMNS = ("lead_id", "account_id", "from_lead_id", "into_lead_id")


@dataclass(frozen=True)
class _Intake:
    connection: duckdb.DuckDBPyConnection
    config: WorkspaceConfig
    id_key: str | None
    now: datetime


def take_in(
    source: Source, config: WorkspaceConfig, *, now: datetime, progress: Progress, id_key: str | None = None
) -> Tables:
    """Read every table of a source into a local DuckDB, typed and checked.

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

    Returns
    -------
    Tables
        Clean tables, quarantine and counts.

    Raises
    ------
    TableError
        When a table lacks a required column, has no rows where some are needed, or an id is personal data.
    """
    backend = ibis.duckdb.connect()
    connection: duckdb.DuckDBPyConnection = backend.con
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        'CREATE TABLE quarantine ("table" VARCHAR, "row" BIGINT, key VARCHAR, reason VARCHAR, content VARCHAR)'
    )
    intake = _Intake(connection, config, id_key, now)
    counts: dict[str, TableCount] = {}
    # Leads and merges first: the others are checked against them. fx_rates before opportunities.
    order = ("leads", "lead_merges", "fx_rates", *(n for n in TABLES if n not in ("leads", "lead_merges", "fx_rates")))
    for name in (name for name in order if name in source.tables):
        with progress.step(f"Reading {name}") as step:
            counts[name] = _take_table(intake, TABLES[name], source.read(name))
            step.note(_count_words(counts[name]))
    if counts["leads"].kept == 0:
        raise TableError(
            found=f"no usable row in table 'leads' ({counts['leads'].read} read)",
            expected="at least one lead",
            fix="look at the reasons with 'kizashi check' and correct the SELECT or the file",
        )
    creation = (*config.columns.known_at_creation, *source.known_at_creation)
    attributes, notes = find_attributes(connection, config, creation, has_changes="lead_changes" in counts)
    if config.source.order_only:
        notes = (*notes, "The data has no dates: times are positions in an order, and weeks are not weeks.")
    return Tables(backend, counts, attributes, notes, _observed_until(connection, counts))


def _count_words(count: TableCount) -> str:
    words = f"{count.kept:,} rows"
    if count.identical:
        words += f", {count.identical:,} identical copies left out"
    if count.quarantined:
        words += f", {count.quarantined:,} in quarantine"
    return words


def _take_table(intake: _Intake, schema: TableSchema, raw: pa.Table) -> TableCount:
    connection = intake.connection
    raw = raw.rename_columns([str(name) for name in raw.column_names])
    _check_columns(schema, raw.column_names)
    connection.register("raw", raw)
    connection.execute(f"SET TimeZone = '{intake.config.source_timezone}'")
    connection.execute(f"CREATE TEMP TABLE staged AS {_staged_sql(intake, schema, raw)}")
    connection.execute("SET TimeZone = 'UTC'")
    connection.unregister("raw")
    if schema.name in ("leads",):
        _check_ids(intake)
    read = _count(connection, "SELECT count(*) FROM staged")
    identical = _split(intake, schema)
    quarantined = _count(connection, "SELECT count(*) FROM staged WHERE reason_ IS NOT NULL")
    _keep(intake, schema)
    connection.execute("DROP TABLE staged")
    return TableCount(read, read - identical - quarantined, identical, quarantined)


def _check_columns(schema: TableSchema, found: list[str]) -> None:
    missing = [column.name for column in schema.columns if column.required and column.name not in found]
    if missing:
        raise TableError(
            found=f"table '{schema.name}' with the columns {', '.join(found) or '(none)'}",
            expected=f"the required column{'s' if len(missing) > 1 else ''} {', '.join(missing)} as well",
            fix=f"name {'them' if len(missing) > 1 else 'it'} in the SELECT: ... AS {missing[0]}",
        )


def _staged_sql(intake: _Intake, schema: TableSchema, raw: pa.Table) -> str:
    """Select every declared column typed, the open ones as they are, and the first reason against the row."""
    types = {row[0]: str(row[1]) for row in intake.connection.execute("DESCRIBE SELECT * FROM raw").fetchall()}
    parsed = {
        column.name: parse_column(column, types[column.name], schema)
        for column in schema.columns
        if column.name in types
    }
    fields = [f"{_value_sql(intake, schema, name, parsed)} AS {quote(name)}" for name in schema.column_names]
    if schema.open_columns:
        fields += [quote(name) for name in raw.column_names if name not in schema.column_names]
    return f"SELECT row_number() OVER () AS row_number_, {', '.join(fields)}, {_reason_sql(schema, parsed)} AS reason_ FROM raw"


def _value_sql(intake: _Intake, schema: TableSchema, name: str, parsed: Mapping[str, Parsed]) -> str:
    column = schema.column(name)
    if name == "recorded_at" and schema.clock not in (None, "recorded_at"):
        return _recorded_sql(intake, schema, parsed)
    if name == "touch_id" and name not in parsed:
        return "CAST('row-' || row_number() OVER () AS VARCHAR)"
    if name not in parsed:
        sql_type = {"text": "VARCHAR", "time": "TIMESTAMPTZ", "number": "DOUBLE", "boolean": "BOOLEAN", "date": "DATE"}
        return f"'{column.default}'" if column.default else f"CAST(NULL AS {sql_type[column.type]})"
    value = parsed[name].value
    if column.default:
        value = f"coalesce({value}, '{column.default}')"
    if name == "content_id":
        value = f"regexp_replace({value}, '[?#].*$', '')"  # a query string may carry an e-mail address
    if column.choices:
        value = f"lower({value})"
    if name in ID_COLUMNS and intake.config.workspace.hash_ids:
        value = f"substr(sha256('{_sql_text(intake.id_key or '')}' || chr(31) || {value}), 1, 32)"
    return value


def _sql_text(text: str) -> str:
    return text.replace("'", "''")


def _recorded_sql(intake: _Intake, schema: TableSchema, parsed: Mapping[str, Parsed]) -> str:
    clock = parsed[schema.clock or ""]
    lag = float(intake.config.source.lag.get(schema.name, 0.0))
    next_day = "INTERVAL 1 DAY" if schema.moment == "cause" else "INTERVAL 0 DAY"
    default = (
        f"CASE WHEN {clock.is_date} THEN {clock.value} + {next_day} ELSE {clock.value} END"
        f" + to_microseconds({round(lag * 3_600_000_000)})"
    )
    if schema.versions:  # one row without a recording time stands for two versions, see _split_versions
        default = "CAST(NULL AS TIMESTAMPTZ)"
    return f"coalesce({parsed['recorded_at'].value}, {default})" if "recorded_at" in parsed else default


def _reason_sql(schema: TableSchema, parsed: Mapping[str, Parsed]) -> str:
    whens: list[str] = []
    for column in schema.columns:
        part = parsed.get(column.name)
        if part is None:
            continue
        kind = {"time": "time", "number": "number", "boolean": "yes or no", "date": "date", "text": "text"}[column.type]
        whens.append(f"WHEN {part.failed} THEN '{column.name} is no {kind}: ' || left({part.raw}, 40)")
        if column.required:
            whens.append(f"WHEN ({part.value}) IS NULL THEN '{column.name} is missing'")
        if column.choices:
            choices = ", ".join(f"'{choice}'" for choice in column.choices)
            whens.append(
                f"WHEN lower({part.value}) NOT IN ({choices}) THEN '{column.name} is none of {', '.join(column.choices)}: '"
                f" || left({part.raw}, 40)"
            )
    return f"CASE {' '.join(whens)} END" if whens else "CAST(NULL AS VARCHAR)"


def _check_ids(intake: _Intake) -> None:
    """Refuse ids that are personal data: they would travel into every table, log and answer."""
    if intake.config.workspace.hash_ids:
        if not intake.id_key:
            raise TableError(
                found="hash_ids = true without a key",
                expected="the environment variable KIZASHI_ID_KEY",
                fix="set KIZASHI_ID_KEY to a long random text and keep it: the same key gives the same ids",
            )
        return
    for column in ("lead_id", "account_id"):
        rows = intake.connection.execute(f"SELECT {column} FROM staged WHERE {column} IS NOT NULL LIMIT 500").fetchall()
        why = looks_personal(str(row[0]) for row in rows)
        if why:
            raise TableError(
                found=f"ids in leads.{column} that are personal data ({why})",
                expected="ids that name nobody",
                fix="select another id, or set [workspace] hash_ids = true and KIZASHI_ID_KEY",
            )


def _split(intake: _Intake, schema: TableSchema) -> int:
    """Mark the rows that the other rows or tables rule out; return how many identical copies there were."""
    connection = intake.connection
    _mark_times(intake, schema)
    if "lead_id" in schema.column_names and schema.name != "leads":
        known = "SELECT lead_id FROM leads"
        if _exists(connection, "lead_merges"):
            known += " UNION SELECT from_lead_id FROM lead_merges"
        connection.execute(
            f"UPDATE staged SET reason_ = 'unknown lead: ' || left(lead_id, 40) "
            f"WHERE reason_ IS NULL AND lead_id IS NOT NULL AND lead_id NOT IN ({known})"
        )
    if schema.name == "opportunities":
        _check_opportunities(intake)
    return _mark_duplicates(connection, schema)


def _mark_times(intake: _Intake, schema: TableSchema) -> None:
    latest = (intake.now + TOLERANCE).astimezone(UTC).isoformat()
    for column in schema.columns:
        if column.type != "time":
            continue
        intake.connection.execute(
            f"UPDATE staged SET reason_ = '{column.name} lies in the future: ' || CAST({quote(column.name)} AS VARCHAR) "
            f"WHERE reason_ IS NULL AND {quote(column.name)} > CAST(? AS TIMESTAMPTZ)",
            [latest],
        )
        intake.connection.execute(
            f"UPDATE staged SET reason_ = '{column.name} lies before 1970: ' || CAST({quote(column.name)} AS VARCHAR) "
            f"WHERE reason_ IS NULL AND {quote(column.name)} < TIMESTAMPTZ '1970-01-01 00:00:00+00'"
        )
    if schema.clock not in (None, "recorded_at") and "recorded_at" in schema.column_names and not schema.versions:
        intake.connection.execute(
            f"UPDATE staged SET reason_ = 'recorded_at lies over a day before {schema.clock}' "
            f"WHERE reason_ IS NULL AND recorded_at < {quote(schema.clock or '')} - INTERVAL 1 DAY"
        )


def _check_opportunities(intake: _Intake) -> None:
    connection, currency = intake.connection, intake.config.workspace.currency
    connection.execute(
        "UPDATE staged SET reason_ = 'neither lead_id nor account_id' "
        "WHERE reason_ IS NULL AND lead_id IS NULL AND account_id IS NULL"
    )
    connection.execute("UPDATE staged SET reason_ = 'amount is negative' WHERE reason_ IS NULL AND amount < 0")
    connection.execute(
        "UPDATE staged SET reason_ = 'closed_at lies before created_at' "
        "WHERE reason_ IS NULL AND closed_at < created_at - INTERVAL 1 DAY"
    )
    if _exists(connection, "fx_rates"):
        connection.execute(
            "UPDATE staged SET amount = amount * r.rate, currency = ? FROM (SELECT s.row_number_ AS id, "
            "arg_max(f.rate, f.on) AS rate FROM staged s JOIN fx_rates f ON f.currency = s.currency "
            "AND f.on <= CAST(coalesce(s.closed_at, s.created_at) AS DATE) GROUP BY 1) r "
            "WHERE staged.row_number_ = r.id AND staged.currency <> ?",
            [currency, currency],
        )
    connection.execute(
        "UPDATE staged SET reason_ = 'amount in ' || currency || ' without a rate to the workspace currency' "
        "WHERE reason_ IS NULL AND amount IS NOT NULL AND currency IS NOT NULL AND currency <> ?",
        [currency],
    )


def _mark_duplicates(connection: duckdb.DuckDBPyConnection, schema: TableSchema) -> int:
    key = ", ".join(quote(name) for name in schema.key)
    connection.execute(
        f"CREATE TEMP TABLE later AS SELECT row_number_ FROM staged WHERE reason_ IS NULL "
        f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY row_number_) > 1"
    )
    if _count(connection, "SELECT count(*) FROM later") == 0:
        connection.execute("DROP TABLE later")
        return 0
    described = connection.execute("DESCRIBE staged").fetchall()
    everything = ", ".join(quote(row[0]) for row in described if row[0] not in ("row_number_", "reason_"))
    connection.execute(
        f"CREATE TEMP TABLE copies AS SELECT row_number_ FROM staged WHERE reason_ IS NULL "
        f"QUALIFY row_number() OVER (PARTITION BY {everything} ORDER BY row_number_) > 1"
    )
    identical = _count(connection, "SELECT count(*) FROM copies")
    connection.execute("DELETE FROM staged WHERE row_number_ IN (SELECT row_number_ FROM copies)")
    connection.execute(
        f"UPDATE staged SET reason_ = 'duplicate key: the row before it with the same {', '.join(schema.key)} was kept' "
        "WHERE row_number_ IN (SELECT row_number_ FROM later)"
    )
    connection.execute("DROP TABLE later")
    connection.execute("DROP TABLE copies")
    return identical


def _keep(intake: _Intake, schema: TableSchema) -> None:
    connection = intake.connection
    key = " || '|' || ".join(f"coalesce(CAST({quote(name)} AS VARCHAR), '')" for name in schema.key)
    content = ", ".join(f"{quote(name)} := {quote(name)}" for name in schema.column_names)
    connection.execute(
        f"INSERT INTO quarantine SELECT '{schema.name}', row_number_, {key}, reason_, CAST(to_json(struct_pack({content})) AS VARCHAR) "
        "FROM staged WHERE reason_ IS NOT NULL"
    )
    rows = "staged"
    if schema.versions:
        rows = f"({_version_sql(schema)})"
    clocks = [name for name in (schema.clock, "recorded_at", "closed_at") if name and name in schema.column_names]
    micros = ", ".join(f"epoch_us({quote(name)}) AS {_micros_name(name)}" for name in dict.fromkeys(clocks))
    extra = f", {micros}" if micros else ""
    connection.execute(
        f"CREATE TABLE {schema.name} AS SELECT * EXCLUDE (row_number_, reason_){extra} FROM {rows} WHERE reason_ IS NULL"
    )


def _micros_name(column: str) -> str:
    return column.removesuffix("_at") + "_us"


def _version_sql(schema: TableSchema) -> str:
    """Make versions of rows that have no recording time: what was known at the start, and what was known at the end."""
    if schema.name != "opportunities":
        return f"SELECT * REPLACE (coalesce(recorded_at, {quote(schema.clock or '')}) AS recorded_at) FROM staged"
    return (
        "SELECT * FROM staged WHERE recorded_at IS NOT NULL "
        "UNION ALL SELECT * REPLACE (created_at AS recorded_at, CAST(NULL AS TIMESTAMPTZ) AS closed_at, "
        "CAST(NULL AS BOOLEAN) AS is_won) FROM staged WHERE recorded_at IS NULL "
        "UNION ALL SELECT * REPLACE (closed_at AS recorded_at) FROM staged "
        "WHERE recorded_at IS NULL AND closed_at IS NOT NULL"
    )


def _observed_until(connection: duckdb.DuckDBPyConnection, counts: Mapping[str, TableCount]) -> datetime | None:
    newest: list[datetime] = []
    for name in ("stages", "opportunities", "hand_offs"):
        if name in counts:
            micros: Any = connection.execute(f"SELECT max(recorded_us) FROM {name}").fetchall()[0][0]
            if micros is not None:
                newest.append(datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(micros)))
    return max(newest) if newest else None


def _exists(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    return _count(connection, f"SELECT count(*) FROM duckdb_tables() WHERE table_name = '{table}'") > 0


def _count(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    return int(connection.execute(sql).fetchall()[0][0])
