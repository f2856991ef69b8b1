"""The real server over HTTP: good requests, and every bad one that somebody will send."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from crm.config import Workspace
from serving.replies import BatchReply, ProblemReply, ScoreReply
from tests.service.running import (
    KEY,
    MAX_BATCH,
    MAX_BODY,
    ROOT,
    SERVE,
    WORKSPACE_FILE,
    Server,
    copied,
    environment,
    free_port,
    wait_until_ready,
)

SECRET = "taro.yamada@example.com"
SQL = "L1'); DROP TABLE leads;--"


def at(hours_ago: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours_ago)).isoformat()


def lead(lead_id: str = "L1", **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "lead": {"lead_id": lead_id, "created_at": at(500), "source": "webinar", "company_size": "51-200"},
        "touches": [
            {"happened_at": at(2), "kind": "visit", "content_id": "/pricing?utm=1"},
            {"happened_at": at(30), "kind": "download", "content_id": "/paper"},
            {"happened_at": at(60), "kind": "visit", "lead_id": "L9"},
        ],
        "stages": [],
        "account_leads": [{"lead_id": "L9", "created_at": at(400)}],
    }
    return given | changes


def post(client: httpx.Client, content: object, path: str = "/v1/score", **headers: str) -> httpx.Response:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return client.post(path, content=data, headers={"Content-Type": "application/json"} | headers)


def problem(answer: httpx.Response, status: int) -> ProblemReply:
    """Check that an answer is a proper problem document, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    found = ProblemReply.model_validate_json(answer.content)
    assert found.status == status
    assert found.instance == f"urn:kizashi:request:{answer.headers['x-request-id']}"
    return found


# --- good requests ---------------------------------------------------------------------------------------------------


def test_a_lead_is_scored(client: httpx.Client) -> None:
    answer = post(client, lead())
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    reply = ScoreReply.model_validate_json(answer.content)
    assert reply.lead_id == "L1"
    assert 0 <= reply.score <= 100
    assert 0 < reply.p_won < 1
    assert 0 < reply.p_sql < 1
    assert reply.decision == ("hand_off" if reply.is_mql else "keep")
    assert reply.reasons


def test_points_sum_to_the_score(client: httpx.Client) -> None:
    for touches in ([], lead()["touches"]):
        reply = ScoreReply.model_validate_json(post(client, lead(touches=touches)).content)
        total = reply.base + sum(point.points for point in reply.points)
        assert total == pytest.approx(reply.score_unclipped, abs=1e-6)
        assert reply.score == pytest.approx(min(max(reply.score_unclipped, 0), 100))
        assert reply.fit_points + reply.engagement_points + reply.base == pytest.approx(reply.score_unclipped)


def test_a_batch_answers_as_single_requests_do_and_in_order(client: httpx.Client) -> None:
    moment = at(1)
    leads = [lead(f"L{number}", touches=lead()["touches"][:number], as_of=moment) for number in (3, 1, 2)]
    batch = post(client, {"leads": leads}, "/v1/score/batch")
    BatchReply.model_validate_json(batch.content)
    for together, alone in zip(batch.json()["answers"], (post(client, one).json() for one in leads), strict=True):
        assert together.keys() == alone.keys()
        for name, value in alone.items():
            assert together[name] == (pytest.approx(value, abs=1e-9) if isinstance(value, float) else value) or (
                name in {"points", "horizons", "ledger_id"}
            )
        for one, other in zip(together["horizons"], alone["horizons"], strict=True):
            assert one == pytest.approx(other, abs=1e-9)
        for one, other in zip(together["points"], alone["points"], strict=True):
            assert one["points"] == pytest.approx(other["points"], abs=1e-9)
            assert one["words"] == other["words"]


def test_more_interest_scores_higher(client: httpx.Client) -> None:
    touches = [{"happened_at": at(3 * n + 1), "kind": "form_submit"} for n in range(6)]
    quiet, busy = (post(client, lead(touches=given)).json() for given in ([], touches))
    assert busy["score"] > quiet["score"]


def test_as_of_makes_the_past_of_it(client: httpx.Client) -> None:
    content = lead(as_of=at(48))
    before = [touch for touch in content["touches"] if touch["happened_at"] < content["as_of"]]
    known, cut = (post(client, content | {"touches": given}).json() for given in (content["touches"], before))
    assert len(before) == 1
    said = [warning for warning in known.pop("warnings") if warning not in cut["warnings"]]
    assert known.pop("ledger_id") < cut["ledger_id"]
    assert known == {key: value for key, value in cut.items() if key not in ("warnings", "ledger_id")}
    assert len(said) == 1
    assert "happened at as_of or later" in said[0]["message"]
    assert known["as_of"] == content["as_of"]


