"""What rules a typed row out: impossible times, unknown leads, currencies without a rate, double keys.

Works on the table ``staged`` of the local DuckDB, which has one row a raw row, numbered by ``row_number_``, and in
``reason_`` the first reason against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from crm.config import WorkspaceConfig
from crm.errors import TableError
from crm.left_out import LeftOut
from crm.parsing import quote
from crm.personal import EMAIL, looks_personal
from crm.tables import TableSchema

__all__ = ["ID_COLUMNS", "PERSONAL_ID", "Staging", "check_ids", "count_of", "mark_bad_rows"]

# What a row's own clock may run ahead of the recording, and both ahead of now: skew of servers and zones.
TOLERANCE = timedelta(days=1)
ID_COLUMNS = ("lead_id", "account_id", "from_lead_id", "into_lead_id")
_ID_SAMPLE = 5_000
PERSONAL_ID = "is an e-mail address"
# Amounts in a currency of their own: table, column, and the day in the source's zone whose rate counts (without a day,
# the newest).
_MONEY = {
    "opportunities": (
        "amount",
        "CAST(timezone('{zone}', coalesce(closed_at, created_at)) AS DATE)",
    ),
    "campaigns": ("cost", "coalesce(starts_on, ends_on, DATE '9999-12-31')"),
}


@dataclass(frozen=True)
class Staging:
    """Where rows are staged, and by what they are judged.

    Parameters
    ----------
    connection
        The local DuckDB.
    config
        The workspace file.
    id_key
        Key for hashed ids, None without.
    now
        What lies more than a day later cannot be.
    left_out
        Leads whose rows are not taken in at all, None for all of them.
    """

    connection: duckdb.DuckDBPyConnection
    config: WorkspaceConfig
    id_key: str | None
    now: datetime
    left_out: LeftOut | None = None

    def mark(self, reason: str, condition: str, values: list[Any] | None = None) -> None:
        """Put ``reason`` (an SQL text) against the rows that meet ``condition`` and have none yet."""
        self.connection.execute(
            f"UPDATE staged SET reason_ = {reason} WHERE reason_ IS NULL AND ({condition})", values or []
        )

    def has(self, table: str) -> bool:
        """Tell whether a clean table was taken in already."""
        return count_of(self.connection, f"SELECT count(*) FROM duckdb_tables() WHERE table_name = '{table}'") > 0


def count_of(connection: duckdb.DuckDBPyConnection, sql: str, bound: dict[str, Any] | None = None) -> int:
    """Return the one number that ``sql`` asks for, its named parameters bound."""
    return int(connection.execute(sql, bound or {}).fetchall()[0][0])


def check_ids(staging: Staging, schema: TableSchema) -> None:
    """Refuse ids that are personal data: they would travel into every table, log and answer.

    Raises
    ------
    TableError
        When at least one id in twenty looks like an e-mail address or a phone number.
    """
    if staging.config.workspace.hash_ids:
        return
    for column in (name for name in ID_COLUMNS if name in schema.column_names):
        rows = staging.connection.execute(
            f"SELECT DISTINCT {column} FROM staged WHERE {column} IS NOT NULL "
            f"ORDER BY hash({column}) LIMIT {_ID_SAMPLE}"
        )
        why = looks_personal(str(row[0]) for row in rows.fetchall())
        if why:
            raise TableError(
                found=f"ids in {schema.name}.{column} that are personal data ({why})",
                expected="ids that name nobody",
                fix="select another id, or set [workspace] hash_ids = true and KIZASHI_ID_KEY",
            )


def mark_bad_rows(staging: Staging, schema: TableSchema) -> int:
    """Put a reason against each row that the other rows or tables rule out; delete identical copies.

    Returns
    -------
    int
        How many identical copies there were.
    """
    _mark_ids(staging, schema)
    _mark_times(staging, schema)
    if schema.name == "lead_merges":
        _mark_merges(staging)
    if schema.name == "opportunities":
        _mark_opportunities(staging)
    if schema.name == "fx_rates":
        staging.mark("'rate is not above 0'", "rate <= 0")
    if schema.name in _MONEY:
        column, day = _MONEY[schema.name]
        _convert(staging, column, day.format(zone=staging.config.source_timezone))
    return _mark_duplicates(staging.connection, schema)


def _mark_ids(staging: Staging, schema: TableSchema) -> None:
    if not staging.config.workspace.hash_ids:
        for column in (name for name in ID_COLUMNS if name in schema.column_names):
            staging.mark(f"'{column} {PERSONAL_ID}'", f"regexp_matches({column}, '{EMAIL}')")
    if "lead_id" in schema.column_names and schema.name != "leads":
        known = "SELECT lead_id FROM leads"
        if staging.has("lead_merges"):
            known += " UNION SELECT from_lead_id FROM lead_merges"
        staging.mark("'unknown lead: ' || left(lead_id, 40)", f"lead_id IS NOT NULL AND lead_id NOT IN ({known})")


def _mark_times(staging: Staging, schema: TableSchema) -> None:
    latest = (staging.now + TOLERANCE).astimezone(UTC).isoformat()
    for name in (column.name for column in schema.columns if column.type == "time"):
        shown = f"CAST({quote(name)} AS VARCHAR)"
        staging.mark(f"'{name} lies in the future: ' || {shown}", f"{quote(name)} > CAST(? AS TIMESTAMPTZ)", [latest])
        staging.mark(
            f"'{name} lies before 1970: ' || {shown}",
            f"{quote(name)} < TIMESTAMPTZ '1970-01-01 00:00:00+00'",
        )
    if schema.clock not in (None, "recorded_at") and "recorded_at" in schema.column_names:
        staging.mark(
            f"'recorded_at lies over a day before {schema.clock}'",
            f"recorded_at < {quote(schema.clock or '')} - INTERVAL 24 HOUR",
        )


def _mark_merges(staging: Staging) -> None:
    """Rule out merges that lead nowhere.

    A merge may start at a lead that the CRM no longer lists, if it ends at one that it lists or at the start of
    another merge.
    """
    staging.mark("'a lead cannot be merged into itself'", "from_lead_id = into_lead_id")
    known = "SELECT lead_id FROM leads UNION SELECT from_lead_id FROM staged WHERE reason_ IS NULL"
    staging.mark(
        "'unknown lead: ' || left(into_lead_id, 40)",
        f"from_lead_id NOT IN (SELECT lead_id FROM leads) AND into_lead_id NOT IN ({known})",
    )


def _mark_opportunities(staging: Staging) -> None:
    staging.mark("'neither lead_id nor account_id'", "lead_id IS NULL AND account_id IS NULL")
    staging.mark("'amount is negative'", "amount < 0")
    staging.mark("'closed_at lies before created_at'", "closed_at < created_at - INTERVAL 24 HOUR")
    staging.mark(
        "'won, but when is not known: closed_at and recorded_at are missing'",
        "is_won AND closed_at IS NULL AND recorded_at IS NULL",
    )


def _convert(staging: Staging, column: str, day: str) -> None:
    """Bring amounts to the workspace currency by the newest rate of their day or before it."""
    currency = staging.config.workspace.currency
    if staging.has("fx_rates"):
        staging.connection.execute(
            f"UPDATE staged SET {column} = {column} * r.rate, currency = ? FROM (SELECT s.row_number_ AS id, "
            "arg_max(f.rate, f.on) AS rate FROM staged s JOIN fx_rates f ON f.currency = s.currency "
            f"AND f.on <= {day} WHERE s.reason_ IS NULL GROUP BY 1) r "
            "WHERE staged.row_number_ = r.id AND staged.currency <> ?",
            [currency, currency],
        )
    staging.mark(
        f"'{column} in ' || currency || ' without a rate to the workspace currency'",
        f"{column} IS NOT NULL AND currency IS NOT NULL AND currency <> ?",
        [currency],
    )


def _mark_duplicates(connection: duckdb.DuckDBPyConnection, schema: TableSchema) -> int:
    key = ", ".join(quote(name) for name in schema.key)
    again = _delete_told_again(connection, key)
    connection.execute(
        "CREATE TEMP TABLE later AS SELECT row_number_ FROM staged WHERE reason_ IS NULL "
        f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY row_number_) > 1"
    )
    identical = 0
    if count_of(connection, "SELECT count(*) FROM later"):
        described = connection.execute("DESCRIBE staged").fetchall()
        own = ("row_number_", "reason_", "arrived_us")
        everything = ", ".join(quote(row[0]) for row in described if row[0] not in own)
        connection.execute(
            "CREATE TEMP TABLE copies AS SELECT row_number_ FROM staged WHERE reason_ IS NULL "
            f"QUALIFY row_number() OVER (PARTITION BY {everything} ORDER BY row_number_) > 1"
        )
        identical = count_of(connection, "SELECT count(*) FROM copies")
        connection.execute("DELETE FROM staged WHERE row_number_ IN (SELECT row_number_ FROM copies)")
        connection.execute(
            "UPDATE staged SET reason_ = 'duplicate key: the row before it with the same "
            f"{', '.join(schema.key)} was kept' WHERE row_number_ IN (SELECT row_number_ FROM later)"
        )
        connection.execute("DROP TABLE copies")
    connection.execute("DROP TABLE later")
    return identical + again


def _delete_told_again(connection: duckdb.DuckDBPyConnection, key: str) -> int:
    """Delete rows that were told to the service and that the source has under the same key, whose row counts."""
    told = count_of(connection, "SELECT count(*) FROM staged WHERE arrived_us IS NOT NULL")
    if not told:
        return 0
    connection.execute(
        f"DELETE FROM staged WHERE arrived_us IS NOT NULL AND ({key}) IN "
        f"(SELECT ({key}) FROM staged WHERE arrived_us IS NULL AND reason_ IS NULL)"
    )
    return told - count_of(connection, "SELECT count(*) FROM staged WHERE arrived_us IS NOT NULL")
