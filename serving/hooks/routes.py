"""The addresses that webhooks are sent to: who sent it is checked, it is stored and answered, the work comes after.

What is signed needs no API key. A sender that cannot sign has an address that nobody else knows; what it says is taken
as a hint and read anew by its API.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crm.errors import StateError
from crm.hook_events import HookAnswer
from serving.asked import Asked
from serving.guards import request_id_of
from serving.hooks.desk import HookDesk
from serving.hooks.signatures import SignatureError, SignedRequest
from serving.problems import Problem, ProblemError, problem_of_status, problem_response
from serving.watch import Watch

__all__ = ["hook_routes"]

BUSY_S = 10
"""How long a sender is asked to wait where the state is away."""

Handle = Callable[[SignedRequest, str, Asked], Awaitable[HookAnswer]]


def hook_routes(get_desk: Callable[[], HookDesk], watch: Watch) -> list[Route]:
    """Return the routes of webhooks.

    Parameters
    ----------
    get_desk
        Returns what answers them; called with each request, so that nothing is opened before.
    watch
        Where failures are written down.
    """

    def endpoint(handle: Callable[[HookDesk], Handle], busy: int = BUSY_S) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            signed = signed_request(request, await request.body())
            token = str(request.path_params.get("token", ""))
            desk, request_id = get_desk(), request_id_of(request.scope)
            language = desk.config.workspace.language
            asked = Asked(datetime.now(UTC), language, request_id=request_id, started=perf_counter())
            try:
                return await _answered(handle(desk)(signed, token, asked), request_id)
            except (SQLAlchemyError, StateError) as error:  # busy or away: every sender tries again
                watch.failed(error, request_id)
                return problem_response(problem_of_status(503).with_headers({"Retry-After": str(busy)}), request_id)

        return answer

    return [
        # HubSpot's workflows read Retry-After as milliseconds, its subscriptions not at all.
        Route("/v1/hooks/hubspot", endpoint(lambda desk: desk.hubspot, BUSY_S * 1_000), methods=["POST"]),
        Route("/v1/hooks/odoo/{token}", endpoint(lambda desk: desk.odoo), methods=["POST"]),
        Route("/v1/hooks/generic", endpoint(lambda desk: desk.generic), methods=["POST"]),
    ]


def signed_request(request: Request, body: bytes) -> SignedRequest:
    """Return the parts of a request that a signature may cover, as they came over the wire."""
    path = bytes(request.scope.get("raw_path") or request.scope["path"].encode())
    query = bytes(request.scope.get("query_string", b""))
    target = path.split(b"?")[0] + (b"?" + query if query else b"")
    headers = [(bytes(name).lower(), bytes(value)) for name, value in request.scope["headers"]]
    return SignedRequest(request.method, target.decode("latin-1"), headers, body)


async def _answered(answering: Awaitable[HookAnswer], request_id: str) -> Response:
    try:
        answer = await answering
    except SignatureError as error:
        return problem_response(_unsigned(error), request_id)
    except ProblemError as error:
        return problem_response(error.problem, request_id)
    return Response(answer.text.encode(), answer.status, media_type="application/json")


def _unsigned(error: SignatureError) -> Problem:
    detail = f"Found {error.part}; expected {error.expected}. To go on: {error.fix}."
    problem = Problem("bad-signature", "It is not clear who sent this", 401, detail)
    return problem.with_headers({"WWW-Authenticate": "Signature"})
