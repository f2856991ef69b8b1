"""A light load generator: HTTP/1.1 over raw sockets of asyncio, so that the client is not the limit.

It sends what was laid out before and reads no more of an answer than its status and its length: some 15,000 requests a
second on a core that has nothing else to do.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

__all__ = ["Load", "drive", "post"]

TICK_SECONDS = 0.01
GRACE_SECONDS = 30.0
ONCE_SECONDS = 600.0


@dataclass
class Load:
    """What came of some load.

    Parameters
    ----------
    due, done
        When each answered request was to be sent, and when its answer was whole, ``time.perf_counter()`` seconds.
    errors
        Answers other than 200, by status; 0 for connections that broke.
    client_late
        The longest that the client itself woke up late, seconds: what the machine adds to every latency.
    """

    due: list[float] = field(default_factory=list)
    done: list[float] = field(default_factory=list)
    errors: dict[int, int] = field(default_factory=dict)
    client_late: float = 0.0

    @property
    def latencies_ms(self) -> np.ndarray:
        """Milliseconds from when a request was due to its answer, sorted."""
        return np.sort(np.array(self.done) - np.array(self.due)) * 1e3

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.done) / (max(self.done) - min(self.due)) if self.done else 0.0

    def stalls(self, seconds: float) -> int:
        """Count the times in which answers took longer: requests that waited for one thing are one stall."""
        slow = sorted((due, done) for due, done in zip(self.due, self.done, strict=True) if done - due > seconds)
        found, until = 0, 0.0
        for due, done in slow:
            found += due > until
            until = max(until, done)
        return found


def post(path: str, body: bytes, headers: str = "") -> bytes:
    """Lay a request out as bytes; ``headers`` are more of them, each with its line end."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def drive(
    port: int,
    requests: Sequence[bytes],
    seconds: float | None,
    *,
    connections: int = 8,
    per_second: float | None = None,
) -> Load:
    """Send requests in turn for a while, and wait for the last answers.

    Parameters
    ----------
    port
        Of a server on this machine.
    requests
        As :func:`post` lays them out; they are sent over and over.
    seconds
        How long requests are sent; None to send each of them once.
    connections
        Kept open; each has one request under way at most.
    per_second
        A steady rate, whatever the answers do: a request that finds no free connection waits, and its wait counts.
        None for as many as are answered.
    """
    return asyncio.run(_Driver(requests, seconds, per_second).run(port, connections))


class _Driver:
    """Which request is sent when."""

    def __init__(self, requests: Sequence[bytes], seconds: float | None, per_second: float | None) -> None:
        self.load = Load()
        self._requests: Iterator[bytes] = iter(requests) if seconds is None else itertools.cycle(requests)
        self._seconds = ONCE_SECONDS if seconds is None else seconds
        self._per_second = per_second
        self._until = 0.0
        self._waiting: deque[float] = deque()
        self._idle: list[_Connection] = []

    async def run(self, port: int, connections: int) -> Load:
        loop = asyncio.get_running_loop()
        opened = [
            (await loop.create_connection(lambda: _Connection(self), "127.0.0.1", port))[1] for _ in range(connections)
        ]
        started = perf_counter()
        self._until = started + self._seconds
        beating = asyncio.create_task(self._watch_itself())
        for connection in opened:
            self.next_for(connection)
        if self._per_second is not None:
            await self._keep_pace(started, self._per_second)
        await asyncio.wait(
            [asyncio.ensure_future(connection.closed) for connection in opened],
            timeout=max(0.0, self._until - perf_counter()) + GRACE_SECONDS,
        )
        beating.cancel()
        return self.load

    async def _keep_pace(self, started: float, per_second: float) -> None:
        count = int(self._seconds * per_second)
        for number in range(count):
            due = started + number / per_second
            wait = due - perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            if self._idle:
                self._idle.pop().ask(next(self._requests), due)
            else:
                self._waiting.append(due)
        while self._waiting:
            await asyncio.sleep(TICK_SECONDS)
        for connection in self._idle:
            connection.end()

    def next_for(self, connection: _Connection) -> None:
        """Give a free connection something to do."""
        now = perf_counter()
        if self._waiting:
            connection.ask(next(self._requests), self._waiting.popleft())
        elif self._per_second is not None and now < self._until:
            self._idle.append(connection)
        elif now < self._until and (request := next(self._requests, None)) is not None:
            connection.ask(request, now)
        else:
            connection.end()

    def note(self, due: float, status: int) -> None:
        """Write an answer down."""
        if status == 200:
            self.load.due.append(due)
            self.load.done.append(perf_counter())
        else:
            self.load.errors[status] = self.load.errors.get(status, 0) + 1

    async def _watch_itself(self) -> None:
        while True:
            before = perf_counter()
            await asyncio.sleep(TICK_SECONDS)
            self.load.client_late = max(self.load.client_late, perf_counter() - before - TICK_SECONDS)


class _Connection(asyncio.Protocol):
    """One connection, with one request under way at most."""

    def __init__(self, driver: _Driver) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._driver = driver
        self._due: float | None = None
        self._parts: list[bytes] = []
        self._missing = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes, due: float) -> None:
        """Send a request that was due at a moment."""
        self._due = due
        self._transport.write(request)

    def end(self) -> None:
        """Send nothing more."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._parts.append(data)
            whole = b"".join(self._parts)
            head, end, body = whole.partition(b"\r\n\r\n")
            if not end:
                return
            self._status = int(head[9:12])
            at = head.lower().index(b"content-length:") + 15
            self._missing = int(head[at:].split(b"\r\n", 1)[0]) - len(body)
            self._parts.clear()
        else:
            self._missing -= len(data)
        if self._missing <= 0:
            assert self._due is not None
            due, self._due, self._missing = self._due, None, -1
            self._driver.note(due, self._status)
            self._driver.next_for(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._due is not None:
            self._driver.note(self._due, 0)
        if not self.closed.done():
            self.closed.set_result(None)
