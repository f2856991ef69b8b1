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

from crm.clients.waiting import LONGEST_ASKED_S
from crm.config_crm import CrmConfig
from crm.errors import CrmAccessError, CrmSetupError, CrmUnavailableError
from crm.hook_events import HookEvent, done, pending, retry_later, wait_until, wait_us
from crm.known import to_micros
from crm.state import State
from serving.watch import describe_failure

__all__ = ["BATCH", "Away", "HookHandlers", "Reread", "Row", "Tell", "Work", "WorkOf", "Worked", "work_hooks"]

BATCH = 100
ORIGIN = "hook"
IN_VAIN = 3
"""Records in a row over which a CRM may break before it is taken to be away."""

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


@dataclass
class Away:
    """CRMs that did not answer the last time, until when each is left alone, and how often it was away in a row.

    Kept from one call of :func:`work_hooks` to the next: a call that waits for nothing takes a minute, in which no
    other webhook is worked on.
    """

    until_us: dict[str, int] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)

    def note(self, crm: str, error: CrmUnavailableError, now_us: int) -> None:
        """Leave a CRM alone for as long as it asked for, an hour at most, and at least for a pause that grows."""
        self.times[crm] = self.times.get(crm, 0) + 1
        asked_us = round(min(error.retry_after_s or 0.0, LONGEST_ASKED_S) * 1e6)
        self.until_us[crm] = now_us + max(asked_us, wait_us(self.times[crm]))

    def answered(self, crm: str) -> None:
        """Note that a CRM is there."""
        self.times.pop(crm, None)
        self.until_us.pop(crm, None)


def work_hooks(state: State, handlers: HookHandlers, now: datetime, away: Away | None = None) -> Worked:
    """Work on the events whose turn it is, at most :data:`BATCH`; one that fails does not hold up the others.

    What needs nobody else comes first, then erasures, then what a CRM is asked for, each CRM once for all its events.

    Parameters
    ----------
    state
        Where they wait.
    handlers
        What they are given to.
    now
        The clock. Timezone-aware.
    away
        CRMs that are not asked for now; what is found is noted there.
    """
    now_us = to_micros(now)
    with state.reading() as connection:
        events = pending(connection, now_us, BATCH)
    turn = _Turn(state, handlers, now_us, away if away is not None else Away())
    for event in events:
        turn.store(event)
    for event, work in turn.to_erase:
        turn.erase(event, work)
    for crm, asking in turn.to_reread.items():
        turn.in_vain = 0
        turn.reread(crm, asking)
    return Worked(turn.results.count("done"), turn.results.count("put_off"), turn.results.count("given_up"))


_Asking = tuple[HookEvent, Work]


@dataclass
class _Turn:
    """One call of :func:`work_hooks`: what became of its events, and what is still to be done about them."""

    state: State
    handlers: HookHandlers
    now_us: int
    away: Away
    results: list[str] = field(default_factory=list)
    to_erase: list[_Asking] = field(default_factory=list)
    to_reread: dict[str, list[_Asking]] = field(default_factory=dict)
    in_vain: int = 0

    def store(self, event: HookEvent) -> None:
        """Store what an event says; it is done, unless somebody else has to be asked."""
        try:
            work = self.handlers.work_of(event, self.handlers.crms)
            with self.state.writing() as connection:
                for table, rows in work.rows.items():
                    self.handlers.tell(connection, table, rows, ORIGIN, self.now_us)
                if not work.erase and not work.reread:
                    done(connection, event)
        except Exception as error:  # an edge of its own: whatever fails is tried again, and the others go on
            self._put_off(event, error)
            return
        if work.erase:
            self.to_erase.append((event, work))
        elif work.reread:
            self.to_reread.setdefault(_crm_of(event), []).append((event, work))
        else:
            self.results.append("done")

    def erase(self, event: HookEvent, work: Work) -> None:
        try:
            self.handlers.erase(_crm_of(event), work.erase)
        except Exception as error:
            self._put_off(event, error, is_erasure=True)
        else:
            self._done([event])

    def reread(self, crm: str, asking: Sequence[_Asking]) -> None:
        """Ask a CRM for the records of some events; where one of them cannot be had, for each alone."""
        events = [event for event, _ in asking]
        if self._is_away(crm, events):
            return
        try:
            self.handlers.reread(crm, list(dict.fromkeys(one for _, work in asking for one in work.reread)))
        except Exception as error:
            if len(asking) > 1 and _may_be_one(error):
                for one in asking:
                    self.reread(crm, [one])
                return
            self._note_vain(crm, error)
            for event in events:
                self._put_off(event, error)
        else:
            self.in_vain = 0
            self.away.answered(crm)
            self._done(events)

    def _is_away(self, crm: str, events: Sequence[HookEvent]) -> bool:
        """Put events off, untried, while their CRM is known to be away; tell if so."""
        until_us = self.away.until_us.get(crm, 0)
        if until_us <= self.now_us:
            return False
        with self.state.writing() as connection:
            for event in events:
                wait_until(connection, event, until_us)
        self.results += ["put_off"] * len(events)
        return True

    def _note_vain(self, crm: str, error: Exception) -> None:
        if isinstance(error, CrmUnavailableError):
            self.in_vain += 1
            if not error.may_be_a_row or self.in_vain >= IN_VAIN:
                self.away.note(crm, error, self.now_us)

    def _done(self, events: Sequence[HookEvent]) -> None:
        with self.state.writing() as connection:
            for event in events:
                done(connection, event)
        self.results += ["done"] * len(events)

    def _put_off(self, event: HookEvent, error: Exception, *, is_erasure: bool = False) -> None:
        said = describe_failure(error)
        with self.state.writing() as connection:
            is_left = retry_later(connection, event, said, self.now_us, is_erasure=is_erasure)
        level = logging.WARNING if is_left else logging.ERROR
        logger.log(level, "webhook of %s %s: %s", event.source, "put off" if is_left else "given up", said)
        self.results.append("put_off" if is_left else "given_up")


def _may_be_one(error: Exception) -> bool:
    """Tell whether a call may have failed for one of its records, and not for all of them."""
    if isinstance(error, CrmUnavailableError):
        return error.may_be_a_row
    return not isinstance(error, CrmAccessError | CrmSetupError)


def _crm_of(event: HookEvent) -> str:
    return event.source.removeprefix("crm.")
