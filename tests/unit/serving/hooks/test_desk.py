"""What each kind of webhook is answered, around a scorer that holds one lead."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from crm.config import Workspace, load_workspace
from crm.erasure import erase_lead
from crm.errors import StateError
from crm.hook_events import HookAnswer
from crm.state import State, open_state, state_secret
from crm.state_tables import HOOK_EVENTS
from serving.asked import Asked
from serving.hooks.desk import HookDesk
from serving.hooks.signatures import SignatureError, SignedRequest
from serving.problems import ProblemError, problem_of_status
from serving.writer import Writer
from tests.service.senders import HOOKS_FILE, HUBSPOT, as_bytes, event, hubspot_v2, hubspot_v3


class Scorer:
    """Knows the contact 123; each score is another."""

    def __init__(self) -> None:
        self.asked = 0

    async def score(self, lead_id: str, asked: Asked) -> dict[str, Any]:
        del asked
        if lead_id == "500":
            raise StateError(found="a state that is away", expected="one that answers", fix="wait")
        if lead_id == "409":
            raise ProblemError(problem_of_status(409))
        if lead_id.strip() != "123":
            raise ProblemError(problem_of_status(404))
        self.asked += 1
        await asyncio.sleep(0)
        return {
            "score": 70.0 + self.asked, "grade": "B", "p_won": 0.02, "expected_value": 310.0, "is_mql": True,
            "reasons": ["three visits", "a download"],
        }  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    text = '[source]\nurl = "demo://"\n[serve]\n' + HOOKS_FILE
    (tmp_path / "kizashi.toml").write_text(text, encoding="utf-8")
    return load_workspace(tmp_path)


@pytest.fixture
def state(workspace: Workspace) -> Iterator[State]:
    opened = open_state(workspace)
    yield opened
    opened.close()


@pytest.fixture
def scorer() -> Scorer:
    return Scorer()


@pytest.fixture
def desk(workspace: Workspace, state: State, scorer: Scorer) -> Iterator[HookDesk]:
    writer = Writer(state)
    yield HookDesk(state, writer, workspace.config, scorer.score, str, b"secret")
    writer.close()


def call(callback: str = "ap-1-2-3", **changes: Any) -> bytes:
    record = {"objectId": 123, "objectType": "CONTACT"}
    return as_bytes({"callbackId": callback, "origin": {}, "object": record, "inputFields": {}} | changes)


def ask(desk: HookDesk, body: bytes, *headers: dict[str, str]) -> list[HookAnswer]:
    """Send a body to HubSpot's address once with each set of headers, all at the same time."""

    async def run() -> list[HookAnswer]:
        return await asyncio.gather(*(_answer(desk, body, one) for one in headers))

    return asyncio.run(run())


def _answer(desk: HookDesk, body: bytes, headers: dict[str, str]) -> Awaitable[HookAnswer]:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return desk.hubspot(SignedRequest("POST", HUBSPOT, raw, body), "", Asked(datetime.now(UTC), "en"))


def outputs(answer: HookAnswer) -> dict[str, Any]:
    return json.loads(answer.text)["outputFields"]


def events(state: State) -> list[str]:
    with state.reading() as connection:
        return list(connection.execute(sa.select(HOOK_EVENTS.c.event_id)).scalars())


@pytest.mark.parametrize("sign", [hubspot_v2, hubspot_v3])
def test_our_action_answers_with_its_outputs(desk: HookDesk, sign: Any) -> None:
    (answer,) = ask(desk, call(), sign(call()))
    assert answer.status == 200
    assert outputs(answer) == {
        "score": 71.0, "grade": "B", "p_won": 0.02, "expected_value": 310.0, "is_mql": True,
        "reasons": "three visits; a download", "hs_execution_state": "SUCCESS",
    }  # fmt: skip


