"""The tables of the service's state: what it was told, what it answered, what it still has to send.

Tables of the contract have its columns, times as whole microseconds since 1970 UTC (``*_us``), and beside them when the
row arrived here and by which way. Rows are appended; a version or a change is a row of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, MetaData, Table, Text
from sqlalchemy.types import TypeEngine

from crm.tables import TABLES, TableSchema

__all__ = [
    "API_KEYS",
    "AUDIT",
    "CURRENT_SCORES",
    "DEAD_LETTERS",
    "EXPECTATIONS",
    "HOOK_EVENTS",
    "LEASES",
    "LEDGER",
    "METADATA",
    "OBJECTIONS",
    "OUTBOX",
    "PULLS",
    "PUSHED",
    "RESCORE_QUEUE",
    "SHADOW_SCORES",
    "TOLD",
    "TOLD_QUARANTINE",
    "TOMBSTONES",
    "contract_table",
    "micros_name",
]

METADATA = MetaData()

_TYPES: Mapping[str, type[TypeEngine[Any]]] = {
    "text": Text,
    "time": BigInteger,
    "number": Double,
    "boolean": Boolean,
}


def micros_name(column: str) -> str:
    """Return the name under which a time of the contract is kept in microseconds.

    Examples
    --------
    >>> micros_name("happened_at")
    'happened_us'
    """
    return column.removesuffix("_at") + "_us"


def _number_of_row() -> Column[int]:
    """Return a column that only rises; SQLite counts up INTEGER primary keys alone."""
    return Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def contract_table(schema: TableSchema, metadata: MetaData) -> Table:
    """Return a table of the contract as a database table."""
    columns: list[Any] = []
    for column in schema.columns:
        is_time = column.type == "time"
        name = micros_name(column.name) if is_time else column.name
        in_key = column.name in schema.key
        columns.append(
            Column(name, _TYPES[column.type](), primary_key=in_key, nullable=not (in_key or column.required))
        )
    columns += [
        Column("arrived_us", BigInteger, nullable=False),
        Column("origin", Text, nullable=False),
    ]
    if "lead_id" in schema.column_names and schema.key[0] != "lead_id":
        columns.append(Index(f"ix_{schema.name}_lead_id", "lead_id"))
    if "account_id" in schema.column_names:
        columns.append(Index(f"ix_{schema.name}_account_id", "account_id"))
    if schema.name == "lead_merges":
        columns.append(Index("ix_lead_merges_into_lead_id", "into_lead_id"))
    return Table(schema.name, metadata, *columns)


TOLD: Mapping[str, Table] = MappingProxyType(
    {
        name: contract_table(TABLES[name], METADATA)
        for name in ("leads", "lead_changes", "lead_merges", "touches", "stages", "opportunities", "hand_offs")
    }
)
"""Tables of the contract as they were posted or pulled. A posted lead's attributes are rows of ``lead_changes``."""

EXPECTATIONS = contract_table(TABLES["expectations"], METADATA)
"""What the teams expected of campaigns, as registered with ``kizashi expect``."""

TOLD_QUARANTINE = Table(
    "told_quarantine",
    METADATA,
    _number_of_row(),
    Column("table", Text, nullable=False),
    Column("key", Text),
    Column("reason", Text, nullable=False),
    Column("content", Text),
    Column("arrived_us", BigInteger, nullable=False),
    Column("origin", Text, nullable=False),
)
"""Rows that arrived and cannot be used, with the reason."""

LEDGER = Table(
    "ledger",
    METADATA,
    _number_of_row(),
    Column("lead_id", Text, nullable=False),
    Column("as_of_us", BigInteger, nullable=False),
    Column("issued_us", BigInteger, nullable=False),
    Column("origin", Text, nullable=False),  # served, batch
    Column("is_stored", Boolean, nullable=False),  # False: the lead came in the request's body and is not held here
    Column("model_version", Text, nullable=False),
    Column("line_version", Text, nullable=False),
    Column("score_outcome", Text, nullable=False),
    Column("score", Double, nullable=False),
    Column("score_unclipped", Double, nullable=False),
    Column("base", Double, nullable=False),
    Column("p_sql", Double, nullable=False),
    Column("p_won", Double, nullable=False),
    Column("expected_revenue", Double, nullable=False),
    Column("expected_value", Double, nullable=False),
    Column("percentile", Double, nullable=False),
    Column("grade", Text, nullable=False),
    Column("is_mql", Boolean, nullable=False),
    Column("decision", Text, nullable=False),
    Column("excluded_by", Text),
    Column("propensity", Double, nullable=False),
    Column("is_above", Boolean, nullable=False),
    Column("points", Text, nullable=False),  # JSON: signal to points
    Column("reasons", Text, nullable=False),  # JSON: list of texts
    Column("input_hmac", Text, nullable=False),
    Column("latency_us", BigInteger, nullable=False),
    Column("request_id", Text, nullable=False),
    Index("ix_ledger_lead_id", "lead_id", "seq"),
    sqlite_autoincrement=True,
)
"""Every score that was issued. Rows are appended and, but for erasure, never changed."""

