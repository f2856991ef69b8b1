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
import numpy as np
import pyarrow as pa

from crm.attributes import find_attributes
from crm.config import WorkspaceConfig
from crm.errors import ConfigError, TableError
from crm.intake_notes import gap_notes, outcome_notes
from crm.left_out import LeftOut
from crm.old_rule import old_rule_notes, old_rule_problems
from crm.parsing import quote
from crm.progress import Progress
from crm.quarantine import PERSONAL_ID, Staging, check_ids, count_of, mark_bad_rows
from crm.rules import rule_problems
from crm.sources import Source
from crm.staging import column_names, staged_sql, versions_sql
from crm.store import TableCount, Tables, counting
from crm.tables import TABLES, TableSchema

__all__ = ["take_in"]

NOTHING_TOLD: Mapping[str, pa.Table] = MappingProxyType({})
# Leads and merges first: the others are checked against them. Rates before amounts.
_FIRST = ("leads", "lead_merges", "fx_rates")


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
    raw = raw.rename_columns(column_names(schema, raw.column_names))
    connection.register("raw", raw.append_column("row_number_", pa.array(np.arange(1, raw.num_rows + 1))))
    connection.execute(f"SET TimeZone = '{staging.config.source_timezone}'")
    with counting(connection):  # the engine keeps the rows in their order
        connection.execute(f"CREATE TEMP TABLE staged AS {staged_sql(staging, schema, raw.column_names)}")
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
    rows = f"({versions_sql(staging, schema)})" if schema.versions else "staged"
    clocks = [name for name in (schema.clock, "recorded_at", "closed_at") if name in schema.column_names]
    micros = "".join(
        f", epoch_us({quote(name)}) AS {name.removesuffix('_at')}_us" for name in dict.fromkeys(clocks) if name
    )
    connection.execute(
        f"CREATE TABLE {schema.name} AS SELECT * EXCLUDE (row_number_, reason_){micros} "
        f"FROM {rows} WHERE reason_ IS NULL"
    )


def _observed_until(connection: duckdb.DuckDBPyConnection, counts: Mapping[str, TableCount]) -> datetime | None:
    newest: list[datetime] = []
    for name in ("stages", "opportunities", "hand_offs"):
        if name in counts:
            micros: Any = connection.execute(f"SELECT max(recorded_us) FROM {name}").fetchall()[0][0]
            if micros is not None:
                newest.append(datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(micros)))
    return max(newest) if newest else None
