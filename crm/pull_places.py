"""How far each CRM was read: kept in the transaction that stores the rows, so that the two never disagree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from crm.known import from_micros, to_micros
from crm.naming import Naming
from crm.state_tables import PULLS
from crm.upserts import insert_into

__all__ = [
    "OVERLAP",
    "Place",
    "ended",
    "first_place",
    "forget_places",
    "note_place",
    "note_read",
    "note_unread",
    "pull_mark",
]

OVERLAP = timedelta(minutes=10)
"""A change that was begun before the last pull may have been committed, or indexed, after it; and clocks differ."""


@dataclass(frozen=True)
class Place:
    """Where a pull stands.

    Parameters
    ----------
    began
        When it began: the next one takes changes from a little before then on. Timezone-aware.
    since
        Changes from then on are taken; None for all there are.
    stream
        What is being read; None before anything was.
    at
        Where in that stream.
    is_resumed
        A pull that did not end is gone on with.
    unread
        Streams that the key may not read, or might not until now, and from when on they were not read.
    """

    began: datetime
    since: datetime | None
    stream: str | None = None
    at: str | None = None
    is_resumed: bool = False
    unread: Mapping[str, datetime | None] = field(default_factory=dict)

    def since_of(self, stream: str) -> datetime | None:
        """Return from when on a stream's changes are taken; None for all there are."""
        if stream not in self.unread:
            return self.since
        before = self.unread[stream]
        return None if before is None or self.since is None else min(before, self.since)


def first_place(connection: sa.Connection, crm: str, now: datetime, since: datetime | None = None) -> Place:
    """Return where to begin: where the last pull was cut off, else a little before the last one began.

    Parameters
    ----------
    connection
        To the state.
    crm
        Name of the CRM.
    now
        Timezone-aware.
    since
        Begin there, but for a CRM that was pulled from no later than would have been begun without it: what lies
        between would be missed for good.
    """
    row = connection.execute(sa.select(PULLS).where(PULLS.c.crm == crm)).one_or_none()
    if row is None:
        return Place(now, since)
    if row.place is None and row.pulled_us is None:  # no page came before it was cut off
        return Place(now, since, unread=_unread(row.unread))
    usual = _cut_off(row.place) if row.place else Place(now, from_micros(row.pulled_us) - OVERLAP)
    if since is not None:
        usual = Place(now, None if usual.since is None else min(since, usual.since))
    return replace(usual, unread=_unread(row.unread))


def _cut_off(text: str) -> Place:
    held: dict[str, Any] = orjson.loads(text)
    since = None if held["since_us"] is None else from_micros(held["since_us"])
    return Place(from_micros(held["began_us"]), since, held["stream"], held["at"], is_resumed=True)


def note_place(connection: sa.Connection, crm: str, place: Place, *, is_news: bool = True) -> None:
    """Write down how far a pull has come, and whether the page brought something."""
    since_us = None if place.since is None else to_micros(place.since)
    held = {"began_us": to_micros(place.began), "since_us": since_us, "stream": place.stream, "at": place.at}
    _write(connection, crm, {"place": orjson.dumps(held).decode()}, news=int(is_news))


def forget_places(connection: sa.Connection, naming: Naming) -> int:
    """Let pulls that were cut off at some leads begin their stream anew; return how many."""
    cut_off = connection.execute(sa.select(PULLS.c.crm, PULLS.c.place).where(PULLS.c.place.is_not(None))).all()
    found = [(crm, held) for crm, place in cut_off if naming.is_in((held := orjson.loads(place))["at"])]
    for crm, held in found:
        place = orjson.dumps({**held, "at": None}).decode()
        connection.execute(sa.update(PULLS).where(PULLS.c.crm == crm).values(place=place))
    return len(found)


def note_unread(connection: sa.Connection, crm: str, place: Place, stream: str) -> None:
    """Write down that a stream could not be read: once it can, it is read from where this pull would have begun."""
    since = place.since_of(stream)
    _write_unread(connection, crm, lambda held: {**held, stream: None if since is None else to_micros(since)})


def note_read(connection: sa.Connection, crm: str, stream: str) -> None:
    """Write down that a stream that could not be read has been."""
    _write_unread(connection, crm, lambda held: {name: at for name, at in held.items() if name != stream})


def _write_unread(
    connection: sa.Connection, crm: str, change: Callable[[dict[str, int | None]], dict[str, int | None]]
) -> None:
    before = connection.execute(sa.select(PULLS.c.unread).where(PULLS.c.crm == crm)).scalar_one_or_none()
    held = change(orjson.loads(before) if before else {})
    _write(connection, crm, {"unread": orjson.dumps(held).decode() if held else None}, news=0)


def _unread(text: str | None) -> dict[str, datetime | None]:
    held: dict[str, int | None] = orjson.loads(text) if text else {}
    return {stream: None if at is None else from_micros(at) for stream, at in held.items()}


def ended(connection: sa.Connection, crm: str, place: Place) -> None:
    """Write down that a pull has ended."""
    _write(connection, crm, {"place": None, "pulled_us": to_micros(place.began)}, news=0)


def pull_mark(connection: sa.Connection) -> Mapping[str, int]:
    """Return what is different once a pull has brought something: the pages that have, by CRM."""
    rows = connection.execute(sa.select(PULLS.c.crm, PULLS.c.news).where(PULLS.c.news > 0))
    return {row.crm: row.news for row in rows}


def _write(connection: sa.Connection, crm: str, values: Mapping[str, Any], *, news: int) -> None:
    insert = insert_into(connection, PULLS).values(crm=crm, news=news, **values)
    newer = {**values, "news": PULLS.c.news + news}
    connection.execute(insert.on_conflict_do_update(index_elements=[PULLS.c.crm], set_=newer))
