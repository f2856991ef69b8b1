"""Telling a CRM its scores: the outbox emptied batch by batch, by one process at a time.

After each batch what became of it is written down, so a run that ends anywhere is taken up where it was. What a process
sent and could not write down is sent again (see :mod:`crm.outbox`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from crm.clients.outcomes import CrmClient, Outcome, refused
from crm.clients.waiting import LONGEST_ASKED_S, Waiting, backoff_s
from crm.dead_letters import bury
from crm.errors import CrmRefusedError, CrmUnavailableError
from crm.leases import release_lease, take_lease
from crm.outbox import Queued
from crm.progress import Progress, Silent, Step
from crm.sending import ALONE_AFTER, Again, backlogs, due, due_count, retry_later, settle
from crm.state import State

__all__ = ["Deliverer", "PushSummary"]

LEASE_S = 90.0
"""Longer than a call and the wait before it: the lease is renewed before each of them."""

RENEW_AFTER_S = 20.0
FIRST_RETRY_S = 30.0
LONGEST_RETRY_S = 6 * 3_600.0
BURY_AFTER = 12
"""Vain tries, while others arrived, after which an entry becomes a dead letter: about a day."""

FIRST_AWAY_S = 5.0
LONGEST_AWAY_S = 300.0
"""How long a CRM that did not answer is left alone at most, by a process that goes on."""

IN_VAIN = 3
"""Calls in a row that may come to nothing before a run ends: the CRM is away. Two are one bad row, in the whole batch
and in its first half."""


@dataclass(frozen=True)
class PushSummary:
    """What a run did.

    Parameters
    ----------
    crm
        Its name in the workspace file.
    sent, retried, refused
        Scores that arrived, that come again later, and that became dead letters.
    waiting, dead
        Entries of the outbox and dead letters after the run, those of earlier ones among them.
    is_busy
        Another process holds the lease: nothing was done here.
    stopped
        Why the run ended early: the CRM did not answer. Empty otherwise.
    """

    crm: str
    sent: int
    retried: int
    refused: int
    waiting: int
    dead: int
    is_busy: bool = False
    stopped: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


@dataclass
class _Run:
    """Counts of a run, and its times: ``now_us`` at its start and what has passed since."""

    now_us: int
    started: float
    renewed: float
    sent: int = 0
    retried: int = 0
    refused: int = 0
    in_vain: int = 0
    stopped: str = ""


class _LeaseLostError(Exception):
    """Another process took over, because this one was silent for too long."""


@dataclass
class Deliverer:
    """Delivers the outbox of one CRM; a background task calls :meth:`run_once` again and again.

    Parameters
    ----------
    state
        The service's state.
    name
        The CRM's name in the workspace file.
    client
        Its client; not shared with another thread.
    waiting
        The clock that passing time is measured with.
    holder
        Who holds the lease; :func:`crm.leases.holder_name` makes one.
    """

    state: State
    name: str
    client: CrmClient
    waiting: Waiting
    holder: str
    _not_before: float = field(default=float("-inf"), repr=False)
    _away: int = field(default=0, repr=False)

    def run_once(self, now: datetime, progress: Progress | None = None) -> PushSummary:
        """Send what is due.

        Parameters
        ----------
        now
            Timezone-aware. What is queued later is left to the next run.
        progress
            Where to report.

        Returns
        -------
        PushSummary
            Also when the CRM did not answer: what waits is tried again later, by itself.

        Raises
        ------
        CrmAccessError
            When the CRM does not accept the key; what waits goes on waiting.
        CrmSetupError
            When a field or an address of the workspace file is wrong; likewise.
        """
        started = self.waiting.monotonic()
        run = _Run(round(now.timestamp() * 1e6), started, started)
        if started < self._not_before:
            return self._summary(run, stopped="the CRM asked to wait")
        if not self._lease(run.now_us):
            return self._summary(run, is_busy=True)
        self.client.on_call(lambda: self._renew(run))
        try:
            self._deliver(run, progress or Silent())
        except _LeaseLostError:
            run.stopped = "another process took over"
        finally:
            self.client.on_call(lambda: None)
            with self.state.writing() as connection:
                release_lease(connection, self._lease_name, self.holder)
        return self._summary(run, stopped=run.stopped)

    def close(self) -> None:
        """Close the client."""
        self.client.close()

    @property
    def _lease_name(self) -> str:
        return f"push:{self.name}"

    def _lease(self, now_us: int) -> bool:
        until_us = now_us + round(LEASE_S * 1e6)
        with self.state.writing() as connection:
            return take_lease(connection, self._lease_name, self.holder, now_us=now_us, until_us=until_us)

    def _renew(self, run: _Run) -> None:
        passed = self.waiting.monotonic()
        if passed - run.renewed < RENEW_AFTER_S:
            return
        if not self._lease(self._now_us(run)):
            raise _LeaseLostError
        run.renewed = passed

    def _deliver(self, run: _Run, progress: Progress) -> None:
        with self.state.reading() as connection:
            total = due_count(connection, self.name, now_us=run.now_us)
        if not total:
            return
        with progress.step(f"Telling {self.name}", total) as step:
            left = total
            while not run.stopped:
                size = self.client.batch_size(left)
                with self.state.reading() as connection:
                    rows = due(connection, self.name, now_us=run.now_us, limit=size)
                if not rows:
                    break
                self._deliver_batch(run, rows, step)
                left -= len(rows)
            step.note(f"{run.sent:,} told, {run.retried:,} later, {run.refused:,} refused")

    def _deliver_batch(self, run: _Run, rows: Sequence[Queued], step: Step) -> None:
        """Send rows; halve what is refused, or fails, as a whole until the row is found that is to blame.

        Halves go to the end of the line, so that behind one that fails there is soon one that does not: that tells a
        row that the CRM cannot bear from a CRM that is away.
        """
        parts, failed = deque([rows]), list[tuple[Queued, CrmUnavailableError]]()
        while parts and not run.stopped:
            part = parts.popleft()
            try:
                outcomes: Sequence[Outcome] = self.client.push(part)
            except CrmRefusedError as error:
                if len(part) > 1:
                    parts.extend(_halves(part))
                    continue
                outcomes = [refused(error.message)]
            except CrmUnavailableError as error:
                run.in_vain += 1
                if not error.may_be_a_row or run.in_vain >= IN_VAIN:
                    self._stop(run, error)
                elif len(part) > 1:
                    parts.extend(_halves(part))
                else:
                    failed.append((part[0], error))
                continue
            self._record(run, part, outcomes)
            step.advance(len(outcomes))
        self._judge(run, failed)

    def _record(self, run: _Run, rows: Sequence[Queued], outcomes: Sequence[Outcome]) -> None:
        """Write down what became of rows; those beyond the last outcome were not reached and stay due."""
        told = list(zip(rows, outcomes, strict=False))
        sent = [row for row, outcome in told if outcome.verdict == "ok"]
        gone = [(row, outcome.message) for row, outcome in told if outcome.verdict == "refused"]
        again = [(row, outcome.message) for row, outcome in told if outcome.verdict == "retry"]
        run.in_vain, self._away = 0, 0
        with self.state.writing() as connection:
            if sent:
                settle(connection, self.name, sent, now_us=self._now_us(run))
            run.refused += bury(connection, self.name, gone, now_us=self._now_us(run))
            self._try_again(connection, run, again)
        run.sent += len(sent)

    def _judge(self, run: _Run, failed: Sequence[tuple[Queued, CrmUnavailableError]]) -> None:
        """Count a vain try against rows that failed alone, if others arrived; from now on they are sent alone.

        Where none arrived, the CRM may as well be away.
        """
        if not failed or run.stopped:
            return
        if not run.sent:
            self._stop(run, failed[0][1])
            return
        with self.state.writing() as connection:
            entries = [(row, error.found) for row, error in failed]
            self._try_again(connection, run, entries, least_tries=ALONE_AFTER)

    def _try_again(
        self, connection: sa.Connection, run: _Run, entries: Sequence[tuple[Queued, str]], *, least_tries: int = 1
    ) -> None:
        """Put entries off, ever longer; in the end they become dead letters."""
        now_us = self._now_us(run)
        spent = [(row, message) for row, message in entries if row.tries + 1 >= BURY_AFTER]
        again = [
            Again(row, message, max(row.tries + 1, least_tries), now_us + self._later_us(row.tries))
            for row, message in entries
            if row.tries + 1 < BURY_AFTER
        ]
        retry_later(connection, self.name, again)
        run.refused += bury(connection, self.name, spent, now_us=now_us)
        run.retried += len(again)

    def _stop(self, run: _Run, error: CrmUnavailableError) -> None:
        """End the run: the CRM is away. What waits is left as it is, so that no lead is blamed for it."""
        backoff = backoff_s(self._away, self.waiting.chance(), first_s=FIRST_AWAY_S, most_s=LONGEST_AWAY_S)
        self._away += 1
        self._not_before = self.waiting.monotonic() + max(min(error.retry_after_s or 0.0, LONGEST_ASKED_S), backoff)
        run.stopped = error.found

    def _later_us(self, tries: int) -> int:
        wait_s = backoff_s(tries, self.waiting.chance(), first_s=FIRST_RETRY_S, most_s=LONGEST_RETRY_S)
        return round(1e6 * max(wait_s, 1.0))

    def _now_us(self, run: _Run) -> int:
        return run.now_us + round((self.waiting.monotonic() - run.started) * 1e6)

    def _summary(self, run: _Run, *, is_busy: bool = False, stopped: str = "") -> PushSummary:
        with self.state.reading() as connection:
            (behind,) = backlogs(connection, [self.name])
        return PushSummary(self.name, run.sent, run.retried, run.refused, behind.waiting, behind.dead, is_busy, stopped)


def _halves(rows: Sequence[Queued]) -> tuple[Sequence[Queued], Sequence[Queued]]:
    middle = len(rows) // 2
    return rows[:middle], rows[middle:]
