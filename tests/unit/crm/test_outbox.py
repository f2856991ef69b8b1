"""The outbox: what is queued, what is left out, and that the CRM ends up with the newest score whatever happens."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.config_crm import CrmConfig
from crm.dead_letters import bury, dead_letters, requeue_dead_letters
from crm.outbox import Queued, queue_scores
from crm.sending import ALONE_AFTER, Again, backlogs, due, retry_later, settle
from crm.state import State
from crm.state_tables import METADATA, OUTBOX
from tests.fakes.made_scores import (
    NOW_US,
    made_score,
    made_scores,
    made_state,
    queue,
    told_leads,
    waiting_leads,
)
from tests.postgres import own_postgres

CONFIG = CrmConfig(kind="hubspot", token="a-token-for-tests")


@pytest.fixture(scope="module")
def address() -> Generator[str]:
    with own_postgres() as found:
        yield found.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[State]:
    if request.param == "sqlite":
        opened = made_state(tmp_path)
        yield opened
        opened.close()
        return
    engine = sa.create_engine(request.getfixturevalue("address"))
    METADATA.drop_all(engine)
    METADATA.create_all(engine)
    yield State(engine, is_sqlite=False)
    engine.dispose()


def take(state: State, *, now_us: int = NOW_US, limit: int = 1_000) -> list[Queued]:
    with state.reading() as connection:
        return due(connection, "crm", now_us=now_us, limit=limit)


def arrive(state: State, sent: list[Queued]) -> None:
    with state.writing() as connection:
        settle(connection, "crm", sent, now_us=NOW_US)


class TestQueueing:
    def test_what_was_never_told_is_queued_with_what_is_sent(self, state: State) -> None:
        assert queue(state, CONFIG, [made_score("1", 5)]) == 1
        (entry,) = take(state)
        assert (entry.lead_id, entry.seq, entry.tries) == ("1", 5, 0)
        assert entry.payload["as_of"] == "2026-11-02T09:00:00+00:00"
        assert entry.payload["reasons"][1] == "Came by a webinar"
        assert "lead_id" not in entry.payload

    @pytest.mark.parametrize(
        ("change", "queued"),
        [
            ({"score": 50.9}, 0),
            ({"score": 49.0}, 1),
            ({"score": 51.0}, 1),
            ({"grade": "A"}, 1),
            ({"is_mql": False}, 1),
            ({"decision": "keep"}, 1),
            ({"p_won": 0.9, "reasons": []}, 0),
        ],
    )
    def test_small_changes_are_not_sent(self, state: State, change: dict[str, object], queued: int) -> None:
        queue(state, CONFIG, [made_score("1", 1)])
        arrive(state, take(state))
        assert queue(state, CONFIG, [made_score("1", 2) | change]) == queued
        assert len(waiting_leads(state)) == queued

    def test_a_newer_score_takes_the_place_of_an_unsent_one_and_an_older_does_not(self, state: State) -> None:
        queue(state, CONFIG, [made_score("1", 5, 50.0)])
        queue(state, CONFIG, [made_score("1", 7, 70.0)])
        queue(state, CONFIG, [made_score("1", 6, 60.0)])
        (entry,) = take(state)
        assert (entry.seq, entry.payload["score"]) == (7, 70.0)

    def test_of_one_call_the_newest_counts(self, state: State) -> None:
        assert queue(state, CONFIG, [made_score("1", 9, 90.0), made_score("1", 8, 80.0)]) == 1
        assert waiting_leads(state) == {"1": 9}

    def test_back_at_what_was_told_replaces_what_may_be_on_its_way(self, state: State) -> None:
        queue(state, CONFIG, [made_score("1", 1, 50.0)])
        arrive(state, take(state))
        queue(state, CONFIG, [made_score("1", 2, 80.0)])
        on_its_way = take(state)
        queue(state, CONFIG, [made_score("1", 3, 50.0)])
        arrive(state, on_its_way)
        assert [entry.payload["score"] for entry in take(state)] == [50.0]

    def test_two_crms_are_told_apart_by_the_ids_of_their_leads(self, state: State) -> None:
        crms = {
            "hub": CONFIG.model_copy(update={"lead_ids": r"^\d+$"}),
            "force": CONFIG.model_copy(update={"lead_ids": "^00Q"}),
        }
        with state.writing() as connection:
            assert queue_scores(connection, crms, made_scores(["17", "00Q1"]), now_us=NOW_US) == 2
            behind = backlogs(connection, ["hub", "force", "none"])
        assert [(each.crm, each.waiting, each.oldest_us, each.dead) for each in behind] == [
            ("hub", 1, NOW_US, 0),
            ("force", 1, NOW_US, 0),
            ("none", 0, None, 0),
        ]

    def test_nothing_is_queued_when_the_transaction_fails(self, state: State) -> None:
        def queue_and_fail() -> None:
            with state.writing() as connection:
                queue_scores(connection, {"crm": CONFIG}, [made_score("1", 1)], now_us=NOW_US)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            queue_and_fail()
        assert waiting_leads(state) == {}

    def test_thousands_at_once(self, state: State) -> None:
        leads = [str(number) for number in range(9_000)]
        assert queue(state, CONFIG, made_scores(leads)) == 9_000
        assert len(take(state, limit=10_000)) == 9_000


class TestSettling:
    def test_a_lead_that_was_erased_meanwhile_leaves_no_trace(self, state: State) -> None:
        queue(state, CONFIG, made_scores(["1", "2"]))
        sent = take(state)
        with state.writing() as connection:
            connection.execute(sa.delete(OUTBOX).where(OUTBOX.c.lead_id == "1"))
        arrive(state, sent)
        assert told_leads(state) == {"2": 2}

    def test_suspects_come_last_and_alone(self, state: State) -> None:
        queue(state, CONFIG, made_scores(["1", "2", "3"]))
        one, two, _ = take(state)
        with state.writing() as connection:
            retry_later(connection, "crm", [Again(each, "no", ALONE_AFTER, NOW_US + 9) for each in (one, two)])
        assert [entry.lead_id for entry in take(state)] == ["3"]
        assert [entry.lead_id for entry in take(state, now_us=NOW_US + 9)] == ["3"]
        arrive(state, take(state))
        assert [(entry.lead_id, entry.tries) for entry in take(state, now_us=NOW_US + 9)] == [("1", ALONE_AFTER)]
        assert take(state, now_us=NOW_US + 8) == []


class TestDeadLetters:
    def test_one_a_lead_with_the_crms_words(self, state: State) -> None:
        for seq in (1, 2):
            queue(state, CONFIG, [made_score("1", seq)])
            with state.writing() as connection:
                assert bury(connection, "crm", [(take(state)[0], f"no {seq}")], now_us=NOW_US) == 1
        with state.reading() as connection:
            (letter,) = dead_letters(connection, ["crm"])
        assert (letter.seq, letter.message, letter.tries) == (2, "no 2", 1)
        assert waiting_leads(state) == {}

    def test_a_newer_score_is_not_buried_with_the_older(self, state: State) -> None:
        queue(state, CONFIG, [made_score("1", 1)])
        (old,) = take(state)
        queue(state, CONFIG, [made_score("1", 2)])
        with state.writing() as connection:
            assert bury(connection, "crm", [(old, "no")], now_us=NOW_US) == 0
            assert dead_letters(connection, ["crm"]) == []
        assert waiting_leads(state) == {"1": 2}

    def test_they_come_back_unless_something_newer_waits(self, state: State) -> None:
        queue(state, CONFIG, made_scores(["1", "2"]))
        with state.writing() as connection:
            bury(connection, "crm", [(entry, "no") for entry in take(state)], now_us=NOW_US)
        queue(state, CONFIG, [made_score("2", 9)])
        with state.writing() as connection:
            assert requeue_dead_letters(connection, "crm", now_us=NOW_US) == 2
        assert waiting_leads(state) == {"1": 1, "2": 9}

    def test_one_is_gone_when_a_newer_score_arrives_or_is_what_the_crm_shows(self, state: State) -> None:
        queue(state, CONFIG, made_scores(["1", "2"]))
        arrive(state, take(state))
        queue(state, CONFIG, made_scores(["1", "2"], 3, 80.0))
        with state.writing() as connection:
            bury(connection, "crm", [(entry, "no") for entry in take(state)], now_us=NOW_US)
        queue(state, CONFIG, [made_score("1", 5, 90.0), made_score("2", 6, 50.2)])
        arrive(state, take(state))
        with state.reading() as connection:
            assert dead_letters(connection, ["crm"]) == []


# What may happen to one lead between its scores: a push starts, its end is noted, or the process dies before that.
STEPS = st.one_of(
    st.tuples(st.just("score"), st.sampled_from([50.0, 50.4, 60.0])),
    st.just(("send", 0.0)),
    st.just(("settle", 0.0)),
    st.just(("die", 0.0)),
)


@given(st.lists(STEPS, max_size=14))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_crm_ends_up_with_the_newest_score(steps: list[tuple[str, float]]) -> None:
    """Whatever the order: once all is quiet the CRM shows a score under the threshold away from the newest one."""
    with tempfile.TemporaryDirectory() as folder:
        state = made_state(Path(folder))
        shown, newest, on_its_way = None, None, list[Queued]()
        for seq, (step, score) in enumerate([*steps, ("settle", 0.0), ("send", 0.0), ("settle", 0.0)], start=1):
            if step == "score":
                newest = score
                queue(state, CONFIG, [made_score("1", seq, score)])
            elif step == "send" and not on_its_way:
                on_its_way = take(state)
                shown = on_its_way[0].payload["score"] if on_its_way else shown
            elif step == "settle":
                arrive(state, on_its_way)
                on_its_way = []
            elif step == "die":
                on_its_way = []
        assert waiting_leads(state) == {}
        assert (shown is None) == (newest is None)
        assert newest is None or abs(shown - newest) < CONFIG.change_threshold
        state.close()
