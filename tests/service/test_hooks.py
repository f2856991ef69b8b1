"""Webhooks and flat scores in this process, around a scorer that holds one lead."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message

from crm.config import load_workspace
from crm.state import State, open_state
from crm.state_tables import HOOK_EVENTS
from serving import service
from serving.guards import ErrorGuard
from serving.keys import key_digest
from serving.problems import ProblemError, problem_of_status
from serving.replies import FlatReply
from serving.runtime import Runtime
from serving.watch import Watch
from tests.service.senders import HOOKS_FILE, HUBSPOT, as_bytes, hubspot_v2, hubspot_v3

KEY = "0123456789abcdef0123456789abcdef"
JSON = {"Content-Type": "application/json"}


class Scorer:
    """Knows the contact 123; each score is another."""

    def __init__(self) -> None:
        self.asked = 0
        self.reading = SimpleNamespace(rule_columns={}, attributes={})

    def score(self, data: bytes, language: str | None, now: datetime) -> dict[str, Any]:
        del language, now
        if json.loads(data) == {"lead_id": "500"}:
            raise ValueError("taro@example.com")
        if json.loads(data) != {"lead_id": "123"}:
            raise ProblemError(problem_of_status(404))
        self.asked += 1
        return {
            "lead_id": "123", "score": 70.0 + self.asked, "grade": "B", "p_sql": 0.1, "p_won": 0.02, "percentile": 93.0,
            "expected_revenue": 800.0, "expected_value": 310.0, "currency": "JPY", "is_mql": True,
            "decision": "hand_off", "reasons": ["three visits", "a download"], "model_version": "3",
            "line_version": "abc",
        }  # fmt: skip


class Service:
    """The whole service, guards and all, with the state of a workspace."""

    def __init__(self, folder: Path) -> None:
        (folder / "kizashi.toml").write_text('[source]\nurl = "demo://"\n[serve]\n' + HOOKS_FILE, encoding="utf-8")
        workspace = load_workspace(folder)
        self.state, self.scorer = open_state(workspace), Scorer()
        settings = SimpleNamespace(key_sha256=key_digest({"KIZASHI_API_KEY": KEY}), workspace=workspace)
        runtime = SimpleNamespace(settings=settings, scorer=self.scorer, state=self.state, start=lambda: None)
        watch = Watch(CollectorRegistry())
        self.app: ASGIApp = ErrorGuard(service.make_service(cast(Runtime, runtime), watch).to_asgi(), watch)

    def post(self, path: str, content: object, *headers: dict[str, str]) -> list[httpx.Response]:
        """Send the content once with each set of headers, all at the same time."""

        async def run() -> list[httpx.Response]:
            told: asyncio.Queue[Message] = asyncio.Queue()
            heard: asyncio.Queue[Message] = asyncio.Queue()
            await told.put({"type": "lifespan.startup"})
            lifespan = asyncio.create_task(self.app({"type": "lifespan"}, told.get, heard.put))
            await heard.get()
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://internal") as client:
                sent = (client.post(path, content=as_bytes(content), headers=JSON | given) for given in headers)
                answers = await asyncio.gather(*sent)
            await told.put({"type": "lifespan.shutdown"})
            await lifespan
            return answers

        return asyncio.run(run())


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.state.close()


def call(callback: str = "ap-1-2-3", **changes: Any) -> bytes:
    record = {"objectId": 123, "objectType": "CONTACT"}
    return as_bytes({"callbackId": callback, "origin": {}, "object": record, "inputFields": {}} | changes)


def events(state: State) -> list[str]:
    with state.reading() as connection:
        return list(connection.execute(sa.select(HOOK_EVENTS.c.event_id)).scalars())


def test_our_action_answers_with_its_outputs_without_a_key(running: Service) -> None:
    (answer,) = running.post(HUBSPOT, call(), hubspot_v2(call()))
    assert answer.status_code == 200
    assert answer.json() == {
        "outputFields": {
            "score": 71.0, "grade": "B", "p_won": 0.02, "expected_value": 310.0, "is_mql": True,
            "reasons": "three visits; a download", "hs_execution_state": "SUCCESS",
        }
    }  # fmt: skip


def test_a_call_that_comes_again_gets_the_first_score(running: Service) -> None:
    first = running.post(HUBSPOT, call(), hubspot_v2(call()))[0]
    again = running.post(HUBSPOT, call(), hubspot_v2(call()), hubspot_v3(call()))
    changed = call(inputFields={"lead_id": "999"})
    other = running.post(HUBSPOT, changed, hubspot_v3(changed))
    assert {answer.text for answer in (*again, *other)} == {first.text}
    assert running.scorer.asked == 1
    later = running.post(HUBSPOT, call("ap-1-2-4"), hubspot_v2(call("ap-1-2-4")))[0]
    assert later.json()["outputFields"]["score"] == 72.0


def test_calls_at_the_same_time_get_one_score(running: Service) -> None:
    answers = running.post(HUBSPOT, call(), *[hubspot_v2(call())] * 12)
    assert len({answer.text for answer in answers}) == 1
    assert events(running.state) == ["callback:ap-1-2-3"]


def test_a_call_without_a_lead_is_not_kept(running: Service) -> None:
    for changes, code in (({"inputFields": {"lead_id": "999"}}, "LEAD_UNKNOWN"), ({"object": None}, "NO_LEAD")):
        content = call(**changes)
        (answer,) = running.post(HUBSPOT, content, hubspot_v2(content))
        assert answer.json()["outputFields"] == {"errorCode": code, "hs_execution_state": "FAIL_CONTINUE"}
    assert events(running.state) == []
    (answer,) = running.post(HUBSPOT, call(), hubspot_v2(call()))
    assert answer.json()["outputFields"]["hs_execution_state"] == "SUCCESS"


def test_a_score_that_fails_is_a_failure_that_hubspot_tries_again(running: Service) -> None:
    content = call(inputFields={"lead_id": "500"})
    (answer,) = running.post(HUBSPOT, content, hubspot_v2(content))
    assert answer.status_code == 500
    assert "taro" not in answer.text
    assert events(running.state) == []


def test_a_state_that_is_away_says_when_to_try_again(running: Service) -> None:
    running.state.close()
    with running.state.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE hook_events"))
    (answer,) = running.post(HUBSPOT, call(), hubspot_v2(call()))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10000")
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_flat_score_needs_the_key(running: Service) -> None:
    shown, hidden = running.post("/v1/score/flat", {"lead_id": 123}, {"X-API-Key": KEY}, {})
    assert hidden.status_code == 401
    reply = FlatReply.model_validate_json(shown.content)
    assert (reply.lead_id, reply.score, reply.currency_code, reply.reason_2, reply.reason_3) == (
        "123", 71.0, "JPY", "a download", None
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "status"), [({"lead_id": "999"}, 404), ({"lead_id": []}, 422), (b'{"lead_id": }', 400)]
)
def test_a_flat_score_that_cannot_be_made_is_a_problem(running: Service, content: object, status: int) -> None:
    (answer,) = running.post("/v1/score/flat", content, {"X-API-Key": KEY})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
