"""HubSpot is read over a real socket: paging, history, deals, deletions, limits, and a kill in the middle."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from crm.errors import CrmAccessError, CrmUnavailableError
from crm.reread import reread
from tests.fakes.hubspot import TOKEN
from tests.fakes.hubspot_reading import PERSONAL, FakePortal
from tests.fakes.pulled import Pulled, made_pulled, moment
from tests.fakes.serving import Answer, serving

START, NOW = moment("2026-03-01T09:00"), moment("2026-11-02T09:00")
CLOSED = {"new": (False, "0.2"), "won": (True, "1.0"), "lost": (True, "0.0")}


@pytest.fixture
def portal() -> FakePortal:
    return FakePortal(stages=CLOSED)


@pytest.fixture
def pulled(portal: FakePortal, tmp_path: Path) -> Generator[Pulled]:
    with serving(portal.app()) as address:
        made = made_pulled(tmp_path, f'kind = "hubspot"\nurl = "{address}"\ntoken = "{TOKEN}"')
        yield made
        made.state.close()


def fill(portal: FakePortal, count: int, *, at: datetime = START, step: timedelta = timedelta(minutes=1)) -> None:
    for number in range(count):
        portal.make("contacts", str(101 + number), at + step * number, industry="BANKING", email="a@example.com")


def test_a_contact_comes_with_its_history(pulled: Pulled, portal: FakePortal) -> None:
    contact = portal.make("contacts", "101", START, industry="BANKING", email="a@example.com", associatedcompanyid="7")
    contact.set(START, hs_analytics_source="PAID_SEARCH", lifecyclestage="lead")
    contact.set(START + timedelta(days=3), lifecyclestage="marketingqualifiedlead", industry="INSURANCE")
    contact.set(START + timedelta(days=9), lifecyclestage="salesqualifiedlead")
    contact.set(START + timedelta(days=9, hours=1), hs_lead_status="UNQUALIFIED", jobtitle="+81 3-1234-5678")
    summary = pulled.pull(NOW)
    (lead,) = pulled.told("leads")
    assert (lead["created_at"], lead["account_id"], lead["source"]) == (START, "7", "PAID_SEARCH")
    industry = pulled.told("lead_changes", field="industry")
    assert [(row["value"], row["recorded_at"]) for row in industry] == [
        ("BANKING", START),
        ("INSURANCE", START + timedelta(days=3)),
    ]
    assert [row["value"] for row in pulled.told("lead_changes", field="jobtitle")] == [None]
    stages = [(row["stage"], row["entered_at"] - START) for row in pulled.told("stages")]
    assert [stage for stage, _ in stages] == ["mql", "sql", "disqualified"]
    assert stages[0][1] == timedelta(days=3)
    assert not portal.wanted & PERSONAL
    assert pulled.queued() == {"101", "account 7"}
    assert (summary.rescored, summary.quarantined, summary.notes) == (1, 0, ())


def test_the_next_pull_brings_only_what_changed(pulled: Pulled, portal: FakePortal) -> None:
    fill(portal, 450)
    assert pulled.pull(NOW).new["leads"] == 450
    portal.records["contacts"]["300"].set(NOW + timedelta(minutes=1), industry="RETAIL")
    pulled.forget_queue()
    portal.calls.clear()
    summary = pulled.pull(NOW + timedelta(hours=1))
    assert (summary.records, summary.new, summary.is_resumed) == (1, {"lead_changes": 1}, False)
    assert portal.calls.count("objects/2026-09/contacts/search") == 1
    assert pulled.queued() == {"300"}
    assert pulled.pull(NOW + timedelta(hours=2)).new == {}


def test_our_own_scores_are_no_news(pulled: Pulled, portal: FakePortal) -> None:
    fill(portal, 3)
    pulled.pull(NOW)
    pulled.forget_queue()
    for contact in portal.records["contacts"].values():
        contact.set(NOW + timedelta(minutes=1), ml_lead_score="87.31", ml_lead_grade="A")
    summary = pulled.pull(NOW + timedelta(hours=1))
    assert (summary.records, summary.new, summary.rescored) == (3, {}, 0)
    assert pulled.queued() == set()
    assert "ml_lead_score" not in portal.wanted


@pytest.mark.slow
def test_more_than_a_search_can_page_through(pulled: Pulled, portal: FakePortal) -> None:
    """10,600 contacts, 600 of them changed in one millisecond by an import."""
    fill(portal, 10_000, step=timedelta(seconds=1))
    imported = START + timedelta(seconds=5_000, milliseconds=500)
    for number in range(600):
        portal.make("contacts", str(50_001 + number), imported)
    assert pulled.pull(NOW).new["leads"] == 10_600


def test_a_pull_that_is_cut_off_goes_on(pulled: Pulled, portal: FakePortal) -> None:
    fill(portal, 1_000)
    portal.answers.clear()
    searches = 0

    def cut(path: str) -> None:
        nonlocal searches
        searches += path.endswith("contacts/search")
        if searches == 4:
            portal.answers.extend([Answer(503)] * 5)
            searches = 100

    portal.during = cut
    with pytest.raises(CrmUnavailableError):
        pulled.pull(NOW)
    stored = len(pulled.told("leads"))
    assert 400 <= stored < 1_000
    portal.during = lambda path: None
    later = NOW + timedelta(hours=1)
    portal.make("contacts", "9001", NOW + timedelta(minutes=30))
    portal.calls.clear()
    summary = pulled.pull(later)
    assert summary.is_resumed
    assert len(pulled.told("leads")) == 1_001
    assert summary.records <= 1_001 - stored + 200
    portal.records["contacts"]["101"].set(NOW + timedelta(minutes=2), industry="RETAIL")
    assert pulled.pull(later + timedelta(hours=1)).new == {"lead_changes": 1}


def test_contacts_that_change_while_they_are_read_are_not_missed(pulled: Pulled, portal: FakePortal) -> None:
    fill(portal, 600)

    def touch(path: str) -> None:
        if path.endswith("contacts/search"):
            portal.records["contacts"][str(101 + len(portal.calls))].changed = NOW - timedelta(minutes=1)

    portal.during = touch
    pulled.pull(NOW)
    assert len(pulled.told("leads")) == 600


def test_deals_are_versions_and_belong_to_somebody(pulled: Pulled, portal: FakePortal) -> None:
    fill(portal, 3)
    deal = portal.make("deals", "1", START + timedelta(days=1), dealstage="new", amount="1000")
    deal.set(START + timedelta(days=2), amount="1500")
    deal.set(START + timedelta(days=9), dealstage="won", deal_currency_code="JPY")
    portal.make("deals", "2", START + timedelta(days=2), dealstage="lost")
    portal.make("deals", "3", START + timedelta(days=2), dealstage="new")
    portal.link("deals", "contacts", "1", "102")
    portal.link("deals", "contacts", "2", "101", "103")
    portal.link("deals", "companies", "2", "7")
    pulled.pull(NOW)
    versions = pulled.told("opportunities", opportunity_id="1")
    assert [(row["amount"], row["is_won"], row["lead_id"]) for row in versions] == [
        (1000.0, None, "102"),
        (1500.0, None, "102"),
        (1500.0, True, "102"),
    ]
    assert versions[2]["closed_at"] == versions[2]["recorded_at"] == START + timedelta(days=9)
    assert versions[2]["currency"] == "JPY"
    (lost,) = pulled.told("opportunities", opportunity_id="2")
    assert (lost["lead_id"], lost["account_id"], lost["is_won"]) == (None, "7", False)
    assert pulled.told("opportunities", opportunity_id="3") == []


def test_engagements_are_touches(pulled: Pulled, portal: FakePortal) -> None:
    fill(portal, 2)
    at = START + timedelta(days=1)
    made = {"hs_createdate": at.isoformat()}
    portal.make("calls", "1", at, hs_timestamp=at.isoformat(), hs_call_direction="INBOUND", **made)
    portal.make("emails", "2", at, hs_timestamp=at.isoformat(), hs_email_direction="EMAIL", **made)
    held, coming = (at + timedelta(days=2)).isoformat(), (NOW + timedelta(days=2)).isoformat()
    portal.make("meetings", "3", at, hs_timestamp=held, hs_meeting_outcome="COMPLETED", **made)
    portal.make("meetings", "4", at, hs_timestamp=coming, **made)
    for kind, name in (("calls", "1"), ("emails", "2"), ("meetings", "3"), ("meetings", "4")):
        portal.link(kind, "contacts", name, "101", "102")
    pulled.pull(NOW)
    touches = pulled.told("touches", lead_id="102")
    assert sorted((row["kind"], row["actor"]) for row in touches) == [
        ("call", "lead"),
        ("email", "sales"),
        ("meeting", "sales"),
        ("meeting_booked", "sales"),
        ("meeting_booked", "sales"),
    ]
    assert pulled.pull(NOW + timedelta(hours=1)).quarantined == 0


def test_what_was_deleted_is_noted(pulled: Pulled, portal: FakePortal) -> None:
    fill(portal, 3)
    portal.make("deals", "1", START + timedelta(days=1), dealstage="new", amount="1000")
    portal.make("deals", "2", START + timedelta(days=1), dealstage="won", amount="1000")
    portal.link("deals", "contacts", "1", "101")
    portal.link("deals", "contacts", "2", "101")
    pulled.pull(NOW)
    gone = NOW + timedelta(minutes=5)
    for kind, name in (("contacts", "102"), ("deals", "1"), ("deals", "2")):
        portal.records[kind][name].archived = gone
    portal.make("contacts", "999", START).archived = gone  # never came here
    pulled.forget_queue()
    pulled.pull(NOW + timedelta(hours=1))
    (stage,) = pulled.told("stages")
    assert (stage["lead_id"], stage["stage"], stage["entered_at"]) == ("102", "disqualified", gone)
    assert stage["reason"] == "deleted in the CRM"
    assert [row["is_won"] for row in pulled.told("opportunities", opportunity_id="1")] == [None, False]
    assert [row["is_won"] for row in pulled.told("opportunities", opportunity_id="2")] == [True]
    assert pulled.queued() == {"101", "102"}


def test_merges_are_known_from_when_they_happened(pulled: Pulled, portal: FakePortal) -> None:
    fill(portal, 2)
    portal.records["contacts"]["101"].set(START + timedelta(days=4), hs_merged_object_ids="77;78")
    pulled.pull(NOW)
    merges = pulled.told("lead_merges")
    assert {(row["from_lead_id"], row["into_lead_id"]) for row in merges} == {("77", "101"), ("78", "101")}
    assert {row["recorded_at"] for row in merges} == {START + timedelta(days=4)}


def test_limits_are_kept_and_a_429_is_waited_for(pulled: Pulled, portal: FakePortal) -> None:
    fill(portal, 1_400)
    portal.answers.append(Answer(429, {"Retry-After": "3"}, {"message": "secondly limit"}))
    assert pulled.pull(NOW).new["leads"] == 1_400
    assert 3.0 in pulled.clock.slept
    assert sum(pulled.clock.slept) > 3.0  # four searches a second, however fast the answers come


def test_what_the_key_may_not_read_is_said(pulled: Pulled, portal: FakePortal) -> None:
    fill(portal, 1)
    portal.forbidden = frozenset({"meetings"})
    summary = pulled.pull(NOW)
    assert summary.new["leads"] == 1
    (note,) = summary.notes
    assert note.startswith("meetings were not read")
    portal.forbidden = frozenset({"contacts"})
    with pytest.raises(CrmAccessError):
        pulled.pull(NOW + timedelta(hours=1))


def test_what_the_key_may_read_later_is_read_from_the_beginning(pulled: Pulled, portal: FakePortal) -> None:
    fill(portal, 1)
    portal.make("deals", "7", START + timedelta(days=1), dealstage="new", amount="1500")
    portal.link("deals", "contacts", "7", "101")
    portal.forbidden = frozenset({"deals"})
    pulled.pull(NOW)
    pulled.pull(NOW + timedelta(days=1))
    assert pulled.told("opportunities") == []
    portal.forbidden = frozenset()
    assert pulled.pull(NOW + timedelta(days=2)).notes == ()
    assert {row["opportunity_id"] for row in pulled.told("opportunities")} == {"7"}
    assert pulled.pull(NOW + timedelta(days=3)).records < 3  # only what changed


def test_a_key_that_ends_in_the_middle_of_a_pull_ends_it(pulled: Pulled, portal: FakePortal) -> None:
    fill(portal, 1)
    portal.make("deals", "7", START + timedelta(days=1), dealstage="new", amount="1500")
    portal.link("deals", "contacts", "7", "101")
    portal.ends_at = "deals"
    with pytest.raises(CrmAccessError):
        pulled.pull(NOW)
    portal.ends_at = ""
    summary = pulled.pull(NOW + timedelta(hours=1))
    assert summary.is_resumed
    assert {row["opportunity_id"] for row in pulled.told("opportunities")} == {"7"}


def test_single_leads_are_read_anew(pulled: Pulled, portal: FakePortal) -> None:
    fill(portal, 3)
    pulled.pull(NOW)
    pulled.forget_queue()
    portal.records["contacts"]["101"].set(NOW, industry="RETAIL")
    portal.records["contacts"]["102"].archived = NOW
    told = reread(pulled.puller, "crm", ["101", "102", "103", "555"], NOW + timedelta(minutes=1))
    assert told == {"101", "102"}
    assert pulled.queued() == {"101", "102"}
    assert [row["value"] for row in pulled.told("lead_changes", lead_id="101")] == ["BANKING", "RETAIL"]


def test_since_begins_earlier_but_misses_nothing(pulled: Pulled, portal: FakePortal) -> None:
    fill(portal, 3, step=timedelta(days=1))
    assert pulled.pull(NOW, START + timedelta(hours=12)).new["leads"] == 2
    later = NOW + timedelta(hours=1)
    portal.records["contacts"]["103"].set(NOW + timedelta(minutes=1), industry="RETAIL")
    assert pulled.pull(later, later).new == {"lead_changes": 1}
    assert pulled.pull(later + timedelta(hours=1), START).new["leads"] == 1


def test_hashed_ids_stay_hashed(portal: FakePortal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIZASHI_ID_KEY", "a-key-for-ids")
    fill(portal, 1)
    portal.make("deals", "1", START + timedelta(days=1), dealstage="new", amount="1000")
    portal.link("deals", "contacts", "1", "101")
    with serving(portal.app()) as address:
        crm = f'kind = "hubspot"\nurl = "{address}"\ntoken = "{TOKEN}"\nwrite_back = false'
        pulled = made_pulled(tmp_path, crm, "[workspace]\nhash_ids = true")
        pulled.pull(NOW)
        portal.records["contacts"]["101"].archived = portal.records["deals"]["1"].archived = NOW
        pulled.pull(NOW + timedelta(hours=1))
        (lead,), versions, (stage,) = pulled.told("leads"), pulled.told("opportunities"), pulled.told("stages")
        pulled.state.close()
    assert len(lead["lead_id"]) == 32
    assert {lead["lead_id"]} == {row["lead_id"] for row in versions} == {stage["lead_id"]}
    assert [row["is_won"] for row in versions] == [None, False]
