"""BentoML's HTTP service in this process: one worker, no supervisor, ready after one request to itself."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crm.errors import KizashiError
from crm.progress import Progress
from serving.callers import REHEARSAL, notes_of
from serving.garbage import release, settle
from serving.guards import ErrorGuard
from serving.header_clock import HeaderClock
from serving.runtime import Runtime, Settings
from serving.scorer import WARM_UP
from serving.watch import Watch, start_log

__all__ = ["StartError", "WarmStart", "run_server", "without_timers"]

BACKLOG = 2048


class StartError(KizashiError):
    """The service cannot be started here."""


def run_server(
    settings: Settings, *, host: str, port: int, when_ready: Callable[[], None], progress: Progress | None = None
) -> None:
    """Serve until the process is told to stop.

    Parameters
    ----------
    settings
        Workspace, and the digest of the environment's key.
    host, port
        Where to listen.
    when_ready
        Called once, when requests are about to be answered.
    progress
        Where to report what takes a while before that.

    Raises
    ------
    KizashiError
        When the address is taken, or there is no champion that can be loaded.
    """
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    from serving.service import make_service

    with _bound(host, port) as listener:
        runtime = Runtime(lambda: settings, progress)
        runtime.start()
        start_log(settings.workspace.config.serve.log)
        watch = Watch(CollectorRegistry())
        service = make_service(runtime, watch)
        app = WarmStart(ErrorGuard(without_timers(service.to_asgi()), watch), when_ready)
        config = uvicorn.Config(
            app,
            http=HeaderClock,  # upon h11, which bounds headers to 64 kB; httptools does not
            lifespan="on",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
        )
        server = uvicorn.Server(config)
        server.run(sockets=[listener])
        if not server.started:
            raise StartError(
                found="a service that did not start",
                expected="an answer to the first request, which the service sends to itself",
                fix="look at the lines above; 'kizashi score' shows whether the model scores",
            )


def without_timers(app: ASGIApp) -> ASGIApp:
    """Take BentoML's timeout, which keeps a timer of every request, out of its application: TimeGuard stands for it."""
    from bentoml._internal.server.http.traffic import TimeoutMiddleware

    if isinstance(app, Starlette):
        app.user_middleware = [one for one in app.user_middleware if one.cls is not TimeoutMiddleware]
    return app


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small packets at once only on sockets that name TCP; on others every answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StartError(
            found=f"{host} port {port} unusable ({error.strerror or error})",
            expected="an address of this machine and a free port",
            fix="stop what listens there, or choose another with --port",
        ) from error
    return listener


class WarmStart:
    """Sends the service one request before it is ready, then hides what was made from the garbage collector."""

    def __init__(self, app: ASGIApp, when_ready: Callable[[], None]) -> None:
        self.app = app
        self._when_ready = when_ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; of the lifespan, hold back the last step until the service is warm."""
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return

        async def send_when_warm(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                await self._warm_up()
                settle()
                self._when_ready()
            await send(message)

        try:
            await self.app(scope, receive, send_when_warm)
        finally:
            release()

    async def _warm_up(self) -> None:
        statuses: list[int] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": json.dumps(WARM_UP).encode(), "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(int(message["status"]))

        scope = _post("/v1/score")
        notes_of(scope).caller = REHEARSAL  # nothing that comes over the network can set this
        await self.app(scope, receive, send)
        if statuses != [200]:
            raise RuntimeError(f"the first request was answered {statuses}")


def _post(path: str) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": None,
        "server": None,
    }
