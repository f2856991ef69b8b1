"""Beside scoring: the description, the line in force, counters, erasure. BentoML's own routes take POST alone."""

from __future__ import annotations

from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving.erasure_routes import erasure_routes
from serving.openapi import openapi_document
from serving.runtime import Runtime
from serving.watch import Watch

__all__ = ["side_routes"]


def side_routes(runtime: Runtime, watch: Watch) -> Starlette:
    """Return the application with ``/``, ``/docs.json``, ``/metrics``, ``/v1/line`` and erasure, before BentoML's own.

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

    return Starlette(
        routes=[
            Route("/", start_page),
            Route("/docs.json", docs),
            Route("/metrics", metrics),
            Route("/v1/line", line),
            *erasure_routes(runtime),
        ]
    )
