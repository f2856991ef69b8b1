"""HubSpot as far as the client uses it, with its limits: 100 inputs, 190 calls in 10 s, strings, 207 for a part."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.fakes.serving import Answer, SlidingLimit, json_answer

TOKEN = "pat-eu1-0123456789-secret"
PROPERTIES = frozenset(
    f"ml_lead_{name}" for name in ("score", "score_at", "grade", "is_mql", "decision", "reasons", "p_won")
)


@dataclass
class FakeHubSpot:
    """A portal with contacts.

    ``invalid`` ids break the portal's validation rules: a batch with one is refused as a whole. ``refused`` ids are
    refused by themselves, with 207.
    """

    contacts: dict[str, dict[str, str]] = field(default_factory=dict)
    invalid: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    breaking: frozenset[str] = frozenset()
    answers: deque[Answer] = field(default_factory=deque)
    limit: SlidingLimit = field(default_factory=lambda: SlidingLimit(190, 10.0))
    during: Callable[[], None] = lambda: None
    token: str = TOKEN
    calls: int = 0
    throttled: int = 0
    sizes: list[int] = field(default_factory=list)

    def app(self) -> Starlette:
        route = Route("/crm/objects/2026-09/contacts/batch/update", self._update, methods=["POST"])
        return Starlette(routes=[route])

    async def _update(self, request: Request) -> Response:
        body = await request.json()
        self.calls += 1
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _error(
                401, "INVALID_AUTHENTICATION", f"Authentication failed for {request.headers['authorization']}"
            )
        if (wait := self.limit.retry_after()) is not None:
            self.throttled += 1
            return _error(429, "RATE_LIMITS", "ten secondly limit", {"Retry-After": f"{wait:.3f}"})
        answer = self.answers.popleft() if self.answers else None
        if answer is not None and not answer.after:
            return json_answer(answer.status, answer.body, answer.headers)
        self.during()
        done = self._carry_out(body["inputs"])
        return done if answer is None else json_answer(answer.status, answer.body, answer.headers)

    def _carry_out(self, inputs: list[dict[str, Any]]) -> Response:
        self.sizes.append(len(inputs))
        if problem := self._whole_problem(inputs):
            return problem
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for each in inputs:
            if each["id"] not in self.contacts:
                errors.append(_part_error("OBJECT_NOT_FOUND", "resource not found", each))
            elif each["id"] in self.refused:
                errors.append(_part_error("VALIDATION_ERROR", "the contact is locked by a rule", each))
            else:
                self.contacts[each["id"]].update(each["properties"])
                results.append({"id": each["id"], "properties": each["properties"]})
        body: dict[str, Any] = {"status": "COMPLETE", "results": results}
        if errors:
            return json_answer(207, {**body, "numErrors": len(errors), "errors": errors})
        return json_answer(200, body)

    def _whole_problem(self, inputs: list[dict[str, Any]]) -> Response | None:
        ids = [each["id"] for each in inputs]
        values = [value for each in inputs for value in each["properties"].values()]
        names = {name for each in inputs for name in each["properties"]}
        if len(inputs) > 100:
            return _error(400, "VALIDATION_ERROR", "No more than 100 inputs")
        if len(set(ids)) < len(ids):
            return _error(400, "VALIDATION_ERROR", "Duplicate IDs found in batch input")
        if not all(isinstance(value, str) for value in [*ids, *values]):
            return _error(400, "VALIDATION_ERROR", "Invalid input JSON: expected a string")
        if unknown := names - PROPERTIES:
            message = f'Property "{min(unknown)}" does not exist [PROPERTY_DOESNT_EXIST]'
            return _error(400, "VALIDATION_ERROR", message)
        if set(ids) & self.breaking:
            return _error(500, "INTERNAL_ERROR", "internal error")
        if broken := sorted(set(ids) & self.invalid):
            return _error(400, "VALIDATION_ERROR", f"Property values were not valid for {broken[0]}")
        return None


def _error(status: int, category: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return json_answer(status, {"status": "error", "category": category, "message": message}, headers)


def _part_error(category: str, message: str, each: dict[str, Any]) -> dict[str, Any]:
    context = {"ids": [each["id"]], "objectWriteTraceId": [each["objectWriteTraceId"]]}
    return {"status": "error", "category": category, "message": message, "context": context}
