"""What HubSpot sends: events of subscriptions, a workflow's webhook, and calls of our action in a workflow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from crm.attribute_text import attribute_text
from crm.config_crm import CrmConfig
from crm.echo import news_of
from crm.hook_events import HookAnswer
from crm.personal import looks_personal, personal_name_reason
from serving.fields import is_id
from serving.hooks.work import Row, Work
from serving.problems import FieldError, ProblemError, invalid_request, json_pointer

__all__ = [
    "MAX_EVENTS",
    "action_answer",
    "action_failed",
    "asked_lead",
    "check_workflow",
    "event_key",
    "leads_of_event",
    "leads_of_workflow",
    "read_events",
    "work_of_event",
    "work_of_workflow",
]

MAX_EVENTS = 100
"""HubSpot puts at most so many events into one request."""
OWN_PROPERTIES = ("ml_", "kizashi_")
"""What properties that we write begin with, besides those that are named; changes of them are our own echo."""
_KINDS: Mapping[str, tuple[str, str]] = {"contacts": ("contact", "0-1"), "leads": ("lead", "0-136")}
"""Names of a kind of record in events: of its own, and among all kinds."""
_REREAD = ("creation", "deletion", "restore", "associationChange")
_IDS = ("objectId", "hs_object_id", "vid", "canonical-vid")
_CREATED = "createdate"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_370_764_800_000  # of the year 9999


def read_events(content: list[Any]) -> list[dict[str, Any]]:
    """Return the events of a subscription.

    Raises
    ------
    ProblemError
        422, when one lacks what every event has.
    """
    if len(content) > MAX_EVENTS:
        raise ProblemError(invalid_request([FieldError("", f"has over {MAX_EVENTS} events")]))
    wrong = [error for number, event in enumerate(content) for error in _wrong_event(number, event)]
    if wrong:
        raise ProblemError(invalid_request(wrong))
    return content


def event_key(event: Mapping[str, Any]) -> str:
    """Return what makes an event one event.

    HubSpot's ``eventId`` alone does not: its own page says that two events may share one. A repeat differs in nothing
    but the number of the attempt.

    Examples
    --------
    >>> first = {"eventId": 7, "objectId": 1, "attemptNumber": 0}
    >>> event_key(first) == event_key(first | {"attemptNumber": 3}) != event_key(first | {"objectId": 2})
    True
    """
    told = {name: value for name, value in event.items() if name != "attemptNumber"}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return f"event:{event.get('eventId')}:{digest[:32]}"


def work_of_event(event: Mapping[str, Any], crm: CrmConfig) -> Work:
    """Return what has to be done about one event of a subscription.

    Only records of the kind that leads are count. Changes of our own properties are left alone, and so are values that
    say who somebody is.

    Parameters
    ----------
    event
        As :func:`read_events` returned it.
    crm
        Its section of the workspace file.
    """
    kind, _, what = str(event["subscriptionType"]).partition(".")
    name, number = _KINDS.get(crm.object or "contacts", ("contact", "0-1"))
    if kind != name and not (kind == "object" and event.get("objectTypeId") == number):
        return Work()
    lead_id, moment = str(event["objectId"]), EPOCH + timedelta(milliseconds=event["occurredAt"])
    if what == "propertyChange":
        change = _change(lead_id, str(event.get("propertyName")), event.get("propertyValue"), moment, crm)
        return Work(rows={"lead_changes": [change]} if change else {})
    if what == "merge":
        return Work(rows={"lead_merges": list(_merges(event, moment))}, reread=(_merged_into(event),))
    if what == "privacyDeletion":
        return Work(erase=(lead_id,))
    rows: dict[str, list[Row]] = {}
    if what == "creation":
        rows["leads"] = [{"lead_id": lead_id, "created_at": moment}]
    return Work(rows=rows, reread=(lead_id,) if what in _REREAD else ())


def leads_of_event(event: Mapping[str, Any]) -> set[str]:
    """Return the ids of every record that an event speaks of."""
    merged = event.get("mergedObjectIds")
    named = [event.get(name) for name in ("objectId", "newObjectId", "primaryObjectId")]
    return {str(one) for one in (*named, *(merged if isinstance(merged, list) else ())) if _is_id(one)}


def leads_of_workflow(content: Mapping[str, Any]) -> set[str]:
    """Return the id of the record that the body of a workflow's webhook is about."""
    lead_id = _contact_id(content)
    return set() if lead_id is None else {lead_id}


def check_workflow(content: Mapping[str, Any]) -> None:
    """Check that the body of a workflow's webhook names a contact.

    Raises
    ------
    ProblemError
        422, when it does not.
    """
    if _contact_id(content) is None:
        names = ", ".join(_IDS[:3])
        raise ProblemError(invalid_request([FieldError("", f"names no record; send one of {names}")]))


def work_of_workflow(content: Mapping[str, Any], crm: CrmConfig, received: datetime) -> Work:
    """Return what has to be done about the body of a workflow's "Send a webhook".

    Properties may stand in ``properties``, each as a value or as ``{"value": ...}`` with its time, or at the top.

    Parameters
    ----------
    content
        The body.
    crm
        Its section of the workspace file.
    received
        When it came: that of values that have no time of their own. Timezone-aware.
    """
    lead_id = _contact_id(content)
    if lead_id is None:
        return Work()
    given = content.get("properties")
    properties = given if isinstance(given, dict) else {k: v for k, v in content.items() if k not in _IDS}
    changes = [
        _change(lead_id, name, _value(value), _value_time(value, received), crm)
        for name, value in properties.items()
        if name not in (*_IDS, _CREATED)
    ]
    rows: dict[str, list[Row]] = {}
    created = _moment(_value(properties.get(_CREATED)))
    if created is not None:
        rows["leads"] = [{"lead_id": lead_id, "created_at": created}]
    rows["lead_changes"] = [change for change in changes if change is not None]
    return Work(rows={table: found for table, found in rows.items() if found})


