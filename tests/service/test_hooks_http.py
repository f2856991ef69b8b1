"""Webhooks against the real server: what is taken, what is answered again, and what nobody may send."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from openapi_spec_validator import OpenAPIV30SpecValidator

from crm.config import Workspace
from crm.state import State, open_state
from crm.state_tables import HOOK_EVENTS, TOLD
from serving.replies import FlatReply, ProblemReply
from tests.service.running import KEY, MAX_BODY, Server
from tests.service.senders import (
    CLIENT_SECRET,
    GENERIC,
    HUBSPOT,
    ODOO,
    PUBLIC_URL,
    TOKEN,
    as_bytes,
    event,
    hubspot_v2,
    hubspot_v3,
    standard,
)

AT = "2026-05-01T00:00:00Z"
V3 = "X-HubSpot-Signature-v3"
PERSON = "taro.yamada@example.com"
ODOO_BODY = {"_action": "Tell kizashi(#41)", "_id": 7, "_model": "crm.lead"}


@pytest.fixture(scope="module")
def state(hooked: Workspace, hook_server: Server) -> Iterator[State]:
    opened = open_state(hooked)
    yield opened
    opened.close()


def post(sender: httpx.Client, path: str, content: object, headers: Any = None, **more: str) -> httpx.Response:
    given = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
    return sender.post(
        path, content=as_bytes(content), headers=[("Content-Type", "application/json"), *given, *more.items()]
    )


def from_hubspot(sender: httpx.Client, content: object) -> httpx.Response:
    return post(sender, HUBSPOT, content, hubspot_v3(as_bytes(content)))


def kept(state: State, source: str) -> list[dict[str, Any]]:
    with state.reading() as connection:
        found = connection.execute(sa.select(HOOK_EVENTS).where(HOOK_EVENTS.c.source == source)).mappings()
        return [dict(row) for row in found]


def problem(answer: httpx.Response, status: int) -> ProblemReply:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = ProblemReply.model_validate_json(answer.content)
    assert found.instance == f"urn:kizashi:request:{answer.headers['x-request-id']}"
    return found


# --- what is taken ---------------------------------------------------------------------------------------------------


def test_events_are_stored_before_they_are_answered_and_quickly(sender: httpx.Client, state: State) -> None:
    events = [event(eventId=1000 + number, objectId=number) for number in range(100)]
    started = time.monotonic()
    answer = from_hubspot(sender, events)
    assert time.monotonic() - started < 1
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    ids = {row["event_id"].split(":")[1] for row in kept(state, "crm.hubspot")}
    assert {str(1000 + number) for number in range(100)} <= ids


def test_an_event_that_comes_again_is_kept_once(sender: httpx.Client, state: State) -> None:
    first = event(eventId=2000)
    answers = [
        from_hubspot(sender, [first | {"attemptNumber": attempt}, event(eventId=2001 + attempt)])
        for attempt in range(3)
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
    assert sum(row["event_id"].startswith("event:2000:") for row in kept(state, "crm.hubspot")) == 1


def test_a_request_that_was_recorded_and_is_sent_again_gets_the_first_answer(
    sender: httpx.Client, state: State
) -> None:
    content = as_bytes({"objectId": 7777, "properties": {"industry": "Software"}})
    headers = hubspot_v3(content)
    answers = [post(sender, HUBSPOT, content, headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].text == answers[1].text
    assert [row["event_id"] for row in kept(state, "crm.hubspot")].count("signature:" + headers[V3]) == 1


def test_a_recorded_request_cut_down_to_the_signature_without_a_time_is_known(
    sender: httpx.Client, state: State
) -> None:
    content = as_bytes({"objectId": 7878, "properties": {"industry": "Software"}})
    with_time, without = hubspot_v3(content), hubspot_v2(content)
    assert post(sender, HUBSPOT, content, with_time).status_code == 202
    received = {row["event_id"]: row["received_us"] for row in kept(state, "crm.hubspot")}
    assert post(sender, HUBSPOT, content, without).status_code == 202
    again = {row["event_id"]: row["received_us"] for row in kept(state, "crm.hubspot")}
    assert again == received
    assert "signature:" + without["X-HubSpot-Signature"] in received


def test_many_repeats_at_the_same_time_are_one(sender: httpx.Client, state: State) -> None:
    content = as_bytes(
        {"type": "touches", "rows": [{"lead_id": "L1", "kind": "visit", "happened_at": "2026-05-01T00:00:00Z"}]}
    )
    headers = standard(content, "msg_many")
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: post(sender, GENERIC, content, headers), range(24)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, '{"status": "accepted"}')}
    assert sum(row["event_id"] == "msg_many" for row in kept(state, "generic")) == 1


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("touches", {"lead_id": "L1", "kind": "visit", "happened_at": "2026-05-01T09:00:00+09:00"}),
        ("leads", {"lead_id": "L1", "created_at": "2026-05-01T00:00:00Z", "company_size": "51-200"}),
        ("stages", {"lead_id": "L1", "stage": "sql", "entered_at": "2026-05-01T00:00:00Z"}),
        ("hand_offs", {"hand_off_id": "H1", "lead_id": "L1", "handed_off_at": "2026-05-01T00:00:00Z"}),
        ("opportunities", {"opportunity_id": "O1", "lead_id": "L1", "created_at": "2026-05-01T00:00:00Z"}),
    ],
)
def test_rows_of_every_table_are_taken(sender: httpx.Client, state: State, table: str, row: dict[str, Any]) -> None:
    content = as_bytes({"type": table, "rows": [row]})
    assert post(sender, GENERIC, content, standard(content, f"msg_{table}")).status_code == 202
    assert f"msg_{table}" in [one["event_id"] for one in kept(state, "generic")]


def test_odoo_is_believed_that_a_lead_changed_and_nothing_else(sender: httpx.Client, state: State) -> None:
    for probability in (10, 100):
        answer = post(sender, ODOO, ODOO_BODY | {"id": 7, "probability": probability, "email_from": PERSON})
        assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    hints = kept(state, "crm.odoo")
    (hint,) = (row["event_id"] for row in hints)
    assert re.fullmatch("record:[0-9a-f]{64}", hint), "by its hash: the row outlives what was to be done"
    assert json.loads(hints[0]["body"]) == {"kind": "record", "content": "7"}


def test_a_call_of_our_action_for_a_lead_that_is_not_held_lets_the_workflow_go_on(sender: httpx.Client) -> None:
    content = as_bytes(
        {"callbackId": "ap-1-2-3", "origin": {}, "object": {"objectId": 9, "objectType": "CONTACT"}, "inputFields": {}}
    )
    for headers in (hubspot_v2(content), hubspot_v3(content)):
        answer = post(sender, HUBSPOT, content, headers)
        assert answer.status_code == 200
        assert answer.json()["outputFields"] == {"errorCode": "LEAD_UNKNOWN", "hs_execution_state": "FAIL_CONTINUE"}


# --- a lead that is held ---------------------------------------------------------------------------------------------


def at(hours_ago: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours_ago)).isoformat()


def test_our_action_scores_a_contact_and_says_the_same_again(sender: httpx.Client, contact: str) -> None:
    call = {"callbackId": "ap-9-0-1", "origin": {}, "object": {"objectId": int(contact), "objectType": "CONTACT"}}
    content = as_bytes(call | {"inputFields": {}})
    first = post(sender, HUBSPOT, content, hubspot_v2(content))
    assert first.status_code == 200
    outputs = first.json()["outputFields"]
    assert list(outputs) == [
        "score", "grade", "p_won", "expected_value", "is_mql", "reasons", "hs_execution_state"
    ]  # fmt: skip
    assert (outputs["hs_execution_state"], type(outputs["is_mql"]), type(outputs["reasons"])) == ("SUCCESS", bool, str)
    touch = {"lead_id": contact, "happened_at": at(0.1), "recorded_at": at(0.1), "kind": "form_submit"}
    assert sender.post("/v1/touches", json=touch, headers={"X-API-Key": KEY}).status_code == 200
    assert post(sender, HUBSPOT, content, hubspot_v2(content)).text == first.text
    other = as_bytes(call | {"callbackId": "ap-9-0-2", "inputFields": {"lead_id": contact}})
    newer = post(sender, HUBSPOT, other, hubspot_v3(other)).json()["outputFields"]
    assert newer["score"] > outputs["score"]


def test_a_flat_score_is_that_of_the_lead(sender: httpx.Client, contact: str) -> None:
    key = {"X-API-Key": KEY}
    answer = post(sender, "/v1/score/flat", {"lead_id": int(contact)}, key)
    assert answer.status_code == 200, answer.text
    reply = FlatReply.model_validate_json(answer.content)
    whole = sender.post("/v1/score", json={"lead_id": contact}, headers=key).json()
    assert (reply.lead_id, reply.grade, reply.currency_code) == (contact, whole["grade"], whole["currency"])
    assert reply.score == pytest.approx(whole["score"], abs=0.1)
    assert reply.reason_1 is not None
    problem(post(sender, "/v1/score/flat", {"lead_id": "nobody"}, key), 404)
    problem(post(sender, "/v1/score/flat", {"lead_id": []}, key), 422)
    problem(post(sender, "/v1/score/flat", b'{"lead_id": }', key), 400)


def test_what_a_webhook_told_is_soon_in_the_state(sender: httpx.Client, state: State, contact: str) -> None:
    change = event(eventId=5000, objectId=int(contact), propertyName="company_size", propertyValue="1001+")
    mail = event(eventId=5001, objectId=int(contact), propertyName="email", propertyValue=PERSON)
    row = {"lead_id": contact, "kind": "download", "happened_at": at(1), "touch_id": "hook-touch"}
    content = as_bytes({"type": "touches", "rows": [row]})
    assert from_hubspot(sender, [change, mail]).status_code == 202
    assert post(sender, GENERIC, content, standard(content, "msg_soon")).status_code == 202
    changes, touches = TOLD["lead_changes"], TOLD["touches"]
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with state.reading() as connection:
            values = connection.execute(sa.select(changes.c.value).where(changes.c.lead_id == contact)).scalars().all()
            kinds = (
                connection.execute(sa.select(touches.c.kind).where(touches.c.touch_id == "hook-touch")).scalars().all()
            )
        if "1001+" in values and kinds:
            break
        time.sleep(0.1)
    assert "1001+" in values
    assert PERSON not in values
    assert kinds == ["download"]
    bodies = [one["body"] for one in kept(state, "generic") if one["event_id"] == "msg_soon"]
    assert bodies == [None]


def test_the_document_for_salesforce_is_served(sender: httpx.Client) -> None:
    document = sender.get("/openapi/salesforce.json", headers={"X-API-Key": KEY}).json()
    OpenAPIV30SpecValidator(document).validate()
    assert document["servers"] == [{"url": PUBLIC_URL}]


# --- what nobody may send --------------------------------------------------------------------------------------------

EVENTS = as_bytes([event()])
ACTION = as_bytes({"callbackId": "x", "object": {"objectId": 9}, "inputFields": {}})
ROWS = as_bytes({"type": "leads", "rows": [{"lead_id": "L1", "created_at": "2026-05-01T00:00:00Z"}]})


def doubled(headers: dict[str, str], name: str, value: str) -> list[tuple[str, str]]:
    return [*headers.items(), (name, value)]


def cut(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


def forged() -> dict[str, Any]:
    """Requests that nobody signed as they are: path, body, headers. Made when they are sent, so that they are fresh."""
    other, later = "z" * 36, {"X-HubSpot-Request-Timestamp": str(int(time.time() * 1000) + 7)}
    return {
        "no signature": (HUBSPOT, EVENTS, {}),
        "another secret": (HUBSPOT, EVENTS, hubspot_v3(EVENTS, secret=other)),
        "the secret itself": (HUBSPOT, EVENTS, hubspot_v3(EVENTS) | {"X-HubSpot-Signature-v3": CLIENT_SECRET}),
        "another body": (HUBSPOT, EVENTS.replace(b"123", b"124"), hubspot_v3(EVENTS)),
        "a blank more": (HUBSPOT, EVENTS + b" ", hubspot_v3(EVENTS)),
        "another host": (HUBSPOT, EVENTS, hubspot_v3(EVENTS, url="https://evil.example.com")),
        "the host that it was sent to": (HUBSPOT, EVENTS, hubspot_v3(EVENTS, url="http://127.0.0.1:3000")),
        "http instead of https": (HUBSPOT, EVENTS, hubspot_v3(EVENTS, url=PUBLIC_URL.replace("https", "http"))),
        "another route's signature": (HUBSPOT, EVENTS, hubspot_v3(EVENTS, path=GENERIC)),
        "a query that was not signed": (HUBSPOT + "?x=1", EVENTS, hubspot_v3(EVENTS)),
        "six minutes old": (HUBSPOT, EVENTS, hubspot_v3(EVENTS, shift_ms=-360_000)),
        "two minutes from the future": (HUBSPOT, EVENTS, hubspot_v3(EVENTS, shift_ms=120_000)),
        "eleven days from the future": (HUBSPOT, EVENTS, hubspot_v3(EVENTS, shift_ms=11 * 86_400_000)),
        "a timestamp that was changed": (HUBSPOT, EVENTS, hubspot_v3(EVENTS) | later),
        "no timestamp": (HUBSPOT, EVENTS, cut(hubspot_v3(EVENTS), "X-HubSpot-Request-Timestamp")),
        "two signatures": (HUBSPOT, EVENTS, doubled(hubspot_v3(EVENTS), "X-HubSpot-Signature-v3", "forged")),
        "two timestamps": (HUBSPOT, EVENTS, doubled(hubspot_v3(EVENTS), "X-HubSpot-Request-Timestamp", "1793871000")),
        "events of version 2": (HUBSPOT, EVENTS, hubspot_v2(EVENTS)),
        "a bad version 3, a good version 2": (HUBSPOT, ACTION, hubspot_v2(ACTION) | hubspot_v3(ACTION, secret=other)),
        "version 2 that says version 1": (HUBSPOT, ACTION, hubspot_v2(ACTION) | {"X-HubSpot-Signature-Version": "v1"}),
        "version 2 of another host": (HUBSPOT, ACTION, hubspot_v2(ACTION, url="https://evil.example.com")),
        "the API key instead": (HUBSPOT, EVENTS, {"Authorization": f"Bearer {KEY}"}),
        "a standard webhook of another key": (GENERIC, ROWS, standard(ROWS, key=b"x" * 32)),
        "a standard webhook that is old": (GENERIC, ROWS, standard(ROWS, shift=-600)),
        "a standard webhook from the future": (GENERIC, ROWS, standard(ROWS, shift=600)),
        "a standard webhook with another body": (GENERIC, ROWS.replace(b"L1", b"L2"), standard(ROWS)),
        "a standard webhook without id": (GENERIC, ROWS, cut(standard(ROWS), "webhook-id")),
        "a standard webhook with two ids": (GENERIC, ROWS, doubled(standard(ROWS), "webhook-id", "msg_2")),
        "HubSpot's signature at the generic address": (GENERIC, ROWS, hubspot_v3(ROWS, path=GENERIC)),
        "a standard webhook at HubSpot's address": (HUBSPOT, ROWS, standard(ROWS)),
    }  # fmt: skip


@pytest.mark.parametrize("name", forged())
def test_what_is_not_signed_as_it_came_is_refused(sender: httpx.Client, state: State, name: str) -> None:
    path, content, headers = forged()[name]
    before = len(kept(state, "crm.hubspot")) + len(kept(state, "generic"))
    found = problem(post(sender, path, content, headers), 401)
    assert found.type == "urn:kizashi:problem:bad-signature"
    assert CLIENT_SECRET not in found.detail
    assert len(kept(state, "crm.hubspot")) + len(kept(state, "generic")) == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/hooks/odoo/" + TOKEN[:-1], 404),
        ("/v1/hooks/odoo/" + TOKEN + "x", 404),
        ("/v1/hooks/odoo/" + TOKEN.upper(), 404),
        ("/v1/hooks/odoo/x", 404),
        ("/v1/hooks/odoo/%00", 404),
        ("/v1/hooks/odoo/..%2f..%2fv1%2fscore", 401),
        ("/v1/hooks/odoo/" + TOKEN + "/", 401),
        ("/v1/hooks/odoo/" + TOKEN + "%2F", 401),
        ("/v1/hooks/odoo/" + TOKEN + "/x", 401),
        ("/v1/hooks/odoo/" + "x" * 2001, 404),
        ("/v1/hooks/odoo/", 401),
        ("/v1/hooks/odoo", 404),
        ("/v1/hooks/odoo?token=" + TOKEN, 404),
        ("//v1/hooks/hubspot", 401),
        ("/v1/hooks/hubspot/", 401),
        ("/v1/hooks/../score", 401),
        ("/v1/hooks/hubspot/../../score", 401),
        ("/v1/hooks/", 401),
        ("/v1/hooks/HubSpot", 404),
        ("/v1/score", 401),
        ("/v1/score/flat", 401),
        ("/openapi/salesforce.json", 401),
    ],
)
def test_no_other_address_opens_without_a_key(sender: httpx.Client, path: str, status: int) -> None:
    problem(post(sender, path, ODOO_BODY), status)


def test_the_secret_of_another_kind_of_sender_is_no_token(sender: httpx.Client) -> None:
    problem(post(sender, f"/v1/hooks/odoo/{CLIENT_SECRET}", ODOO_BODY), 404)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE"])
def test_an_address_of_a_webhook_takes_post_alone(sender: httpx.Client, method: str) -> None:
    for path in (HUBSPOT, ODOO):
        assert sender.request(method, path).status_code == 401
        assert sender.request(method, path, headers={"X-API-Key": KEY}).status_code in (401, 405)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 5_000, 400),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400),
        (b'{"callbackId": NaN}', 400),
        (b'{"callbackId": "a", "callbackId": "b"}', 400),
        (b'{"callbackId": "\\ud800"}', 400),
        (b"\xff\xfe", 400),
        (b"7", 422),
        (b"null", 422),
        (b'"text"', 422),
        (b"{}", 422),
        (b"[7]", 422),
        (b"[[]]", 422),
        (as_bytes([event(objectId={"$gt": ""})]), 422),
        (as_bytes([event(eventId=n) for n in range(101)]), 422),
        (as_bytes({"callbackId": 7}), 422),
        (as_bytes({"callbackId": "x" * 201}), 422),
        (as_bytes({"callbackId": "a\r\nSet-Cookie: b=c"}), 422),
        (b"[" + b" " * MAX_BODY + b"]", 413),
    ],
)
def test_a_body_that_is_signed_and_still_makes_no_sense_is_refused(
    sender: httpx.Client, body: bytes, status: int
) -> None:
    found = problem(post(sender, HUBSPOT, body, hubspot_v3(body)), status)
    assert PERSON not in found.model_dump_json()


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ([], ""),
        ({"type": "leads"}, "/rows"),
        ({"type": "scores", "rows": [{}]}, "/type"),
        ({"type": "lead_merges", "rows": [{}]}, "/type"),
        ({"type": ["leads"], "rows": [{}]}, "/type"),
        ({"type": "leads", "rows": []}, "/rows"),
        ({"type": "leads", "rows": [{}] * 13}, "/rows"),
        ({"type": "leads", "rows": [{"lead_id": "L1"}]}, "/rows/0/created_at"),
        ({"type": "leads", "rows": [{"lead_id": "L1", "created_at": AT, "email": PERSON}]}, "/rows/0/email"),
        ({"type": "leads", "rows": [{}], "x": 1}, "/x"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_used_are_named_at_once(sender: httpx.Client, content: object, field: str) -> None:
    found = problem(post(sender, GENERIC, content, standard(as_bytes(content), f"bad{field}")), 422)
    assert field in [error.field for error in found.errors]
    assert PERSON not in found.model_dump_json()


@pytest.mark.parametrize(
    "content",
    [[], {}, {"_model": "res.partner", "_id": 7}, {"_model": "crm.lead"}, {"_model": "crm.lead", "_id": "7"},
     {"_model": "crm.lead", "_id": -7}, {"_model": "crm.lead", "_id": True}, {"_model": "crm.lead", "_id": 10**30}],
)  # fmt: skip
def test_odoo_has_to_name_a_lead(sender: httpx.Client, content: object) -> None:
    problem(post(sender, ODOO, content), 422)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
        ({}, 415),
    ],
)
def test_another_content_type_is_refused(sender: httpx.Client, headers: dict[str, str], status: int) -> None:
    problem(sender.post(HUBSPOT, content=EVENTS, headers=hubspot_v3(EVENTS) | headers), status)


def test_a_header_that_smuggles_a_line_reaches_nothing(hook_server: Server) -> None:
    lines = (
        f"POST {HUBSPOT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        "X-HubSpot-Request-Timestamp: 1\r\n X-HubSpot-Signature-v3: forged\r\nConnection: close\r\n\r\n[]"
    )
    with socket.create_connection(("127.0.0.1", hook_server.port), timeout=10) as connection:
        connection.sendall(lines.encode())
        answer = connection.recv(65_536)
    assert answer.split(b" ")[1] in (b"400", b"401")


def test_headers_that_name_another_host_change_nothing(sender: httpx.Client) -> None:
    content = as_bytes([event(eventId=3000)])
    spoofed = {"Host": "evil.example.com", "X-Forwarded-Host": "evil.example.com", "X-Forwarded-Proto": "http"}
    assert post(sender, HUBSPOT, content, hubspot_v3(content) | spoofed).status_code == 202
    problem(post(sender, HUBSPOT, content, hubspot_v3(content, url="https://evil.example.com") | spoofed), 401)


def test_a_service_without_secrets_has_no_webhooks(client: httpx.Client) -> None:
    for path, headers in ((HUBSPOT, hubspot_v3(EVENTS)), (GENERIC, standard(EVENTS)), (ODOO, {})):
        problem(post(client, path, EVENTS, headers), 404)


def test_the_log_holds_no_token_and_nothing_that_was_sent(sender: httpx.Client, hook_server: Server) -> None:
    content = as_bytes([event(eventId=4000, propertyName="email", propertyValue=PERSON)])
    assert post(sender, HUBSPOT, content, hubspot_v3(content)).status_code == 202
    post(sender, ODOO, ODOO_BODY | {"email_from": PERSON})
    post(sender, f"/v1/hooks/odoo/{PERSON}", ODOO_BODY)
    log = hook_server.log.read_text()
    assert "POST /v1/hooks/{source} 202" in log
    assert "POST /v1/hooks/{source}/{token} 202" in log
    assert not any(secret in log for secret in (TOKEN, PERSON, CLIENT_SECRET, KEY))
    assert "Traceback" not in log
