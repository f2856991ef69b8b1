"""Reading Odoo's ``crm.lead`` with what ``mail.tracking.value`` noted: attributes, stages, deals.

Archived records are read as well: that is how Odoo keeps the lost ones. What is deleted for good leaves no trace there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from crm.clients.calls import Calls
from crm.clients.odoo_protocols import Json2, JsonRpc, OdooProtocol
from crm.clients.odoo_rows import LEAD_FIELDS, OdooStages, Tracking, moment_of, odoo_lead_rows, plain
from crm.clients.reading import Page, ReadTerms, RowsByTable, Span, gathered
from crm.clients.time_paging import Asked, Listing, changes
from crm.clients.waiting import Waiting
from crm.errors import CrmForbiddenError

__all__ = ["OdooReader"]

Record = Mapping[str, Any]
PAGE = 200
CONTEXT = {"tz": "UTC", "lang": "en_US", "active_test": False}
_TRACKED = ("stage_id", "active", "partner_id", "expected_revenue")
_VALUES = tuple(f"{age}_value_{kind}" for age in ("old", "new") for kind in ("integer", "float", "char", "text"))
_BY_TYPE = {"float": "float", "monetary": "float", "integer": "integer", "boolean": "integer", "text": "text"}
_RELATED = "many2one"


class OdooReader:
    """Leads of an Odoo database."""

    streams: tuple[str, ...] = ("leads",)
    optional: frozenset[str] = frozenset()

    def __init__(self, terms: ReadTerms, waiting: Waiting, secrets: tuple[str, ...] = ()) -> None:
        self._terms, self._model = terms, terms.config.object or "crm.lead"
        config = terms.config
        self._calls = Calls(terms.name, config.address, waiting, secrets=(*secrets, *config.secrets))
        self._odoo: OdooProtocol = (JsonRpc if config.protocol == "jsonrpc" else Json2)(self._calls, config)
        self._stages: OdooStages | None = None
        self._types: Mapping[str, str] | None = None
        self._has_history = True
        self.notes: list[str] = []

    def pages(self, stream: str, span: Span) -> Iterator[Page]:
        """Yield changed leads; see :class:`crm.clients.reading.CrmReader`."""
        del stream
        listing = Listing(
            self._page,
            lambda one: moment_of(one["write_date"]),
            lambda one: str(one["id"]),
            timedelta(seconds=1),
            PAGE,
        )
        for page in changes(listing, span.since, span.until, span.at):
            yield Page(self._rows(page.records), len(page.records), page.at)

    def read(self, lead_ids: Sequence[str], until: datetime) -> RowsByTable:
        """Read single leads; see :class:`crm.clients.reading.CrmReader`."""
        del until
        ids = [int(one) for one in lead_ids if re.fullmatch(r"[1-9]\d{0,17}", one)]
        return self._rows(self._search(self._model, [["id", "in", ids]], self._fields())) if ids else {}

    def close(self) -> None:
        """Close the connection."""
        self._calls.close()

    def _fields(self) -> list[str]:
        return list(dict.fromkeys((*LEAD_FIELDS, *self._terms.config.pulled)))

    def _page(self, asked: Asked) -> Sequence[Record]:
        domain: list[Any] = [["write_date", ">=", _time(asked.low)], ["write_date", "<", _time(asked.high)]]
        if asked.after_id is None:
            return self._search(self._model, domain, self._fields(), order="write_date, id", limit=asked.size)
        domain.append(["id", ">", int(asked.after_id)])
        return self._search(self._model, domain, self._fields(), order="id", limit=asked.size)

    def _rows(self, records: Sequence[Record]) -> RowsByTable:
        stages = self._stages = self._stages or self._pipeline()
        tracked = self._tracked([one["id"] for one in records])
        return gathered(
            pair
            for one in records
            for pair in odoo_lead_rows(
                one, None if tracked is None else tracked.get(one["id"], []), stages, self._terms
            )
        )

    def _pipeline(self) -> OdooStages:
        named = self._terms.config.stages
        meaning: dict[str, str] = {}
        found = self._search("crm.stage", [], ["name", "is_won"])
        won = frozenset(str(one["id"]) for one in found if one["is_won"])
        for one in found:
            stage = "closed_won" if one["is_won"] else named.get(one["name"])
            if stage is not None:
                meaning[str(one["id"])] = stage
        return OdooStages(meaning, won)

    def _tracked(self, ids: Sequence[int]) -> Mapping[int, list[Tracking]] | None:
        """Return what Odoo noted of leads, by lead; None where the key may not read that, which is said once."""
        if not self._has_history:
            return None
        try:
            return self._read_tracked(ids)
        except CrmForbiddenError:
            self._has_history = False
            self.notes.append(
                "leads have no history: only a key of a user with administration rights may read mail.tracking.value, "
                "so values are known from the last change on"
            )
            return None

    def _read_tracked(self, ids: Sequence[int]) -> Mapping[int, list[Tracking]]:
        found: dict[int, list[Tracking]] = {}
        for name, kind in self._field_types().items():
            domain = [
                ["mail_message_id.model", "=", self._model],
                ["mail_message_id.res_id", "in", list(ids)],
                ["field_id.name", "=", name],
            ]
            values = self._search("mail.tracking.value", domain, ["mail_message_id", *_VALUES], order="id")
            messages = sorted({one["mail_message_id"][0] for one in values})
            told = (
                {one["id"]: one for one in self._search("mail.message", [["id", "in", messages]], ["res_id", "date"])}
                if messages
                else {}
            )
            for one in values:
                message = told.get(one["mail_message_id"][0])
                if message is not None:
                    change = _tracking(name, kind, one, moment_of(message["date"]))
                    found.setdefault(message["res_id"], []).append(change)
        for changes_of in found.values():
            changes_of.sort(key=lambda one: one.at)
        return found

    def _field_types(self) -> Mapping[str, str]:
        """Return the types of the fields whose changes are asked for."""
        if self._types is None:
            wanted = list(dict.fromkeys((*_TRACKED, *self._terms.config.pulled)))
            asked = {"allfields": wanted, "attributes": ["type"]}
            found = self._odoo.call(self._model, "fields_get", asked, CONTEXT)
            self._types = {name: found[name]["type"] for name in wanted if name in found}
        return self._types

    def _search(
        self, model: str, domain: Sequence[Any], fields: Sequence[str], *, order: str = "id", limit: int | None = None
    ) -> list[Record]:
        asked = {"domain": list(domain), "fields": list(fields), "offset": 0, "limit": limit, "order": order}
        return self._odoo.call(model, "search_read", asked, CONTEXT)


def _tracking(name: str, kind: str, row: Record, at: datetime) -> Tracking:
    if kind == _RELATED:
        names = (plain(row["old_value_char"]) or None, plain(row["new_value_char"]) or None)
        return Tracking(at, name, row["old_value_integer"] or None, row["new_value_integer"] or None, *names)
    stored = _BY_TYPE.get(kind, "char")
    return Tracking(at, name, row[f"old_value_{stored}"], row[f"new_value_{stored}"])


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")
