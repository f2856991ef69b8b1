"""The audit: who did what and when, appended, with keyed hashes in place of leads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from crm.known import to_micros
from crm.state_tables import AUDIT

__all__ = ["Action", "AuditRow", "note_promotion", "write_audit"]

Action = Literal[
    "key_created",
    "key_revoked",
    "key_refused",
    "erasure",
    "objection",
    "promotion_seen",
    "expectation_registered",
    "board_login",
    "board_rows",
]


@dataclass(frozen=True)
class AuditRow:
    """One row.

    Parameters
    ----------
    at
        When it happened. Timezone-aware.
    key_id
        Who did it: a key's id, ``cli`` for the command line, ``unknown`` for a caller whose key is none.
    action
        What was done.
    outcome
        What came of it.
    request_id
        Under which the log has the request.
    lead_hash
        Keyed hash of the lead (:func:`crm.lead_hashes.lead_hash`), never its id.
    detail
        What else an auditor asks for; no ids of leads and nothing that a caller sent.
    """

    at: datetime
    key_id: str
    action: Action
    outcome: str = "done"
    request_id: str = "-"
    lead_hash: str | None = None
    detail: Mapping[str, Any] | None = None


def write_audit(connection: sa.Connection, row: AuditRow) -> None:
    """Append a row, in the transaction of what it tells of."""
    connection.execute(
        sa.insert(AUDIT).values(
            at_us=to_micros(row.at),
            key_id=row.key_id,
            action=row.action,
            lead_hash=row.lead_hash,
            outcome=row.outcome,
            request_id=row.request_id,
            detail=None if row.detail is None else json.dumps(row.detail, ensure_ascii=False, sort_keys=True),
        )
    )


def note_promotion(connection: sa.Connection, model_version: str, line_version: str, at: datetime) -> bool:
    """Append that the service answers with another version or line than before; False when it is the same.

    Parameters
    ----------
    connection
        A transaction that writes.
    model_version, line_version
        What is in force.
    at
        The clock. Timezone-aware.
    """
    newest = connection.execute(
        sa.select(AUDIT.c.detail).where(AUDIT.c.action == "promotion_seen").order_by(AUDIT.c.seq.desc()).limit(1)
    ).scalar()
    detail = {"line_version": line_version, "model_version": model_version}
    if newest is not None and json.loads(newest) == detail:
        return False
    write_audit(connection, AuditRow(at, "service", "promotion_seen", detail=detail))
    return True
