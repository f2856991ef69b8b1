"""Going through what changed in a CRM in the order of change, so that a reader can stop and go on at any page.

Pages by number break while they are read: a record that is changed meanwhile moves to the end and pushes another over a
page's edge, and some CRMs end a listing after so many rows (HubSpot's search: 10,000). Each page therefore asks for
what changed from the last change seen on. Times in CRMs are whole ticks (milliseconds, seconds): a tick that fills a
page, after an import for example, is gone through by id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["EPOCH", "Asked", "Changed", "Listing", "changes"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a page is asked for.

    Parameters
    ----------
    low, high
        Records that changed at ``low`` or later, and before ``high``. Timezone-aware.
    after_id
        None: the earliest changed first. Otherwise those with a greater id, the smallest first; "0" is below all.
    size
        Records at most.
    """

    low: datetime
    high: datetime
    after_id: str | None
    size: int


@dataclass(frozen=True)
class Listing:
    """A kind of record that can be listed by change.

    Parameters
    ----------
    page
        Returns the records that are asked for, in order.
    changed_at
        When a record was last changed, as the CRM shows it.
    record_id
        Its id.
    tick
        What the CRM's times are whole multiples of.
    size
        Records a page.
    """

    page: Callable[[Asked], Sequence[Record]]
    changed_at: Callable[[Record], datetime]
    record_id: Callable[[Record], str]
    tick: timedelta
    size: int


@dataclass(frozen=True)
class Changed:
    """Some records that changed, and the place from which to go on: ``TIME`` or ``TIME/ID``."""

    records: Sequence[Record]
    at: str


def changes(listing: Listing, since: datetime | None, until: datetime, at: str | None = None) -> Iterator[Changed]:
    """Yield what changed at ``since`` or later and before ``until``, each page with records.

    A record that changes while it is read may come twice, never not at all.

    Parameters
    ----------
    listing
        What to read.
    since, until
        Timezone-aware; ``since`` None for all there is.
    at
        Place of a page that came before.
    """
    low, after_id, seen = since or EPOCH, None, frozenset[str]()
    if at is not None:
        text, _, after_id = at.partition("/")
        low, after_id = datetime.fromisoformat(text), after_id or None
    while low < until:
        if after_id is not None:
            yield from _one_tick(listing, low, after_id)
            low, after_id, seen = low + listing.tick, None, frozenset()
            continue
        found = listing.page(Asked(low, until, None, listing.size))
        is_last, last = len(found) < listing.size, _floor(listing, found[-1]) if found else low
        if not is_last and last <= low:
            after_id = "0"
            continue
        new = [one for one in found if listing.record_id(one) not in seen]
        low = max(low, last)
        seen = frozenset(listing.record_id(one) for one in found if _floor(listing, one) == low)
        if new:
            yield Changed(new, low.isoformat())
        if is_last:
            return


def _one_tick(listing: Listing, tick: datetime, after_id: str) -> Iterator[Changed]:
    """Yield the records that changed in one tick, by id."""
    while True:
        found = listing.page(Asked(tick, tick + listing.tick, after_id, listing.size))
        if found:
            after_id = listing.record_id(found[-1])
            yield Changed(found, f"{tick.isoformat()}/{after_id}")
        if len(found) < listing.size:
            return


def _floor(listing: Listing, record: Record) -> datetime:
    moment = listing.changed_at(record)
    return EPOCH + (moment - EPOCH) // listing.tick * listing.tick