def test_reasons_speak_the_callers_language(client: httpx.Client) -> None:
    english, japanese = (post(client, lead(), **{"Accept-Language": name}).json() for name in ("en", "ja-JP,en;q=0.5"))
    assert english["score"] == pytest.approx(japanese["score"], abs=0.01)
    assert not re.search("[぀-ヿ一-鿿]", "".join(english["reasons"]))
    assert re.search("[぀-ヿ一-鿿]", "".join(japanese["reasons"]))


def test_what_is_ignored_or_missing_is_said(client: httpx.Client) -> None:
    content = lead(account_leads=None)
    content["touches"] = content["touches"][:1]
    content["lead"] |= {"shoe_size": 43, "pets": {"dog": 1}}
    del content["lead"]["source"]
    told = {warning["message"] for warning in post(client, content).json()["warnings"]}
    assert any("pets, shoe_size" in message for message in told)
    assert any("missing" in message and "source" in message for message in told)
    assert any("account" in message for message in told)


@pytest.mark.parametrize(
    "lead_id", [SQL, "リード1", "../../etc/passwd", "<script>alert(1)</script>", "null", "1 OR 1=1"]
)
def test_ids_are_only_ids(client: httpx.Client, lead_id: str) -> None:
    assert post(client, lead(lead_id)).json()["lead_id"] == lead_id


def test_the_key_may_come_in_either_header(server: Server) -> None:
    for headers in ({"X-API-Key": KEY}, {"Authorization": f"bearer {KEY}"}):
        headers |= {"Content-Type": "application/json"}
        assert httpx.post(f"{server.url}/v1/score", json=lead(), headers=headers).status_code == 200


# --- who may ask -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"X-API-Key": KEY + "x"}, {"Authorization": f"Basic {KEY}"}],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/score"),
        ("POST", "/v1/score/batch"),
        ("GET", "/"),
        ("GET", "/docs.json"),
        ("GET", "/schema.json"),
        ("GET", "/metrics"),
        ("GET", "/v1/line"),
        ("GET", "/static_content/index.css"),
        ("GET", "//livez"),
        ("GET", "/livez/..%2fmetrics"),
        ("GET", f"/v1/score?key={KEY}"),
    ],
)
def test_nothing_is_answered_without_the_key(server: Server, method: str, path: str, headers: dict[str, str]) -> None:
    answer = httpx.request(method, server.url + path, headers=headers)
    assert problem(answer, 401).type == "urn:kizashi:problem:unauthorized"
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_the_probes_are_open(server: Server, path: str) -> None:
    assert httpx.get(server.url + path).status_code == 200


# --- bodies that are none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"lead_id=L1",
        b'{"lead": ',
        b'{"lead": NaN, "touches": []}',
        b'{"lead": {}, "lead": {}}',
        b'{"lead": "\\udfff"}',
        b"\xff\xfe",
        b'{"touches":' * 4_000,
        b"[" * 50_000,
    ],
)
def test_a_body_that_is_no_json_is_refused(client: httpx.Client, data: bytes) -> None:
    assert problem(post(client, data), 400).type == "urn:kizashi:problem:invalid-json"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/vnd.bentoml+pickle"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Encoding": "gzip"},
    ],
)
def test_other_content_is_refused(client: httpx.Client, headers: dict[str, str]) -> None:
    problem(post(client, lead(), **headers), 415)


def test_a_body_that_announces_too_much_is_refused_and_the_connection_closed(client: httpx.Client) -> None:
    answer = post(client, b" " * (MAX_BODY + 1))
    assert "60,000 bytes" in problem(answer, 413).detail
    assert answer.headers["connection"] == "close"


