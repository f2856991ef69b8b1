"""Pulling leads from CRMs into the tables of the contract, page by page.

Each page is stored in one transaction with the place it ends at and with what is to be scored again. A pull that is
killed loses no page that was stored and goes on from the last one. Rows are idempotent by key, so that a page that is
read twice does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from crm.clients.lead_rows import LEAD_ATTRIBUTES
from crm.clients.opening_readers import open_reader
from crm.clients.reading import CrmReader, Page, ReadTerms, RowsByTable, Span
from crm.clients.waiting import Waiting
from crm.errors import CrmForbiddenError
from crm.gone import gone_rows
from crm.held import HeldRows
from crm.known import to_micros
from crm.progress import Progress, Silent, Step
from crm.pull_places import Place, ended, first_place, note_place, note_read, note_unread
from crm.rescore_queue import queue_rescoring
from crm.seen_stages import seen_stages
from crm.state import State
from crm.told import Teller

__all__ = ["PullSummary", "Puller", "Stored"]

TABLES_IN_ORDER = (
    ("leads", "leads"),
    (LEAD_ATTRIBUTES, "leads"),
    *((table, table) for table in ("lead_merges", "lead_changes", "touches", "stages", "opportunities")),
)
"""Names of rows as readers tell them, and the table that takes them in."""


@dataclass(frozen=True)
class PullSummary:
    """What a pull brought.

    Parameters
    ----------
    crm
        Its name.
    records
        Records of the CRM that were looked at; one may be looked at twice.
    new
        Rows that were not known before, by table.
    quarantined
        Rows that cannot be used, and are kept with the reason.
    rescored
        Leads of which something new is known; they are scored again by a running service.
    is_resumed
        It went on where an earlier one was cut off.
    notes
        What a person should know.
    """

    crm: str
    records: int
    new: dict[str, int]
    quarantined: int
    rescored: int
    is_resumed: bool
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


@dataclass
class Stored:
    """What was stored so far; ``leads`` are those of which something new is known, as they are held here."""

    records: int = 0
    new: dict[str, int] = field(default_factory=dict)
    quarantined: int = 0
    leads: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)

    def words(self) -> str:
        """Say it in a few words."""
        rows = sum(self.new.values())
        return f"{self.records:,} records, {rows:,} new rows"


@dataclass(frozen=True)
class Puller:
    """Reads CRMs into the state of one workspace.

    Parameters
    ----------
    state
        Where rows are stored.
    teller
        The rules of the workspace; its configuration has ``[crm.NAME]``.
    rows
        Tells the accounts of leads.
    waiting
        Clock and sleep.
    secrets
        Of the workspace, masked in messages.
    """

    state: State
    teller: Teller
    rows: HeldRows
    waiting: Waiting
    secrets: tuple[str, ...] = ()

    def pull(
        self, name: str, now: datetime, *, since: datetime | None = None, progress: Progress | None = None
    ) -> PullSummary:
        """Take over what changed in a CRM since the last pull, or go on with one that was cut off.

        Parameters
        ----------
        name
            Of ``[crm.NAME]``.
        now
            Timezone-aware. The next pull begins a little before it.
        since
            Take over what changed from then on instead. Timezone-aware.
        progress
            Where to report.

        Raises
        ------
        CrmError
            When the CRM cannot be read; what was read until then is kept, and the next pull goes on from there.
        """
        with self.state.reading() as connection:
            place = first_place(connection, name, now, since)
        reader = self.open_reader(name)
        counts = Stored()
        try:
            with (progress or Silent()).step(f"Pulling from {name}") as step:
                for stream, page in self._pages(name, reader, place, now):
                    here = replace(place, stream=stream, at=page.at)
                    self._store_page(name, page, now, here, counts)
                    step.advance(page.records)
                self._end(name, place, counts, step)
        finally:
            reader.close()
        return PullSummary(
            name,
            counts.records,
            counts.new,
            counts.quarantined,
            len(counts.leads),
            place.is_resumed,
            tuple(reader.notes),
        )

    def open_reader(self, name: str) -> CrmReader:
        """Return the reader of a CRM of the workspace."""
        config = self.teller.config
        zone = config.source.timezone or config.workspace.timezone
        terms = ReadTerms(name, config.crm[name], frozenset(config.columns.known_at_creation), zone)
        return open_reader(terms, waiting=self.waiting, secrets=self.secrets)

    def store(self, connection: sa.Connection, name: str, rows: RowsByTable, now: datetime) -> Stored:
        """Store rows and queue what has to be scored again, in the caller's transaction."""
        now_us, counts = to_micros(now), Stored()
        self._tell(connection, name, self.teller, rows, now_us, counts)
        held = replace(self.teller, ids_are_held=True)
        for found in (self._seen(connection, rows), gone_rows(connection, rows, self.teller.held_id)):
            if found:
                self._tell(connection, name, held, found, now_us, counts)
        accounts = counts.accounts | self.rows.accounts_of(connection, counts.leads)
        queue_rescoring(connection, now_us, leads=counts.leads, accounts=accounts)
        return counts

    def _seen(self, connection: sa.Connection, rows: RowsByTable) -> RowsByTable:
        found = seen_stages(connection, rows, self.teller.held_id)
        return {"stages": found} if found else {}

    def _tell(
        self, connection: sa.Connection, name: str, teller: Teller, rows: RowsByTable, now_us: int, counts: Stored
    ) -> None:
        for kind, table in TABLES_IN_ORDER:
            told = teller.tell(connection, table, rows.get(kind, ()), name, now_us)
            if told.stored:
                counted = "lead_changes" if kind == LEAD_ATTRIBUTES else table
                counts.new[counted] = counts.new.get(counted, 0) + told.stored
            counts.quarantined += len(told.quarantined)
            counts.leads |= told.lead_ids
            if table == "opportunities" and told.stored:
                counts.accounts |= {
                    teller.held_id(str(row["account_id"])) for row in rows[table] if row.get("account_id")
                }

    def _pages(self, name: str, reader: CrmReader, place: Place, now: datetime) -> Iterator[tuple[str, Page]]:
        """Yield the pages of each stream that is not done yet; what changes meanwhile is the next pull's.

        A stream that the key may not read is left out, and remembered: it is read from there once the key may. A key
        that is not accepted any more ends the pull.
        """
        streams = _rest(reader.streams, place.stream)
        for stream in streams:
            at = place.at if stream == place.stream else None
            try:
                for page in reader.pages(stream, Span(place.since_of(stream), now, at)):
                    yield stream, page
            except CrmForbiddenError as error:
                if stream not in reader.optional:
                    raise
                reader.notes.append(f"{stream} were not read: {error.found}")
                with self.state.writing() as connection:
                    note_unread(connection, name, place, stream)
            else:
                if stream in place.unread:
                    with self.state.writing() as connection:
                        note_read(connection, name, stream)

    def _store_page(self, name: str, page: Page, now: datetime, here: Place, counts: Stored) -> None:
        with self.state.writing() as connection:
            found = self.store(connection, name, page.rows, now)
            note_place(connection, name, here, is_news=bool(found.new))
        counts.records += page.records
        counts.quarantined += found.quarantined
        counts.leads |= found.leads
        for table, number in found.new.items():
            counts.new[table] = counts.new.get(table, 0) + number

    def _end(self, name: str, place: Place, counts: Stored, step: Step) -> None:
        with self.state.writing() as connection:
            ended(connection, name, place)
        step.note(counts.words())


def _rest(streams: Sequence[str], reached: str | None) -> Sequence[str]:
    """Return the streams from the one on that was reached; all of them where that is not one any more."""
    return streams[streams.index(reached) :] if reached in streams else streams
