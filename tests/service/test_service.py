"""The BentoML service in this process, around scorers that are slow, busy or broken."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message

from crm.config import SourceConfig, WorkspaceConfig
from serving import rate_limit, service
from serving.access import Access
from serving.asked import Asked
from serving.guards import ErrorGuard
from serving.keys import key_digest
from serving.problems import PROBLEM_TYPE
from serving.rates import Rates
from serving.runtime import Runtime
from serving.server import without_timers
from serving.watch import Watch

KEY = "0123456789abcdef0123456789abcdef"
HEADERS = {"X-API-Key": KEY, "Content-Type": "application/json"}
SECRET = "taro@example.com"
CONFIG = WorkspaceConfig(source=SourceConfig(url="demo://"))


class NoBackground:
    """A service that does nothing beside answering."""

    def __init__(self, runtime: object) -> None:
        del runtime

    def start(self) -> None: ...

    def stop(self) -> None: ...


def app_around(score: Callable[..., Any]) -> ASGIApp:
    """Return the service as ``kizashi serve`` runs it, with another answer to /v1/score."""

    async def answered(data: bytes, asked: Asked, **more: object) -> Any:
        del more
        return await asyncio.to_thread(score, data, asked.language)

    settings = SimpleNamespace(
        key_sha256=key_digest({"KIZASHI_API_KEY": KEY}), workspace=SimpleNamespace(config=CONFIG)
    )
    runtime = SimpleNamespace(
        settings=settings,
        start=lambda: None,
        close=lambda: None,
        access=Access(list, settings.key_sha256),
        rates=Rates(6_000),
        on_issued=[],
    )
    watch = Watch(CollectorRegistry())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "Answering", lambda _: SimpleNamespace(score=answered))
        patch.setattr(service, "Background", NoBackground)
        made = service.make_service(cast(Runtime, runtime), watch)
    return ErrorGuard(without_timers(made.to_asgi()), watch)


def with_client(app: ASGIApp, use: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    """Run the application's lifespan around some requests."""

    async def run() -> Any:
        told: asyncio.Queue[Message] = asyncio.Queue()
        heard: asyncio.Queue[Message] = asyncio.Queue()
        await told.put({"type": "lifespan.startup"})
        lifespan = asyncio.create_task(app({"type": "lifespan"}, told.get, heard.put))
        if (await heard.get())["type"] != "lifespan.startup.complete":
            await lifespan
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            answer = await use(client)
        await told.put({"type": "lifespan.shutdown"})
        await lifespan
        return answer

    return asyncio.run(run())


async def ask(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/v1/score", content=b"{}", headers=HEADERS)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds scorers up until the test ends."""
    event = threading.Event()
    yield event
    event.set()


def test_the_scorer_is_given_the_bytes_as_they_came() -> None:
    given: list[tuple[bytes, str]] = []

    def score(data: bytes, language: str) -> dict[str, Any]:
        given.append((data, language))
        return {"score": 1}

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/score", content=b" [NaN", headers=HEADERS | {"Accept-Language": "ja"})

    assert with_client(app_around(score), use).json() == {"score": 1}
    assert given == [(b" [NaN", "ja")]


@pytest.mark.parametrize("score", [lambda *_: float(SECRET), lambda *_: {1: object()}])
def test_a_scorer_that_fails_is_a_problem_without_its_message(
    score: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = with_client(app_around(score), ask)
    assert (answer.status_code, answer.headers["content-type"]) == (500, PROBLEM_TYPE)
    assert SECRET not in answer.text
    assert SECRET not in caplog.text
    assert "Traceback" not in caplog.text


def test_a_scorer_that_hangs_is_given_up(gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "TIMEOUT_SECONDS", 0.2)

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        answer = await ask(client)
        gate.set()
        return answer

    answer = with_client(app_around(lambda *_: gate.wait(20)), use)
    assert (answer.status_code, answer.headers["content-type"]) == (504, PROBLEM_TYPE)
    assert answer.headers["cache-control"] == "no-store"


def test_an_answered_request_leaves_no_timer_behind() -> None:
    async def use(client: httpx.AsyncClient) -> list[float]:
        for _ in range(20):
            assert (await ask(client)).status_code == 200
        now = asyncio.get_running_loop().time()
        timers = [one for one in gc.get_objects() if isinstance(one, asyncio.TimerHandle) and not one.cancelled()]
        return [timer.when() - now for timer in timers if timer.when() > now]

    assert with_client(app_around(lambda *_: {}), use) == []


def test_too_many_at_once_are_sent_away_for_a_moment(gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MAX_AT_ONCE", 1)

    async def use(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        first = asyncio.create_task(ask(client))
        await asyncio.sleep(0.2)
        second = await ask(client)
        gate.set()
        return await first, second

    def score(*_: object) -> dict[str, Any]:
        gate.wait(20)
        return {}

    first, second = with_client(app_around(score), use)
    assert first.status_code == 200
    assert (second.status_code, second.headers["content-type"]) == (429, PROBLEM_TYPE)
    assert second.headers["retry-after"] == "1"


def test_a_service_without_a_model_does_not_start(caplog: pytest.LogCaptureFixture) -> None:
    def nothing() -> Any:
        raise ValueError(SECRET)

    app = service.make_service(Runtime(nothing), Watch(CollectorRegistry())).to_asgi()
    with pytest.raises(ValueError, match=SECRET):
        with_client(app, ask)
    assert "Traceback" not in caplog.text
