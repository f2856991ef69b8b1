"""Fake CRMs on real sockets: an app in a thread, and what a test may tell it to answer."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response

__all__ = ["Answer", "SlidingLimit", "json_answer", "serving"]


@dataclass(frozen=True)
class Answer:
    """An answer that a test puts in the way; with ``after`` the call is carried out before it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    after: bool = False


@dataclass
class SlidingLimit:
    """So many calls in any so many seconds, measured when they arrive."""

    calls: int
    seconds: float
    _arrived: deque[float] = field(default_factory=deque)

    def retry_after(self) -> float | None:
        """Seconds until the next call may come, or None when this one may."""
        now = time.monotonic()
        while self._arrived and self._arrived[0] <= now - self.seconds:
            self._arrived.popleft()
        if len(self._arrived) >= self.calls:
            return self._arrived[0] + self.seconds - now
        self._arrived.append(now)
        return None


def json_answer(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(body, status_code=status, headers=dict(headers or {}))


@contextmanager
def serving(app: Starlette) -> Generator[str]:
    """Serve an app and yield its address."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        config = uvicorn.Config(
            app, log_level="error", ws="none", lifespan="off", date_header=False, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        give_up = time.monotonic() + 20
        while not server.started and time.monotonic() < give_up:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(10)
