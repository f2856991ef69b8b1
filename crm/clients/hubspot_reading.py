"""Reading HubSpot: contacts with the history of their properties, deals as versions, engagements, what was deleted.

The order of reading is the order in which rows need one another: leads first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from crm.clients.hubspot_api import HubSpotApi, moment_of, record_id
from crm.clients.hubspot_rows import (
    ACCOUNT,
    MERGED,
    SOURCE,
    STATES,
    TOUCH_PROPERTIES,
    contact_rows,
    deal_rows,
    touch_rows,
)
from crm.clients.reading import Page, ReadTerms, Row, RowsByTable, Span, gathered
from crm.clients.time_paging import EPOCH, changes
from crm.clients.waiting import Waiting
from crm.gone import GONE_DEALS, GONE_LEADS

__all__ = ["HubSpotReader"]

Record = Mapping[str, Any]
DEALS, DELETED, DELETED_DEALS = "deals", "deleted contacts", "deleted deals"
_DEAL = ("dealstage", "amount")


class HubSpotReader:
    """Contacts of a HubSpot account, and what belongs to them."""

    streams: tuple[str, ...] = ("contacts", DEALS, *TOUCH_PROPERTIES, DELETED, DELETED_DEALS)
    optional: frozenset[str] = frozenset(streams[1:])

    def __init__(self, terms: ReadTerms, waiting: Waiting, secrets: tuple[str, ...] = ()) -> None:
        self._config, self._known = terms.config, terms.known_at_creation
        self._kind = terms.config.object or "contacts"
        self._api = HubSpotApi(terms, waiting, secrets)
        self._closed: dict[str, bool] | None = None
        self.notes: list[str] = []

    def pages(self, stream: str, span: Span) -> Iterator[Page]:
        """Yield what changed in a stream; see :class:`crm.clients.reading.CrmReader`."""
        if stream in (DELETED, DELETED_DEALS):
            yield from self._deleted(stream, span)
            return
        kind = self._kind if stream == "contacts" else stream
        listing = self._api.listing(kind, TOUCH_PROPERTIES.get(stream, ()))
        for page in changes(listing, span.since, span.until, span.at):
            if stream == "contacts":
                rows = self._contacts([record_id(one) for one in page.records])
            elif stream == DEALS:
                rows = self._deals([record_id(one) for one in page.records])
            else:
                rows = self._touches(stream, page.records, span.until)
            yield Page(rows, len(page.records), page.at)

    def read(self, lead_ids: Sequence[str], until: datetime) -> RowsByTable:
        """Read single contacts; see :class:`crm.clients.reading.CrmReader`."""
        del until
        rows = dict(self._contacts(lead_ids))
        there = {row["lead_id"] for row in rows.get("leads", ())} | {
            row["from_lead_id"] for row in rows.get("lead_merges", ())
        }
        missing = [one for one in lead_ids if one not in there]
        if missing:
            rows[GONE_LEADS] = [_gone(one) for one in self._api.read(self._kind, missing, (), (), archived=True)]
        return rows

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def _contacts(self, ids: Sequence[str]) -> RowsByTable:
        config = self._config
        today = (*config.pulled, ACCOUNT, SOURCE)
        found = self._api.read(self._kind, ids, today, (*config.pulled, *STATES, MERGED))
        return gathered(pair for record in found for pair in contact_rows(record, config, self._known))

    def _deals(self, ids: Sequence[str]) -> RowsByTable:
        if self._closed is None:
            self._closed = self._api.closed_stages()
        closed = self._closed
        records = self._api.read(DEALS, ids, (*_DEAL, "deal_currency_code"), _DEAL)
        contacts = self._api.associated(DEALS, self._kind, ids)
        companies = self._api.associated(DEALS, "companies", ids)
        return gathered(
            pair
            for record in records
            for pair in deal_rows(
                record, contacts.get(record_id(record), []), companies.get(record_id(record), []), closed
            )
        )

    def _touches(self, stream: str, records: Sequence[Record], until: datetime) -> RowsByTable:
        contacts = self._api.associated(stream, self._kind, [record_id(one) for one in records])
        return gathered(
            pair for one in records for pair in touch_rows(stream, one, contacts.get(record_id(one), []), until)
        )

    def _deleted(self, stream: str, span: Span) -> Iterator[Page]:
        """Yield what was deleted; HubSpot lists that in no order of time, so all of it is looked through."""
        kind, table = (self._kind, GONE_LEADS) if stream == DELETED else (DEALS, GONE_DEALS)
        since = span.since or EPOCH
        for records, after in self._api.archived(kind, span.at or None):
            gone = [row for row in map(_gone, records) if since <= row["at"] < span.until]
            yield Page({table: gone}, len(gone), after or span.at or "")


def _gone(record: Record) -> Row:
    return {"id": record_id(record), "at": moment_of(record["archivedAt"])}
