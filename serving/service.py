"""The BentoML service: native routes for scoring, the guards before them, and what is read with GET.

``bentoml serve serving.service:ScoringService`` serves the workspace in ``KIZASHI_WORKSPACE``; ``kizashi
serve`` does the same in one process. BentoML would validate bodies itself, answer with its own errors and log
the input with them, so its routes are given the body unread (:class:`_Unread`) and
:class:`serving.scorer.Scorer` reads it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, cast

import bentoml
import orjson
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response

from crm.errors import StateError
from serving.answering import Answering
from serving.asked import Asked
from serving.background import Background
from serving.bodies import BatchBody, ScoreBody
from serving.callers import REHEARSAL, caller_of
from serving.flat import FlatBody
from serving.garbage import release, settle
from serving.gauges import watch_state
from serving.guards import BodyGuard, ErrorGuard, TimeGuard, request_id_of
from serving.key_guard import KeyGuard
from serving.languages import language_for
from serving.posted import HandOffsBody, LeadsBody, OpportunitiesBody, StagesBody, TouchesBody
from serving.problems import ProblemError, problem_of_status, problem_response
from serving.rate_limit import Crowd, RateLimit
from serving.replies import BatchReply, FlatReply, ScoreReply, ToldReply
from serving.runtime import Runtime, settings_from
from serving.side_routes import side_routes
from serving.watch import Watch, start_log

__all__ = ["ScoringService", "make_service"]

TIMEOUT_SECONDS = 30
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


class _UnreadLeads(_Unread, LeadsBody):
    """The body of /v1/leads."""


class _UnreadTouches(_Unread, TouchesBody):
    """The body of /v1/touches."""


class _UnreadStages(_Unread, StagesBody):
    """The body of /v1/stages."""


class _UnreadHandOffs(_Unread, HandOffsBody):
    """The body of /v1/hand-offs."""


class _UnreadOpportunities(_Unread, OpportunitiesBody):
    """The body of /v1/opportunities."""


def make_service(runtime: Runtime, watch: Watch) -> bentoml.Service[Any]:  # noqa: C901 - one short method a route
    """Make the service of one workspace; nothing is read before it starts."""
    answering, background = Answering(runtime), Background(runtime)

    @bentoml.service(
        name="kizashi",
        workers=1,
        threads=THREADS,
        # TimeGuard is earlier, and ``kizashi serve`` goes without this one. How many at once is Crowd's, which does not
        # count bodies on their way.
        traffic={"timeout": TIMEOUT_SECONDS + 1},
        # BentoML counts and logs raw paths before any key is asked for: anyone could fill memory and log.
        metrics={"enabled": False},
        logging={"access": {"enabled": False}},
        # Its spans carry raw paths as well, and making them takes a sixth of a request's time even if none is exported.
        tracing={"excluded_urls": ".*"},
    )
    class ScoringService:
        def __init__(self) -> None:
            start_log(runtime.settings.workspace.config.serve.log)
            runtime.start()
            background.start()
            for name in ScoringService.apis:  # or BentoML makes each anew, signature and all, for every request
                self.__dict__[name] = getattr(self, name)
            settle()

        @bentoml.on_shutdown
        def thaw(self) -> None:
            release()
            background.stop()
            runtime.close()

        @bentoml.api(route="/v1/score", input_spec=_UnreadScore, output_spec=cast(Any, ScoreReply))
        async def score(self, body: bytes, /, ctx: bentoml.Context) -> Response:
            return await _answer(
                ctx, runtime, watch, lambda asked, may: answering.score(body, asked, may_replay=may("replay"))
            )

        @bentoml.api(route="/v1/score/batch", input_spec=_UnreadBatch, output_spec=cast(Any, BatchReply))
        async def score_batch(self, body: bytes, /, ctx: bentoml.Context) -> Response:
            return await _answer(
                ctx, runtime, watch, lambda asked, may: answering.score_batch(body, asked, may_replay=may("replay"))
            )

        @bentoml.api(route="/v1/leads", input_spec=_UnreadLeads, output_spec=cast(Any, ToldReply))
        async def leads(self, body: bytes, /, ctx: bentoml.Context) -> Response:
            return await _answer(ctx, runtime, watch, lambda asked, may: answering.tell("leads", body, asked))

        @bentoml.api(route="/v1/touches", input_spec=_UnreadTouches, output_spec=cast(Any, ToldReply))
        async def touches(self, body: bytes, /, ctx: bentoml.Context) -> Response:
            return await _answer(ctx, runtime, watch, lambda asked, may: answering.tell("touches", body, asked))

        @bentoml.api(route="/v1/stages", input_spec=_UnreadStages, output_spec=cast(Any, ToldReply))
        async def stages(self, body: bytes, /, ctx: bentoml.Context) -> Response:
            return await _answer(ctx, runtime, watch, lambda asked, may: answering.tell("stages", body, asked))

        @bentoml.api(route="/v1/hand-offs", input_spec=_UnreadHandOffs, output_spec=cast(Any, ToldReply))
        async def hand_offs(self, body: bytes, /, ctx: bentoml.Context) -> Response:
            return await _answer(ctx, runtime, watch, lambda asked, may: answering.tell("hand_offs", body, asked))

        @bentoml.api(route="/v1/opportunities", input_spec=_UnreadOpportunities, output_spec=cast(Any, ToldReply))
        async def opportunities(self, body: bytes, /, ctx: bentoml.Context) -> Response:
            return await _answer(ctx, runtime, watch, lambda asked, may: answering.tell("opportunities", body, asked))

        @bentoml.api(route="/v1/score/flat", input_spec=_UnreadFlat, output_spec=cast(Any, FlatReply))
        async def score_flat(self, body: bytes, /, ctx: bentoml.Context) -> Response:
            return await _answer(ctx, runtime, watch, lambda asked, may: answering.score_flat(body, asked))

    watch_state(runtime, watch)
    ScoringService.mount_asgi_app(side_routes(runtime, answering, watch))
    add_guard: Callable[..., None] = ScoringService.add_asgi_middleware  # BentoML's type asks for a nested callable
    add_guard(ErrorGuard, watch=watch)  # the first added is outermost
    add_guard(TimeGuard, seconds=TIMEOUT_SECONDS)
    add_guard(KeyGuard, runtime=runtime)
    add_guard(RateLimit, runtime=runtime)
    add_guard(BodyGuard, runtime=runtime)
    add_guard(Crowd)
    return ScoringService


Answer = Callable[[Asked, Callable[[str], bool]], Awaitable[dict[str, Any]]]


async def _answer(ctx: bentoml.Context, runtime: Runtime, watch: Watch, answer: Answer) -> Response:
    """Return the answer or the problem, whatever happens: BentoML would log an exception's message."""
    scope = ctx.request.scope
    request_id, caller = request_id_of(scope), caller_of(scope)
    language = language_for(
        ctx.request.headers.get("accept-language"), runtime.settings.workspace.config.workspace.language
    )
    asked = Asked(
        datetime.now(UTC),
        language,
        request_id=request_id,
        started=perf_counter(),
        is_rehearsal=caller is REHEARSAL,
    )
    try:
        content = await answer(asked, caller.may)
        response = Response(orjson.dumps(content), media_type="application/json")
    except ProblemError as error:
        response = problem_response(error.problem, request_id)
    except StateError as error:
        watch.failed(error, request_id)
        response = problem_response(problem_of_status(503), request_id)
    except Exception as error:  # the service's edge
        watch.failed(error, request_id)
        response = problem_response(problem_of_status(500), request_id)
    ctx.response.status_code = response.status_code  # BentoML writes the context's status over the response's
    return response


ScoringService = make_service(Runtime(lambda: settings_from(os.environ)), Watch(CollectorRegistry()))
