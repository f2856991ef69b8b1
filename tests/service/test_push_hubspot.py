"""HubSpot is told scores over a real socket: limits, retries, poisoned rows, and nothing lost."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from crm.clients.waiting import Waiting
from crm.config_crm import CrmConfig
from crm.dead_letters import dead_letters, requeue_dead_letters
from crm.errors import CrmAccessError, CrmSetupError
from crm.state import State
from crm.state_tables import METADATA
from tests.fakes.hubspot import TOKEN, FakeHubSpot
from tests.fakes.made_scores import (
    NOW,
    NOW_US,
    FastClock,
    deliverer,
    made_score,
    made_scores,
    made_state,
    queue,
    told_leads,
    waiting_leads,
)
from tests.fakes.serving import Answer, serving
from tests.postgres import own_postgres


@pytest.fixture(scope="module")
def postgres() -> Generator[str]:
    with own_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[State]:
    opened = made_state(tmp_path, request.getfixturevalue("postgres") if request.param == "postgresql" else "")
    with opened.writing() as connection:  # the server is that of all tests here
        for table in METADATA.sorted_tables:
            connection.execute(sa.delete(table))
    yield opened
    opened.close()


@pytest.fixture
def portal() -> FakeHubSpot:
    return FakeHubSpot({str(number): {} for number in range(1, 251)})


@pytest.fixture
def config(portal: FakeHubSpot) -> Generator[CrmConfig]:
    with serving(portal.app()) as address:
        yield CrmConfig(kind="hubspot", url=address, token=TOKEN)


def test_scores_arrive_in_batches_and_as_strings(state: State, portal: FakeHubSpot, config: CrmConfig) -> None:
    queue(state, config, made_scores(portal.contacts, score=87.314))
    with_clock = deliverer(state, config, FastClock().waiting())
    summary = with_clock.run_once(NOW)
    with_clock.close()
    assert (summary.sent, summary.waiting, summary.dead, summary.stopped) == (250, 0, 0, "")
    assert sorted(portal.sizes) == [50, 100, 100]
    assert portal.contacts["7"] == {
        "ml_lead_score": "87.31",
        "ml_lead_score_at": "2026-11-02T09:00:00.000Z",
        "ml_lead_grade": "B",
        "ml_lead_is_mql": "true",
        "ml_lead_decision": "hand_off",
        "ml_lead_reasons": "Asked for a price, 2 days ago\nCame by a webinar",
    }
    assert with_clock.run_once(NOW).sent == 0


@pytest.mark.parametrize(
    ("header", "waits"), [("3", 3.0), ("1500", 1.5), ("Mon, 02 Nov 2026 09:00:07 GMT", 7.0), (None, 0.25)]
)
def test_a_429_is_waited_for(
    state: State, portal: FakeHubSpot, config: CrmConfig, header: str | None, waits: float
) -> None:
    clock = FastClock()
    date = {"Date": "Mon, 02 Nov 2026 09:00:00 GMT"}
    headers = {} if header is None else {"Retry-After": header, **date}
    portal.answers.append(Answer(429, headers, {"message": "slow down"}))
    queue(state, config, [made_score("1", 1)])
    pushing = deliverer(state, config, clock.waiting())
    assert pushing.run_once(NOW).sent == 1
    assert clock.slept == [waits]
    pushing.close()


def test_a_long_wait_is_not_slept_but_kept(state: State, portal: FakeHubSpot, config: CrmConfig) -> None:
    clock = FastClock()
    portal.answers.append(Answer(429, {"Retry-After": "600"}, {"message": "daily limit"}))
    queue(state, config, [made_score("1", 1)])
    pushing = deliverer(state, config, clock.waiting())
    summary = pushing.run_once(NOW)
    assert (summary.sent, summary.refused, summary.waiting) == (0, 0, 1)
    assert "daily limit" in summary.stopped
    assert pushing.run_once(NOW + timedelta(seconds=20)).stopped == "the CRM asked to wait"
    assert portal.calls == 1
    clock.now += 601
    assert pushing.run_once(NOW + timedelta(seconds=601)).sent == 1
    pushing.close()


def test_the_limit_of_190_calls_in_ten_seconds_is_kept(state: State, portal: FakeHubSpot, config: CrmConfig) -> None:
    single = config.model_copy(update={"batch": 1})
    queue(state, single, made_scores(portal.contacts))
    pushing = deliverer(state, single, Waiting())
    assert pushing.run_once(NOW).sent == 250
    assert (portal.calls, portal.throttled) == (250, 0)
    pushing.close()


def test_a_poisoned_row_is_found_and_the_others_arrive(state: State, portal: FakeHubSpot, config: CrmConfig) -> None:
    portal.invalid = frozenset({"37", "61"})
    queue(state, config, made_scores(str(number) for number in range(1, 101)))
    pushing = deliverer(state, config, FastClock().waiting())
    summary = pushing.run_once(NOW)
    pushing.close()
    assert (summary.sent, summary.refused, summary.waiting, summary.dead) == (98, 2, 0, 2)
    assert portal.calls <= 2 * 2 * 8
    with state.reading() as connection:
        found = {letter.lead_id: letter.message for letter in dead_letters(connection, ["crm"])}
    assert found == {lead: f"400: Property values were not valid for {lead}" for lead in ("37", "61")}


def test_rows_refused_by_themselves_do_not_cost_further_calls(
    state: State, portal: FakeHubSpot, config: CrmConfig
) -> None:
    portal.refused = frozenset({"5"})
    queue(state, config, made_scores(["5", "6", "9999"]))
    pushing = deliverer(state, config, FastClock().waiting())
    summary = pushing.run_once(NOW)
    assert (summary.sent, summary.dead, portal.calls) == (1, 2, 1)
    portal.refused = frozenset()
    with state.writing() as connection:
        assert requeue_dead_letters(connection, "crm", now_us=NOW_US) == 2
    summary = pushing.run_once(NOW)
    pushing.close()
    assert (summary.sent, summary.dead) == (1, 1)
    assert portal.contacts["5"]["ml_lead_score"] == "50.0"


def test_a_row_that_breaks_the_server_does_not_hold_up_the_others(
    state: State, portal: FakeHubSpot, config: CrmConfig
) -> None:
    portal.breaking = frozenset({"3"})
    queue(state, config, made_scores(portal.contacts))
    clock = FastClock()
    pushing = deliverer(state, config, clock.waiting())
    now = NOW
    for round_number in range(40):
        summary = pushing.run_once(now)
        if summary.waiting == 0:
            break
        queue(state, config, [made_score("1", 1_000 + round_number, 50.0 + 2 * (round_number % 2))])
        now += timedelta(hours=7)
        clock.now += 7 * 3600
    pushing.close()
    assert set(told_leads(state)) == set(portal.contacts) - {"3"}
    with state.reading() as connection:
        assert [letter.lead_id for letter in dead_letters(connection, ["crm"])] == ["3"]


def test_one_score_over_which_the_server_breaks_is_not_sent_all_the_time(
    state: State, portal: FakeHubSpot, config: CrmConfig
) -> None:
    portal.breaking = frozenset({"3"})
    queue(state, config, [made_score("3", 3)])
    clock = FastClock()
    pushing = deliverer(state, config, clock.waiting())
    calls: list[int] = []
    for _ in range(60):  # a background task's hour, a turn a minute
        before = len(portal.sizes)
        assert pushing.run_once(NOW).stopped
        calls.append(len(portal.sizes) - before)
        clock.now += 60
    pushing.close()
    assert 0 in calls, "pauses grow"
    assert waiting_leads(state) == {"3": 3}


def test_a_wrong_key_stops_the_run_and_loses_nothing(state: State, portal: FakeHubSpot, config: CrmConfig) -> None:
    portal.token = "another"
    queue(state, config, made_scores(["1", "2"]))
    pushing = deliverer(state, config, FastClock().waiting())
    with pytest.raises(CrmAccessError) as caught:
        pushing.run_once(NOW)
    assert "renew the key of [crm.crm]" in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert waiting_leads(state) == {"1": 1, "2": 2}
    portal.token = TOKEN
    assert pushing.run_once(NOW).sent == 2
    pushing.close()


def test_a_property_that_is_missing_stops_the_run(state: State, config: CrmConfig) -> None:
    renamed = config.model_copy(update={"fields": {"score": "my_score"}})
    queue(state, renamed, made_scores(["1", "2"]))
    pushing = deliverer(state, renamed, FastClock().waiting())
    with pytest.raises(CrmSetupError, match="my_score"):
        pushing.run_once(NOW)
    pushing.close()
    assert len(waiting_leads(state)) == 2


def test_an_answer_that_was_lost_is_asked_for_again(state: State, portal: FakeHubSpot, config: CrmConfig) -> None:
    portal.answers.append(Answer(502, {}, {"message": "bad gateway"}, after=True))
    queue(state, config, made_scores(["1"]))
    pushing = deliverer(state, config, FastClock().waiting())
    assert pushing.run_once(NOW).sent == 1
    pushing.close()
    assert portal.sizes == [1, 1]


def test_a_crm_that_is_away_blames_no_lead(state: State) -> None:
    config = CrmConfig(kind="hubspot", url="http://127.0.0.1:9", token=TOKEN)
    queue(state, config, made_scores(str(number) for number in range(500)))
    clock = FastClock()
    pushing = deliverer(state, config, clock.waiting())
    now = NOW
    for _ in range(20):
        summary = pushing.run_once(now)
        assert summary.sent == 0
        now += timedelta(hours=1)
        clock.now += 3600
    pushing.close()
    assert "ConnectError" in summary.stopped
    assert (summary.waiting, summary.dead) == (500, 0)
    portal = FakeHubSpot({str(number): {} for number in range(500)})
    with serving(portal.app()) as address:
        back = deliverer(state, config.model_copy(update={"url": address}), FastClock().waiting())
        assert back.run_once(now).sent == 500
        back.close()
    assert portal.calls == 5


def test_a_newer_score_that_came_meanwhile_is_sent_next(state: State, portal: FakeHubSpot, config: CrmConfig) -> None:
    queue(state, config, [made_score("1", 1, 50.0)])
    pushing = deliverer(state, config, FastClock().waiting())

    def score_anew() -> None:
        portal.during = lambda: None
        queue(state, config, [made_score("1", 2, 80.0)])

    portal.during = score_anew  # while the first score is on its way
    assert pushing.run_once(NOW).sent == 2
    pushing.close()
    assert portal.contacts["1"]["ml_lead_score"] == "80.0"
    assert (waiting_leads(state), told_leads(state)) == ({}, {"1": 2})


def test_one_process_at_a_time(state: State, portal: FakeHubSpot, config: CrmConfig) -> None:
    queue(state, config, [made_score("1", 1)])
    one = deliverer(state, config, FastClock().waiting())
    other = deliverer(state, config, FastClock().waiting())
    assert one._lease(NOW_US)
    busy = other.run_once(NOW)
    assert (busy.is_busy, busy.sent, busy.waiting, portal.calls) == (True, 0, 1, 0)
    assert other.run_once(NOW + timedelta(minutes=5)).sent == 1
    one.close()
    other.close()
