"""Odoo as far as the client uses it: ``load`` and ``fields_get``, by JSON-2 (19) and by JSON-RPC (18)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.fakes.serving import Answer, json_answer

KEY, DATABASE, USER = "odoo-key-0123456789", "crm", "kizashi@example.com"
FIELDS = frozenset(f"x_kizashi_{name}" for name in ("score", "scored_at", "grade", "is_mql", "decision", "reasons"))


@dataclass
class FakeOdoo:
    """A database with leads; ``load`` writes all rows or none, and names the rows in its messages."""

    leads: dict[int, dict[str, str]] = field(default_factory=dict)
    fields: frozenset[str] = FIELDS
    answers: deque[Answer] = field(default_factory=deque)
    loads: list[int] = field(default_factory=list)
    contexts: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/json/2/{model}/{method}", self._json2, methods=["POST"]),
                Route("/jsonrpc", self._jsonrpc, methods=["POST"]),
            ]
        )

    async def _json2(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"bearer {KEY}" or request.headers["x-odoo-database"] != DATABASE:
            return json_answer(401, {"name": "werkzeug.exceptions.Unauthorized", "message": "Invalid apikey"})
        if self.answers:
            answer = self.answers.popleft()
            return json_answer(answer.status, answer.body, answer.headers)
        body = await request.json()
        return json_answer(200, self._do(request.path_params["model"], request.path_params["method"], body))

    async def _jsonrpc(self, request: Request) -> Response:
        params = (await request.json())["params"]
        given = params["args"]
        if params["service"] == "common":
            return _result(7 if given[:3] == [DATABASE, USER, KEY] else False)
        database, user_id, key, model, method, arguments, keywords = given
        if (database, user_id, key) != (DATABASE, 7, KEY):
            return json_answer(
                200, {"error": {"message": "Odoo Server Error", "data": {"name": "odoo.exceptions.AccessDenied"}}}
            )
        names = {"load": ("fields", "data"), "fields_get": ("allfields", "attributes")}[method]
        return _result(self._do(model, method, {**dict(zip(names, arguments, strict=True)), **keywords}))

    def _do(self, model: str, method: str, body: dict[str, Any]) -> Any:
        assert model == "crm.lead"
        if method == "fields_get":
            return {name: {"type": "char"} for name in body["allfields"] if name in self.fields}
        assert method == "load"
        self.contexts.append(body["context"])
        return self._load(body["fields"], body["data"])

    def _load(self, fields: list[str], data: list[list[str]]) -> dict[str, Any]:
        self.loads.append(len(data))
        assert "probability" not in fields
        messages = [
            {
                "type": "error",
                "message": f"No matching record found for database id '{row[0]}'",
                "record": place,
                "rows": {"from": place, "to": place},
            }
            for place, row in enumerate(data)
            if int(row[0]) not in self.leads
        ]
        if messages:
            return {"ids": False, "messages": messages, "nextrow": 0}
        for row in data:
            assert all(isinstance(cell, str) for cell in row)
            self.leads[int(row[0])].update(dict(zip(fields[1:], row[1:], strict=True)))
        return {"ids": [int(row[0]) for row in data], "messages": [], "nextrow": 0}


def _result(value: Any) -> Response:
    return json_answer(200, {"jsonrpc": "2.0", "id": 1, "result": value})
