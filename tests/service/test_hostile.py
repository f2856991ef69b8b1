"""What somebody sends who means harm: each refused as it should be, and nothing of it in the answer or the log."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from crm.api_keys import create_key, revoke_keys
from crm.config import Workspace, load_workspace
from crm.state import State, open_state
from crm.state_tables import HOOK_EVENTS, METADATA, TOLD, TOLD_QUARANTINE
from serving.problems import PROBLEM_TYPE
from serving.routes import ROUTES
from tests.service.running import KEY, Server, serving
from tests.service.senders import GENERIC, HUBSPOT, ODOO, as_bytes, event, hubspot_v3, standard

MARK = "xq7hostile"
"""In everything that is sent; in nothing that comes back, and in no line of the log."""
MAX_BODY = 1_000_000
JSON = {"Content-Type": "application/json"}
SQL = f"{MARK}'); DROP TABLE leads; --"
NOW = datetime.now(UTC)
AT = (NOW - timedelta(days=3)).isoformat()


@dataclass(frozen=True)
class Keys:
    """Keys of the state, made before the service starts."""

    scorer: str
    nobody: str
    expired: str
    revoked: str
    by_scope: dict[str, str]


@dataclass(frozen=True)
class Sent:
    """One request, and how it has to be refused."""

    status: int
    slug: str
    path: str = "/v1/score"
    content: Any = None
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def attacked(hooked: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("attacked") / "workspace"
    shutil.copytree(hooked.folder, folder)
    path = folder / "kizashi.toml"
    text = re.sub(r"max_body_bytes = \d+", f"max_body_bytes = {MAX_BODY}", path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    return load_workspace(folder)


@pytest.fixture(scope="module")
def keys(attacked: Workspace) -> Keys:
    state = open_state(attacked)
    scopes = sorted({route.scope for route in ROUTES if route.scope})

    def made(name: str, *scopes: str, **more: Any) -> str:
        return create_key(state, name, scopes, now=more.pop("now", NOW), **more).secret

    others = {scope: made(f"not-{scope.replace(':', '.')}", *(set(scopes) - {scope})) for scope in scopes}
    expired = made("expired", "admin", now=NOW - timedelta(days=9), lifetime=timedelta(days=1))
    found = Keys(made("scorer", "score"), made("metrics", "metrics"), expired, made("revoked", "admin"), others)
    revoke_keys(state, "revoked", now=NOW)
    state.close()
    return found


@pytest.fixture(scope="module")
def target(attacked: Workspace, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    del keys
    with serving(attacked.folder, tmp_path_factory.mktemp("attacked-server") / "log.txt") as started:
        yield started


@pytest.fixture(scope="module")
def attacker(target: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=target.url, timeout=60) as opened:
        yield opened


@pytest.fixture(scope="module")
def state(attacked: Workspace, target: Server) -> Iterator[State]:
    del target
    opened = open_state(attacked)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _log_stays_clean(target: Server) -> Iterator[None]:
    before = target.log.stat().st_size
    yield
    written = target.log.read_bytes()[before:].decode()
    assert MARK not in written
    assert KEY not in written
    assert "Traceback" not in written
    assert " ERROR failed" not in written


def send(client: httpx.Client, sent: Sent, **headers: str) -> httpx.Response:
    content = sent.content() if callable(sent.content) else sent.content
    if isinstance(content, dict):
        content = as_bytes(content)
    shown = {} if "Authorization" in {**sent.headers, **headers} else {"X-API-Key": KEY}
    kind = JSON if sent.content is not None else {}
    return client.request(sent.method, sent.path, content=content, headers={**kind, **shown, **sent.headers, **headers})


def refused(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM_TYPE
    found = answer.json()
    assert found["type"] == f"urn:kizashi:problem:{slug}"
    assert MARK not in answer.text + str(answer.headers)
    return found


# --- bodies, ids, queries, methods -----------------------------------------------------------------------------------


def lead(**changes: Any) -> dict[str, Any]:
    return {"lead": {"lead_id": MARK, "created_at": AT, **changes}, "touches": []}


def touch(**changes: Any) -> dict[str, Any]:
    return {"lead": {"lead_id": MARK, "created_at": AT}, "touches": [{"happened_at": AT, "kind": MARK, **changes}]}


def held(**more: Any) -> dict[str, Any]:
    return {"lead_id": MARK, **more}


def chunks() -> Iterator[bytes]:
    for _ in range(300):
        yield MARK.encode() * 1_000


def cursor(content: str) -> str:
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def queue(**asked: Any) -> str:
    return "/v1/leads?" + "&".join(f"{name}={value}" for name, value in asked.items())


TEXT = MARK.encode()
BODIES: dict[str, Sent] = {
    "too large by its header": Sent(413, "too-large", content=b"[" + TEXT * 100_001),
    "too large in chunks": Sent(413, "too-large", content=chunks),
    "a bomb of zeros": Sent(
        415, "unsupported-media-type", content=gzip.compress(bytes(10**8)), headers={"Content-Encoding": "gzip"}
    ),
    "another compression": Sent(415, "unsupported-media-type", content=TEXT, headers={"Content-Encoding": "br"}),
    "two compressions": Sent(415, "unsupported-media-type", content=TEXT, headers={"Content-Encoding": "gzip, gzip"}),
    "a tower of lists": Sent(400, "invalid-json", content=b"[" * 300_000),
    "a tower of objects": Sent(400, "invalid-json", content=b'{"lead":' * 50_000),
    "a tower in an attribute": Sent(
        400, "invalid-json", content=b'{"lead":{"x":' + b"[" * 9_000 + b"]" * 9_000 + b"}}"
    ),
    "NaN": Sent(400, "invalid-json", content=b'{"lead": NaN}'),
    "Infinity": Sent(400, "invalid-json", content=b'{"lead": Infinity}'),
    "minus Infinity": Sent(400, "invalid-json", content=b'{"lead": [-Infinity]}'),
    "the same key twice": Sent(400, "invalid-json", content=b'{"lead_id": "a", "lead_id": "' + TEXT + b'"}'),
    "the same key twice, deep": Sent(400, "invalid-json", content=b'{"lead": {"lead_id": 1, "lead\\u005fid": 2}}'),
    "half a character": Sent(400, "invalid-json", content=b'{"lead_id": "' + TEXT + b'\\ud800"}'),
    "half a character as a key": Sent(400, "invalid-json", content=b'{"\\udfff": 1}'),
    "half a character in bytes": Sent(400, "invalid-json", content=b'{"lead_id": "\xed\xa0\x80"}'),
    "an overlong slash": Sent(400, "invalid-json", content=b'{"lead_id": "\xc0\xaf"}'),
    "a mark of byte order": Sent(400, "invalid-json", content=b"\xef\xbb\xbf{}"),
    "a number of 5,000 digits": Sent(400, "invalid-json", content=b'{"lead_id": ' + b"9" * 5_000 + b"}"),
    "a number of 400 digits": Sent(422, "invalid-request", content=touch(value=10**400)),
    "a number beyond floats": Sent(
        422, "invalid-request", content=as_bytes(touch(value=7.25)).replace(b"7.25", b"1e999")
    ),
    "a flag of 400 digits": Sent(422, "invalid-request", content=lead(employees=10**400)),
    "10^5 rows": Sent(422, "invalid-request", "/v1/touches", {"touches": [{}] * 100_000}),
    "10^5 leads in a batch": Sent(422, "invalid-request", "/v1/score/batch", {"leads": [{}] * 100_000}),
    "10^5 ids in a batch": Sent(422, "invalid-request", "/v1/score/batch", {"lead_ids": ["a"] * 100_000}),
    "10^5 touches of a lead": Sent(422, "invalid-request", content=lead() | {"touches": [{}] * 100_000}),
    "10^4 unknown keys": Sent(422, "invalid-request", content={f"k{number}": MARK for number in range(10_000)}),
    "a form": Sent(
        415, "unsupported-media-type", content=b"lead_id=" + TEXT,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    ),
    "a pickle": Sent(
        415, "unsupported-media-type", content=b"\x80\x04" + TEXT,
        headers={"Content-Type": "application/vnd.bentoml+pickle"},
    ),
    "XML with an entity": Sent(
        415, "unsupported-media-type", content=b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>",
        headers={"Content-Type": "application/xml"},
    ),
    "UTF-16": Sent(
        415, "unsupported-media-type", content="{}".encode("utf-16"),
        headers={"Content-Type": "application/json; charset=utf-16"},
    ),
    "an e-mail address as an id": Sent(422, "invalid-request", content=lead(lead_id=f"{MARK}@example.com")),
    "a phone number as an id": Sent(422, "invalid-request", content=lead(lead_id="+81 90 1234 5678")),
    "lines in an id": Sent(422, "invalid-request", content={"lead_id": f"{MARK}\r\nSet-Cookie: a=b"}),
    "a nought in an id": Sent(422, "invalid-request", "/v1/leads", {"lead_id": f"{MARK}\0", "created_at": AT}),
    "a terminal's escape in an id": Sent(422, "invalid-request", "/v1/score/flat", {"lead_id": f"\x1b[2J{MARK}"}),
    "an id that is read backwards": Sent(422, "invalid-request", content={"lead_id": f"{MARK}\u202e"}),
    "an id with what nobody sees": Sent(422, "invalid-request", "/v1/score/flat", {"lead_id": f"{MARK}\u200b"}),
    "an id of blanks": Sent(422, "invalid-request", "/v1/score/flat", {"lead_id": " \u3000 "}),
    "an overlong id": Sent(422, "invalid-request", content={"lead_id": MARK * 21}),
    "an id that is a list": Sent(422, "invalid-request", content={"lead_id": [MARK]}),
    "a name that is used inside": Sent(
        422, "invalid-request", "/v1/leads", {"lead_id": MARK, "created_at": AT, "created_us": MARK}
    ),
    "a nought in an attribute": Sent(
        422, "invalid-request", "/v1/leads", {"lead_id": MARK, "created_at": AT, "city": f"{MARK}\0"}
    ),
    "a name of 10^5 characters": Sent(
        422, "invalid-request", "/v1/leads", {"lead_id": MARK, "created_at": AT, "k" * 100_000: MARK}
    ),
    "a moment in the future": Sent(422, "invalid-request", content=held(as_of="2099-01-01T00:00:00Z")),
    "a moment before time": Sent(422, "invalid-request", content=held(as_of="0001-01-01T00:00:00+23:59")),
    "a moment of other digits": Sent(422, "invalid-request", content=held(as_of="２０２６-01-01T00:00:00Z")),
    "a negative limit": Sent(422, "invalid-query", queue(limit=-1), method="GET"),
    "a limit of nought": Sent(422, "invalid-query", queue(limit=0), method="GET"),
    "an endless limit": Sent(422, "invalid-query", queue(limit="9" * 400), method="GET"),
    "a limit of other digits": Sent(422, "invalid-query", queue(limit="%EF%BC%91"), method="GET"),
    "SQL as an order": Sent(422, "invalid-query", queue(order=f"score;DROP%20TABLE%20{MARK}"), method="GET"),
    "SQL as a decision": Sent(422, "invalid-query", queue(decision=f"'%20OR%201=1%20--{MARK}"), method="GET"),
    "an unknown parameter": Sent(422, "invalid-query", queue(**{MARK: 1}), method="GET"),
    "a parameter that is there twice": Sent(422, "invalid-query", queue(limit=1) + "&limit=1000", method="GET"),
    "an overlong query": Sent(422, "invalid-query", queue(after=MARK * 3_000), method="GET"),
    "a cursor that is none": Sent(422, "invalid-query", queue(after=MARK), method="GET"),
    "a cursor that is a tower": Sent(422, "invalid-query", queue(after=cursor("[" * 20_000)), method="GET"),
    "a cursor without end": Sent(422, "invalid-query", queue(after=cursor(f'[{"9" * 400}, "{MARK}"]')), method="GET"),
    "a cursor that is no number": Sent(422, "invalid-query", queue(after=cursor(f'[NaN, "{MARK}"]')), method="GET"),
    "half a character in a cursor": Sent(422, "invalid-query", queue(after=cursor('[1.0, "\\ud800"]')), method="GET"),
    "a page before the first": Sent(422, "invalid-query", f"/v1/leads/{MARK}/scores?before=-1", method="GET"),
    "a nought in a path": Sent(404, "not-scored", f"/v1/leads/{MARK}%00/scores", method="GET"),
    "lines in a path": Sent(404, "not-found", f"/v1/leads/{MARK}%0d%0aX:%20y/scores", method="GET"),
    "a nought to be erased": Sent(422, "invalid-id", f"/v1/leads/{MARK}%00", method="DELETE"),
    "an overlong id to be erased": Sent(422, "invalid-id", f"/v1/leads/{MARK * 21}", method="DELETE"),
    "blanks to be erased": Sent(422, "invalid-id", "/v1/leads/%20%E3%80%80", method="DELETE"),
    "a way out of an id": Sent(404, "not-found", f"/v1/leads/%2e%2e%2f%2e%2e%2f{MARK}/scores", method="GET"),
    "a way out of the pages": Sent(404, "not-found", f"/openapi/..%2f..%2f{MARK}.toml", method="GET"),
    "BentoML's own files": Sent(404, "not-found", f"/static_content/%2e%2e/{MARK}", method="GET"),
    "BentoML's own document": Sent(404, "not-found", f"/schema.json?{MARK}", method="GET"),
    "a method that is none": Sent(405, "method-not-allowed", content={"lead_id": MARK}, method="BREW"),
    "TRACE": Sent(405, "method-not-allowed", method="TRACE", headers={"X-Trace": MARK}),
    "OPTIONS from elsewhere": Sent(
        405, "method-not-allowed", method="OPTIONS", headers={"Origin": f"https://{MARK}.example"}
    ),
    "a method in a header": Sent(
        405, "method-not-allowed", f"/v1/leads/{MARK}", {}, headers={"X-HTTP-Method-Override": "DELETE"}
    ),
    "a path in a header": Sent(
        405, "method-not-allowed", "/v1/line", {}, headers={"X-Original-URL": f"/v1/leads/{MARK}"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_what_means_harm_is_refused(attacker: httpx.Client, name: str) -> None:
    found = refused(send(attacker, BODIES[name]), BODIES[name].status, BODIES[name].slug)
    assert len(found.get("errors", [])) <= 100
    assert len(json.dumps(found)) < 50_000


# --- who asks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "route", [one for one in ROUTES if one.scope], ids=lambda route: f"{route.method} {route.template}"
)
def test_a_key_with_every_other_scope_is_refused(attacker: httpx.Client, keys: Keys, route: Any) -> None:
    path = re.sub(r"\{\w+\}", MARK, route.template)
    sent = Sent(403, "forbidden", path, {}, route.method)
    found = refused(send(attacker, sent, Authorization=f"Bearer {keys.by_scope[route.scope]}"), 403, "forbidden")
    assert f"'{route.scope}'" in found["detail"]


def test_the_past_needs_a_scope_of_its_own(attacker: httpx.Client, keys: Keys) -> None:
    for content in ({"lead_id": MARK, "as_of": AT}, lead() | {"as_of": AT}):
        sent = Sent(403, "forbidden", content=content)
        found = refused(send(attacker, sent, Authorization=f"Bearer {keys.scorer}"), 403, "forbidden")
        assert found["errors"] == [{"field": "/as_of", "message": "needs replay"}]


@pytest.mark.parametrize("name", ["expired", "revoked", "cut", "unsigned token", "in the address", "as a user"])
def test_a_key_that_opens_nothing(attacker: httpx.Client, keys: Keys, name: str) -> None:
    token = ".".join(base64.urlsafe_b64encode(one).decode().rstrip("=") for one in (b'{"alg":"none"}', b'{"a":1}'))
    shown = {
        "expired": f"Bearer {keys.expired}",
        "revoked": f"Bearer {keys.revoked}",
        "cut": f"Bearer {keys.scorer[:-1]}",
        "unsigned token": f"Bearer {token}.",
        "in the address": "",
        "as a user": "Basic " + base64.b64encode(f"{KEY}:".encode()).decode(),
    }[name]
    path = f"/v1/score?key={keys.scorer}&access_token={keys.scorer}" if name == "in the address" else "/v1/score"
    refused(send(attacker, Sent(401, "unauthorized", path, {}), Authorization=shown), 401, "unauthorized")


def test_two_keys_at_once_are_none(attacker: httpx.Client, keys: Keys) -> None:
    """A proxy may have checked the one; we would believe the other."""
    for headers in (
        [("Authorization", f"Bearer {keys.nobody}"), ("X-API-Key", keys.scorer)],
        [("Authorization", f"Bearer {keys.scorer}"), ("Authorization", f"Bearer {KEY}")],
        [("X-API-Key", "wrong"), ("X-API-Key", keys.scorer)],
    ):
        answer = attacker.post("/v1/score", json={"lead_id": MARK}, headers=headers)
        refused(answer, 400, "two-keys")
    twice = [("Authorization", f"Bearer {keys.scorer}"), ("X-API-Key", keys.scorer)]
    refused(attacker.post("/v1/score", json={"lead_id": MARK}, headers=twice), 404, "unknown-lead")


# --- what the wire can carry -----------------------------------------------------------------------------------------


def over_the_wire(target: Server, *parts: bytes, pause: float = 0.0, seconds: float = 15.0) -> bytes:
    with socket.create_connection(("127.0.0.1", target.port), timeout=seconds) as connection:
        found = b""
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            while chunk := connection.recv(65_536):
                found += chunk
        except (ConnectionError, TimeoutError):
            pass  # refused before everything was sent
        return found


START = f"POST /v1/score HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n".encode()
SMUGGLED = f"GET /v1/leads/{MARK}/scores HTTP/1.1\r\nHost: x\r\n\r\n".encode()
FRAMES: dict[str, bytes] = {
    "both a length and chunks": b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunks and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n1\r\nZ\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": b"Content-Length: 0\r\nContent-Length: 60\r\n\r\n" + SMUGGLED,
    "a length with a sign": b"Content-Length: +5\r\n\r\n" + SMUGGLED,
    "a length that is negative": b"Content-Length: -5\r\n\r\n" + SMUGGLED,
    "another encoding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a blank before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a folded header": b"X-A: b\r\n\tTransfer-Encoding: chunked\r\nContent-Length: -1\r\n\r\n" + SMUGGLED,
    "a chunk of negative size": b"Transfer-Encoding: chunked\r\n\r\n-1\r\nZ\r\n0\r\n\r\n" + SMUGGLED,
    "a line in a header": b"X-A: b\rSet-Cookie: " + TEXT + b"\r\n\r\n",
    "a nought in a header": b"X-A: \0" + TEXT + b"\r\n\r\n",
    "a header of 100 kB": b"X-A: " + TEXT * 10_000 + b"\r\n\r\n",
    "10^4 headers": b"X-A: b\r\n" * 20_000 + b"\r\n",
}


@pytest.mark.parametrize("name", FRAMES)
def test_broken_framing_is_refused_and_nothing_is_smuggled(target: Server, name: str) -> None:
    answer = over_the_wire(target, START + FRAMES[name])
    statuses = re.findall(rb"HTTP/1\.1 (\d{3})", answer)
    assert len(statuses) == 1
    assert statuses[0] in (b"400", b"431", b"501")
    assert TEXT not in answer
    assert b"connection: close" in answer.lower()


def test_a_request_after_another_needs_a_key_of_its_own(target: Server) -> None:
    first = START + b"Content-Length: 2\r\n\r\n{}"
    answer = over_the_wire(target, first + SMUGGLED.replace(b"Host: x", b"Host: x\r\nConnection: close"))
    assert re.findall(rb"HTTP/1\.1 (\d{3})", answer) == [b"422", b"401"]
    assert TEXT not in answer


def test_what_does_not_come_is_not_waited_for(target: Server) -> None:
    """A byte now and then, none of which may begin the wait anew; at once, since each is waited for 10 s."""
    line = START.splitlines(keepends=True)[0]
    answered = START + b"Content-Length: 2\r\n\r\n{}"
    cases = {
        "a body": ((START + b"Content-Length: 99\r\n\r\n", b"{", b'"', TEXT), [b"408"]),
        "headers": ((line, *[b"X"] * 7), [b"408"]),
        "headers after an answer": ((answered + line, *[b"X"] * 7), [b"422", b"408"]),
        # Browsers open connections ahead of need, and would take what is said there for an answer.
        "a request": ((), []),
    }

    def last(parts: tuple[bytes, ...]) -> tuple[bytes, float]:
        started = time.monotonic()
        return over_the_wire(target, *parts, pause=1.0, seconds=30), time.monotonic() - started

    with ThreadPoolExecutor(len(cases)) as pool:
        ends = dict(zip(cases, pool.map(last, [parts for parts, _ in cases.values()]), strict=True))
    for name, (_, statuses) in cases.items():
        answer, seconds = ends[name]
        assert re.findall(rb"HTTP/1\.1 (\d{3})", answer) == statuses, name
        assert 8 < seconds < 16, name
        assert not statuses or b"urn:kizashi:problem:slow-body" in answer
    assert b"connection: close" in ends["headers"][0].lower()


def test_callers_who_send_slowly_or_leave_shut_nobody_out(target: Server, attacker: httpx.Client) -> None:
    """Webhooks ask for no key: anybody could hold as many places as there are."""
    half = b"POST /v1/hooks/generic HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    slow = [socket.create_connection(("127.0.0.1", target.port)) for _ in range(100)]
    try:
        for one in slow:
            one.sendall(half)
        time.sleep(1)
        assert attacker.get("/v1/line", headers={"X-API-Key": KEY}).status_code == 200
    finally:
        for one in slow:
            one.close()
    time.sleep(1)
    assert attacker.get("/v1/line", headers={"X-API-Key": KEY}).status_code == 200
    assert target.log.read_text().count("POST /v1/hooks/{source} 408 ") >= 100


# --- webhooks --------------------------------------------------------------------------------------------------------

ROWS = as_bytes({"type": "leads", "rows": [{"lead_id": MARK, "created_at": AT}]})
EVENTS = as_bytes([event(propertyValue=MARK)])
HOOKS: dict[str, tuple[str, bytes, Callable[[], dict[str, str]], int, str]] = {
    "unsigned": (GENERIC, ROWS, dict, 401, "bad-signature"),
    "forged": (GENERIC, ROWS, lambda: standard(ROWS, key=b"k" * 32), 401, "bad-signature"),
    "from the future": (GENERIC, ROWS, lambda: standard(ROWS, shift=900), 401, "bad-signature"),
    "old": (GENERIC, ROWS, lambda: standard(ROWS, shift=-900), 401, "bad-signature"),
    "with another body": (GENERIC, ROWS + b" ", lambda: standard(ROWS), 401, "bad-signature"),
    "HubSpot's, forged": (HUBSPOT, EVENTS, lambda: hubspot_v3(EVENTS, secret="s" * 36), 401, "bad-signature"),
    "HubSpot's, from the future": (HUBSPOT, EVENTS, lambda: hubspot_v3(EVENTS, shift_ms=900_000), 401, "bad-signature"),
    "HubSpot's, old": (HUBSPOT, EVENTS, lambda: hubspot_v3(EVENTS, shift_ms=-900_000), 401, "bad-signature"),
    "a token that is guessed": (ODOO[:-1], b'{"_model": "crm.lead", "_id": 1}', dict, 404, "not-found"),
    "of nobody": (f"/v1/hooks/{MARK}", b"{}", dict, 404, "not-found"),
}


@pytest.mark.parametrize("name", HOOKS)
def test_a_webhook_of_somebody_else_is_refused(attacker: httpx.Client, state: State, name: str) -> None:
    path, content, signed, status, slug = HOOKS[name]
    before = kept(state)
    refused(attacker.post(path, content=content, headers={**JSON, **signed()}), status, slug)
    assert kept(state) == before


def kept(state: State) -> int:
    with state.reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(HOOK_EVENTS)).scalar_one())


def test_a_webhook_that_is_sent_again_does_nothing_again(attacker: httpx.Client, state: State) -> None:
    rows = as_bytes({"type": "stages", "rows": [{"lead_id": "R1", "stage": "mql", "entered_at": AT}]})
    headers, before = {**JSON, **standard(rows, "msg_again")}, kept(state)
    answers = [attacker.post(GENERIC, content=rows, headers=headers) for _ in range(5)]
    assert {(one.status_code, one.text) for one in answers} == {(202, '{"status": "accepted"}')}
    assert kept(state) == before + 1


# --- what is stored --------------------------------------------------------------------------------------------------


def test_sql_is_an_id_like_any_other(attacker: httpx.Client, state: State) -> None:
    headers = {"X-API-Key": KEY}
    row = {"lead_id": SQL, "created_at": AT, "company_size": SQL, "account_id": SQL, SQL: SQL}
    assert attacker.post("/v1/leads", json=row, headers=headers).json()["stored"] == 1
    visit = {"lead_id": SQL, "touch_id": SQL, "kind": SQL, "content_id": SQL, "happened_at": AT}
    told = attacker.post("/v1/touches", json=visit, headers=headers).json()
    assert [one["lead_id"] for one in told["scores"]] == [SQL]
    assert attacker.post("/v1/score", json={"lead_id": SQL}, headers=headers).json()["lead_id"] == SQL
    after = cursor(json.dumps([10.0**9, SQL]))
    page = attacker.get("/v1/leads", params={"after": after}, headers=headers).json()
    assert SQL in [one["lead_id"] for one in page["leads"]]
    with state.reading() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        found = connection.execute(sa.select(TOLD["leads"].c.lead_id).where(TOLD["leads"].c.lead_id == SQL)).all()
    assert {table.name for table in METADATA.sorted_tables} <= tables
    assert len(found) == 1


def test_an_address_that_is_told_as_an_id_is_kept_nowhere(
    attacker: httpx.Client, state: State, attacked: Workspace
) -> None:
    person = f"{MARK}.taro@example.com"
    answer = attacker.post("/v1/leads", json={"lead_id": person, "created_at": AT}, headers={"X-API-Key": KEY})
    assert answer.json()["quarantined"] == [{"row": 0, "reason": "an id is personal data"}]
    assert MARK not in answer.text
    with state.reading() as connection:
        rows = connection.execute(sa.select(TOLD_QUARANTINE)).mappings()
        assert all(person not in str(dict(row)) for row in rows)
    files = [path for path in Path(attacked.folder, ".kizashi").rglob("*") if path.is_file()]
    assert not [path for path in files if person.encode() in path.read_bytes()]
