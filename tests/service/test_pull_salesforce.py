"""Salesforce is read over a real socket: history, conversion, deals, deletions, tokens, and a kill in the middle."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest

from crm.errors import CrmSetupError, CrmUnavailableError
from crm.reread import reread
from tests.fakes.pulled import Pulled, made_pulled, moment
from tests.fakes.salesforce import CLIENT_ID, CLIENT_SECRET
from tests.fakes.salesforce_reading import PERSONAL, SCHEMA, FakeOrg, lead_id, text
from tests.fakes.serving import Answer, serving

START, NOW = moment("2026-03-01T09:00"), moment("2026-11-02T09:00")
L1, L2, L3 = lead_id(1), lead_id(2), lead_id(3)
DEAL, CONTACT = "006000000000001AAA", "003000000000001AAA"


@pytest.fixture
def org() -> FakeOrg:
    made = FakeOrg()
    for name, is_closed, is_won in (("Prospecting", False, False), ("Won", True, True), ("Lost", True, False)):
        made.make("OpportunityStage", f"01J{name}", ApiName=name, IsClosed=is_closed, IsWon=is_won)
    return made


@pytest.fixture
def pulled(org: FakeOrg, tmp_path: Path) -> Generator[Pulled]:
    with serving(org.app()) as address:
        keys = f'url = "{address}"\nclient_id = "{CLIENT_ID}"\nclient_secret = "{CLIENT_SECRET}"'
        made = made_pulled(tmp_path, f'kind = "salesforce"\n{keys}', '[workspace]\ntimezone = "Asia/Tokyo"')
        yield made
        made.state.close()


def fill(org: FakeOrg, count: int, step: timedelta = timedelta(minutes=1)) -> None:
    for number in range(1, count + 1):
        org.make("Lead", lead_id(number), START + step * number, Status="Open", Industry="Banking", LastName="Doe")


def test_a_lead_comes_with_its_history(pulled: Pulled, org: FakeOrg) -> None:
    org.make("Lead", L1, START, Status="Open - Not Contacted", Industry="Banking", LeadSource="Web", Email="a@b.co")
    org.change("Lead", L1, START + timedelta(days=2), Status="Working - Contacted", Industry="Retail")
    org.change("Lead", L1, START + timedelta(days=4), Status="Closed - Not Converted")
    pulled.pull(NOW)
    (lead,) = pulled.told("leads")
    assert (lead["created_at"], lead["source"], lead["account_id"]) == (START, "Web", None)
    told = [(row["value"], row["recorded_at"]) for row in pulled.told("lead_changes", field="Industry")]
    assert told == [("Banking", START), ("Retail", START + timedelta(days=2))]
    stages = [(row["stage"], row["entered_at"]) for row in pulled.told("stages")]
    assert stages == [("accepted", START + timedelta(days=2)), ("disqualified", START + timedelta(days=4))]
    assert not any(name in query for query in org.queries for name in PERSONAL)


def test_a_conversion_is_a_stage_and_joins_the_lead_to_its_deal(pulled: Pulled, org: FakeOrg) -> None:
    fill(org, 3)
    at = START + timedelta(days=3)
    org.change("Lead", L1, at, IsConverted=True, ConvertedOpportunityId=DEAL)
    org.note(L1, "leadConverted", None, None, at)
    org.records["Lead"][L2].update(IsConverted=True, ConvertedDate="2026-03-10", SystemModstamp=text(at))
    org.make("Opportunity", DEAL, at, AccountId="001000000000001AAA", StageName="Won", Amount=900.0)
    for place, (days, stage, amount) in enumerate(((3, "Prospecting", 500.0), (9, "Won", 900.0))):
        snapshot = {"StageName": stage, "Amount": amount, "CreatedDate": text(START + timedelta(days=days))}
        org.make("OpportunityHistory", f"008{place:012}", OpportunityId=DEAL, **snapshot)
    pulled.pull(NOW)
    (first,), (second,) = pulled.told("stages", lead_id=L1), pulled.told("stages", lead_id=L2)
    assert (first["stage"], first["entered_at"]) == ("opportunity", at)
    assert (second["stage"], second["entered_at"]) == ("sql", moment("2026-03-10T15:00"))  # midnight in Tokyo
    versions = pulled.told("opportunities")
    assert [(row["lead_id"], row["is_won"], row["amount"]) for row in versions] == [
        (L1, None, 500.0),
        (L1, True, 900.0),
    ]
    assert versions[1]["closed_at"] == START + timedelta(days=9)
    assert versions[1]["account_id"] == "001000000000001AAA"


def test_the_next_pull_brings_only_what_changed(pulled: Pulled, org: FakeOrg) -> None:
    fill(org, 450)
    assert pulled.pull(NOW).new["leads"] == 450
    pulled.forget_queue()
    org.change("Lead", L3, NOW + timedelta(minutes=1), Industry="Retail")
    org.change("Lead", L2, NOW + timedelta(minutes=1), ML_Score__c=87.3)  # our own write
    summary = pulled.pull(NOW + timedelta(hours=1))
    assert (summary.records, pulled.queued()) == (2, {L3})
    assert pulled.pull(NOW + timedelta(hours=2)).new == {}


def test_an_import_of_one_second_and_long_answers(pulled: Pulled, org: FakeOrg) -> None:
    org.batch = 150
    fill(org, 700, step=timedelta())
    for number in range(1, 701):
        org.note(lead_id(number), "Industry", "Banking", "Retail", START + timedelta(days=1))
    assert pulled.pull(NOW).new["leads"] == 700
    assert len(pulled.told("lead_changes", field="Industry", value="Retail")) == 700


def test_a_pull_that_is_cut_off_goes_on(pulled: Pulled, org: FakeOrg) -> None:
    fill(org, 900)

    def cut(query: str) -> None:
        if "FROM Lead " in query and sum("FROM Lead " in one for one in org.queries) == 4:
            org.answers.extend([Answer(503)] * 5)

    org.during = cut
    with pytest.raises(CrmUnavailableError):
        pulled.pull(NOW)
    stored = len(pulled.told("leads"))
    assert 400 <= stored < 900
    summary = pulled.pull(NOW + timedelta(hours=1))
    assert summary.is_resumed
    assert len(pulled.told("leads")) == 900
    assert summary.records <= 900 - stored + 200


def test_without_history_values_are_known_from_the_last_change_on(pulled: Pulled, org: FakeOrg) -> None:
    org.without = frozenset({"LeadHistory"})
    fill(org, 1)
    at = START + timedelta(days=5)
    org.records["Lead"][L1].update(Status="Qualified", SystemModstamp=text(at))
    summary = pulled.pull(NOW)
    assert "no history" in summary.notes[0]
    (industry,) = pulled.told("lead_changes", field="Industry")
    assert industry["recorded_at"] == at
    org.records["Lead"][L1].update(SystemModstamp=text(NOW))
    assert pulled.pull(NOW + timedelta(hours=1)).new == {}  # seen again in the stage and with the value it had
    (stage,) = pulled.told("stages")
    assert (stage["stage"], stage["entered_at"]) == ("sql", at)


def test_what_was_deleted_or_merged_is_noted(pulled: Pulled, org: FakeOrg) -> None:
    fill(org, 3)
    org.make("Opportunity", DEAL, START, AccountId="001000000000001AAA", StageName="Prospecting", Amount=5.0)
    pulled.pull(NOW)
    at = NOW + timedelta(minutes=5)
    org.records["Lead"][L1].update(IsDeleted=True, SystemModstamp=text(at))
    org.records["Lead"][L2].update(IsDeleted=True, MasterRecordId=L3, SystemModstamp=text(at))
    org.records["Opportunity"][DEAL].update(IsDeleted=True, SystemModstamp=text(at))
    pulled.pull(NOW + timedelta(hours=1))
    (stage,), (merge,) = pulled.told("stages"), pulled.told("lead_merges")
    assert (stage["lead_id"], stage["stage"], stage["reason"]) == (L1, "disqualified", "deleted in the CRM")
    assert (merge["from_lead_id"], merge["into_lead_id"], merge["recorded_at"]) == (L2, L3, at)
    assert [row["is_won"] for row in pulled.told("opportunities")] == [None, False]


def test_tasks_meetings_and_responses_are_touches(pulled: Pulled, org: FakeOrg) -> None:
    fill(org, 2)
    org.records["Lead"][L2].update(IsConverted=True, ConvertedDate="2026-03-05", ConvertedContactId=CONTACT)
    at = START + timedelta(days=1)
    done = {"IsClosed": True, "CompletedDateTime": text(at + timedelta(hours=1))}
    org.make("Task", "00T000000000001AAA", at, WhoId=L1, TaskSubtype="Call", CallType="Inbound", **done)
    org.make("Task", "00T000000000002AAA", at, WhoId=CONTACT, TaskSubtype="Email", **done)
    org.make("Task", "00T000000000003AAA", at, WhoId=L1, TaskSubtype="Task", **done)
    org.make("Event", "00U000000000001AAA", at, WhoId=L1, StartDateTime=text(at + timedelta(days=2)))
    responded = {"HasResponded": True, "FirstRespondedDate": "2026-03-04", "CampaignId": "701000000000001AAA"}
    org.make("CampaignMember", "00v000000000001AAA", START, LeadId=L1, **responded)
    pulled.pull(NOW)
    touches = {(row["lead_id"], row["kind"]): row for row in pulled.told("touches")}
    assert touches.keys() == {
        (L1, "call"),
        (L2, "email"),
        (L1, "meeting_booked"),
        (L1, "meeting"),
        (L1, "campaign_response"),
    }
    assert touches[L1, "call"]["actor"] == "lead"
    response = touches[L1, "campaign_response"]
    assert (response["happened_at"], response["recorded_at"]) == (
        moment("2026-03-03T15:00"),
        moment("2026-03-04T15:00"),
    )


def test_a_token_is_renewed_and_a_missing_field_is_named(pulled: Pulled, org: FakeOrg) -> None:
    fill(org, 500)
    org.expires_after = 3
    assert pulled.pull(NOW).new["leads"] == 500
    assert org.tokens > 1
    org.fields = {**SCHEMA, "Lead": tuple(name for name in SCHEMA["Lead"] if name != "Title")}
    with pytest.raises(CrmSetupError, match="Title"):
        pulled.pull(NOW + timedelta(hours=1))


def test_several_currencies(pulled: Pulled, org: FakeOrg) -> None:
    org.fields = {**SCHEMA, "Opportunity": (*SCHEMA["Opportunity"], "CurrencyIsoCode")}
    account = "001000000000001AAA"
    org.make("Opportunity", DEAL, START, AccountId=account, StageName="Won", Amount=5.0, CurrencyIsoCode="EUR")
    pulled.pull(NOW)
    (row,) = pulled.told("opportunities")
    assert (row["currency"], row["is_won"]) == ("EUR", True)


def test_single_leads_are_read_anew(pulled: Pulled, org: FakeOrg) -> None:
    fill(org, 2)
    assert reread(pulled.puller, "crm", [L1, "' OR Id != '"], NOW) == {L1}
