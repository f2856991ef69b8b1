"""Erasure and objection over HTTP: a receipt for each, for keys with the scope ``erase``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from crm.erasure import Asker, Receipt, erase_lead, note_objection
from crm.errors import ErasureError, StateError
from serving.callers import caller_of
from serving.guards import request_id_of
from serving.problems import Problem, problem_of_status, problem_response
from serving.runtime import Runtime
from serving.watch import Watch

__all__ = ["erasure_routes"]


def erasure_routes(runtime: Runtime, watch: Watch) -> list[Route]:
    """Return ``DELETE /v1/leads/{lead_id}`` and ``POST /v1/leads/{lead_id}/objection``."""

    def answering(act: Callable[..., Receipt]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            request_id = request_id_of(request.scope)
            asker = Asker(caller_of(request.scope).key_id, request_id)
            try:
                return JSONResponse(acted(str(request.path_params["lead_id"]), asker).to_json())
            except ErasureError as error:
                return problem_response(_problem(error), request_id)
            except (StateError, SQLAlchemyError) as error:
                watch.failed(error, request_id)
                return problem_response(problem_of_status(503), request_id)

        def acted(lead_id: str, asker: Asker) -> Receipt:
            leads: tuple[str, ...] = (lead_id,)
            try:
                receipt = act(runtime.state, runtime.settings.workspace, lead_id, now=datetime.now(UTC), asker=asker)
                leads = receipt.leads
                return receipt
            finally:  # also of an erasure that could not go through every file: the state is erased by then
                runtime.rows.refresh()
                runtime.rows.forget_merges()
                runtime.forget({*leads, *map(runtime.teller.held_id, leads)})
                runtime.refresh_left_out()

        return answer

    return [
        Route("/v1/leads/{lead_id}", answering(erase_lead), methods=["DELETE"]),
        Route("/v1/leads/{lead_id}/objection", answering(note_objection), methods=["POST"]),
    ]


def _problem(error: ErasureError) -> Problem:
    """Return the problem: a wrong id is the caller's, a file that cannot be written is ours."""
    is_ours = error.__cause__ is not None
    slug, title = ("erasure-unfinished", "The erasure is unfinished") if is_ours else ("invalid-id", "The id is none")
    return Problem(slug, title, 500 if is_ours else 422, f"{error.fix[0].upper()}{error.fix[1:]}.")
