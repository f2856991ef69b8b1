"""What the service does beside answering: rescoring, new champions, CRMs to be told, webhooks, the night's work."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from crm.audit import note_promotion
from crm.clients.opening import open_client
from crm.clients.waiting import Waiting
from crm.delivery import Deliverer
from crm.erasure import Asker, erase_lead
from crm.errors import CrmError
from crm.known import to_micros
from crm.leases import holder_name, take_lease
from crm.rescore_queue import queue_rescoring
from crm.retention import apply_retention
from crm.told_storing import Told
from serving.garbage import sweep
from serving.hooks.formats import work_of
from serving.hooks.work import Away, HookHandlers, work_hooks
from serving.leased import Leased
from serving.periodic import Periodic
from serving.rescoring import rescore_queued
from serving.runtime import Runtime
from serving.shadow import Shadow
from serving.watch import words_of

__all__ = ["Background"]

logger = logging.getLogger("kizashi.background")
NIGHT_LEASE_S = 6 * 3600
NIGHT_MINUTES = 180
CHECKPOINT_SECONDS = 5.0
"""Between the times that SQLite's log is written into its file: how long it grows, and what a loss of power may take.
A commit that did it would wait for the disk, and all answers with it: 100 ms and more where others use the disk. Only
the commit that begins the log anew still waits, for one page."""


@dataclass
class Background:
    """The pieces of work of one service.

    Parameters
    ----------
    runtime
        What the service holds.
    """

    runtime: Runtime
    holder: str = field(default_factory=holder_name)
    pieces: list[Periodic] = field(default_factory=list)
    leased: list[Leased] = field(default_factory=list)
    _away: Away = field(default_factory=Away)

    def start(self) -> None:
        """Begin every piece that the workspace file asks for."""
        runtime = self.runtime
        shadow = Shadow(runtime)
        runtime.on_issued.append(shadow.note)
        self.pieces = [
            self._leased("rescoring", 0.5, self._rescore),
            Periodic("champion", 2.0, self._watch_champion),
            Periodic("shadow", 0.5, shadow.work),
            self._leased("webhooks", 1.0, self._work_hooks),
            Periodic("checkpoint", CHECKPOINT_SECONDS, self._checkpoint),
            *(
                Periodic(f"push-{name}", crm.push_every, _Push(runtime, name, self.holder).work)
                for name, crm in runtime.crms.items()
                if crm.write_back and crm.push_every > 0
            ),
        ]
        if runtime.settings.workspace.config.serve.rescore_at is not None:
            self.pieces.append(Periodic("night", 20.0, _Night(runtime, self.holder).work))
        self._note_champion()
        for piece in self.pieces:
            piece.start()

    def _leased(self, name: str, every_s: float, work: Callable[[], bool]) -> Periodic:
        leased = Leased(self.runtime.state, name, self.holder, work)
        self.leased.append(leased)
        return Periodic(name, every_s, leased.turn)

    def _rescore(self) -> bool:
        return rescore_queued(self.runtime, datetime.now(UTC))

    def stop(self) -> None:
        """End every piece, each after the turn that is under way."""
        for piece in self.pieces:
            piece.stop()
        for leased in self.leased:
            with suppress(SQLAlchemyError):  # a lease ends by itself
                leased.release()

    def _watch_champion(self) -> bool:
        runtime = self.runtime
        runtime.refresh_rows()
        runtime.refresh_left_out()
        if not runtime.state.is_sqlite:  # others write there as well
            runtime.catch_up_with_erasures()
            runtime.rows.forget_merges()
        runtime.refresh_pulled()
        model = runtime.champions.changed(runtime.live.scorer.model)
        if model is not None:
            runtime.put_live(runtime.make_live(model))
            logger.info("version %s answers now, under the line %s", model.version, model.line.version)
            self._note_champion()
        if runtime.champions.has_news:
            runtime.champions.has_news = False
            runtime.look_for_challenger()
        return False

    def _checkpoint(self) -> bool:
        self.runtime.state.checkpoint()
        return False

    def _note_champion(self) -> None:
        """Put into the audit which version answers, and under which line, when it is another than before."""
        model, now = self.runtime.live.scorer.model, datetime.now(UTC)
        self.runtime.writer.submit(
            lambda connection: note_promotion(connection, model.version, model.line.version, now)
        )

    def _work_hooks(self) -> bool:
        runtime, told = self.runtime, set[str]()

        def tell(
            connection: sa.Connection, table: str, rows: Sequence[Mapping[str, Any]], origin: str, now_us: int
        ) -> Told:
            found = runtime.teller.tell(connection, table, rows, origin, now_us)
            accounts = runtime.rows.accounts_of(connection, found.lead_ids)
            queue_rescoring(connection, now_us, leads=found.lead_ids, accounts=accounts)
            told.update(found.lead_ids)
            return found

        def erase(crm: str, lead_ids: Collection[str]) -> None:
            asker = Asker(f"hook:{crm}")
            for lead_id in lead_ids:
                erase_lead(runtime.state, runtime.settings.workspace, lead_id, now=datetime.now(UTC), asker=asker)
                told.add(runtime.teller.held_id(lead_id))

        handlers = HookHandlers(runtime.crms, tell, runtime.reread, erase, work_of)
        try:
            done = work_hooks(runtime.state, handlers, datetime.now(UTC), self._away)
        finally:
            if told:
                runtime.rows.forget_merges()
                runtime.forget(told)
        return done.done > 0


@dataclass
class _Push:
    """Tells one CRM its scores."""

    runtime: Runtime
    name: str
    holder: str
    _deliverer: Deliverer | None = None
    _said: str = ""

    def work(self) -> bool:
        try:
            summary = self._opened().run_once(datetime.now(UTC))
        except CrmError as error:  # what is wrong in the workspace file or at the CRM is said once
            if str(error) != self._said:
                self._said = str(error)
                logger.error("%s cannot be told scores: %s", self.name, words_of(error))
            return False
        self._said = ""
        return summary.sent > 0 and not summary.stopped

    def _opened(self) -> Deliverer:
        if self._deliverer is None:
            workspace, waiting = self.runtime.settings.workspace, Waiting()
            client = open_client(self.name, self.runtime.crms[self.name], waiting=waiting, secrets=workspace.secrets)
            self._deliverer = Deliverer(self.runtime.state, self.name, client, waiting, self.holder)
        return self._deliverer


@dataclass
class _Night:
    """Once a night: what is too old is deleted, the source is read, and all leads at risk are scored."""

    runtime: Runtime
    holder: str
    _next: datetime | None = None

    def work(self) -> bool:
        now = datetime.now(UTC)
        if self._next is None:
            self._next = self._after(now)
        if now < self._next:
            return False
        self._next = self._after(now)
        if self._has_lease(now):
            apply_retention(self.runtime.state, self.runtime.settings.workspace.config.retention, now)
            sweep()
            self._rescore()
        return False

    def _after(self, now: datetime) -> datetime:
        config = self.runtime.settings.workspace.config
        hour, minute = map(int, (config.serve.rescore_at or "03:00").split(":"))
        local = now.astimezone(ZoneInfo(config.workspace.timezone))
        at = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
        return (at if at > local else at + timedelta(days=1)).astimezone(UTC)

    def _has_lease(self, now: datetime) -> bool:
        now_us = to_micros(now)
        with self.runtime.state.writing() as connection:
            return take_lease(
                connection, "night", self.holder, now_us=now_us, until_us=now_us + NIGHT_LEASE_S * 1_000_000
            )

    def _rescore(self) -> None:
        """Run the command in a process of its own: what it computes would hold up answers here."""
        folder = self.runtime.settings.workspace.folder
        command = [sys.executable, "-c", "from cli.entry import run; run()", "rescore", "--workspace", str(folder)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=NIGHT_MINUTES * 60)  # noqa: S603 - our own command
        if ran.returncode not in (0, 3):
            logger.error("the night's rescoring failed: %s", " ".join(ran.stderr.split())[-600:])
