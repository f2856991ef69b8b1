"""The BentoML service: native routes for scoring, the guards before them, and what is read with GET.

``bentoml serve serving.service:ScoringService`` serves the workspace in ``KIZASHI_WORKSPACE``; ``kizashi
serve`` does the same in one process. BentoML would validate bodies itself, answer with its own errors and log
the input with them, so its routes are given the body unread (:class:`_Unread`) and
:class:`serving.scorer.Scorer` reads it.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import bentoml
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response

from serving.bodies import BatchBody, ScoreBody
from serving.flat import FlatBody, score_flat
from serving.guards import BodyGuard, ErrorGuard, request_id_of
from serving.key_guard import KeyGuard
from serving.problems import ProblemError, problem_of_status, problem_response
from serving.rate_limit import RateLimit
from serving.replies import BatchReply, FlatReply, ScoreReply
from serving.runtime import Runtime, settings_from
from serving.side_routes import side_routes
from serving.watch import Watch, start_log

__all__ = ["ScoringService", "make_service"]

TIMEOUT_SECONDS = 30
MAX_CONCURRENCY = 64
THREADS = 2


class _Unread(bentoml.IODescriptor):
    """A body that BentoML passes on as bytes."""

    __root_input__ = True

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> bytes:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the body as it came."""
        del serde
        return await request.body()


class _UnreadScore(_Unread, ScoreBody):
    """The body of /v1/score."""


class _UnreadFlat(_Unread, FlatBody):
    """The body of /v1/score/flat."""


class _UnreadBatch(_Unread, BatchBody):
    """The body of /v1/score/batch."""


def make_service(runtime: Runtime, watch: Watch) -> bentoml.Service[Any]:
    """Make the service of one workspace; nothing is read before it starts."""

    @bentoml.service(
        name="kizashi",
        workers=1,
        threads=THREADS,
        traffic={"timeout": TIMEOUT_SECONDS, "max_concurrency": MAX_CONCURRENCY},
        # BentoML counts and logs raw paths before any key is asked for: anyone could fill memory and log.
        metrics={"enabled": False},
        logging={"access": {"enabled": False}},
    )
    class ScoringService:
        def __init__(self) -> None:
            start_log(runtime.settings.workspace.config.serve.log)
            runtime.start()
            gc.collect()
            gc.freeze()  # full collections over the model's heap stall answers for 150 to 450 ms

        @bentoml.on_shutdown
        def thaw(self) -> None:
            gc.unfreeze()  # else libraries take what is frozen at exit for leaks, and say so at length

        @bentoml.api(route="/v1/score", input_spec=_UnreadScore, output_spec=cast(Any, ScoreReply))
        def score(self, body: bytes, /, ctx: bentoml.Context) -> Response:
            return _answer(ctx, watch, partial(runtime.scorer.score, body))

        @bentoml.api(route="/v1/score/batch", input_spec=_UnreadBatch, output_spec=cast(Any, BatchReply))
        def score_batch(self, body: bytes, /, ctx: bentoml.Context) -> Response:
            return _answer(ctx, watch, partial(runtime.scorer.score_batch, body))

        @bentoml.api(route="/v1/score/flat", input_spec=_UnreadFlat, output_spec=cast(Any, FlatReply))
        def score_flat(self, body: bytes, /, ctx: bentoml.Context) -> Response:
            return _answer(ctx, watch, partial(score_flat, runtime.scorer.score, body))

    ScoringService.mount_asgi_app(side_routes(runtime, watch))
    add_guard: Callable[..., None] = ScoringService.add_asgi_middleware  # BentoML's type asks for a nested callable
    add_guard(ErrorGuard, watch=watch)  # the first added is outermost
    add_guard(KeyGuard, runtime=runtime)
    add_guard(RateLimit, runtime=runtime)
    add_guard(BodyGuard, runtime=runtime)
    return ScoringService


Score = Callable[[str | None, datetime], dict[str, Any]]


def _answer(ctx: bentoml.Context, watch: Watch, score: Score) -> Response:
    """Return what was scored or the problem, whatever happens: BentoML would log an exception's message."""
    request_id = request_id_of(ctx.request.scope)
    try:
        content = score(ctx.request.headers.get("accept-language"), datetime.now(UTC))
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        response = Response(text.encode(), media_type="application/json")
    except ProblemError as error:
        response = problem_response(error.problem, request_id)
    except Exception as error:  # the service's edge
        watch.failed(error, request_id)
        response = problem_response(problem_of_status(500), request_id)
    ctx.response.status_code = response.status_code  # BentoML writes the context's status over the response's
    return response


ScoringService = make_service(Runtime(lambda: settings_from(os.environ)), Watch(CollectorRegistry()))