SHADOW_SCORES = Table(
    "shadow_scores",
    METADATA,
    Column("seq", BigInteger, primary_key=True),  # of the ledger
    Column("model_version", Text, primary_key=True),
    Column("lead_id", Text, nullable=False, index=True),
    Column("score_unclipped", Double, nullable=False),
    Column("p_sql", Double, nullable=False),
    Column("p_won", Double, nullable=False),
    Column("expected_value", Double, nullable=False),
    Column("is_mql", Boolean, nullable=False),
)
"""What the challenger would have answered."""

CURRENT_SCORES = Table(
    "current_scores",
    METADATA,
    Column("lead_id", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),  # of the ledger
    Column("account_id", Text),
    Column("as_of_us", BigInteger, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("line_version", Text, nullable=False),
    Column("score", Double, nullable=False),
    Column("expected_value", Double, nullable=False),
    Column("grade", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("propensity", Double, nullable=False),
    Column("is_above", Boolean, nullable=False),
    Index("ix_current_scores_queue", "decision", "expected_value"),
)
"""The newest score of each lead that is held here: the queue, and what the next decision has to know."""

RESCORE_QUEUE = Table(
    "rescore_queue",
    METADATA,
    Column("lead_id", Text, primary_key=True),  # one of the two is empty
    Column("account_id", Text, primary_key=True),
    Column("queued_us", BigInteger, nullable=False, index=True),
)
"""Leads, and accounts with all of their leads, whose scores may have changed without a request."""

OUTBOX = Table(
    "outbox",
    METADATA,
    Column("crm", Text, primary_key=True),
    Column("lead_id", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),  # of the ledger; a newer score takes the place of an unsent one
    Column("payload", Text, nullable=False),  # JSON: what score --out has for the lead
    Column("queued_us", BigInteger, nullable=False, index=True),
    Column("tries", Integer, nullable=False),
    Column("next_try_us", BigInteger, nullable=False),
    Column("last_error", Text),
    Index("ix_outbox_due", "crm", "next_try_us"),
)
"""Scores that a CRM does not have yet, written in the transaction of the ledger's row."""

PUSHED = Table(
    "pushed",
    METADATA,
    Column("crm", Text, primary_key=True),
    Column("lead_id", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("score", Double, nullable=False),
    Column("grade", Text, nullable=False),
    Column("is_mql", Boolean, nullable=False),
    Column("decision", Text, nullable=False),
    Column("pushed_us", BigInteger, nullable=False),
)
"""What each CRM was last told: smaller changes are not sent, and its echo is known."""

PULLS = Table(
    "pulls",
    METADATA,
    Column("crm", Text, primary_key=True),
    Column("pulled_us", BigInteger),  # null until a first pull has ended
    Column("news", Integer, nullable=False),  # pages that brought something: the service then gathers leads anew
    Column("place", Text),  # JSON: where a pull that did not end goes on; null once it has
    Column("unread", Text),  # JSON: streams that the key may not read, and since when they were not read
)
"""Until when each CRM was pulled from, and how far a pull has come that is under way or was cut off."""

DEAD_LETTERS = Table(
    "dead_letters",
    METADATA,
    _number_of_row(),
    Column("crm", Text, nullable=False),
    Column("lead_id", Text, nullable=False, index=True),
    Column("ledger_seq", BigInteger, nullable=False),
    Column("payload", Text, nullable=False),
    Column("message", Text, nullable=False),  # the CRM's words
    Column("tries", Integer, nullable=False),
    Column("failed_us", BigInteger, nullable=False),
)
"""Scores that a CRM refuses for good."""

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("key_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("sha256", Text, nullable=False, unique=True),
    Column("scopes", Text, nullable=False),  # separated by spaces
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger),
    Column("revoked_us", BigInteger),
)
"""Digests of the keys that callers show."""

HOOK_EVENTS = Table(
    "hook_events",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("received_us", BigInteger, nullable=False, index=True),
    Column("body", Text),  # emptied once it was worked on
    Column("status", Integer, nullable=False),
    Column("answer", Text, nullable=False),  # given again to a replay
    Column("tries", Integer, nullable=False),
    Column("next_try_us", BigInteger),  # null once it was worked on
    Column("last_error", Text),
    Column("leads", Text, nullable=False),  # hashes of those that body or answer speak of, parted by blanks
)
"""Webhooks that were taken, worked on after the answer."""

TOMBSTONES = Table(
    "tombstones",
    METADATA,
    Column("lead_hash", Text, primary_key=True),
    Column("erased_us", BigInteger, nullable=False),
)
"""Keyed hashes of erased leads: no source and no request brings them back."""

OBJECTIONS = Table(
    "objections",
    METADATA,
    Column("lead_hash", Text, primary_key=True),
    Column("objected_us", BigInteger, nullable=False),
)
"""Keyed hashes of leads that are neither scored nor trained on any more."""

AUDIT = Table(
    "audit",
    METADATA,
    _number_of_row(),
    Column("at_us", BigInteger, nullable=False, index=True),
    Column("key_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("lead_hash", Text),
    Column("outcome", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("detail", Text),  # JSON
)
"""Who did what, without naming leads."""

LEASES = Table(
    "leases",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until_us", BigInteger, nullable=False),
)
"""Which of several processes runs a background task."""
