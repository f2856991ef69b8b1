"""The life of an entry of the outbox: due, sent and settled, or kept for another try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import sqlalchemy as sa

from crm.outbox import COMPARED, Queued, drop_dead_letters
from crm.state_tables import DEAD_LETTERS, OUTBOX, PUSHED
from crm.upserts import insert_into

__all__ = ["ALONE_AFTER", "Again", "Backlog", "backlogs", "due", "due_count", "retry_later", "settle"]

ALONE_AFTER = 3
"""An entry that failed this often is sent alone: it may be what fails the others of its batch."""


@dataclass(frozen=True)
class Backlog:
    """How far behind a CRM is: entries that wait, the oldest one's time in microseconds, and dead letters."""

    crm: str
    waiting: int
    oldest_us: int | None
    dead: int


@dataclass(frozen=True)
class Again:
    """An entry that is tried again: what went wrong, how often by now, and when (microseconds since 1970)."""

    entry: Queued
    message: str
    tries: int
    next_try_us: int


def due(connection: sa.Connection, crm: str, *, now_us: int, limit: int) -> list[Queued]:
    """Return what should be sent to a CRM now: entries never sent in vain first, in order of waiting.

    Entries that failed :data:`ALONE_AFTER` times come last and one at a time.
    """
    suspect = OUTBOX.c.tries >= ALONE_AFTER
    rows = connection.execute(
        sa.select(OUTBOX.c.lead_id, OUTBOX.c.seq, OUTBOX.c.payload, OUTBOX.c.queued_us, OUTBOX.c.tries)
        .where(OUTBOX.c.crm == crm, OUTBOX.c.next_try_us <= now_us)
        .order_by(suspect, OUTBOX.c.next_try_us, OUTBOX.c.lead_id)
        .limit(limit)
    ).all()
    found = [Queued(row[0], row[1], orjson.loads(row[2]), row[3], row[4]) for row in rows]
    fresh = [entry for entry in found if entry.tries < ALONE_AFTER]
    return fresh or found[:1]


def due_count(connection: sa.Connection, crm: str, *, now_us: int) -> int:
    """Return how many entries of a CRM should be sent now."""
    counted = sa.select(sa.func.count()).select_from(OUTBOX)
    return connection.execute(counted.where(OUTBOX.c.crm == crm, OUTBOX.c.next_try_us <= now_us)).scalar_one()


def settle(connection: sa.Connection, crm: str, sent: Sequence[Queued], *, now_us: int) -> None:
    """Note that a CRM took these entries.

    An entry leaves the outbox only where no newer score has taken its place meanwhile. A lead that was erased while its
    score was on its way has no entry any more and leaves no trace here.
    """
    leads = [entry.lead_id for entry in sent]
    here = connection.execute(
        sa.select(OUTBOX.c.lead_id).where(OUTBOX.c.crm == crm, OUTBOX.c.lead_id.in_(leads))
    ).scalars()
    alive = frozenset(here)
    taken = [entry for entry in sent if entry.lead_id in alive]
    if not taken:
        return
    keys = [{"of_crm": crm, "of_lead": entry.lead_id, "of_seq": entry.seq} for entry in taken]
    connection.execute(sa.delete(OUTBOX).where(*_is_still_the_one()), keys)
    drop_dead_letters(connection, keys)
    insert = insert_into(connection, PUSHED)
    told = ("seq", "score", *COMPARED, "pushed_us")
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=[PUSHED.c.crm, PUSHED.c.lead_id], set_={name: insert.excluded[name] for name in told}
        ),
        [
            {"crm": crm, "lead_id": entry.lead_id, "seq": entry.seq, "pushed_us": now_us}
            | {name: entry.payload[name] for name in ("score", *COMPARED)}
            for entry in taken
        ],
    )


def _is_still_the_one() -> tuple[sa.ColumnElement[bool], ...]:
    """Return the condition that no newer score took an entry's place (``of_crm``, ``of_lead``, ``of_seq``)."""
    return (
        OUTBOX.c.crm == sa.bindparam("of_crm"),
        OUTBOX.c.lead_id == sa.bindparam("of_lead"),
        OUTBOX.c.seq == sa.bindparam("of_seq"),
    )


def retry_later(connection: sa.Connection, crm: str, entries: Sequence[Again]) -> None:
    """Keep entries for another try; one whose place a newer score took is due at once, as that score is."""
    if not entries:
        return
    connection.execute(
        sa.update(OUTBOX)
        .where(*_is_still_the_one())
        .values(
            tries=sa.bindparam("of_tries"),
            next_try_us=sa.bindparam("of_next_try"),
            last_error=sa.bindparam("of_message"),
        ),
        [
            {
                "of_crm": crm,
                "of_lead": again.entry.lead_id,
                "of_seq": again.entry.seq,
                "of_tries": again.tries,
                "of_next_try": again.next_try_us,
                "of_message": again.message,
            }
            for again in entries
        ],
    )


def backlogs(connection: sa.Connection, crms: Sequence[str]) -> list[Backlog]:
    """Return how far behind each CRM is, also one that nothing waits for."""
    waiting = {
        row[0]: (row[1], row[2])
        for row in connection.execute(
            sa.select(OUTBOX.c.crm, sa.func.count(), sa.func.min(OUTBOX.c.queued_us)).group_by(OUTBOX.c.crm)
        )
    }
    counted = sa.select(DEAD_LETTERS.c.crm, sa.func.count()).group_by(DEAD_LETTERS.c.crm)
    dead = {row[0]: row[1] for row in connection.execute(counted)}
    return [Backlog(name, *waiting.get(name, (0, None)), dead.get(name, 0)) for name in crms]
