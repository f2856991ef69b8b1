"""What is done about webhooks after they were answered.

The service's background task calls :func:`work_hooks` again and again, in one process at a time. What an event says is
stored first, and stays stored when another system that has to be asked does not answer: the event is then tried again,
and rows that are told twice are one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa

from crm.config_crm import CrmConfig
from crm.hook_events import HookEvent, done, pending, retry_later
from crm.known import to_micros
from crm.state import State
from serving.watch import describe_failure

__all__ = ["BATCH", "HookHandlers", "Reread", "Row", "Tell", "Work", "WorkOf", "Worked", "work_hooks"]

BATCH = 100
ORIGIN = "hook"

Row = Mapping[str, Any]
"""A row of the contract: its columns by name, times as timezone-aware moments, or as microseconds under ``*_us``."""

logger = logging.getLogger("kizashi.hooks")


class Tell(Protocol):
    """Stores rows of one table of the contract (``crm.told.Teller.tell``)."""

    def __call__(
        self, connection: sa.Connection, table: str, rows: Sequence[Row], origin: str, now_us: int, /
    ) -> object:
        """Store what is new, note what contradicts, keep what is wrong in quarantine."""
        ...


Reread = Callable[[str, Sequence[str]], None]
"""Is given a CRM's name in the workspace file and ids of its leads."""


@dataclass(frozen=True)
class Work:
    """What one event asks for.

    Parameters
    ----------
    rows
        Rows to store, by table, leads first.
    reread
        Leads whose record the CRM has to be asked for.
    erase
        Leads to erase.
    """

    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    reread: Sequence[str] = ()
    erase: Sequence[str] = ()


WorkOf = Callable[[HookEvent, Mapping[str, CrmConfig]], Work]
"""Reads an event's body; the second argument is ``[crm]``."""


@dataclass(frozen=True)
class HookHandlers:
    """What events are given to.

    Parameters
    ----------
    crms
        The sections ``[crm.NAME]``.
    tell
        Stores rows, in the transaction that it is given.
    reread
        Reads leads anew by a CRM's API; it may take seconds.
    erase
        Erases leads, as ``DELETE /v1/leads/{id}`` does.
    work_of
        Reads an event.
    """

    crms: Mapping[str, CrmConfig]
    tell: Tell
    reread: Reread
    erase: Reread
    work_of: WorkOf


@dataclass(frozen=True)
class Worked:
    """How many events were done, put off and given up.

    Parameters
    ----------
    done, put_off, given_up
        Numbers of events.
    """

    done: int = 0
    put_off: int = 0
    given_up: int = 0


def work_hooks(state: State, handlers: HookHandlers, now: datetime) -> Worked:
    """Work on the events whose turn it is, at most :data:`BATCH`; one that fails does not hold up the others.

    Parameters
    ----------
    state
        Where they wait.
    handlers
        What they are given to.
    now
        The clock. Timezone-aware.
    """
    now_us = to_micros(now)
    with state.reading() as connection:
        events = pending(connection, now_us, BATCH)
    results = [_worked_on(state, event, handlers, now_us) for event in events]
    return Worked(results.count("done"), results.count("put_off"), results.count("given_up"))


def _worked_on(state: State, event: HookEvent, handlers: HookHandlers, now_us: int) -> str:
    work = Work()
    try:
        work = handlers.work_of(event, handlers.crms)
        has_calls = bool(work.erase or work.reread)
        with state.writing() as connection:
            for table, rows in work.rows.items():
                handlers.tell(connection, table, rows, ORIGIN, now_us)
            if not has_calls:
                done(connection, event)
        if has_calls:
            _call(handlers, event.source.removeprefix("crm."), work)
            with state.writing() as connection:
                done(connection, event)
    except Exception as error:  # an edge of its own: whatever fails is tried again, and the others go on
        return _put_off(state, event, describe_failure(error), now_us, is_erasure=bool(work.erase))
    return "done"


def _call(handlers: HookHandlers, crm_name: str, work: Work) -> None:
    if work.erase:
        handlers.erase(crm_name, work.erase)
    if work.reread:
        handlers.reread(crm_name, work.reread)


def _put_off(state: State, event: HookEvent, error: str, now_us: int, *, is_erasure: bool) -> str:
    with state.writing() as connection:
        is_left = retry_later(connection, event, error, now_us, is_erasure=is_erasure)
    level = logging.WARNING if is_left else logging.ERROR
    logger.log(level, "webhook of %s %s: %s", event.source, "put off" if is_left else "given up", error)
    return "put_off" if is_left else "given_up"
