"""Beside scoring: descriptions, the line in force, counters, the queue, erasure, webhooks.

BentoML's own routes take POST alone, and count what waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from crm.errors import StateError
from serving.answering import Answering
from serving.asked import Asked
from serving.board_routes import board_routes
from serving.bodies import BodyError, HeldBody, read_body
from serving.erasure_routes import erasure_routes
from serving.guards import request_id_of
from serving.hooks.desk import HookDesk
from serving.hooks.routes import hook_routes
from serving.openapi import openapi_document
from serving.problems import ProblemError, invalid_request, problem_of_status, problem_response
from serving.readings import Readings
from serving.runtime import Runtime
from serving.salesforce import salesforce_route
from serving.watch import Watch

__all__ = ["side_routes"]


def side_routes(runtime: Runtime, answering: Answering, watch: Watch) -> Starlette:
    """Return the application with everything that is not scored or told, in front of BentoML's own.

    BentoML's start page loads a tracker of its makers; ours names the routes.
    """

    def start_page(request: Request) -> Response:
        del request
        model = runtime.scorer.model
        return JSONResponse({"service": "kizashi", "model_version": model.version, "openapi": "/docs.json"})

    def docs(request: Request) -> Response:
        del request
        scorer = runtime.scorer
        return JSONResponse(openapi_document(scorer.reading, scorer.config.serve.max_batch))

    def metrics(request: Request) -> Response:
        del request
        return Response(generate_latest(watch.registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    def line(request: Request) -> Response:
        del request
        drawn = runtime.scorer.model.line
        return JSONResponse({"version": drawn.version, "threshold": drawn.threshold, **drawn.model_dump(mode="json")})

    readings = Readings(runtime)

    def queue(request: Request) -> Response:
        return _answered(watch, request, lambda: readings.queue(request.query_params.multi_items()))

    def scores(request: Request) -> Response:
        lead_id: str = request.path_params["lead_id"]
        return _answered(watch, request, lambda: readings.scores(lead_id, request.query_params.multi_items()))

    def model(request: Request) -> Response:
        return _answered(watch, request, readings.model)

    return Starlette(
        routes=[
            Route("/v1/leads", queue),
            Route("/v1/leads/{lead_id}/scores", scores),
            Route("/v1/model", model),
            Route("/", start_page),
            Route("/docs.json", docs),
            Route("/metrics", metrics),
            salesforce_route(runtime),
            Route("/v1/line", line),
            *board_routes(runtime, watch),
            *erasure_routes(runtime, watch),
            *hook_routes(lambda: _desk(runtime, answering), watch),
        ]
    )


def _desk(runtime: Runtime, answering: Answering) -> HookDesk:
    """Return what answers webhooks."""

    async def score_held(lead_id: str, asked: Asked) -> Mapping[str, Any]:
        try:
            body = read_body(HeldBody, {"lead_id": lead_id})
        except BodyError as error:
            raise ProblemError(invalid_request(error.errors)) from None
        return await answering.score_lead(body, asked)

    config, held_id = runtime.settings.workspace.config, runtime.teller.held_id
    return HookDesk(runtime.state, runtime.writer, config, score_held, held_id, runtime.secret)


def _answered(watch: Watch, request: Request, read: Callable[[], Mapping[str, Any]]) -> Response:
    """Return what was read, or the problem."""
    request_id = request_id_of(request.scope)
    try:
        return Response(orjson.dumps(read()), media_type="application/json")
    except ProblemError as error:
        return problem_response(error.problem, request_id)
    except StateError as error:
        watch.failed(error, request_id)
        return problem_response(problem_of_status(503), request_id)
