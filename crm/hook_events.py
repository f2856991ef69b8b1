"""Webhooks that were taken: each is answered once and for all, and worked on after its answer.

Senders repeat what they are not sure has arrived, and so does whoever recorded a signed request. A repeat is given the
first answer and does nothing else, also when both come at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from crm.state_tables import HOOK_EVENTS

__all__ = [
    "MAX_TRIES",
    "Arrived",
    "HookAnswer",
    "HookEvent",
    "HookHint",
    "done",
    "first_answer",
    "forget",
    "pending",
    "retry_later",
    "take",
    "take_hint",
    "wait_until",
    "wait_us",
]

MAX_TRIES = 15
"""After so many failures, about two days, an event is given up; its row stays until it is forgotten."""
FIRST_WAIT_US = 30_000_000
LONGEST_WAIT_US = 12 * 3600 * 1_000_000


@dataclass(frozen=True)
class HookAnswer:
    """What a sender was answered.

    Parameters
    ----------
    status
        HTTP status.
    text
        The body, JSON.
    """

    status: int
    text: str


@dataclass(frozen=True)
class Arrived:
    """An event as it arrived.

    Parameters
    ----------
    source
        Who sent it.
    event_id
        What makes it one event among those of its source.
    body
        Kept until it was worked on; None for an event that leaves nothing to do.
    leads
        Hashes of the leads that body or answer speak of, parted by blanks: an erasure finds them by these.
    """

    source: str
    event_id: str
    body: str | None
    leads: str = ""


@dataclass(frozen=True)
class HookEvent:
    """An event that waits to be worked on.

    Parameters
    ----------
    source, event_id
        Its key.
    received_us
        When it arrived, microseconds since 1970 UTC.
    body
        What was sent.
    tries
        How often it failed so far.
    leads
        Hashes of the leads that it speaks of, parted by blanks.
    """

    source: str
    event_id: str
    received_us: int
    body: str
    tries: int
    leads: str = ""


@dataclass(frozen=True)
class HookHint:
    """Word of a change, without the change.

    Parameters
    ----------
    source
        Who sent it.
    record_id
        Which record it is about.
    body
        Kept until it was worked on.
    wait_us
        How long to wait before the record is read, in microseconds: some senders speak before they commit.
    leads
        Hash of the lead that the record is.
    """

    source: str
    record_id: str
    body: str
    wait_us: int
    leads: str


def take(connection: sa.Connection, arrived: Arrived, answer: HookAnswer, now_us: int) -> HookAnswer | None:
    """Take an event once.

    Call it inside a transaction that writes; of two at the same time the second waits for the first.

    Parameters
    ----------
    connection
        Of :meth:`crm.state.State.writing`.
    arrived
        The event.
    answer
        What a new event is answered.
    now_us
        The clock, microseconds since 1970 UTC.

    Returns
    -------
    HookAnswer or None
        None for a new event; the first answer for one that was taken before.
    """
    row = {
        "source": arrived.source,
        "event_id": arrived.event_id,
        "received_us": now_us,
        "body": arrived.body,
        "status": answer.status,
        "answer": answer.text,
        "tries": 0,
        "next_try_us": None if arrived.body is None else now_us,
        "leads": arrived.leads,
    }
    # Drivers disagree on the number of rows of an insert; what it returns is there only when it did something.
    made = connection.execute(_insert(connection).values(row).returning(HOOK_EVENTS.c.event_id))
    if made.one_or_none() is not None:
        return None
    return first_answer(connection, arrived.source, arrived.event_id)


def take_hint(connection: sa.Connection, hint: HookHint, answer: HookAnswer, now_us: int) -> None:
    """Note that a record has changed, or changed again, in a system that tells no more than this.

    Several hints at a record that was not read yet are one; a hint at one that was is work again.
    """
    row = {
        "body": hint.body,
        "received_us": now_us,
        "status": answer.status,
        "answer": answer.text,
        "tries": 0,
        "next_try_us": now_us + hint.wait_us,
        "leads": hint.leads,
    }
    key = {"source": hint.source, "event_id": hint.record_id}
    made = _dialect_insert(connection).values({**key, **row})
    connection.execute(made.on_conflict_do_update(index_elements=list(key), set_=row))


def first_answer(connection: sa.Connection, source: str, event_id: str) -> HookAnswer | None:
    """Return what an event was answered; None when it was never taken."""
    asked = sa.select(HOOK_EVENTS.c.status, HOOK_EVENTS.c.answer).where(*_is(source, event_id))
    found = connection.execute(asked).one_or_none()
    return None if found is None else HookAnswer(int(found.status), str(found.answer))


def pending(connection: sa.Connection, now_us: int, limit: int) -> list[HookEvent]:
    """Return the events whose turn it is, the oldest first."""
    columns = HOOK_EVENTS.c
    asked = (
        sa.select(columns.source, columns.event_id, columns.received_us, columns.body, columns.tries, columns.leads)
        .where(columns.next_try_us <= now_us, columns.body.is_not(None))
        .order_by(columns.received_us, columns.source, columns.event_id)
        .limit(limit)
    )
    return [HookEvent(**row) for row in connection.execute(asked).mappings()]


def done(connection: sa.Connection, event: HookEvent) -> None:
    """Mark an event as worked on; its body is emptied, its answer stays for repeats."""
    _change(connection, event, {"body": None, "next_try_us": None, "last_error": None})


def retry_later(
    connection: sa.Connection, event: HookEvent, error: str, now_us: int, *, is_erasure: bool = False
) -> bool:
    """Put an event off after a failure.

    Parameters
    ----------
    connection
        Of a transaction that writes.
    event
        As :func:`pending` returned it.
    error
        What failed, without anything of the event.
    now_us
        The clock, microseconds since 1970 UTC.
    is_erasure
        The event asks for an erasure, which may have emptied its own body before it failed: the body is put back, so
        that it can be asked for again.

    Returns
    -------
    bool
        False when it was given up.
    """
    tries = event.tries + 1
    is_left = tries < MAX_TRIES
    next_try_us = now_us + wait_us(tries) if is_left else None
    values: dict[str, Any] = {"tries": tries, "next_try_us": next_try_us, "last_error": error}
    if is_erasure:
        _change(connection, event, values | {"body": event.body, "leads": event.leads})
    else:
        _change(connection, event, values, HOOK_EVENTS.c.body.is_not(None))
    return is_left


def wait_until(connection: sa.Connection, event: HookEvent, until_us: int) -> None:
    """Put an event off that was not tried, as what it needs is known to be away."""
    _change(connection, event, {"next_try_us": until_us}, HOOK_EVENTS.c.body.is_not(None))


def forget(connection: sa.Connection, before_us: int) -> int:
    """Delete events that arrived before a moment and do not wait any more; return how many.

    A repeat of a forgotten event is taken as new. Keep them for longer than senders repeat: three days for HubSpot.
    """
    old = sa.delete(HOOK_EVENTS).where(HOOK_EVENTS.c.received_us < before_us, HOOK_EVENTS.c.next_try_us.is_(None))
    return connection.execute(old).rowcount


def wait_us(tries: int) -> int:
    """Return the pause after so many failures, in microseconds: it doubles from 30 s to 12 h.

    Examples
    --------
    >>> [wait_us(tries) // 1_000_000 for tries in (1, 2, 3, 20)]
    [30, 60, 120, 43200]
    """
    return min(FIRST_WAIT_US * 2 ** min(tries - 1, 20), LONGEST_WAIT_US)


def _insert(connection: sa.Connection) -> Any:
    """Return an insert that does nothing where the event is already there."""
    return _dialect_insert(connection).on_conflict_do_nothing(index_elements=["source", "event_id"])


def _dialect_insert(connection: sa.Connection) -> Any:
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return make(HOOK_EVENTS)


def _is(source: str, event_id: str) -> Sequence[sa.ColumnElement[bool]]:
    return (HOOK_EVENTS.c.source == source, HOOK_EVENTS.c.event_id == event_id)


def _change(
    connection: sa.Connection, event: HookEvent, values: Mapping[str, Any], *only: sa.ColumnElement[bool]
) -> None:
    """Change an event's row, unless a new hint has taken its place while it was worked on.

    Who puts an event off leaves one alone that an erasure has emptied meanwhile: nothing would ever work on it.
    """
    is_it = (*_is(event.source, event.event_id), HOOK_EVENTS.c.received_us == event.received_us, *only)
    connection.execute(sa.update(HOOK_EVENTS).where(*is_it).values(values))
