"""Webhooks that were kept are worked on once, told to the state, and tried again when something fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from crm.config import Workspace, load_workspace
from crm.errors import CrmAccessError, CrmUnavailableError
from crm.hook_events import MAX_TRIES, Arrived, HookAnswer, HookHint, take, take_hint
from crm.known import to_micros
from crm.state import State, open_state
from crm.state_tables import HOOK_EVENTS, TOLD
from crm.told import Teller
from serving.hooks.formats import GENERIC, pack, pack_rows, read_generic, work_of
from serving.hooks.work import Away, HookHandlers, Worked, work_hooks

NOW = datetime(2026, 11, 5, 9, 30, tzinfo=UTC)
NOW_US = to_micros(NOW)
ANSWER = HookAnswer(202, "{}")
FILE = """
[source]
url = "demo://"
[serve]
public_url = "https://score.example.com"
[crm.hubspot]
kind = "hubspot"
token = "pat-0123456789"
hook_secret = "0123456789abcdef"
[crm.odoo]
kind = "odoo"
url = "https://odoo.example.com"
token = "0123456789"
"""
EVENT = {
    "eventId": 1, "subscriptionType": "contact.propertyChange", "objectId": 123, "propertyName": "company_size",
    "propertyValue": "51-200", "occurredAt": NOW_US // 1000 - 60_000,
}  # fmt: skip


class Calls:
    """What the handlers were given; ``fails`` makes them fail."""

    def __init__(self) -> None:
        self.reread: list[tuple[str, Sequence[str]]] = []
        self.erased: list[tuple[str, Sequence[str]]] = []
        self.fails = False

    def read(self, name: str, ids: Sequence[str]) -> None:
        if self.fails:
            raise TimeoutError("taro@example.com did not answer")
        self.reread.append((name, ids))

    def erase(self, name: str, ids: Sequence[str]) -> None:
        self.erased.append((name, ids))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "kizashi.toml").write_text(FILE, encoding="utf-8")
    return load_workspace(tmp_path)


@pytest.fixture
def state(workspace: Workspace) -> Iterator[State]:
    opened = open_state(workspace)
    yield opened
    opened.close()


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def handlers(workspace: Workspace, calls: Calls) -> HookHandlers:
    return HookHandlers(workspace.config.crm, Teller(workspace.config).tell, calls.read, calls.erase, work_of)


def keep(state: State, body: str, source: str = "crm.hubspot", event_id: str = "e1") -> None:
    with state.writing() as connection:
        assert take(connection, Arrived(source, event_id, body), ANSWER, NOW_US) is None


def created(number: int) -> str:
    return pack("event", EVENT | {"subscriptionType": "contact.creation", "objectId": number})


def told(state: State, table: str) -> list[dict[str, Any]]:
    with state.reading() as connection:
        return [dict(row) for row in connection.execute(sa.select(TOLD[table])).mappings()]


def test_a_property_is_told_with_its_time_and_the_body_is_emptied(state: State, handlers: HookHandlers) -> None:
    keep(state, pack("event", EVENT))
    assert work_hooks(state, handlers, NOW) == Worked(done=1)
    assert told(state, "lead_changes") == [
        {
            "lead_id": "123", "field": "company_size", "value": "51-200", "changed_by_team": None,
            "recorded_us": NOW_US - 60_000_000, "origin": "hook", "arrived_us": NOW_US,
        }
    ]  # fmt: skip
    with state.reading() as connection:
        assert connection.execute(sa.select(HOOK_EVENTS.c.body)).scalar_one() is None
    assert work_hooks(state, handlers, NOW) == Worked()


def test_posted_rows_are_told_as_they_came(state: State, handlers: HookHandlers, workspace: Workspace) -> None:
    rows = [
        {"lead_id": "L1", "happened_at": "2026-11-05T18:00:00+09:00", "kind": "visit", "content_id": "/pricing?utm=1"},
        {"lead_id": "L1", "happened_at": "2026-11-05T18:10:00+09:00", "kind": "download", "value": 2},
    ]
    table, typed = read_generic({"type": "touches", "rows": rows}, workspace.config)
    keep(state, pack_rows(table, typed), GENERIC)
    assert work_hooks(state, handlers, NOW) == Worked(done=1)
    found = sorted(told(state, "touches"), key=lambda row: row["happened_us"])
    assert [(row["happened_us"] - NOW_US) / 60e6 for row in found] == [-30, -20]
    assert [(row["kind"], row["content_id"], row["value"], row["actor"]) for row in found] == [
        ("visit", "/pricing", None, "lead"),
        ("download", None, 2.0, "lead"),
    ]


def test_every_table_that_can_be_posted_is_told(state: State, handlers: HookHandlers, workspace: Workspace) -> None:
    at = "2026-11-05T18:00:00+09:00"
    bodies = {
        "leads": {"lead_id": "L1", "created_at": at, "company_size": "51-200"},
        "stages": {"lead_id": "L1", "stage": "sql", "entered_at": at},
        "hand_offs": {"hand_off_id": "H1", "lead_id": "L1", "handed_off_at": at, "owner": "u1"},
        "opportunities": {"opportunity_id": "O1", "lead_id": "L1", "created_at": at, "is_won": False, "amount": 10},
    }
    for table, row in bodies.items():
        _, typed = read_generic({"type": table, "rows": [row]}, workspace.config)
        keep(state, pack_rows(table, typed), GENERIC, table)
    assert work_hooks(state, handlers, NOW) == Worked(done=4)
    assert {table: len(told(state, table)) for table in bodies} == dict.fromkeys(bodies, 1)
    assert told(state, "lead_changes")[0]["value"] == "51-200"


def test_a_hint_is_read_by_the_crms_own_api(state: State, handlers: HookHandlers, calls: Calls) -> None:
    with state.writing() as connection:
        hint = HookHint("crm.odoo", "record:7", pack("record", "7"), 5_000_000, "hash-of-7")
        take_hint(connection, hint, ANSWER, NOW_US)
    assert work_hooks(state, handlers, NOW) == Worked()
    assert work_hooks(state, handlers, NOW + timedelta(seconds=5)) == Worked(done=1)
    assert calls.reread == [("odoo", ["7"])]


def test_a_privacy_deletion_erases(state: State, handlers: HookHandlers, calls: Calls) -> None:
    keep(state, pack("event", EVENT | {"subscriptionType": "contact.privacyDeletion"}))
    assert work_hooks(state, handlers, NOW) == Worked(done=1)
    assert calls.erased == [("hubspot", ("123",))]


def test_an_erasure_that_empties_its_own_event_and_fails_is_asked_for_again(
    state: State, handlers: HookHandlers, calls: Calls
) -> None:
    def erase(name: str, ids: Sequence[str]) -> None:
        with state.writing() as connection:
            connection.execute(sa.update(HOOK_EVENTS).values(body=None, next_try_us=None))
        raise OSError("the disk is full")

    keep(state, pack("event", EVENT | {"subscriptionType": "contact.privacyDeletion"}))
    broken = HookHandlers(handlers.crms, handlers.tell, handlers.reread, erase, work_of)
    assert work_hooks(state, broken, NOW) == Worked(put_off=1)
    assert work_hooks(state, handlers, NOW + timedelta(minutes=1)) == Worked(done=1)
    assert calls.erased == [("hubspot", ("123",))]


def test_one_that_fails_is_tried_again_and_holds_up_nobody(
    state: State, handlers: HookHandlers, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    calls.fails = True
    keep(state, pack("event", EVENT | {"subscriptionType": "contact.creation"}))
    keep(state, pack("event", EVENT), event_id="e2")
    keep(state, "no JSON at all", event_id="e3")
    assert work_hooks(state, handlers, NOW) == Worked(done=1, put_off=2)
    assert len(told(state, "leads")) == 1  # what the event said is not lost while HubSpot is away
    assert "taro@example.com" not in caplog.text
    calls.fails = False
    assert work_hooks(state, handlers, NOW + timedelta(seconds=29)) == Worked()
    assert work_hooks(state, handlers, NOW + timedelta(seconds=31)) == Worked(done=1, put_off=1)
    assert calls.reread == [("hubspot", ["123"])]
    assert len(told(state, "leads")) == 1


def test_a_crm_that_is_away_is_asked_once_and_holds_up_nothing(
    state: State, handlers: HookHandlers, calls: Calls
) -> None:
    asked: list[Sequence[str]] = []

    def read(name: str, ids: Sequence[str]) -> None:
        asked.append(ids)
        raise CrmUnavailableError(found="no answer", expected="one", fix="wait", retry_after_s=90.0)

    for number in range(5):
        keep(state, created(number), event_id=f"{number}")
    keep(state, pack("event", EVENT | {"subscriptionType": "contact.privacyDeletion"}), event_id="erase")
    keep(state, pack("event", EVENT), event_id="plain")
    slow, away = replace(handlers, reread=read), Away()
    assert work_hooks(state, slow, NOW, away) == Worked(done=2, put_off=5)
    assert asked == [["0", "1", "2", "3", "4"]]
    assert calls.erased == [("hubspot", ("123",))]
    keep(state, created(9), event_id="later")
    assert work_hooks(state, slow, NOW + timedelta(seconds=60), away).put_off == 6
    assert len(asked) == 1
    assert work_hooks(state, handlers, NOW + timedelta(seconds=91), away) == Worked(done=6)
    assert [(name, set(ids)) for name, ids in calls.reread] == [("hubspot", {"0", "1", "2", "3", "4", "9"})]


def test_a_record_that_a_crm_cannot_bear_holds_up_no_other(state: State, handlers: HookHandlers, calls: Calls) -> None:
    def read(name: str, ids: Sequence[str]) -> None:
        if "2" in ids:
            raise CrmUnavailableError(found="500", expected="an answer", fix="wait", may_be_a_row=True)
        calls.read(name, ids)

    for number in range(4):
        keep(state, created(number), event_id=f"{number}")
    away = Away()
    assert work_hooks(state, replace(handlers, reread=read), NOW, away) == Worked(done=3, put_off=1)
    assert [ids for _, ids in calls.reread] == [["0"], ["1"], ["3"]]
    assert away.until_us == {}


def test_no_crm_is_left_alone_for_days_or_for_what_another_did(state: State, handlers: HookHandlers) -> None:
    def read(name: str, ids: Sequence[str]) -> None:
        is_hub = name == "hubspot"
        after = None if is_hub else 30 * 86_400.0
        raise CrmUnavailableError(
            found="500", expected="an answer", fix="wait", may_be_a_row=is_hub, retry_after_s=after
        )

    for number in range(2):
        keep(state, created(number), event_id=f"{number}")
    keep(state, pack("record", "7"), "crm.odoo", "record")
    away = Away()
    assert work_hooks(state, replace(handlers, reread=read), NOW, away).put_off == 3
    assert away.until_us == {"odoo": NOW_US + 3_600_000_000}


def test_a_key_that_is_refused_is_shown_once_a_turn(state: State, handlers: HookHandlers) -> None:
    asked: list[Sequence[str]] = []

    def read(name: str, ids: Sequence[str]) -> None:
        asked.append(ids)
        raise CrmAccessError(found="401", expected="a key", fix="renew it")

    for number in range(4):
        keep(state, created(number), event_id=f"{number}")
    assert work_hooks(state, replace(handlers, reread=read), NOW, Away()) == Worked(put_off=4)
    assert len(asked) == 1


def test_one_that_always_fails_is_given_up(
    state: State, handlers: HookHandlers, caplog: pytest.LogCaptureFixture
) -> None:
    keep(state, "no JSON at all")
    results = [work_hooks(state, handlers, NOW + timedelta(days=day)) for day in range(MAX_TRIES + 2)]
    assert [one.put_off for one in results] == [1] * (MAX_TRIES - 1) + [0] * 3
    assert [one.given_up for one in results] == [0] * (MAX_TRIES - 1) + [1, 0, 0]
    assert "given up" in caplog.text


def test_a_crm_that_left_the_workspace_file_is_waited_for(state: State, handlers: HookHandlers) -> None:
    keep(state, pack("event", EVENT), "crm.gone")
    assert work_hooks(state, handlers, NOW) == Worked(put_off=1)


def test_nothing_is_told_when_the_mark_cannot_be_made(state: State, handlers: HookHandlers) -> None:
    def tell(*arguments: Any) -> object:
        Teller(load_workspace(Path(str(state.engine.url.database)).parents[1]).config).tell(*arguments)
        raise OSError("the disk is full")

    keep(state, pack("event", EVENT))
    broken = HookHandlers(handlers.crms, tell, handlers.reread, handlers.erase, work_of)
    assert work_hooks(state, broken, NOW) == Worked(put_off=1)
    assert told(state, "lead_changes") == []
