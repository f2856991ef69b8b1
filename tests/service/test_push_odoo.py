"""Odoo is told scores over a real socket, by both of its protocols."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from crm.config_crm import CrmConfig
from crm.dead_letters import dead_letters
from crm.errors import CrmAccessError, CrmSetupError
from crm.state import State
from tests.fakes.made_scores import NOW, FastClock, deliverer, made_scores, made_state, queue, waiting_leads
from tests.fakes.odoo import DATABASE, KEY, USER, FakeOdoo
from tests.fakes.serving import Answer, serving


@pytest.fixture
def state(tmp_path: Path) -> Generator[State]:
    opened = made_state(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def odoo() -> FakeOdoo:
    return FakeOdoo({number: {} for number in range(1, 251)})


@pytest.fixture(params=["json2", "jsonrpc"])
def config(odoo: FakeOdoo, request: pytest.FixtureRequest) -> Generator[CrmConfig]:
    with serving(odoo.app()) as address:
        yield made(url=address, protocol=request.param)


def made(**more: Any) -> CrmConfig:
    return CrmConfig.model_validate({"kind": "odoo", "token": KEY, "database": DATABASE, "user": USER, **more})


def test_scores_arrive_many_a_call(state: State, odoo: FakeOdoo, config: CrmConfig) -> None:
    queue(state, config, made_scores(map(str, odoo.leads)))
    pushing = deliverer(state, config, FastClock().waiting())
    assert pushing.run_once(NOW).sent == 250
    pushing.close()
    assert odoo.loads == [200, 50]
    assert odoo.leads[9] == {
        "x_kizashi_score": "50.0",
        "x_kizashi_scored_at": "2026-11-02 09:00:00",
        "x_kizashi_grade": "B",
        "x_kizashi_is_mql": "1",
        "x_kizashi_decision": "hand_off",
        "x_kizashi_reasons": "Asked for a price, 2 days ago\nCame by a webinar",
    }
    assert odoo.contexts[0]["tz"] == "UTC"
    assert odoo.contexts[0]["active_test"] is False


def test_rows_that_odoo_names_become_dead_letters(state: State, odoo: FakeOdoo, config: CrmConfig) -> None:
    queue(state, config, made_scores(["1", "2", "777", "L9"]))
    pushing = deliverer(state, config, FastClock().waiting())
    summary = pushing.run_once(NOW)
    pushing.close()
    assert (summary.sent, summary.refused) == (2, 2)
    assert odoo.loads == [3, 2]
    with state.reading() as connection:
        found = {letter.lead_id: letter.message for letter in dead_letters(connection, ["crm"])}
    assert found["777"] == "No matching record found for database id '777'"
    assert "no id of a record" in found["L9"]


def test_missing_fields_are_named_before_anything_is_written(state: State, odoo: FakeOdoo, config: CrmConfig) -> None:
    odoo.fields = odoo.fields - {"x_kizashi_reasons"}
    queue(state, config, made_scores(["1"]))
    pushing = deliverer(state, config, FastClock().waiting())
    with pytest.raises(CrmSetupError, match="x_kizashi_reasons"):
        pushing.run_once(NOW)
    pushing.close()
    assert odoo.loads == []
    assert waiting_leads(state) == {"1": 1}


def test_a_wrong_key_stops_the_run(state: State, config: CrmConfig) -> None:
    wrong = config.model_copy(update={"token": "another-key-0123456789"})
    queue(state, wrong, made_scores(["1"]))
    pushing = deliverer(state, wrong, FastClock().waiting())
    with pytest.raises(CrmAccessError) as caught:
        pushing.run_once(NOW)
    pushing.close()
    assert "another-key" not in str(caught.value)
    assert waiting_leads(state) == {"1": 1}


def test_a_busy_server_is_asked_again(state: State, odoo: FakeOdoo) -> None:
    odoo.answers.extend([Answer(503, {"Retry-After": "2"}, {"message": "busy"})])
    clock = FastClock()
    with serving(odoo.app()) as address:
        config = made(url=address)
        queue(state, config, made_scores(["1"]))
        pushing = deliverer(state, config, clock.waiting())
        assert pushing.run_once(NOW).sent == 1
        pushing.close()
    assert clock.slept == [2.0]


def test_odoos_own_probability_is_never_written() -> None:
    with pytest.raises(ValueError, match="switches odoo's own scoring off"):
        made(url="https://odoo.example.com", fields={"p_won": "probability"})
