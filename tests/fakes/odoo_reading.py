"""Odoo as far as it is read: ``search_read`` and ``fields_get``, by JSON-2 and by JSON-RPC, changes tracked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.fakes.odoo import DATABASE, KEY, USER
from tests.fakes.serving import Answer, json_answer

TYPES = {
    **dict.fromkeys(("create_date", "write_date", "date_closed", "date_conversion"), "datetime"),
    "date_last_stage_update": "datetime",
    **dict.fromkeys(
        ("stage_id", "partner_id", "lost_reason_id", "company_currency", "source_id", "medium_id", "country_id"),
        "many2one",
    ),
    "lang_id": "many2one",
    "active": "boolean",
    "probability": "float",
    "expected_revenue": "monetary",
    "type": "selection",
    "function": "char",
    "x_kizashi_score": "float",
    "email_from": "char",
}
STAGES = {1: ("New", False), 2: ("Qualified", False), 3: ("Proposition", False), 4: ("Won", True)}
NAMES = {"stage_id": {key: name for key, (name, _) in STAGES.items()}, "company_currency": {1: "JPY"}}


@dataclass
class FakeOdooCrm:
    """A database with leads and what was tracked of them; ``is_admin`` may read the latter."""

    tables: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    is_admin: bool = True
    answers: deque[Answer] = field(default_factory=deque)
    during: Callable[[str], None] = lambda model: None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tables["crm.stage"] = {key: {"name": name, "is_won": won} for key, (name, won) in STAGES.items()}
        for model in ("crm.lead", "mail.message", "mail.tracking.value"):
            self.tables.setdefault(model, {})

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/json/2/{model}/{method}", self._json2, methods=["POST"]),
                Route("/jsonrpc", self._jsonrpc, methods=["POST"]),
            ]
        )

    def make(self, key: int, at: datetime, **values: Any) -> None:
        blank = {name: False for name in TYPES}
        times = {"create_date": text(at), "write_date": text(at)}
        fixed = {"active": True, "type": "lead", "stage_id": 1, "company_currency": 1, "probability": 10.0}
        self.tables["crm.lead"][key] = {**blank, **fixed, **times, **values}

    def change(self, key: int, at: datetime, tracked: bool = True, **values: Any) -> None:
        """Change a lead as a user does: what is tracked is noted."""
        lead, messages = self.tables["crm.lead"][key], self.tables["mail.message"]
        message = len(messages) + 1
        messages[message] = {"model": "crm.lead", "res_id": key, "date": text(at)}
        for name, value in values.items() if tracked else ():
            self._note(message, name, lead[name], value)
        lead.update(values, write_date=text(at))

    def _note(self, message: int, name: str, old: Any, new: Any) -> None:
        row: dict[str, Any] = {"mail_message_id": message, "field_name": name}
        for age, value in (("old", old), ("new", new)):
            row |= {f"{age}_value_{kind}": False for kind in ("integer", "float", "char", "text")}
            if TYPES[name] == "many2one":
                row[f"{age}_value_integer"] = value or 0
                row[f"{age}_value_char"] = NAMES.get(name, {}).get(value, f"{name} {value}") if value else ""
            elif TYPES[name] == "boolean":
                row[f"{age}_value_integer"] = int(value)
            else:
                kind = "float" if TYPES[name] in ("float", "monetary") else "char"
                row[f"{age}_value_{kind}"] = value
        values = self.tables["mail.tracking.value"]
        values[len(values) + 1] = row

    async def _json2(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"bearer {KEY}":
            return json_answer(401, {"message": "Invalid apikey"})
        model, method = request.path_params["model"], request.path_params["method"]
        self.during(model)
        if self.answers:
            answer = self.answers.popleft()
            return json_answer(answer.status, answer.body, answer.headers)
        if model == "mail.tracking.value" and not self.is_admin:
            return json_answer(403, {"name": "odoo.exceptions.AccessError", "message": "not allowed"})
        return json_answer(200, self._do(model, method, await request.json()))

    async def _jsonrpc(self, request: Request) -> Response:
        params = (await request.json())["params"]
        given = params["args"]
        if params["service"] == "common":
            return _result(7 if given[:3] == [DATABASE, USER, KEY] else False)
        model, method, arguments, keywords = given[3:]
        if model == "mail.tracking.value" and not self.is_admin:
            data = {"name": "odoo.exceptions.AccessError", "message": "not allowed"}
            return json_answer(200, {"error": {"message": "Odoo Server Error", "data": data}})
        names = {
            "search_read": ("domain", "fields", "offset", "limit", "order"),
            "fields_get": ("allfields", "attributes"),
        }
        return _result(self._do(model, method, {**dict(zip(names[method], arguments, strict=True)), **keywords}))

    def _do(self, model: str, method: str, body: dict[str, Any]) -> Any:
        assert body["context"]["active_test"] is False
        assert body["context"]["tz"] == "UTC"
        if method == "fields_get":
            return {name: {"type": TYPES[name]} for name in body["allfields"] if name in TYPES}
        assert method == "search_read"
        self.asked.append((model, body))
        rows = [
            {"id": key, **row}
            for key, row in self.tables[model].items()
            if all(self._holds({"id": key, **row}, *one) for one in body["domain"])
        ]
        for name in reversed(body["order"].split(", ")):
            rows.sort(key=lambda row, name=name: row[name])
        rows = rows[: body["limit"]] if body["limit"] else rows
        return [{"id": row["id"], **{name: _shown(name, row[name]) for name in body["fields"]}} for row in rows]

    def _holds(self, row: dict[str, Any], name: str, sign: str, other: Any) -> bool:
        if name == "field_id.name":
            value: Any = row["field_name"]
        elif name.startswith("mail_message_id."):
            value = self.tables["mail.message"][row["mail_message_id"]][name.partition(".")[2]]
        else:
            value = row[name]
        if sign == "in":
            return value in other
        return {">=": value >= other, "<": value < other, ">": value > other, "=": value == other}[sign]


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _shown(name: str, value: Any) -> Any:
    if value and (name == "mail_message_id" or TYPES.get(name) == "many2one"):
        return [value, NAMES.get(name, {}).get(value, f"{name} {value}")]
    return value


def _result(value: Any) -> Response:
    return json_answer(200, {"jsonrpc": "2.0", "id": 1, "result": value})
