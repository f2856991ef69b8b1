"""The guard that asks who is calling, and whether the caller may do what it asks for."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.access import AccessDownError
from serving.board_session import cookie_of, session_key_id
from serving.callers import ANONYMOUS, Caller, notes_of
from serving.guards import refuse, request_id_of
from serving.problems import Problem, missing_scope, problem_of_status
from serving.rates import too_many
from serving.routes import OPEN_PATHS, allowed_methods, route_of
from serving.runtime import Runtime

__all__ = ["KeyGuard"]


MAX_HEADERS = 32_768
"""Bytes of all headers; the server itself bounds only what comes in several packets."""


class KeyGuard:
    """Lets a request through whose key may do what it asks for; the probes need none.

    Who asks is kept with the request (:func:`serving.callers.caller_of`).
    """

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self.app = app
        self.runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one request."""
        broken = _broken(scope)
        if broken is not None:
            await refuse(broken, scope, send)
            return
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
            return
        shown = _shown(scope)
        problem = await self._problem(scope, shown)
        if problem is None:
            await self.app(scope, receive, send)
            return
        await refuse(problem, scope, send)
        if shown and problem.status in (401, 403):  # written after the answer: no caller waits for the audit
            key_id = notes_of(scope).caller.key_id
            if key_id == ANONYMOUS.key_id:
                key_id = next(
                    (one for key in shown if (one := self.runtime.access.key_id_of(key)) != "unknown"), "unknown"
                )
            await self.runtime.refusals.note(key_id, problem.status, request_id_of(scope), datetime.now(UTC))

    async def _problem(self, scope: Scope, shown: list[bytes]) -> Problem | None:
        """Return what stands against a request; when nothing does, its notes name the caller."""
        notes, route = notes_of(scope), route_of(scope["method"], scope["path"])
        if len(shown) > 1:  # a proxy may have checked the one, and we would believe the other (RFC 6750, 3.1)
            return _TWO_KEYS
        if notes.caller is ANONYMOUS:
            try:
                caller = await (self._caller(shown) if shown else self._session(scope))
            except AccessDownError:
                return problem_of_status(503)
            if caller is None:
                is_open = route is not None and route.guards_itself and not shown
                return None if is_open else self._unknown(scope, shown)
            notes.caller = caller
        if route is None:
            return _no_route(scope["path"])
        return None if notes.caller.may(route.scope) else missing_scope(route.scope or "")

    async def _caller(self, shown: list[bytes]) -> Caller | None:
        now = datetime.now(UTC)
        for key in shown:
            caller = await self.runtime.access.caller_of(key, now)
            if caller is not None:
                return caller
        return None

    async def _session(self, scope: Scope) -> Caller | None:
        """Return whose session of the board a request shows; it reads, and only the board."""
        cookie = cookie_of(scope)
        if cookie is None or scope["method"] not in ("GET", "HEAD"):
            return None
        now = datetime.now(UTC)
        key_id = session_key_id(self.runtime.secret, cookie, now)
        return None if key_id is None else await self.runtime.access.caller_of_session(key_id, now)

    def _unknown(self, scope: Scope, shown: list[bytes]) -> Problem:
        seconds = self.runtime.rates.wait_of_wrong_key(scope) if shown else 0
        if seconds:
            return too_many(seconds)
        error = ', error="invalid_token"' if shown else ""
        return problem_of_status(401).with_headers({"WWW-Authenticate": f'Bearer realm="kizashi"{error}'})


def _broken(scope: Scope) -> Problem | None:
    """Return what is wrong with the form of a request, whoever asks."""
    if scope["type"] != "http":
        return None
    names = [name for name, _ in scope["headers"]]
    if b"transfer-encoding" in names and b"content-length" in names:
        return _TWO_LENGTHS  # a proxy that believes the other of the two sees another request behind this one
    size = sum(len(name) + len(value) for name, value in scope["headers"])
    return problem_of_status(431) if size > MAX_HEADERS else None


_TWO_LENGTHS = Problem(
    "two-lengths", "The request has two lengths", 400, "Send either Content-Length or Transfer-Encoding."
)
_TWO_KEYS = Problem(
    "two-keys", "The request shows several keys", 400, "Send one key, in Authorization or in X-API-Key."
)


def _no_route(path: str) -> Problem:
    methods = allowed_methods(path)
    return problem_of_status(405).with_headers({"Allow": ", ".join(methods)}) if methods else problem_of_status(404)


def _shown(scope: Scope) -> list[bytes]:
    """Return the keys and tokens that a request shows, each once."""
    shown: list[bytes] = []
    for name, value in scope["headers"]:
        scheme, _, credentials = value.partition(b" ")
        if name == b"x-api-key":
            shown.append(value.strip())
        elif name == b"authorization" and scheme.lower() == b"bearer":
            shown.append(credentials.strip())
    return [key for key in dict.fromkeys(shown) if key]
