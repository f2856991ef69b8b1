"""What stands before the routes: outermost the error guard, then time, key, rate, the body's type and size.

BentoML puts the middleware that is added first outermost, the reverse of Starlette. An exception that leaves
a middleware is never answered there (BentoML PR 5670: its timeout waits for an answer that does not come), so
the outermost one lets none through.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from time import perf_counter

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.callers import notes_of
from serving.problems import PROBLEM_TYPE, Problem, problem_of_status, problem_response
from serving.routes import OPEN_PATHS
from serving.runtime import Runtime
from serving.watch import Answered, Watch

__all__ = ["BodyGuard", "ErrorGuard", "TimeGuard", "refuse", "request_id_of"]

_REQUEST_ID = "kizashi.request_id"
DRAINED_BYTES = 16_000_000
DRAIN_SECONDS = 5.0
BODY_SECONDS = 10.0
"""In which a body has to be here: whoever sends it byte by byte must not keep a connection for ever."""
FORM_PATH, FORM_TYPE = "/board/login", "application/x-www-form-urlencoded"
"""The one form that a browser sends; everything else is JSON."""
_POLICY = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
_OURS = frozenset({b"server", b"x-bentoml-request-id", b"x-request-id", *(name for name, _ in _POLICY)})
"""Headers that an answer has from here or not at all."""


def request_id_of(scope: Scope) -> str:
    """Return the id under which a request is found in the log."""
    return str(scope.get(_REQUEST_ID, "unknown"))


class ErrorGuard:
    """Answers every failure with a problem document, names the request, and writes it down.

    It may stand at two places: inside BentoML's own middlewares it catches what fails behind it; outside of
    them it also turns their answers (a timeout, too many requests) into problem documents. The outer one
    names and writes.
    """

    def __init__(self, app: ASGIApp, watch: Watch) -> None:
        self.app = app
        self.watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_outer = _REQUEST_ID not in scope
        if is_outer:
            scope[_REQUEST_ID] = secrets.token_hex(8)
        notes = notes_of(scope)
        answer = _Answer(scope, send, with_headers=is_outer)
        started = perf_counter()
        try:
            await self.app(scope, receive, answer.send)
        except Exception as error:  # the service's edge: whatever fails is answered here
            self.watch.failed(error, request_id_of(scope))
            await answer.fail()
        if is_outer:
            seconds = perf_counter() - started
            key_id = notes.caller.key_id
            self.watch.answered(
                Answered(scope["method"], scope["path"], answer.status, seconds, request_id_of(scope), key_id)
            )


class _Answer:
    """An answer on its way out: other people's errors become problem documents, and headers are added."""

    def __init__(self, scope: Scope, send: Send, *, with_headers: bool) -> None:
        self.status = 0
        self._scope = scope
        self._send = send
        self._with_headers = with_headers
        self._replaced: Problem | None = None
        self._is_begun = False

    async def send(self, message: Message) -> None:
        """Pass one message on."""
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self._replaced is None:
            await self._send(message)
        elif not message.get("more_body", False):
            problem, self._replaced = self._replaced, None
            await problem_response(problem, request_id_of(self._scope))(self._scope, _nothing, self._dressed)

    async def fail(self) -> None:
        """Answer a failure, if no answer was begun; uvicorn closes the connection of one that was."""
        if not self._is_begun:
            self.status = 500
            response = problem_response(problem_of_status(500), request_id_of(self._scope))
            await response(self._scope, _nothing, self._dressed)

    async def _start(self, message: Message) -> None:
        self.status = int(message["status"])
        if self.status >= 400:
            headers = Headers(raw=list(message.get("headers", [])))
            if headers.get("content-type") != PROBLEM_TYPE:
                kept = {name: headers[name] for name in ("allow", "retry-after", "www-authenticate") if name in headers}
                self._replaced = problem_of_status(self.status).with_headers(kept)
                return
        await self._dressed(message)

    async def _dressed(self, message: Message) -> None:
        self._is_begun = True
        if message["type"] == "http.response.start" and self._with_headers:
            kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in _OURS]
            own = (b"x-request-id", request_id_of(self._scope).encode("latin-1"))
            message["headers"] = [*kept, *_policy_of(self._scope), own]
        await self._send(message)


def _policy_of(scope: Scope) -> list[tuple[bytes, bytes]]:
    policy = notes_of(scope).policy
    if not policy:
        return list(_POLICY)
    return [(name, policy.encode() if name == b"content-security-policy" else value) for name, value in _POLICY]


class TimeGuard:
    """Gives up on an answer that takes too long.

    BentoML's own timeout never takes back the timer of a request that was answered: each stays until its time is over,
    and so many that stay keep the event loop from clearing away others, with all that they hold. At hundreds of
    requests a second the garbage collector walked that for 20 to 90 ms at a time, while answers waited.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_begun = False

        async def begin(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        limit = asyncio.timeout(self.seconds)
        try:
            async with limit:
                await self.app(scope, receive, begin)
        except TimeoutError:
            if is_begun or not limit.expired():
                raise
            await refuse(problem_of_status(504), scope, send)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


class BodyGuard:
    """Reads a body that is JSON by its header and no larger than allowed, before anything is made of it."""

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self.app = app
        self.runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one request."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
            return
        limit = self.runtime.settings.workspace.config.serve.max_body_bytes
        headers = Headers(scope=scope)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        takes_form = scope["path"] == FORM_PATH and kind == FORM_TYPE
        if scope["method"] == "POST" and not _is_json(headers) and not _is_empty(headers) and not takes_form:
            await refuse(problem_of_status(415), scope, send)
        elif _announced(headers) > limit:
            await _drain(receive)
            await refuse(_too_large(limit), scope, send)
        else:
            await self._read(scope, receive, send, limit)

    async def _read(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(receive, limit)
        except TimeoutError:
            await refuse(problem_of_status(408), scope, send)
            return
        if body is None:
            # Nobody reads this, but BentoML's timeout, where it is there, takes the end of a request for nothing else:
            # without an answer each caller who leaves in the middle of a body would be waited for until it is over.
            await refuse(problem_of_status(408), scope, send)
            return
        if len(body) > limit:
            await _drain(receive)
            await refuse(_too_large(limit), scope, send)
            return
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        await self.app(scope, replay, send)


async def _body(receive: Receive, limit: int) -> bytes | None:
    """Return a body, cut off once it is larger than ``limit``; None when the caller has left."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > limit or not message.get("more_body", False):
            return bytes(body)


async def _drain(receive: Receive) -> None:
    """Take what still comes, up to a bound, and keep nothing: many clients read no answer before they have sent all."""
    left = DRAINED_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


def _announced(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 10**20


def _is_json(headers: Headers) -> bool:
    kind, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    is_utf8 = charset in ("", "charset=utf-8", "charset=utf8")
    return (
        kind.strip().lower() == "application/json"
        and is_utf8
        and headers.get("content-encoding", "identity") == "identity"
    )


def _is_empty(headers: Headers) -> bool:
    """Tell whether there is no body at all, which needs no type."""
    return headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers


def _too_large(limit: int) -> Problem:
    problem = problem_of_status(413)
    return Problem(problem.slug, problem.title, 413, f"At most {limit:,} bytes are read. {problem.detail}")


async def refuse(problem: Problem, scope: Scope, send: Send) -> None:
    """Answer without reading the body; the connection ends, so that nobody has to read the rest of it."""
    headers = Headers(scope=scope)
    if "content-length" in headers or "transfer-encoding" in headers or problem.status == 431:
        problem = problem.with_headers({"Connection": "close"})
    await problem_response(problem, request_id_of(scope))(scope, _nothing, send)
