"""What is read with GET, and webhooks. BentoML's own routes take POST alone, and count what waits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving.hooks.desk import HookDesk
from serving.hooks.routes import hook_routes
from serving.openapi import openapi_document
from serving.runtime import Runtime
from serving.salesforce import salesforce_document
from serving.watch import Watch

__all__ = ["side_routes"]


def side_routes(runtime: Runtime, watch: Watch) -> Starlette:
    """Return the application with ``/``, descriptions, counters, the line and webhooks, in front of BentoML's own.

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

    def salesforce(request: Request) -> Response:
        del request
        return JSONResponse(salesforce_document(runtime.settings.workspace.config.serve.public_url))

    def desk() -> HookDesk:
        return HookDesk(runtime.state, runtime.settings.workspace.config, score_held)

    def score_held(lead_id: str, now: datetime) -> Mapping[str, Any]:
        return runtime.scorer.score(json.dumps({"lead_id": lead_id}).encode(), None, now)

    return Starlette(
        routes=[
            Route("/", start_page),
            Route("/docs.json", docs),
            Route("/metrics", metrics),
            Route("/openapi/salesforce.json", salesforce),
            Route("/v1/line", line),
            *hook_routes(desk, lambda: datetime.now(UTC)),
        ]
    )
