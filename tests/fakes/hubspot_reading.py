"""HubSpot as far as it is read, with its limits: 200 records a search and 10,000 in all, 50 with history."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.fakes.hubspot import TOKEN
from tests.fakes.serving import Answer, json_answer

PERSONAL = frozenset({"email", "firstname", "lastname", "phone", "mobilephone", "address"})


@dataclass
class Held:
    """A record: the values of each property since when; what is today's is the last."""

    created: datetime
    changed: datetime
    history: dict[str, list[tuple[datetime, str]]] = field(default_factory=dict)
    archived: datetime | None = None

    def set(self, at: datetime, **values: str) -> None:
        for name, value in values.items():
            self.history.setdefault(name, []).append((at, value))
        self.changed = max(self.changed, at)

    def today(self, name: str) -> str | None:
        return self.history[name][-1][1] if name in self.history else None


@dataclass
class FakePortal:
    """An account; ``forbidden`` kinds answer 403, the key ends at ``ends_at``; ``during`` runs before answers."""

    records: dict[str, dict[str, Held]] = field(default_factory=dict)
    linked: dict[tuple[str, str], dict[str, list[str]]] = field(default_factory=dict)
    stages: dict[str, tuple[bool, str]] = field(default_factory=dict)
    forbidden: frozenset[str] = frozenset()
    ends_at: str = ""
    answers: deque[Answer] = field(default_factory=deque)
    during: Callable[[str], None] = lambda path: None
    calls: list[str] = field(default_factory=list)
    wanted: set[str] = field(default_factory=set)

    def app(self) -> Starlette:
        objects = "/crm/objects/2026-09/{kind}"
        return Starlette(
            routes=[
                Route(f"{objects}/search", self._search, methods=["POST"]),
                Route(f"{objects}/batch/read", self._read, methods=["POST"]),
                Route(objects, self._list, methods=["GET"]),
                Route("/crm/associations/2026-09/{kind}/{other}/batch/read", self._associated, methods=["POST"]),
                Route("/crm/pipelines/2026-09/deals", self._pipelines, methods=["GET"]),
            ]
        )

    def make(self, kind: str, name: str, at: datetime, **values: str) -> Held:
        held = Held(at, at)
        held.set(at, **values)
        self.records.setdefault(kind, {})[name] = held
        return held

    def link(self, kind: str, other: str, one: str, *others: str) -> None:
        self.linked.setdefault((kind, other), {})[one] = list(others)

    def _refusal(self, request: Request) -> Response | None:
        path = request.url.path
        self.calls.append(path.removeprefix("/crm/"))
        self.during(path)
        has_ended = request.path_params.get("kind") == self.ends_at
        if has_ended or request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(401, "Authentication failed")
        if self.answers:
            answer = self.answers.popleft()
            return json_answer(answer.status, answer.body, answer.headers)
        if request.path_params.get("kind") in self.forbidden:
            return _error(403, "This app hasn't been granted all required scopes")
        return None

    async def _search(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        body = await request.json()
        if not body.keys() >= {"after", "filterGroups", "limit", "properties", "sorts"}:
            return _error(400, "a key is missing")
        start, limit = int(body["after"]), body["limit"]
        if limit > 200 or start + limit > 10_000:
            return _error(400, "paging over the limit")
        (group,), (sort,) = body["filterGroups"], body["sorts"]
        self.wanted |= set(body["properties"])
        found = [
            (name, held)
            for name, held in self.records.get(request.path_params["kind"], {}).items()
            if held.archived is None and all(_holds(name, held, one) for one in group["filters"])
        ]
        found.sort(key=lambda one: _value(*one, sort["propertyName"]))
        results = [self._shown(name, held, body["properties"]) for name, held in found[start : start + limit]]
        more = {"paging": {"next": {"after": str(start + limit)}}} if start + limit < len(found) else {}
        return json_answer(200, {"total": len(found), "results": results, **more})

    async def _read(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        body = await request.json()
        ids = [one["id"] for one in body["inputs"]]
        if len(ids) > (50 if body["propertiesWithHistory"] else 100) or len(set(ids)) < len(ids):
            return _error(400, "too many inputs, or one twice")
        self.wanted |= {*body["properties"], *body["propertiesWithHistory"]}
        is_archived = request.query_params.get("archived") == "true"
        there = self.records.get(request.path_params["kind"], {})
        found = {one: there[one] for one in ids if one in there and (there[one].archived is not None) == is_archived}
        results = [
            {**self._shown(name, held, body["properties"]), "propertiesWithHistory": _history(held, body)}
            for name, held in found.items()
        ]
        if len(results) < len(ids):
            return json_answer(207, {"results": results, "numErrors": 1, "errors": [{"category": "OBJECT_NOT_FOUND"}]})
        return json_answer(200, {"results": results})

    async def _list(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        limit, start = int(request.query_params["limit"]), int(request.query_params.get("after", "0"))
        if limit > 100:
            return _error(400, "limit over 100")
        assert request.query_params["archived"] == "true"
        gone = [
            (name, held)
            for name, held in self.records.get(request.path_params["kind"], {}).items()
            if held.archived is not None
        ]
        results = [self._shown(name, held, ()) for name, held in gone[start : start + limit]]
        more = {"paging": {"next": {"after": str(start + limit)}}} if start + limit < len(gone) else {}
        return json_answer(200, {"results": results, **more})

    async def _associated(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        inputs = (await request.json())["inputs"]
        if len(inputs) > 1_000:
            return _error(400, "over 1,000 inputs")
        linked = self.linked.get((request.path_params["kind"], request.path_params["other"]), {})
        results = [
            {"from": {"id": one["id"]}, "to": [{"toObjectId": int(other)} for other in linked[one["id"]]]}
            for one in inputs
            if one["id"] in linked
        ]
        return json_answer(200, {"results": results})

    async def _pipelines(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        stages = [
            {"id": name, "label": name, "metadata": {"isClosed": str(is_closed).lower(), "probability": probability}}
            for name, (is_closed, probability) in self.stages.items()
        ]
        return json_answer(200, {"results": [{"id": "default", "stages": stages}]})

    def _shown(self, name: str, held: Held, properties: Any) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "id": name,
            "createdAt": _text(held.created),
            "updatedAt": _text(held.changed),
            "properties": {one: _value_text(name, held, one) for one in properties},
        }
        return shown if held.archived is None else {**shown, "archived": True, "archivedAt": _text(held.archived)}


def _history(held: Held, body: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [{"value": value, "timestamp": _text(at)} for at, value in reversed(held.history[name])]
        for name in body["propertiesWithHistory"]
        if name in held.history
    }


def _value(name: str, held: Held, of: str) -> Any:
    if of == "hs_object_id":
        return int(name)
    if of in ("lastmodifieddate", "hs_lastmodifieddate"):
        return round(held.changed.timestamp() * 1_000)
    return held.today(of)


def _value_text(name: str, held: Held, of: str) -> Any:
    if of in ("lastmodifieddate", "hs_lastmodifieddate"):
        return _text(held.changed)
    return _value(name, held, of)


def _holds(name: str, held: Held, wanted: dict[str, str]) -> bool:
    value, other = _value(name, held, wanted["propertyName"]), int(wanted["value"])
    return {"GTE": value >= other, "LT": value < other, "GT": value > other}[wanted["operator"]]


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(status: int, message: str) -> Response:
    return json_answer(status, {"status": "error", "message": message})
