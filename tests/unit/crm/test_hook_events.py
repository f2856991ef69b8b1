"""Webhooks that were taken: each once, answered once and for all, worked on with patience."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from crm.config import load_workspace
from crm.hook_events import (
    MAX_TRIES,
    Arrived,
    HookAnswer,
    HookHint,
    done,
    first_answer,
    forget,
    pending,
    retry_later,
    take,
    take_hint,
    wait_until,
    wait_us,
)
from crm.state import State, open_state
from crm.state_tables import HOOK_EVENTS
from tests.postgres import own_postgres

NOW = 1_793_871_000_000_000
ANSWER = HookAnswer(202, '{"status":"accepted"}')


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with own_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    serve = ""
    if request.param == "postgresql":
        serve = f'[serve]\nstate_url = "{request.getfixturevalue("postgres")}"\n'
    (tmp_path / "kizashi.toml").write_text(f'[source]\nurl = "demo://"\n{serve}', encoding="utf-8")
    opened = open_state(load_workspace(tmp_path))
    with opened.writing() as connection:
        connection.execute(sa.delete(HOOK_EVENTS))
    yield opened
    opened.close()


def taken(state: State, event_id: str = "e1", answer: HookAnswer = ANSWER, body: str | None = "{}", at: int = NOW):
    with state.writing() as connection:
        return take(connection, Arrived("crm.hubspot", event_id, body), answer, at)


def waiting(state: State, at: int = NOW) -> list[str]:
    with state.reading() as connection:
        return [event.event_id for event in pending(connection, at, 100)]


def row(state: State, event_id: str = "e1") -> sa.RowMapping:
    with state.reading() as connection:
        return connection.execute(sa.select(HOOK_EVENTS).where(HOOK_EVENTS.c.event_id == event_id)).mappings().one()


def test_a_new_event_is_taken_and_a_repeat_gets_the_first_answer(state: State) -> None:
    assert taken(state, answer=HookAnswer(200, '{"score":71}')) is None
    assert taken(state, answer=HookAnswer(200, '{"score":12}')) == HookAnswer(200, '{"score":71}')
    with state.reading() as connection:
        assert first_answer(connection, "crm.hubspot", "e1") == HookAnswer(200, '{"score":71}')
        assert first_answer(connection, "crm.other", "e1") is None
    assert waiting(state) == ["e1"]


def test_the_same_id_of_another_source_is_another_event(state: State) -> None:
    assert taken(state) is None
    with state.writing() as connection:
        assert take(connection, Arrived("generic", "e1", "{}"), ANSWER, NOW) is None


def test_of_many_at_the_same_time_one_is_taken_and_all_get_its_answer(state: State) -> None:
    found: list[tuple[int, HookAnswer | None]] = []
    together = threading.Barrier(16)

    def send(number: int) -> None:
        together.wait()
        found.append((number, taken(state, answer=HookAnswer(200, str(number)))))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = [number for number, before in found if before is None]
    assert len(first) == 1
    assert {before for _, before in found if before is not None} == {HookAnswer(200, str(first[0]))}
    assert waiting(state) == ["e1"]


def test_what_is_done_waits_no_more_and_is_still_known(state: State) -> None:
    taken(state, body='{"secret":"taro"}')
    with state.writing() as connection:
        done(connection, pending(connection, NOW, 1)[0])
    assert waiting(state) == []
    assert row(state)["body"] is None
    assert taken(state) == ANSWER
    assert waiting(state) == []


def test_an_event_without_a_body_leaves_nothing_to_do(state: State) -> None:
    assert taken(state, body=None) is None
    assert waiting(state) == []
    assert taken(state) == ANSWER


def test_events_come_in_the_order_of_their_arrival_and_not_before_their_time(state: State) -> None:
    for number, at in enumerate((NOW + 2, NOW, NOW + 1)):
        taken(state, f"e{number}", at=at)
    assert waiting(state, NOW + 1) == ["e1", "e2"]
    with state.reading() as connection:
        assert [event.event_id for event in pending(connection, NOW + 9, 2)] == ["e1", "e2"]


def test_a_failure_puts_an_event_off_longer_each_time_until_it_is_given_up(state: State) -> None:
    taken(state)
    now, pauses = NOW, []
    while waiting(state, now):
        with state.writing() as connection:
            event = pending(connection, now, 1)[0]
            assert retry_later(connection, event, "TimeoutError", now) == (event.tries + 1 < MAX_TRIES)
        next_try = row(state)["next_try_us"]
        if next_try is None:
            break
        assert waiting(state, next_try - 1) == []
        pauses.append(next_try - now)
        now = next_try
    assert pauses == [wait_us(tries) for tries in range(1, MAX_TRIES)]
    assert pauses == sorted(pauses)
    left = row(state)
    assert (left["tries"], left["last_error"], left["body"]) == (MAX_TRIES, "TimeoutError", "{}")
    assert waiting(state, NOW * 2) == []


def test_old_events_are_forgotten_and_waiting_ones_are_not(state: State) -> None:
    taken(state, "done", body=None)
    taken(state, "waiting")
    taken(state, "new", body=None, at=NOW + 10)
    with state.writing() as connection:
        assert forget(connection, NOW + 5) == 1
    assert taken(state, "done", body=None) is None
    assert taken(state, "waiting") == ANSWER
    assert taken(state, "new") == ANSWER


# --- hints -----------------------------------------------------------------------------------------------------------


def test_an_event_that_an_erasure_empties_while_it_is_worked_on_stays_finished(state: State) -> None:
    taken(state, "e1", body="{}")
    taken(state, "e2", body="{}")
    with state.writing() as connection:
        one, two = pending(connection, NOW, 10)
        connection.execute(sa.update(HOOK_EVENTS).values(body=None, next_try_us=None))
        wait_until(connection, one, NOW + 5)
        retry_later(connection, two, "TimeoutError", NOW)
        assert forget(connection, NOW + 1) == 2


def test_an_erasure_that_fails_is_found_by_the_next_one(state: State) -> None:
    with state.writing() as connection:
        take(connection, Arrived("crm.hubspot", "e1", "{}", "hash-of-7"), ANSWER, NOW)
        (event,) = pending(connection, NOW, 10)
        connection.execute(sa.update(HOOK_EVENTS).values(body=None, next_try_us=None, leads=""))
        assert retry_later(connection, event, "OSError", NOW, is_erasure=True)
        (again,) = pending(connection, NOW + wait_us(1), 10)
    assert (again.body, again.leads) == ("{}", "hash-of-7")


HINT = HookHint("crm.odoo", "record:7", "{}", 5, "hash-of-7")


def test_hints_at_one_record_are_one_until_it_was_read(state: State) -> None:
    with state.writing() as connection:
        take_hint(connection, HINT, ANSWER, NOW)
        take_hint(connection, HINT, ANSWER, NOW + 3)
    assert waiting(state, NOW + 7) == []
    assert waiting(state, NOW + 8) == ["record:7"]


def test_a_hint_at_a_record_that_was_read_is_work_again(state: State) -> None:
    for at in (NOW, NOW + 100):
        with state.writing() as connection:
            take_hint(connection, HINT, ANSWER, at)
        assert waiting(state, at + 5) == ["record:7"]
        with state.writing() as connection:
            done(connection, pending(connection, at + 5, 1)[0])
        assert waiting(state, at + 5) == []


def test_a_hint_that_comes_while_the_record_is_read_is_not_lost(state: State) -> None:
    with state.writing() as connection:
        take_hint(connection, HINT, ANSWER, NOW)
    with state.reading() as connection:
        event = pending(connection, NOW + 5, 1)[0]
    with state.writing() as connection:
        take_hint(connection, HINT, ANSWER, NOW + 6)
    with state.writing() as connection:
        done(connection, event)
    assert waiting(state, NOW + 11) == ["record:7"]
    with state.writing() as connection:
        retry_later(connection, event, "late", NOW + 7)
    assert row(state, "record:7")["tries"] == 0
