"""The guards that keep one caller from taking the service from all others."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.callers import ANONYMOUS, caller_of
from serving.guards import refuse
from serving.problems import problem_of_status
from serving.rates import too_many
from serving.routes import OPEN_PATHS
from serving.runtime import Runtime

__all__ = ["MAX_AT_ONCE", "Crowd", "RateLimit"]

MAX_AT_ONCE = 64


class RateLimit:
    """Lets a caller through until it has asked too often; stands behind the key guard, which tells who asks."""

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self.app = app
        self.runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one request."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
            return
        caller, rates = caller_of(scope), self.runtime.rates
        seconds = rates.wait_of_address(scope) if caller is ANONYMOUS else rates.wait_of_key(caller.key_id)
        if seconds:
            await refuse(too_many(seconds), scope, send)
        else:
            await self.app(scope, receive, send)


class Crowd:
    """Lets so many requests through at once and refuses the next.

    It stands behind the guard of bodies: a body that is still on its way takes nobody's place, so that callers who send
    slowly, to a route that asks for no key, do not shut the service for all others.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one request."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
        elif self._inside >= MAX_AT_ONCE:
            await refuse(problem_of_status(429), scope, send)
        else:
            self._inside += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self._inside -= 1
