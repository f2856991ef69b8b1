"""Salesforce as far as it is read: SOQL of one object, 2,000 rows an answer, deleted records by ``queryAll``."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.fakes.salesforce import CLIENT_ID, CLIENT_SECRET, VERSION
from tests.fakes.serving import Answer, json_answer

TIMES = ("CreatedDate", "SystemModstamp", "IsDeleted")
SCHEMA: Mapping[str, tuple[str, ...]] = {
    "Lead": (
        *TIMES,
        *("IsConverted", "ConvertedDate", "ConvertedOpportunityId", "ConvertedContactId", "ConvertedAccountId"),
        *("MasterRecordId", "Status", "LeadSource", "Industry", "Title", "Country", "NumberOfEmployees"),
        *("AnnualRevenue", "Email", "LastName", "Phone", "ML_Score__c"),
    ),
    "LeadHistory": ("LeadId", "Field", "OldValue", "NewValue", "CreatedDate"),
    "Opportunity": (*TIMES, "AccountId", "StageName", "Amount"),
    "OpportunityHistory": ("OpportunityId", "StageName", "Amount", "CreatedDate"),
    "OpportunityStage": ("ApiName", "IsClosed", "IsWon"),
    "Task": (*TIMES, "WhoId", "TaskSubtype", "CallType", "IsClosed", "CompletedDateTime"),
    "Event": (*TIMES, "WhoId", "StartDateTime"),
    "CampaignMember": (*TIMES, "LeadId", "CampaignId", "HasResponded", "FirstRespondedDate"),
}
PERSONAL = frozenset({"Email", "LastName", "Phone"})
LONGEST_URL = 16_384
_QUERY = re.compile(r"SELECT (.+) FROM (\w+)(?: WHERE (.+?))?(?: ORDER BY (.+?))?(?: LIMIT (\d+))?")
_IN = re.compile(r"(\w+) IN \((.*)\)")
_COMPARED = re.compile(r"(\w+) (>=|<|>) '?([^']+)'?")


@dataclass
class FakeOrg:
    """An org; ``without`` objects are not supported, ``during`` runs before each query."""

    records: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(SCHEMA))
    answers: deque[Answer] = field(default_factory=deque)
    during: Callable[[str], None] = lambda query: None
    batch: int = 2_000
    queries: list[str] = field(default_factory=list)
    tokens: int = 0
    expires_after: int = 1_000_000
    _left: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _used: int = 0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/services/oauth2/token", self._token, methods=["POST"]),
                Route(f"{VERSION}/queryAll", self._query, methods=["GET"]),
                Route(f"{VERSION}/query/{{place}}", self._go_on, methods=["GET"]),
                Route(f"{VERSION}/sobjects/{{kind}}/describe", self._describe, methods=["GET"]),
            ]
        )

    def make(self, kind: str, name: str, at: datetime | None = None, **values: Any) -> dict[str, Any]:
        times = {} if at is None else {"CreatedDate": text(at), "SystemModstamp": text(at), "IsDeleted": False}
        record = {"Id": name, **times, **values}
        self.records.setdefault(kind, {})[name] = record
        return record

    def change(self, kind: str, name: str, at: datetime, **values: Any) -> None:
        """Change a record; a lead's changes are tracked."""
        record = self.records[kind][name]
        for key, value in values.items() if kind == "Lead" else ():
            self.note(name, key, record.get(key), value, at)
        record.update(values, SystemModstamp=text(at))

    def note(self, lead: str, key: str, old: Any, new: Any, at: datetime) -> None:
        rows = self.records.setdefault("LeadHistory", {})
        told = {"LeadId": lead, "Field": key, "OldValue": old, "NewValue": new, "CreatedDate": text(at)}
        rows[f"017{len(rows):012}"] = told

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        assert form == {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        self.tokens, self._used = self.tokens + 1, 0
        return json_answer(200, {"access_token": f"token-{self.tokens}", "instance_url": str(request.base_url)})

    def _refusal(self, request: Request) -> Response | None:
        self._used += 1
        if request.headers.get("authorization") != f"Bearer token-{self.tokens}" or self._used > self.expires_after:
            return _error(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if self.answers:
            answer = self.answers.popleft()
            return json_answer(answer.status, answer.body, answer.headers)
        return None

    async def _query(self, request: Request) -> Response:
        query = request.query_params["q"]
        self.queries.append(query)
        self.during(query)
        if (refusal := self._refusal(request)) is not None:
            return refusal
        if len(str(request.url)) > LONGEST_URL:
            return _error(414, "URI_TOO_LONG", "URI Too Long")
        matched = _QUERY.fullmatch(query)
        assert matched is not None, query
        names, kind, where, order, limit = matched.groups()
        wanted = names.split(", ")
        if kind in self.without:
            return _error(400, "INVALID_TYPE", f"sObject type '{kind}' is not supported.")
        for name in wanted:
            if name != "Id" and name not in self.fields[kind]:
                return _error(400, "INVALID_FIELD", f"No such column '{name}' on entity '{kind}'")
        rows = [
            row
            for name, row in self.records.get(kind, {}).items()
            if all(_holds({"Id": name, **row}, one) for one in (where or "").split(" AND ") if one)
        ]
        for key in reversed((order or "").split(", ") if order else []):
            rows.sort(key=lambda row, key=key: row.get(key, ""))
        shown = [{"attributes": {"type": kind}, **{name: row.get(name) for name in wanted}} for row in rows]
        return self._answer(shown[: int(limit)] if limit else shown)

    async def _go_on(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        return self._answer(self._left.pop(request.path_params["place"]))

    async def _describe(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        names = self.fields[request.path_params["kind"]]
        return json_answer(200, {"fields": [{"name": name} for name in names]})

    def _answer(self, rows: list[dict[str, Any]]) -> Response:
        body: dict[str, Any] = {"totalSize": len(rows), "done": True, "records": rows[: self.batch]}
        if len(rows) > self.batch:
            place = f"01g{len(self._left):012}"
            self._left[place] = rows[self.batch :]
            body |= {"done": False, "nextRecordsUrl": f"{VERSION}/query/{place}"}
        return json_answer(200, body)


def text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def lead_id(number: int) -> str:
    return f"00Q{number:012}AAA"


def _holds(row: dict[str, Any], condition: str) -> bool:
    if listed := _IN.fullmatch(condition):
        return row.get(listed[1]) in {one.strip("'") for one in listed[2].split(", ")}
    compared = _COMPARED.fullmatch(condition)
    assert compared is not None, condition
    name, sign, other = compared.groups()
    value = row[name]
    if name == "Id":
        assert re.fullmatch(r"\w{15}(\w{3})?", other), "invalid ID field"
    else:
        value = value[:19] + "Z"
    return {">=": value >= other, "<": value < other, ">": value > other}[sign]


def _error(status: int, code: str, message: str) -> Response:
    return json_answer(status, [{"errorCode": code, "message": message}])
