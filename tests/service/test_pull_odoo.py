"""Odoo is read over a real socket, by both protocols: tracked changes, wins and losses, and a kill in the middle."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest

from crm.errors import CrmUnavailableError
from crm.reread import reread
from tests.fakes.odoo import DATABASE, KEY, USER
from tests.fakes.odoo_reading import FakeOdooCrm, text
from tests.fakes.pulled import Pulled, made_pulled, moment
from tests.fakes.serving import Answer, serving

START, NOW = moment("2026-03-01T09:00"), moment("2026-11-02T09:00")
DAY = timedelta(days=1)


@pytest.fixture
def odoo() -> FakeOdooCrm:
    return FakeOdooCrm()


@pytest.fixture(params=["json2", "jsonrpc"])
def pulled(odoo: FakeOdooCrm, tmp_path: Path, request: pytest.FixtureRequest) -> Generator[Pulled]:
    with serving(odoo.app()) as address:
        keys = f'url = "{address}"\ntoken = "{KEY}"\ndatabase = "{DATABASE}"\nuser = "{USER}"'
        made = made_pulled(tmp_path, f'kind = "odoo"\nprotocol = "{request.param}"\n{keys}')
        yield made
        made.state.close()


def test_tracked_changes_are_history(pulled: Pulled, odoo: FakeOdooCrm) -> None:
    odoo.make(7, START, partner_id=False, source_id=3, function="CTO", email_from="a@example.com")
    odoo.change(7, START + DAY, source_id=4)
    odoo.change(7, START + 2 * DAY, stage_id=2, partner_id=55)
    odoo.change(7, START + 3 * DAY, date_conversion=text(START + 3 * DAY), tracked=False, type="opportunity")
    odoo.change(7, START + 4 * DAY, expected_revenue=900.0)
    odoo.change(7, START + 9 * DAY, stage_id=4)
    pulled.pull(NOW)
    (lead,) = pulled.told("leads")
    assert (lead["created_at"], lead["account_id"]) == (START, None)  # the partner came with the conversion
    sources = pulled.told("lead_changes", field="source_id")
    assert [(row["value"], row["recorded_at"]) for row in sources] == [
        ("source_id 3", START),
        ("source_id 4", START + DAY),
    ]
    assert [(row["stage"], row["entered_at"] - START) for row in pulled.told("stages")] == [
        ("sql", 2 * DAY),
        ("opportunity", 3 * DAY),
        ("closed_won", 9 * DAY),
    ]
    versions = pulled.told("opportunities")
    assert [(row["amount"], row["is_won"]) for row in versions] == [(None, None), (900.0, None), (900.0, True)]
    assert {row["created_at"] for row in versions} == {START + 2 * DAY}
    assert (versions[-1]["closed_at"], versions[-1]["currency"]) == (START + 9 * DAY, "JPY")
    assert not any("email_from" in body["fields"] for _, body in odoo.asked)


def test_archived_with_no_chance_is_lost_and_archived_alone_is_not(pulled: Pulled, odoo: FakeOdooCrm) -> None:
    for key in (1, 2):
        odoo.make(key, START, partner_id=40 + key)
    odoo.change(1, START + DAY, active=False)
    odoo.tables["crm.lead"][1].update(probability=0.0, lost_reason_id=5)
    odoo.change(2, START + DAY, active=False)
    pulled.pull(NOW)
    (stage,) = pulled.told("stages")
    assert (stage["lead_id"], stage["stage"], stage["entered_at"]) == ("1", "closed_lost", START + DAY)
    assert stage["reason"] == "lost_reason_id 5"
    assert pulled.told("opportunities") == []
    assert pulled.told("leads", lead_id="2")[0]["account_id"] == "42"


def test_a_lost_deal_is_closed(pulled: Pulled, odoo: FakeOdooCrm) -> None:
    odoo.make(1, START, expected_revenue=50.0)
    odoo.change(1, START + DAY, stage_id=3)
    odoo.change(1, START + 2 * DAY, active=False)
    odoo.tables["crm.lead"][1].update(probability=0.0)
    pulled.pull(NOW)
    versions = pulled.told("opportunities")
    assert [(row["is_won"], row["amount"]) for row in versions] == [(None, 50.0), (False, 50.0)]
    assert versions[1]["closed_at"] == START + 2 * DAY


def test_the_next_pull_brings_only_what_changed(pulled: Pulled, odoo: FakeOdooCrm) -> None:
    for key in range(1, 451):
        odoo.make(key, START)
    assert pulled.pull(NOW).new["leads"] == 450
    pulled.forget_queue()
    odoo.change(3, NOW + timedelta(minutes=1), stage_id=2)
    odoo.change(4, NOW + timedelta(minutes=1), tracked=False, x_kizashi_score=87.3)  # our own write
    summary = pulled.pull(NOW + timedelta(hours=1))
    assert (summary.records, pulled.queued()) == (2, {"3"})
    assert pulled.pull(NOW + timedelta(hours=2)).new == {}


def test_a_key_that_may_not_read_the_tracking(pulled: Pulled, odoo: FakeOdooCrm) -> None:
    odoo.is_admin = False
    odoo.make(1, START, source_id=3, partner_id=41)
    odoo.change(1, START + DAY, stage_id=2, date_last_stage_update=text(START + DAY))
    summary = pulled.pull(NOW)
    assert "no history" in summary.notes[0]
    (stage,) = pulled.told("stages")
    assert (stage["stage"], stage["entered_at"]) == ("sql", START + DAY)
    assert pulled.told("leads")[0]["account_id"] is None
    odoo.change(1, NOW, x_kizashi_score=1.0)
    assert pulled.pull(NOW + timedelta(hours=1)).new == {}


def test_single_leads_are_read_anew(pulled: Pulled, odoo: FakeOdooCrm) -> None:
    odoo.make(1, START)
    pulled.pull(NOW)
    pulled.forget_queue()
    odoo.change(1, NOW, stage_id=2)
    assert reread(pulled.puller, "crm", ["1", "99", "x"], NOW + timedelta(minutes=1)) == {"1"}
    assert pulled.queued() == {"1"}


@pytest.mark.parametrize("pulled", ["json2"], indirect=True)
def test_a_pull_that_is_cut_off_goes_on(pulled: Pulled, odoo: FakeOdooCrm) -> None:
    for key in range(1, 901):
        odoo.make(key, START + timedelta(seconds=key // 300))
    looks = 0

    def cut(model: str) -> None:
        nonlocal looks
        looks += model == "crm.lead"
        if looks == 6:
            odoo.answers.extend([Answer(503)] * 5)

    odoo.during = cut
    with pytest.raises(CrmUnavailableError):
        pulled.pull(NOW)
    stored = len(pulled.told("leads"))
    assert 0 < stored < 900
    summary = pulled.pull(NOW + timedelta(hours=1))
    assert summary.is_resumed
    assert len(pulled.told("leads")) == 900
