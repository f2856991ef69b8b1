"""Reading Salesforce by SOQL: leads with their history, opportunities as versions, calls, meetings, campaign responses.

``queryAll`` shows deleted records as well, so that the listing by change tells of deletions, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from crm.clients.calls import json_of
from crm.clients.reading import Page, ReadTerms, RowsByTable, Span, gathered
from crm.clients.salesforce_rows import (
    CONVERTED,
    call_rows,
    meeting_rows,
    moment_of,
    opportunity_rows,
    response_rows,
    salesforce_lead_rows,
)
from crm.clients.salesforce_session import SALESFORCE_PATH, SalesforceSession
from crm.clients.time_paging import Asked, Listing, changes
from crm.clients.waiting import Waiting
from crm.errors import CrmRefusedError, CrmSetupError

__all__ = ["SalesforceReader"]

Record = Mapping[str, Any]
PAGE = 200
"""Ids of a page are named in the queries that follow, whose length is limited."""
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_LOWEST_ID = "0" * 15
_TIMES = ("Id", "CreatedDate", "SystemModstamp", "IsDeleted")
_LEAD = ("IsConverted", "ConvertedDate", "ConvertedOpportunityId", "MasterRecordId", "Status", "LeadSource")
_OPPORTUNITY = ("AccountId", "StageName", "Amount")
_TASK = ("WhoId", "TaskSubtype", "CallType", "IsClosed", "CompletedDateTime")
_RESPONSE = ("LeadId", "CampaignId", "HasResponded", "FirstRespondedDate")
_UNKNOWN = ("INVALID_FIELD", "INVALID_TYPE", "No such column", "is not supported")
_OBJECTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "leads": ("Lead", _LEAD),
    "opportunities": ("Opportunity", _OPPORTUNITY),
    "tasks": ("Task", _TASK),
    "events": ("Event", ("WhoId", "StartDateTime")),
    "campaign responses": ("CampaignMember", _RESPONSE),
}


class SalesforceReader:
    """Leads of a Salesforce org, and what belongs to them."""

    streams: tuple[str, ...] = tuple(_OBJECTS)
    optional: frozenset[str] = frozenset(streams[1:])

    def __init__(self, terms: ReadTerms, waiting: Waiting, secrets: tuple[str, ...] = ()) -> None:
        self._terms = terms
        self._session = SalesforceSession(terms.name, terms.config, waiting, secrets)
        self._closed: dict[str, bool] | None = None
        self._has_history = True
        self._more: dict[str, tuple[str, ...]] = {"leads": tuple(terms.config.pulled)}
        self.notes: list[str] = []

    def pages(self, stream: str, span: Span) -> Iterator[Page]:
        """Yield what changed in a stream; see :class:`crm.clients.reading.CrmReader`."""
        if stream == "opportunities" and self._has_currencies():
            self._more[stream] = ("CurrencyIsoCode",)
        made = self._made(stream, span.until)
        for page in changes(self._listing(stream), span.since, span.until, span.at):
            yield Page(made(page.records), len(page.records), page.at)

    def read(self, lead_ids: Sequence[str], until: datetime) -> RowsByTable:
        """Read single leads; see :class:`crm.clients.reading.CrmReader`."""
        del until
        ids = [one for one in lead_ids if _ID.fullmatch(one)]
        return self._leads(self._query(f"{self._select('leads')} WHERE Id IN ({_listed(ids)})")) if ids else {}

    def close(self) -> None:
        """Close the connection."""
        self._session.calls.close()

    def _made(self, stream: str, until: datetime) -> Callable[[Sequence[Record]], RowsByTable]:
        if stream == "leads":
            return self._leads
        if stream == "opportunities":
            return self._opportunities
        if stream == "campaign responses":
            terms = self._terms
            return lambda records: gathered(pair for one in records for pair in response_rows(one, terms))
        return partial(self._touches, call_rows if stream == "tasks" else meeting_rows, until)

    def _listing(self, stream: str) -> Listing:
        select = self._select(stream)

        def page(asked: Asked) -> Sequence[Record]:
            span = f"SystemModstamp >= {_time(asked.low)} AND SystemModstamp < {_time(asked.high)}"
            if asked.after_id is None:
                return self._query(f"{select} WHERE {span} ORDER BY SystemModstamp, Id LIMIT {asked.size}")
            after = _LOWEST_ID if asked.after_id == "0" else asked.after_id
            return self._query(f"{select} WHERE {span} AND Id > '{after}' ORDER BY Id LIMIT {asked.size}")

        return Listing(
            page, lambda one: moment_of(one["SystemModstamp"]), lambda one: one["Id"], timedelta(seconds=1), PAGE
        )

    def _select(self, stream: str) -> str:
        kind, fields = _OBJECTS[stream]
        return f"SELECT {', '.join(dict.fromkeys((*_TIMES, *fields, *self._more.get(stream, ()))))} FROM {kind}"  # noqa: S608

    def _leads(self, records: Sequence[Record]) -> RowsByTable:
        history = self._history([one["Id"] for one in records if not one.get("IsDeleted")])
        return gathered(
            pair for one in records for pair in salesforce_lead_rows(one, history.get(one["Id"], ()), self._terms)
        )

    def _history(self, ids: Sequence[str]) -> Mapping[str, Sequence[Record]]:
        """Return the history of leads by id; an org that keeps none says so once."""
        if not ids or not self._has_history:
            return {}
        fields = ", ".join(f"'{one}'" for one in ("Status", CONVERTED, *self._terms.config.pulled))
        query = (
            "SELECT LeadId, Field, OldValue, NewValue, CreatedDate FROM LeadHistory "  # noqa: S608
            f"WHERE LeadId IN ({_listed(ids)}) AND Field IN ({fields}) ORDER BY CreatedDate, Id"
        )
        try:
            return _by(self._query(query), "LeadId")
        except CrmSetupError:
            self._has_history = False
            self.notes.append("leads have no history: switch field history tracking on for Status and what is pulled")
            return {}

    def _opportunities(self, records: Sequence[Record]) -> RowsByTable:
        if self._closed is None:
            found = self._query("SELECT ApiName, IsClosed, IsWon FROM OpportunityStage")
            self._closed = {str(one["ApiName"]): bool(one["IsWon"]) for one in found if one["IsClosed"]}
        closed, ids = self._closed, [one["Id"] for one in records]
        leads = self._leads_by("ConvertedOpportunityId", ids)
        snapshots = self._query(
            "SELECT OpportunityId, StageName, Amount, CreatedDate FROM OpportunityHistory "  # noqa: S608
            f"WHERE OpportunityId IN ({_listed(ids)}) ORDER BY CreatedDate, Id"
        )
        history = _by(snapshots, "OpportunityId")
        return gathered(
            pair
            for one in records
            for pair in opportunity_rows(one, leads.get(one["Id"]), history.get(one["Id"], ()), closed)
        )

    def _touches(
        self,
        made: Callable[[Record, str, datetime], Iterator[tuple[str, Any]]],
        until: datetime,
        records: Sequence[Record],
    ) -> RowsByTable:
        """Return touches; those of a contact are its lead's, as a conversion hands them over."""
        contacts = sorted({one["WhoId"] for one in records if str(one.get("WhoId") or "").startswith("003")})
        leads = self._leads_by("ConvertedContactId", contacts) if contacts else {}
        owned = ((one, leads.get(one["WhoId"], one["WhoId"])) for one in records if one.get("WhoId"))
        return gathered(pair for one, lead in owned if lead.startswith("00Q") for pair in made(one, lead, until))

    def _leads_by(self, field: str, ids: Sequence[str]) -> Mapping[str, str]:
        found = self._query(f"SELECT Id, {field} FROM Lead WHERE {field} IN ({_listed(ids)})")  # noqa: S608
        return {str(one[field]): str(one["Id"]) for one in found}

    def _has_currencies(self) -> bool:
        path = f"{SALESFORCE_PATH}/sobjects/Opportunity/describe"
        found = json_of(self._session.with_token(lambda: self._session.calls.call("GET", path)))
        return any(one["name"] == "CurrencyIsoCode" for one in found["fields"])

    def _query(self, text: str) -> list[Record]:
        """Return every row of a query, over as many answers as Salesforce makes of it."""
        calls, found = self._session.calls, list[Record]()
        path, params = f"{SALESFORCE_PATH}/queryAll", {"q": text}
        while path:
            try:
                answer = json_of(self._session.with_token(partial(calls.call, "GET", path, params=params)))
            except CrmRefusedError as error:
                if any(sign in error.message for sign in _UNKNOWN):
                    raise self._unknown(error, text) from error
                raise
            found += answer["records"]
            path, params = answer.get("nextRecordsUrl") or "", {}
        return found

    def _unknown(self, error: CrmRefusedError, text: str) -> CrmSetupError:
        kind = text.partition(" FROM ")[2].partition(" ")[0]
        return CrmSetupError(
            found=f"a field or a kind of record that '{self._terms.name}' does not have or not show ({error.message})",
            expected=f"{kind} with the fields that are asked for, and the right to read them",
            fix=f"correct [crm.{self._terms.name}.pull_fields], or give the app's user the right",
        )


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(f"'{one}'" for one in ids)


def _by(records: Sequence[Record], field: str) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for one in records:
        found.setdefault(str(one[field]), []).append(one)
    return found


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
