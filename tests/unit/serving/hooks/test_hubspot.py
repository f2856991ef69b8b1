"""What HubSpot's events and workflows become."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from crm.config_crm import CrmConfig
from serving.hooks.hubspot import (
    action_answer,
    action_failed,
    asked_lead,
    check_workflow,
    event_key,
    read_events,
    work_of_event,
    work_of_workflow,
)
from serving.hooks.work import Work
from serving.problems import ProblemError

OCCURRED = 1_793_871_000_123
AT = datetime(2026, 11, 5, 9, 30, 0, 123_000, tzinfo=UTC)
RECEIVED = datetime(2026, 11, 5, 9, 31, tzinfo=UTC)
CRM = CrmConfig(kind="hubspot", token="pat-0123456789")


def crm(**keys: Any) -> CrmConfig:
    return CrmConfig(kind="hubspot", token="pat-0123456789", **keys)


def event(**changes: Any) -> dict[str, Any]:
    given = {
        "eventId": 3_816_279_480, "subscriptionId": 22, "portalId": 33, "appId": 1_160_452, "occurredAt": OCCURRED,
        "subscriptionType": "contact.propertyChange", "attemptNumber": 0, "objectId": 123,
        "propertyName": "company_size", "propertyValue": "51-200", "changeSource": "CRM",
    }  # fmt: skip
    return {name: value for name, value in (given | changes).items() if value is not ...}


def change(**changes: Any) -> list[Any]:
    return list(work_of_event(event(**changes), changes.pop("crm", CRM)).rows.get("lead_changes", []))


# --- events ----------------------------------------------------------------------------------------------------------


def test_a_changed_property_is_a_change_of_the_lead() -> None:
    assert work_of_event(event(), CRM) == Work(
        rows={"lead_changes": [{"lead_id": "123", "field": "company_size", "value": "51-200", "recorded_at": AT}]}
    )


def test_an_event_about_any_kind_of_record_is_read_by_its_number() -> None:
    found = work_of_event(event(subscriptionType="object.propertyChange", objectTypeId="0-1"), CRM)
    assert found == work_of_event(event(), CRM)


@pytest.mark.parametrize(
    "changes",
    [
        {"subscriptionType": "company.propertyChange"},
        {"subscriptionType": "deal.creation"},
        {"subscriptionType": "object.propertyChange", "objectTypeId": "0-2"},
        {"subscriptionType": "object.propertyChange"},
        {"subscriptionType": "contact.somethingNew"},
        {"subscriptionType": ""},
    ],
)
def test_what_is_about_no_lead_asks_for_nothing(changes: dict[str, Any]) -> None:
    assert work_of_event(event(**changes), CRM) == Work()


def test_leads_of_hubspot_are_leads_where_the_workspace_says_so() -> None:
    leads = crm(object="leads")
    assert work_of_event(event(subscriptionType="object.propertyChange", objectTypeId="0-136"), leads) != Work()
    assert work_of_event(event(), leads) == Work()


@pytest.mark.parametrize("name", ["ml_lead_score", "ml_lead_reasons", "kizashi_grade", "ml_x"])
def test_our_own_echo_is_left_alone(name: str) -> None:
    assert work_of_event(event(propertyName=name), CRM) == Work()
    assert work_of_event(event(propertyName=name), crm(hook_fields={name: "score"})) == Work()


@pytest.mark.parametrize("name", ["lastmodifieddate", "hs_object_id"])
def test_what_hubspot_notes_of_any_change_is_no_news(name: str) -> None:
    assert work_of_event(event(propertyName=name, propertyValue="1"), CRM) == Work()


def test_a_field_of_ours_with_another_name_is_an_echo_as_well() -> None:
    assert work_of_event(event(propertyName="our_score"), crm(fields={"score": "our_score"})) == Work()


@pytest.mark.parametrize("name", ["email", "firstname", "first_name", "phone", "mobilephone", "work_email"])
def test_who_somebody_is_is_not_kept(name: str) -> None:
    assert work_of_event(event(propertyName=name), CRM) == Work()


def test_a_value_that_says_who_somebody_is_is_not_kept() -> None:
    assert work_of_event(event(propertyValue="taro@example.com"), CRM) == Work()


def test_named_properties_alone_are_kept_under_their_new_names() -> None:
    named = crm(hook_fields={"numberofemployees": "employees"})
    found = work_of_event(event(propertyName="numberofemployees", propertyValue="250"), named)
    assert found.rows["lead_changes"][0]["field"] == "employees"
    assert work_of_event(event(), named) == Work()


@pytest.mark.parametrize("value", ["", None])
def test_an_emptied_property_is_a_change_to_nothing(value: object) -> None:
    assert change(propertyValue=value)[0]["value"] is None


def test_a_new_contact_is_a_lead_and_is_read() -> None:
    found = work_of_event(event(subscriptionType="contact.creation"), CRM)
    assert found == Work(rows={"leads": [{"lead_id": "123", "created_at": AT}]}, reread=("123",))


@pytest.mark.parametrize("what", ["deletion", "restore", "associationChange"])
def test_what_an_event_does_not_tell_is_read(what: str) -> None:
    assert work_of_event(event(subscriptionType=f"contact.{what}"), CRM) == Work(reread=("123",))


def test_a_privacy_deletion_erases() -> None:
    assert work_of_event(event(subscriptionType="contact.privacyDeletion"), CRM) == Work(erase=("123",))


@pytest.mark.parametrize(
    ("ids", "gone", "into"),
    [
        ({"primaryObjectId": 1, "mergedObjectIds": [2, 3]}, ["2", "3"], "1"),
        ({"primaryObjectId": 1, "mergedObjectIds": [2], "newObjectId": 9}, ["2", "1"], "9"),
        ({"primaryObjectId": 1, "mergedObjectIds": [1, 2], "newObjectId": 1}, ["2"], "1"),
        ({"primaryObjectId": 1}, [], "1"),
        ({"mergedObjectIds": [2]}, ["2"], "123"),
    ],
)
def test_a_merge_is_a_row_for_each_record_that_is_gone(ids: dict[str, Any], gone: list[str], into: str) -> None:
    found = work_of_event(event(subscriptionType="contact.merge", **ids), CRM)
    assert found.reread == (into,)
    assert found.rows["lead_merges"] == [{"from_lead_id": one, "into_lead_id": into, "recorded_at": AT} for one in gone]


def test_a_repeat_is_known_and_another_event_of_the_same_number_is_not_lost() -> None:
    assert event_key(event()) == event_key(event(attemptNumber=4))
    others = [event(occurredAt=OCCURRED + 1), event(objectId=124), event(propertyValue="1-10"), event(eventId=1)]
    assert len({event_key(one) for one in [event(), *others]}) == 5
    assert all(len(event_key(one)) < 100 for one in others)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ([7], "/0"),
        ([event(), {}], "/1/objectId"),
        ([event(objectId=True)], "/0/objectId"),
        ([event(objectId="1\n2")], "/0/objectId"),
        ([event(objectId={"$gt": 0})], "/0/objectId"),
        ([event(subscriptionType=None)], "/0/subscriptionType"),
        ([event(occurredAt="2026")], "/0/occurredAt"),
        ([event(occurredAt=-1)], "/0/occurredAt"),
        ([event(occurredAt=10**30)], "/0/occurredAt"),
        ([event(occurredAt=1.5)], "/0/occurredAt"),
        ([event()] * 101, ""),
    ],
)
def test_an_event_without_what_every_event_has_is_refused(content: list[Any], field: str) -> None:
    with pytest.raises(ProblemError) as caught:
        read_events(content)
    assert field in [error.field for error in caught.value.problem.errors]


# --- a workflow's webhook --------------------------------------------------------------------------------------------


def told(content: dict[str, Any], **keys: Any) -> dict[str, Any]:
    check_workflow(content)
    return {table: list(rows) for table, rows in work_of_workflow(content, crm(**keys), RECEIVED).rows.items()}


def test_all_properties_of_a_contact_are_changes_at_their_own_times() -> None:
    content = {
        "vid": 123,
        "properties": {
            "createdate": {"value": "1793784600000"},
            "company_size": {"value": "51-200", "versions": [{"value": "51-200", "timestamp": OCCURRED}]},
            "industry": {"value": "Software", "timestamp": OCCURRED},
            "ml_lead_score": {"value": "71"},
            "email": {"value": "taro@example.com"},
        },
    }
    assert told(content) == {
        "leads": [{"lead_id": "123", "created_at": datetime(2026, 11, 4, 9, 30, tzinfo=UTC)}],
        "lead_changes": [
            {"lead_id": "123", "field": "company_size", "value": "51-200", "recorded_at": AT},
            {"lead_id": "123", "field": "industry", "value": "Software", "recorded_at": AT},
        ],
    }


def test_a_body_of_chosen_properties_is_as_of_its_arrival() -> None:
    content = {"hs_object_id": "123", "createdate": "2026-11-04T18:30:00+09:00", "employees": 250, "is_partner": True}
    found = told(content)
    assert found["leads"][0]["created_at"] == datetime(2026, 11, 4, 9, 30, tzinfo=UTC)
    assert [(row["field"], row["value"], row["recorded_at"]) for row in found["lead_changes"]] == [
        ("employees", "250", RECEIVED),
        ("is_partner", "1", RECEIVED),
    ]


@pytest.mark.parametrize(
    "created", ["soon", "", None, "2026-11-04T18:30:00", -1, "9" * 15, True, {"value": []}, "1900-01-01T00:00:00Z"]
)
def test_a_creation_that_is_no_moment_makes_no_lead(created: object) -> None:
    assert "leads" not in told({"objectId": 123, "properties": {"createdate": created}})


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"email": "a@b.co"},
        {"vid": None},
        {"vid": ""},
        {"objectId": [1]},
        {"properties": []},
        {"properties": {"hs_object_id": {}}},
    ],
)
def test_a_body_that_names_no_record_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(ProblemError):
        check_workflow(content)


def test_odd_values_break_nothing() -> None:
    content = {
        "objectId": 5,
        "properties": {"a": [1], "b": {"value": {"c": 1}}, "d": {"versions": [7], "value": "x"}, "e": {}},
    }
    assert [row["field"] for row in told(content)["lead_changes"]] == ["d", "e"]


# --- our action in a workflow ----------------------------------------------------------------------------------------

CALL = {
    "callbackId": "ap-102670506-56777914962-11-0",
    "origin": {"portalId": 102_670_506, "actionDefinitionId": 10_646_377, "actionDefinitionVersion": 1},
    "object": {"objectId": 123, "objectType": "CONTACT"},
    "inputFields": {},
}


@pytest.mark.parametrize(
    ("changes", "lead_id"),
    [
        ({}, "123"),
        ({"inputFields": {"lead_id": "L7"}}, "L7"),
        ({"inputFields": {"lead_id": 7}}, "7"),
        ({"inputFields": {"lead_id": ""}}, "123"),
        ({"inputFields": None, "object": {"objectId": 5, "objectType": "0-1"}}, "5"),
        ({"object": {"objectId": 5, "objectType": "DEAL"}}, None),
        ({"object": {"objectId": 5, "objectType": "DEAL"}, "inputFields": {"lead_id": "L7"}}, "L7"),
        ({"object": None}, None),
        ({"object": {"objectId": [5]}}, None),
    ],
)
def test_the_lead_is_the_input_or_the_workflows_contact(changes: dict[str, Any], lead_id: str | None) -> None:
    assert asked_lead(CALL | changes) == lead_id


def test_an_answer_has_the_outputs_of_the_action() -> None:
    scored = {
        "score": 71.5,
        "grade": "B",
        "p_won": 0.02,
        "expected_value": 310.0,
        "is_mql": True,
        "reasons": ["A", "B"],
        "points": [],
    }
    assert json.loads(action_answer(scored).text) == {
        "outputFields": {
            "score": 71.5, "grade": "B", "p_won": 0.02, "expected_value": 310.0, "is_mql": True, "reasons": "A; B",
            "hs_execution_state": "SUCCESS",
        }
    }  # fmt: skip
    failed = action_failed("LEAD_UNKNOWN")
    assert failed.status == 200
    assert json.loads(failed.text)["outputFields"] == {
        "errorCode": "LEAD_UNKNOWN",
        "hs_execution_state": "FAIL_CONTINUE",
    }