def test_a_chunked_body_is_counted(client: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 1_000

    answer = client.post("/v1/score", content=chunks(), headers={"Content-Type": "application/json"})
    problem(answer, 413)


def raw(server: Server, text: str) -> bytes:
    """Send text that no HTTP library would send."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(text.encode())
        found = b""
        while chunk := connection.recv(65_536):
            found += chunk
        return found


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: -1",
        "Content-Length: 5, 6",
        "Content-Length: 99999999999999999999999",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "X-Request-Id: a\rb",
        "Transfer-Encoding: gzip",
    ],
)
def test_broken_framing_is_refused(server: Server, headers: str) -> None:
    start = f"POST /v1/score HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n"
    status = raw(server, f"{start}{headers}\r\nConnection: close\r\n\r\n0\r\n\r\n").split(b" ")[1]
    assert status in (b"400", b"413", b"501")


def test_nothing_that_a_caller_sends_becomes_a_header(server: Server) -> None:
    path = "/v1/score%0d%0aSet-Cookie:%20a=b"
    headers = {
        "X-API-Key": KEY,
        "X-Request-Id": "mine",
        "Accept-Language": "ja\tX: y",
        "Origin": "https://evil.example",
    }
    answer = httpx.get(server.url + path, headers=headers)
    problem(answer, 404)
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-request-id"] != "mine"
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_a_websocket_is_not_opened(server: Server) -> None:
    start = "GET /v1/score HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(f"{start}{key}\r\n".encode())
        assert b" 101 " not in connection.recv(65_536)


# --- bodies that are wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ([], ""),
        ("lead", ""),
        ({}, "/lead"),
        ({"lead_id": "L1", "touches": []}, "/touches"),
        (lead(score=100), "/score"),
        (lead(touches=None), "/touches"),
        (lead(touches=[{"happened_at": "2026-01-01T00:00:00", "kind": "visit"}]), "/touches/0/happened_at"),
        (lead(touches=[{"happened_at": at(1), "kind": ["visit"]}]), "/touches/0/kind"),
        (lead(touches=[{"happened_at": at(1), "kind": "visit", "recorded_at": at(100)}]), "/touches/0/recorded_at"),
        (lead(touches=[{"happened_at": at(1), "kind": "visit", "value": "many"}]), "/touches/0/value"),
        (lead(stages=[{"stage": "promised", "entered_at": at(1)}]), "/stages/0/stage"),
        (lead(as_of=at(-24)), "/as_of"),
        (lead(as_of="2026-01-01T00:00:00"), "/as_of"),
        (lead(as_of=at(5_000)), "/lead/created_at"),
        (lead(lead_id="L1\r\nX: y"), "/lead/lead_id"),
        (lead(lead_id="\x00"), "/lead/lead_id"),
        (lead(lead_id=SECRET), "/lead/lead_id"),
        (lead(lead={"lead_id": "L1", "created_at": at(1), "source": 7}), "/lead/source"),
        (lead(lead={"lead_id": "L1", "created_at": at(1), "company_size": ["a"]}), "/lead/company_size"),
    ],
)
def test_a_wrong_field_is_answered_with_its_pointer(client: httpx.Client, content: object, field: str) -> None:
    answer = post(client, content)
    assert field in {error.field for error in problem(answer, 422).errors}
    assert SECRET not in answer.text


def test_an_endless_number_is_refused(client: httpx.Client) -> None:
    data = json.dumps(lead(touches=[{"happened_at": at(1), "kind": "visit", "value": 777}])).replace("777", "1e999")
    assert problem(post(client, data.encode()), 422).errors[0].field == "/touches/0/value"


@pytest.mark.parametrize("count", [0, MAX_BATCH + 1])
def test_a_batch_has_a_size(client: httpx.Client, count: int) -> None:
    leads = [{"lead": {"lead_id": "L1", "created_at": at(1)}, "touches": []}] * count
    assert problem(post(client, {"leads": leads}, "/v1/score/batch"), 422).errors[0].field == "/leads"


def test_one_bad_lead_fails_the_batch_and_every_bad_one_is_named(client: httpx.Client) -> None:
    leads = [lead(), lead(as_of=at(-5)), lead(), lead(touches=lead()["touches"], account_leads=[])]
    found = problem(post(client, {"leads": leads}, "/v1/score/batch"), 422)
    assert [error.field for error in found.errors] == ["/leads/1/as_of", "/leads/3/touches/2/lead_id"]


def test_a_flood_of_wrong_fields_is_cut_short(client: httpx.Client) -> None:
    """The first wrong touch of a lead is named: nobody corrects three hundred at once."""
    flood = lead(touches=[{}] * 300)
    assert [error.field for error in problem(post(client, flood), 422).errors] == [
        "/touches/0/happened_at",
        "/touches/0/kind",
    ]


# --- routes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_is_refused(client: httpx.Client, method: str) -> None:
    answer = client.request(method, "/v1/score")
    problem(answer, 405)
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/score/", "/%2e%2e/%2e%2e/etc/passwd", "/static_content/../../x"])
def test_there_is_nothing_else(client: httpx.Client, path: str) -> None:
    answer = client.get(path, follow_redirects=False)
    assert answer.status_code in (307, 404)
    assert answer.status_code == 307 or problem(answer, 404)


def test_the_description_is_complete(client: httpx.Client) -> None:
    document = client.get("/docs.json").json()
    text = json.dumps(document)
    names = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert names <= set(document["components"]["schemas"])
    assert {"ScoreBody", "TouchBody", "LeadBody", "BatchBody", "ScoreReply", "ProblemReply"} <= names
    assert "source" in document["components"]["schemas"]["LeadBody"]["properties"]
    assert document["components"]["schemas"]["BatchBody"]["properties"]["leads"]["maxItems"] == MAX_BATCH
    for path, operations in document["paths"].items():
        for method in operations if "{" not in path and "/hooks/" not in path else ():  # those may have nothing there
            answer = client.request(method, path)
            is_unmade = path == "/board" and answer.json()["type"].endswith("no-board")  # mounted, and nothing to show
            assert is_unmade or answer.status_code not in (404, 405), path


def test_the_line_in_force(client: httpx.Client) -> None:
    found = client.get("/v1/line").json()
    scored = client.post("/v1/score", json=lead()).json()
    assert found["version"] == scored["line_version"]
    assert (scored["expected_value"] > found["threshold"]) == scored["is_mql"]
    assert found["equivalents"][0]["segment"] == "all"
    described = client.get("/docs.json").json()["components"]["schemas"]["LineReply"]["properties"]
    assert set(found) == set(described)


def test_requests_are_counted_by_route_alone(client: httpx.Client) -> None:
    client.get(f"/{SECRET}")
    text = client.get("/metrics").text
    assert 'route="/v1/score",status="200"' in text
    assert 'route="other"' in text
    assert SECRET not in text


# --- starting and logging --------------------------------------------------------------------------------------------


def test_the_log_holds_nothing_that_was_sent(client: httpx.Client, server: Server) -> None:
    post(client, lead(lead_id=SECRET))
    post(client, lead(touches=[{"happened_at": SECRET, "kind": SECRET, "email": SECRET}]))
    post(client, {"lead": {"lead_id": "L1", "created_at": at(1), "email": SECRET}, "touches": []})
    client.get(f"/{SECRET}?email={SECRET}")
    log = server.log.read_text()
    assert "POST /v1/score 422" in log
    assert SECRET not in log
    assert KEY not in log
    assert "127.0.0.1:" not in "".join(line for line in log.splitlines() if "/v1/score 4" in line)
    assert "Traceback" not in log


def test_the_server_says_how_to_call_it(server: Server) -> None:
    assert f"curl -sS {server.url}/v1/score" in server.log.read_text()


def start(folder: object, port: int, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SERVE, str(folder), str(port)],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("variables", "words"), [({}, "no KIZASHI_API_KEY"), ({"KIZASHI_API_KEY": "weak"}, "of 4 char")]
)
def test_without_a_key_the_service_refuses_to_start(
    workspace: Workspace, variables: dict[str, str], words: str
) -> None:
    ended = start(workspace.folder, free_port(), **variables)
    assert ended.returncode == 1
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_a_champion_the_service_refuses_to_start(tmp_path: Path) -> None:
    (tmp_path / "kizashi.toml").write_text(WORKSPACE_FILE, encoding="utf-8")
    ended = start(tmp_path, free_port(), KIZASHI_API_KEY=KEY)
    assert ended.returncode == 1
    assert "kizashi train" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_said_so(workspace: Workspace, server: Server) -> None:
    ended = start(workspace.folder, server.port, KIZASHI_API_KEY=KEY)
    assert ended.returncode == 1
    assert f"port {server.port} unusable" in ended.stderr


def test_a_service_that_is_interrupted_stops_quietly(workspace: Workspace, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log.txt"
    # A shell that starts it in the background has it ignore interrupts; duckdb is what the whole command line loads.
    script = f"import signal, duckdb\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{SERVE}"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(copied(workspace, tmp_path / "copy").folder), str(port)],
            env=environment(KIZASHI_API_KEY=KEY),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_ready(port, process, log)
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=20)
    assert code == 0
    assert log.read_text().splitlines()[-1] == "Stopped."


# --- documentation ---------------------------------------------------------------------------------------------------


def test_the_examples_of_the_page_are_true(client: httpx.Client) -> None:
    page = (ROOT / "docs" / "how-to" / "score-from-a-crm.md").read_text(encoding="utf-8")
    request, refusal = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    assert post(client, request).status_code == 200
    request["touches"][3]["happened_at"] = request["touches"][3]["happened_at"].removesuffix("+09:00")
    found = problem(post(client, request), 422).model_dump()
    assert {**found, "instance": ""} == {**refusal, "instance": ""}
