"""Dead letters: scores that a CRM refuses for good, kept with its words until a person has looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from crm.outbox import Queued
from crm.state_tables import DEAD_LETTERS, OUTBOX
from crm.upserts import insert_into

__all__ = ["DeadLetter", "bury", "dead_letters", "requeue_dead_letters"]


@dataclass(frozen=True)
class DeadLetter:
    """A refused score: the lead, the ledger's number, the CRM's words, tries, and when (microseconds since 1970)."""

    crm: str
    lead_id: str
    seq: int
    message: str
    tries: int
    failed_us: int


def bury(connection: sa.Connection, crm: str, refused: Sequence[tuple[Queued, str]], *, now_us: int) -> int:
    """Move refused entries from the outbox to the dead letters, each with the CRM's message.

    A lead has one dead letter a CRM, the newest. An entry whose place a newer score took meanwhile is let go: that
    score is what counts, and it will be tried.

    Returns
    -------
    int
        Dead letters written.
    """
    buried = 0
    for entry, message in refused:  # few, if any
        the_one = (OUTBOX.c.crm == crm, OUTBOX.c.lead_id == entry.lead_id, OUTBOX.c.seq == entry.seq)
        payload = connection.execute(sa.select(OUTBOX.c.payload).where(*the_one)).scalar_one_or_none()
        if payload is None:
            continue
        connection.execute(sa.delete(OUTBOX).where(*the_one))
        connection.execute(
            sa.delete(DEAD_LETTERS).where(DEAD_LETTERS.c.crm == crm, DEAD_LETTERS.c.lead_id == entry.lead_id)
        )
        connection.execute(
            sa.insert(DEAD_LETTERS).values(
                crm=crm,
                lead_id=entry.lead_id,
                ledger_seq=entry.seq,
                payload=payload,
                message=message,
                tries=entry.tries + 1,
                failed_us=now_us,
            )
        )
        buried += 1
    return buried


def dead_letters(connection: sa.Connection, crms: Sequence[str], *, limit: int = 1_000) -> list[DeadLetter]:
    """Return the dead letters of these CRMs, the newest first."""
    rows = connection.execute(
        sa.select(
            DEAD_LETTERS.c.crm,
            DEAD_LETTERS.c.lead_id,
            DEAD_LETTERS.c.ledger_seq,
            DEAD_LETTERS.c.message,
            DEAD_LETTERS.c.tries,
            DEAD_LETTERS.c.failed_us,
        )
        .where(DEAD_LETTERS.c.crm.in_(list(crms)))
        .order_by(DEAD_LETTERS.c.failed_us.desc(), DEAD_LETTERS.c.seq)
        .limit(limit)
    ).all()
    return [DeadLetter(*row) for row in rows]


def requeue_dead_letters(connection: sa.Connection, crm: str, *, now_us: int) -> int:
    """Put a CRM's dead letters back into the outbox, as new; a newer score that already waits there stays.

    Returns
    -------
    int
        Dead letters that there are no more.
    """
    rows = connection.execute(
        sa.select(DEAD_LETTERS.c.lead_id, DEAD_LETTERS.c.ledger_seq, DEAD_LETTERS.c.payload)
        .where(DEAD_LETTERS.c.crm == crm)
        .order_by(DEAD_LETTERS.c.lead_id)
    ).all()
    if not rows:
        return 0
    entries: list[dict[str, Any]] = [
        {
            "crm": crm,
            "lead_id": row[0],
            "seq": row[1],
            "payload": row[2],
            "queued_us": now_us,
            "tries": 0,
            "next_try_us": now_us,
        }
        for row in rows
    ]
    insert = insert_into(connection, OUTBOX)
    connection.execute(insert.on_conflict_do_nothing(index_elements=[OUTBOX.c.crm, OUTBOX.c.lead_id]), entries)
    connection.execute(sa.delete(DEAD_LETTERS).where(DEAD_LETTERS.c.crm == crm))
    return len(rows)
