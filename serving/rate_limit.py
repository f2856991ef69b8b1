"""The guard that keeps one caller from taking the service from all others."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.callers import ANONYMOUS, caller_of
from serving.guards import refuse
from serving.rates import too_many
from serving.routes import OPEN_PATHS
from serving.runtime import Runtime

__all__ = ["RateLimit"]


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