def asked_lead(content: Mapping[str, Any]) -> str | None:
    """Return the lead that a call of our action asks for: its input ``lead_id``, else the workflow's own contact."""
    inputs, record = content.get("inputFields"), content.get("object")
    given = inputs.get("lead_id") if isinstance(inputs, dict) else None
    if _is_id(given):
        return str(given)
    if isinstance(record, dict) and record.get("objectType", "CONTACT") in ("CONTACT", "0-1"):
        found = record.get("objectId")
        return str(found) if _is_id(found) else None
    return None


def action_answer(scored: Mapping[str, Any]) -> HookAnswer:
    """Return what our action answers: the outputs that the rest of the workflow can use."""
    outputs = {name: scored[name] for name in ("score", "grade", "p_won", "expected_value", "is_mql")}
    outputs["reasons"] = "; ".join(scored["reasons"])
    return _outputs({**outputs, "hs_execution_state": "SUCCESS"})


def action_failed(code: str) -> HookAnswer:
    """Return the answer that lets a workflow go on, or branch, without a score."""
    return _outputs({"errorCode": code, "hs_execution_state": "FAIL_CONTINUE"})


def _outputs(outputs: Mapping[str, Any]) -> HookAnswer:
    return HookAnswer(200, json.dumps({"outputFields": outputs}, ensure_ascii=False, allow_nan=False))


def _wrong_event(number: int, event: Any) -> Iterator[FieldError]:
    if not isinstance(event, dict):
        yield FieldError(json_pointer(number), "must be an object")
        return
    if not _is_id(event.get("objectId")):
        yield FieldError(json_pointer(number, "objectId"), "must be a number or text")
    if not isinstance(event.get("subscriptionType"), str):
        yield FieldError(json_pointer(number, "subscriptionType"), "must be text")
    if _at(event.get("occurredAt")) is None:
        yield FieldError(json_pointer(number, "occurredAt"), "must be milliseconds since 1970")


def _is_id(value: Any) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return (is_number and value >= 0) or (isinstance(value, str) and is_id(value))


def _at(milliseconds: Any) -> datetime | None:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int) or not 0 <= milliseconds < _LAST_MS:
        return None
    return EPOCH + timedelta(milliseconds=milliseconds)


def _moment(value: Any) -> datetime | None:
    """Read a time that HubSpot gives as milliseconds, as a text of them, or as ISO 8601."""
    if not isinstance(value, str):
        return _at(value)
    if value.isdecimal() and len(value) < 16:
        return _at(int(value))
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if moment.tzinfo is None or moment < EPOCH else moment.astimezone(UTC)


def _change(lead_id: str, name: str, value: Any, moment: datetime, crm: CrmConfig) -> Row | None:
    field = _attribute(name, value, crm)
    if field is None or isinstance(value, dict | list):
        return None
    return {"lead_id": lead_id, "field": field, "value": attribute_text(value), "recorded_at": moment}


def _attribute(name: str, value: Any, crm: CrmConfig) -> str | None:
    """Return the attribute that a property is kept as; None for one that is not kept."""
    if name.startswith(OWN_PROPERTIES) or not news_of(crm, {name: value}):
        return None
    if crm.hook_fields:
        return crm.hook_fields.get(name)
    is_personal = personal_name_reason(name) is not None or (isinstance(value, str) and looks_personal([value]))
    return None if is_personal else name


def _merged_into(event: Mapping[str, Any]) -> str:
    return str(event.get("newObjectId") or event.get("primaryObjectId") or event["objectId"])


def _merges(event: Mapping[str, Any], moment: datetime) -> Iterator[Row]:
    into, merged = _merged_into(event), event.get("mergedObjectIds")
    gone = [str(one) for one in (merged if isinstance(merged, list) else []) if _is_id(one)]
    if _is_id(event.get("primaryObjectId")):
        gone.append(str(event["primaryObjectId"]))  # the record that won may have a new id, too
    for lead_id in dict.fromkeys(gone):
        if lead_id != into:
            yield {"from_lead_id": lead_id, "into_lead_id": into, "recorded_at": moment}


def _contact_id(content: Mapping[str, Any]) -> str | None:
    properties = content.get("properties")
    inner = _value(properties.get("hs_object_id")) if isinstance(properties, dict) else None
    found = [one for one in (*(content.get(name) for name in _IDS), inner) if _is_id(one)]
    return str(found[0]) if found else None


def _value(value: Any) -> Any:
    return value.get("value") if isinstance(value, dict) else value


def _value_time(value: Any, received: datetime) -> datetime:
    found: Any = None
    if isinstance(value, dict):
        versions = value.get("versions")
        newest = versions[0] if isinstance(versions, list) and versions and isinstance(versions[0], dict) else {}
        found = value.get("timestamp", newest.get("timestamp"))
    return _at(found) or received
