"""Salesforce is told scores over a real socket: tokens, 200 a call, a result a row, the Bulk API for thousands."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from crm.config_crm import CrmConfig
from crm.dead_letters import dead_letters
from crm.errors import CrmAccessError, CrmSetupError
from crm.state import State
from tests.fakes.made_scores import NOW, FastClock, deliverer, made_scores, made_state, queue, waiting_leads
from tests.fakes.salesforce import CLIENT_ID, CLIENT_SECRET, FakeSalesforce
from tests.fakes.serving import Answer, serving


def lead_id(number: int, kind: str = "00Q") -> str:
    return f"{kind}5e{number:010d}"


@pytest.fixture
def state(tmp_path: Path) -> Generator[State]:
    opened = made_state(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def org() -> FakeSalesforce:
    return FakeSalesforce({lead_id(number): {} for number in range(450)} | {lead_id(1, "003"): {}})


@pytest.fixture
def config(org: FakeSalesforce) -> Generator[CrmConfig]:
    with serving(org.app()) as address:
        yield CrmConfig(kind="salesforce", url=address, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)


def test_200_a_call_and_both_kinds_of_record(state: State, org: FakeSalesforce, config: CrmConfig) -> None:
    queue(state, config, made_scores(org.records, score=91.0))
    pushing = deliverer(state, config, FastClock().waiting())
    summary = pushing.run_once(NOW)
    pushing.close()
    assert (summary.sent, summary.waiting, summary.dead, org.tokens) == (451, 0, 0, 1)
    assert max(org.sizes) == 200
    assert org.records[lead_id(1, "003")] == {
        "ML_Score__c": 91.0,
        "ML_Score_At__c": "2026-11-02T09:00:00.000Z",
        "ML_Grade__c": "B",
        "ML_Is_MQL__c": True,
        "ML_Decision__c": "hand_off",
        "ML_Reasons__c": "Asked for a price, 2 days ago\nCame by a webinar",
    }


def test_each_row_has_an_outcome(state: State, org: FakeSalesforce, config: CrmConfig) -> None:
    org.converted = frozenset({lead_id(3)})
    org.locked = {lead_id(4): 1}
    queue(state, config, made_scores([lead_id(number) for number in range(6)] + [lead_id(999), "17"]))
    pushing = deliverer(state, config, FastClock().waiting())
    summary = pushing.run_once(NOW)
    pushing.close()
    assert (summary.sent, summary.retried, summary.refused) == (4, 1, 3)
    assert list(waiting_leads(state)) == [lead_id(4)]
    with state.reading() as connection:
        found = {letter.lead_id: letter.message.partition(":")[0] for letter in dead_letters(connection, ["crm"])}
    assert found == {
        lead_id(3): "CANNOT_UPDATE_CONVERTED_LEAD",
        lead_id(999): "ENTITY_IS_DELETED",
        "17": "'17' is no id of a Lead or a Contact",
    }


def test_a_token_that_ran_out_is_renewed(state: State, org: FakeSalesforce, config: CrmConfig) -> None:
    org.expires_after = 1
    queue(state, config, made_scores(org.records))
    pushing = deliverer(state, config, FastClock().waiting())
    assert pushing.run_once(NOW).sent == 451
    pushing.close()
    assert org.tokens == len(org.sizes)


def test_a_wrong_secret_stops_the_run_and_is_not_shown(state: State, config: CrmConfig) -> None:
    wrong = config.model_copy(update={"client_secret": "wrong-secret-9876543210"})
    queue(state, wrong, made_scores([lead_id(1)]))
    pushing = deliverer(state, wrong, FastClock().waiting())
    with pytest.raises(CrmAccessError) as caught:
        pushing.run_once(NOW)
    pushing.close()
    assert "client-credentials" in str(caught.value)
    assert "wrong-secret" not in str(caught.value)
    assert len(waiting_leads(state)) == 1


def test_a_field_that_is_missing_stops_the_run(state: State, config: CrmConfig) -> None:
    renamed = config.model_copy(update={"fields": {"score": "Other__c"}})
    queue(state, renamed, made_scores([lead_id(1)]))
    pushing = deliverer(state, renamed, FastClock().waiting())
    with pytest.raises(CrmSetupError, match="Other__c"):
        pushing.run_once(NOW)
    pushing.close()


def test_a_spent_quota_is_not_a_missing_permission(state: State, org: FakeSalesforce, config: CrmConfig) -> None:
    said = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
    org.answers.extend([Answer(403, {}, said)] * 5)
    queue(state, config, made_scores([lead_id(1)]))
    pushing = deliverer(state, config, FastClock().waiting())
    summary = pushing.run_once(NOW)
    pushing.close()
    assert "TotalRequests Limit exceeded" in summary.stopped
    assert (summary.waiting, summary.dead) == (1, 0)


def test_thousands_go_through_the_bulk_api(state: State, org: FakeSalesforce, config: CrmConfig) -> None:
    org.records |= {lead_id(number): {} for number in range(3_000)}
    org.converted = frozenset({lead_id(2_500)})
    queue(state, config, made_scores(org.records))
    clock = FastClock()
    pushing = deliverer(state, config, clock.waiting())
    summary = pushing.run_once(NOW)
    pushing.close()
    assert (summary.sent, summary.refused, summary.waiting) == (3_000, 1, 0)
    assert [job["rows"] for job in org.jobs.values()] == [3_000]
    assert org.records[lead_id(2_999)]["ML_Is_MQL__c"] == "true"
    assert org.records[lead_id(2_999)]["ML_Reasons__c"].count("\n") == 1
    assert org.sizes == [1]  # the one Contact