def test_a_call_that_comes_again_gets_the_first_score(desk: HookDesk, scorer: Scorer) -> None:
    (first,) = ask(desk, call(), hubspot_v2(call()))
    changed = call(inputFields={"lead_id": "999"})
    again = [*ask(desk, call(), hubspot_v2(call()), hubspot_v3(call())), *ask(desk, changed, hubspot_v3(changed))]
    assert set(again) == {first}
    assert scorer.asked == 1
    (later,) = ask(desk, call("ap-1-2-4"), hubspot_v2(call("ap-1-2-4")))
    assert outputs(later)["score"] == 72.0


def test_an_erasure_finds_the_answers_and_what_waits(desk: HookDesk, state: State, workspace: Workspace) -> None:
    desk = replace(desk, secret=state_secret(workspace))
    blanks = call(inputFields={"lead_id": " 123 "})
    ask(desk, blanks, hubspot_v3(blanks))
    told = as_bytes([event(objectId=123, eventId=7), event(objectId=124, eventId=8)])
    ask(desk, told, hubspot_v3(told))
    assert len(events(state)) == 3
    erase_lead(state, workspace, "123", now=datetime.now(UTC))
    with state.reading() as connection:
        rows = connection.execute(sa.select(HOOK_EVENTS).order_by(HOOK_EVENTS.c.event_id)).all()
    assert [(row.event_id[:8], row.body is None, bool(row.leads)) for row in rows] == [
        ("event:7:", True, False),
        ("event:8:", False, True),
    ]
    for later in (call("ap-later"), call("ap-later", inputFields={"lead_id": "123 "})):
        (answer,) = ask(desk, later, hubspot_v3(later))  # it was scored before, and is erased now
        assert outputs(answer)["errorCode"] == "LEAD_UNKNOWN"
    assert len(events(state)) == 2


def test_calls_at_the_same_time_get_one_score(desk: HookDesk, state: State) -> None:
    assert len(set(ask(desk, call(), *[hubspot_v2(call())] * 12))) == 1
    assert events(state) == ["callback:ap-1-2-3"]


def test_a_call_without_a_lead_is_not_kept(desk: HookDesk, state: State) -> None:
    cases = (
        ({"inputFields": {"lead_id": "999"}}, "LEAD_UNKNOWN"),
        ({"inputFields": {"lead_id": "409"}}, "NOT_SCORED"),
        ({"object": None}, "NO_LEAD"),
    )
    for changes, code in cases:
        (answer,) = ask(desk, call(**changes), hubspot_v2(call(**changes)))
        assert outputs(answer) == {"errorCode": code, "hs_execution_state": "FAIL_CONTINUE"}
    assert events(state) == []
    (answer,) = ask(desk, call(), hubspot_v2(call()))
    assert outputs(answer)["hs_execution_state"] == "SUCCESS"


def test_a_score_that_fails_is_a_failure_that_hubspot_tries_again(desk: HookDesk, state: State) -> None:
    content = call(inputFields={"lead_id": "500"})
    with pytest.raises(StateError):
        ask(desk, content, hubspot_v2(content))
    assert events(state) == []


def test_events_of_version_2_are_refused(desk: HookDesk, state: State) -> None:
    content = as_bytes([event()])
    with pytest.raises(SignatureError):
        ask(desk, content, hubspot_v2(content))
    assert events(state) == []


def test_of_two_apps_each_has_its_own_secret(workspace: Workspace, state: State, scorer: Scorer) -> None:
    other = workspace.config.crm["hubspot"].model_copy(update={"hook_secret": "z" * 36})
    config = workspace.config.model_copy(update={"crm": {**workspace.config.crm, "other": other}})
    writer = Writer(state)
    content = as_bytes([event()])
    two = HookDesk(state, writer, config, scorer.score, str, b"secret")
    ask(two, content, hubspot_v3(content), hubspot_v3(content, secret="z" * 36))
    with pytest.raises(SignatureError):
        ask(two, content, hubspot_v3(content, secret="x" * 36))
    writer.close()
    with state.reading() as connection:
        sources = connection.execute(sa.select(HOOK_EVENTS.c.source)).scalars()
        assert sorted(sources) == ["crm.hubspot", "crm.other"]
