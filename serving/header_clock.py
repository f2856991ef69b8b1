"""Connections on which a request's line and headers have to arrive in time: uvicorn waits for them for ever."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.problems import PROBLEM_TYPE, problem_of_status

__all__ = ["HEADER_SECONDS", "HeaderClock"]

HEADER_SECONDS = 10.0
"""From the connection, or from the first byte after an answer, to the end of the headers."""


class HeaderClock(H11Protocol):
    """An HTTP connection that is closed when the line and headers of a request are not here in time.

    Whoever opens a connection and sends nothing, or a byte now and then, would otherwise keep it as long as
    they please, and with enough of them the process has no file descriptors left for others. A request whose
    headers arrive in one piece, as those of every client do, sets no timer but the connection's first.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes; go on waiting if they do not complete the headers, without giving more time."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._waiting is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEADER_SECONDS, self._close)

    def _stop(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _close(self) -> None:
        self._waiting = None
        if self.transport.is_closing() or self.conn.their_state is not h11.IDLE:
            return
        begun, _ = self.conn.trailing_data
        # Browsers open connections ahead of need: one that sent nothing would take this for its next answer.
        if begun:
            self._refuse()
        self.transport.close()

    def _refuse(self) -> None:
        request_id = secrets.token_hex(8)
        self.logger.warning("headers not complete after %g s: request %s refused", HEADER_SECONDS, request_id)
        document = problem_of_status(408).document(request_id)
        headers = {
            "content-type": PROBLEM_TYPE,
            "content-length": str(len(document)),
            "connection": "close",
        }
        answer = h11.Response(status_code=408, headers=list(headers.items()), reason=b"Request Timeout")
        for event in (answer, h11.Data(data=document), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
