"""The guards before the routes, around small applications that misbehave on purpose."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crm.config import ServeConfig, SourceConfig, Workspace, WorkspaceConfig
from crm.errors import RegistryError
from serving.access import Access
from serving.guards import DRAINED_BYTES, BodyGuard, ErrorGuard, TimeGuard
from serving.key_guard import KeyGuard
from serving.keys import KeyMissingError, check_someone_may_ask, key_digest
from serving.problems import PROBLEM_TYPE
from serving.rate_limit import MAX_AT_ONCE, Crowd, RateLimit
from serving.refusals import Refusals
from serving.runtime import Runtime, Settings
from serving.server import StartError, WarmStart, run_server
from serving.watch import KeepInputOut, Watch

KEY = "0123456789abcdef0123456789abcdef"
SECRET = "taro@example.com"
LIMIT = 1_000
CONFIG = WorkspaceConfig(source=SourceConfig(url="demo://"), serve=ServeConfig(max_body_bytes=LIMIT))
SETTINGS = Settings(Workspace(folder=Path("/nowhere"), config=CONFIG), key_digest({"KIZASHI_API_KEY": KEY}))
SHOWN = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message.get("more_body", False):
            break
    await PlainTextResponse(str(len(body)))(scope, receive, send)


async def fail(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError(f"could not convert {SECRET}")


async def fail_midway(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ValueError(SECRET)


async def fail_inside_an_error(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    raise ValueError(SECRET)


def answers(status: int, headers: dict[str, str] | None = None) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"error": SECRET}, status, headers)(scope, receive, send)

    return app


def guarded(app: ASGIApp) -> ASGIApp:
    return ErrorGuard(around(app, Runtime(lambda: SETTINGS)), Watch(CollectorRegistry()))


def around(app: ASGIApp, runtime: Runtime) -> ASGIApp:
    """Put the guards of a service without a state around an application."""
    runtime.access = Access(list, SETTINGS.key_sha256)
    runtime.refusals = Silence()
    return KeyGuard(RateLimit(BodyGuard(app, runtime), runtime), runtime)


class Silence(Refusals):
    """An audit that nobody keeps."""

    def __init__(self) -> None:
        super().__init__(lambda: pytest.fail("the audit was opened"))

    async def note(self, key_id: str, status: int, request_id: str, now: datetime) -> None:
        del key_id, status, request_id, now


def ask(app: ASGIApp, method: str = "POST", path: str = "/v1/score", **arguments: object) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, **arguments)  # pyright: ignore[reportArgumentType]

    return asyncio.run(run())


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("app", [fail, fail_inside_an_error])
def test_a_failure_is_a_problem_without_its_message(app: ASGIApp, caplog: pytest.LogCaptureFixture) -> None:
    answer = ask(guarded(app), headers=SHOWN)
    assert (answer.status_code, answer.headers["content-type"]) == (500, PROBLEM_TYPE)
    assert SECRET not in answer.text
    assert SECRET not in caplog.text
    assert "ValueError at test_guards.py" in caplog.text
    assert answer.headers["x-request-id"] in caplog.text


def test_a_failure_amid_an_answer_says_no_more(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Message] = []

    async def run() -> None:
        scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        await ErrorGuard(fail_midway, Watch(CollectorRegistry()))(scope, nothing, send)

    async def nothing() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(run())
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert SECRET not in caplog.text


@pytest.mark.parametrize("status", [400, 404, 405, 418, 429, 500, 502, 504])
def test_errors_of_others_become_problems(status: int) -> None:
    answer = ask(guarded(answers(status, {"allow": "POST"})), headers=SHOWN)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == PROBLEM_TYPE
    assert answer.headers["allow"] == "POST"
    assert SECRET not in answer.text
    assert set(answer.json()) == {"type", "title", "status", "detail", "instance"}


def test_the_guard_may_stand_twice() -> None:
    watch = Watch(CollectorRegistry())
    answer = ask(ErrorGuard(ErrorGuard(fail, watch), watch), "GET", "/")
    assert answer.status_code == 500
    assert answer.headers["cache-control"] == "no-store"
    assert watch.registry.get_sample_value("kizashi_requests_total", {"route": "/", "status": "500"}) == 1


def test_every_answer_has_the_security_headers() -> None:
    for app in (echo, fail, answers(404)):
        answer = ask(guarded(app), headers=SHOWN)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_other_peoples_names_are_taken_off() -> None:
    answer = ask(guarded(answers(200, {"server": "BentoML", "x-bentoml-request-id": "1"})), headers=SHOWN)
    assert "server" not in answer.headers
    assert "x-bentoml-request-id" not in answer.headers


def test_the_log_holds_no_path_that_a_caller_made_up(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kizashi")
    ask(guarded(echo), "BREW", "/v1/leads/" + SECRET + "%0d%0aPOST")
    written = [record.getMessage() for record in caplog.records if record.name.startswith("kizashi")]
    assert len(written) == 1
    assert written[0].startswith("OTHER /v1/leads/{lead_id} 401")


def test_a_record_of_an_exception_keeps_its_place_and_loses_its_message() -> None:
    records: list[logging.LogRecord] = []
    talkative = logging.Logger("talkative")
    talkative.addFilter(KeepInputOut())
    talkative.addHandler(type("Keep", (logging.Handler,), {"emit": lambda _, record: records.append(record)})())
    for error in (ValueError(SECRET), RegistryError(found="no model", expected="one", fix="train")):
        try:
            raise error
        except (ValueError, RegistryError):
            talkative.exception("Exception on %s", "/v1/score")
    talkative.error(f"Traceback (most recent call last):\n{SECRET}")
    written = [record.getMessage() for record in records]
    assert "ValueError at test_guards.py" in written[0]
    assert "Found no model" in written[1]
    assert SECRET not in "".join(written)
    assert all(record.exc_info is None for record in records)


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer  {KEY} "},
        {"x-api-key": KEY},
        {"authorization": "Basic Zm9vOmJhcg==", "x-api-key": KEY},
    ],
)
def test_the_key_opens(headers: dict[str, str]) -> None:
    assert ask(guarded(echo), "GET", "/docs.json", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {KEY}x"},
        {"authorization": f"Bearer {KEY[:-1]}"},
        {"authorization": f"Basic {KEY}"},
        {"authorization": KEY},
        {"x-api-key": ""},
        {"x-api-key": KEY.upper()},
        {"cookie": f"key={KEY}"},
    ],
)
@pytest.mark.parametrize(
    "path", ["/v1/score", "/docs.json", "/metrics", "/", "/livez/", "//livez", "/livez%2f..", "/nope"]
)
def test_without_the_key_nothing_opens(headers: dict[str, str], path: str) -> None:
    answer = ask(guarded(echo), "GET", path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert KEY not in answer.text


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_the_probes_are_open(path: str) -> None:
    assert ask(guarded(echo), "GET", path).status_code == 200


@pytest.mark.parametrize("key", ["short", "k" * 31, "k" * 40 + " ", "キ" * 40, "k" * 20 + "\n" + "k" * 20])
def test_a_weak_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(KeyMissingError) as caught:
        key_digest({"KIZASHI_API_KEY": key})
    assert key not in str(caught.value)


def test_somebody_must_be_able_to_ask() -> None:
    nobody = {"has_environment_key": False, "has_live_key": False, "has_issuer": False}
    with pytest.raises(KeyMissingError, match="kizashi keys create"):
        check_someone_may_ask(**nobody)
    for who in nobody:
        check_someone_may_ask(**{**nobody, who: True})
    assert key_digest({}) is None
    assert key_digest({"KIZASHI_API_KEY": ""}) is None


def test_websockets_are_closed() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    asyncio.run(guarded(echo)({"type": "websocket", "path": "/livez", "headers": []}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


# --- bodies ----------------------------------------------------------------------------------------------------------


def test_a_body_arrives_whole() -> None:
    assert ask(guarded(echo), headers=SHOWN, content=b"x" * LIMIT).text == str(LIMIT)


def test_a_body_that_announces_too_much_is_not_read() -> None:
    def reading() -> bytes:
        raise AssertionError("the body was read")

    headers = SHOWN | {"content-length": str(LIMIT + 1)}
    answer = ask(guarded(answers_without_reading(reading)), headers=headers, content=b"")
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


def answers_without_reading(reading: Callable[[], bytes]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reading()

    return app


def test_a_body_that_goes_on_is_cut_off() -> None:
    chunks = 0

    async def endless() -> object:
        nonlocal chunks
        while True:
            chunks += 1
            yield b"x" * 400

    async def run() -> tuple[int, bytes]:
        stream = endless()
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": await anext(stream), "more_body": True}  # pyright: ignore

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(name.encode(), value.encode()) for name, value in SHOWN.items()]
        headers.append((b"transfer-encoding", b"chunked"))
        scope: Scope = {"type": "http", "method": "POST", "path": "/v1/score", "headers": headers}
        await guarded(echo)(scope, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"])[b"connection"]

    assert asyncio.run(run()) == (413, b"close")
    # What came with the refused body is taken, up to a bound: a client that still sends reads no answer.
    assert chunks * 400 <= DRAINED_BYTES + 2_000


@pytest.mark.parametrize(
    "change",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "text/plain"},
        {"content-type": ""},
        {"content-type": "application/json; charset=shift_jis"},
        {"content-type": "application/vnd.bentoml+pickle"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-encoding": "gzip"},
    ],
)
def test_what_is_not_plain_json_by_its_header_is_refused(change: dict[str, str]) -> None:
    assert ask(guarded(echo), headers=SHOWN | change, content=b"{}").status_code == 415


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_is_json_however_it_is_written(kind: str) -> None:
    assert ask(guarded(echo), headers=SHOWN | {"content-type": kind}, content=b"{}").status_code == 200


def test_the_request_of_a_caller_who_leaves_comes_to_an_end() -> None:
    """BentoML waits for an answer, though nobody reads it."""

    async def run() -> list[Message]:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(name.encode(), value.encode()) for name, value in SHOWN.items()]
        await guarded(echo)({"type": "http", "method": "POST", "path": "/v1/score", "headers": headers}, receive, send)
        return sent

    assert [message.get("status") for message in asyncio.run(run())] == [408, None]


@pytest.mark.parametrize("is_begun", [False, True])
def test_an_answer_that_takes_too_long_is_given_up_and_one_that_was_begun_is_cut_off(*, is_begun: bool) -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        if is_begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(20)

    async def run() -> list[Message]:
        sent: list[Message] = []

        async def never() -> Message:
            return pytest.fail("the body was read")

        async def send(message: Message) -> None:
            sent.append(message)

        guard = ErrorGuard(TimeGuard(slow, 0.05), Watch(CollectorRegistry()))
        await guard({"type": "http", "method": "GET", "path": "/v1/line", "headers": []}, never, send)
        return sent

    assert [message.get("status") for message in asyncio.run(run())] == ([200] if is_begun else [504, None])


def test_a_time_limit_of_something_inside_is_not_taken_for_the_request_s() -> None:
    async def gives_up(scope: Scope, receive: Receive, send: Send) -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(20)

    answer = ask(ErrorGuard(TimeGuard(gives_up, 20), Watch(CollectorRegistry())))
    assert answer.status_code == 500


def test_a_crowd_has_an_end_and_goes_by() -> None:
    async def run() -> list[int]:
        go = asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            await go.wait()
            await PlainTextResponse("done")(scope, receive, send)

        transport = httpx.ASGITransport(Crowd(slow))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            inside = [asyncio.create_task(client.get("/v1/line")) for _ in range(MAX_AT_ONCE)]
            await asyncio.sleep(0.05)
            refused = await client.get("/v1/line")
            go.set()
            answers = await asyncio.gather(*inside)
            return [refused.status_code, *{one.status_code for one in answers}, (await client.get("/")).status_code]

    assert asyncio.run(run()) == [429, 200, 200]


# --- starting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("app", "is_ready"), [(echo, True), (answers(200), True), (fail, False), (answers(503), False)]
)
def test_a_service_is_ready_only_once_it_has_answered_itself(app: ASGIApp, *, is_ready: bool) -> None:
    ready: list[bool] = []
    collector_before = gc.get_threshold(), list(gc.callbacks)

    async def lifespan_of(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.startup.complete"})
        else:
            await ErrorGuard(app, Watch(CollectorRegistry()))(scope, receive, send)

    async def run() -> list[Message]:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "lifespan.startup"}

        async def send(message: Message) -> None:
            sent.append(message)

        warm = WarmStart(lifespan_of, lambda: ready.append(True))
        await warm({"type": "lifespan"}, receive, send)
        return sent

    if is_ready:
        assert asyncio.run(run()) == [{"type": "lifespan.startup.complete"}]
    else:
        with pytest.raises(RuntimeError, match="first request"):
            asyncio.run(run())
    assert ready == [True] * is_ready
    assert (gc.get_threshold(), gc.callbacks) == collector_before


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(StartError, match="unusable"):
        run_server(SETTINGS, host="192.0.2.1", port=3000, when_ready=lambda: None)
