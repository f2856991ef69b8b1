"""The board over HTTP: the page that ``kizashi align`` wrote, the rows behind it, and the login.

Pages and rows are files. Whoever may not see owners' names gets those in which owners are numbers. Each download of rows
is written into the audit before it is answered.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import orjson
from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from crm.audit import AuditRow, write_audit
from crm.errors import StateError
from pages.board import board_policy
from pages.board_login import login_policy, render_login
from pages.words import Language
from serving.access import AccessDownError
from serving.board_session import BOARD_PATH, COOKIE, LIFETIME, make_session
from serving.callers import ANONYMOUS, Caller, caller_of, notes_of
from serving.guards import request_id_of
from serving.languages import language_for
from serving.problems import Problem, missing_scope, problem_of_status, problem_response
from serving.rates import too_many
from serving.runtime import Runtime
from serving.watch import Watch

__all__ = ["board_routes"]

LOGIN_PATH = f"{BOARD_PATH}/login"
_ROWS = re.compile(r"[a-z0-9_]{1,80}\.csv")
_NOT_MADE = Problem("no-board", "There is no board yet", 404, "Make it with 'kizashi align', for example every night.")
MAX_KEY = 4_000


def board_routes(runtime: Runtime, watch: Watch) -> list[Route]:
    """Return ``GET /board``, ``GET /board/rows/{table}``, and ``GET`` and ``POST /board/login``."""

    def answering(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            request_id = request_id_of(request.scope)
            try:
                return await answer(request)
            except (StateError, SQLAlchemyError) as error:
                watch.failed(error, request_id)
                return problem_response(problem_of_status(503), request_id)

        return guarded

    async def page(request: Request) -> Response:
        request_id = request_id_of(request.scope)
        if caller_of(request.scope) is ANONYMOUS:
            if "text/html" in request.headers.get("accept", ""):
                return RedirectResponse(LOGIN_PATH, 303)
            challenge = {"WWW-Authenticate": 'Bearer realm="kizashi"'}
            return problem_response(problem_of_status(401).with_headers(challenge), request_id)
        path = _folder(runtime, caller_of(request.scope)) / f"board.{_language(request, runtime)}.html"
        if not path.is_file():
            return problem_response(_NOT_MADE, request_id)
        notes_of(request.scope).policy = f"{board_policy()}; frame-ancestors 'none'"
        return FileResponse(path, media_type="text/html")

    async def rows(request: Request) -> Response:
        caller, request_id = caller_of(request.scope), request_id_of(request.scope)
        name = str(request.path_params["table"])
        path = _folder(runtime, caller) / "rows" / name
        if not _ROWS.fullmatch(name) or not path.is_file():
            return problem_response(problem_of_status(404), request_id)
        detail = {"table": name.removesuffix(".csv"), "owners": caller.may("board:owners")}
        row = AuditRow(datetime.now(UTC), caller.key_id, "board_rows", request_id=request_id, detail=detail)
        await run_sync(_audit, runtime, row)
        return FileResponse(path, media_type="text/csv", filename=name)

    async def login_page(request: Request) -> Response:
        language = _language(request, runtime)
        notes_of(request.scope).policy = f"{login_policy()}; frame-ancestors 'none'"
        return HTMLResponse(render_login(language, was_wrong="wrong" in request.query_params))

    async def login(request: Request) -> Response:
        request_id, is_form = request_id_of(request.scope), _is_form(request)
        key = _key_of(await request.body(), is_form=is_form)
        caller, problem = await _trade(key, request)
        if problem is not None:
            if is_form and problem.status in (401, 403):
                return RedirectResponse(f"{LOGIN_PATH}?wrong=1", 303)
            return problem_response(problem, request_id)
        row = AuditRow(datetime.now(UTC), caller.key_id, "board_login", request_id=request_id)
        await run_sync(_audit, runtime, row)
        response = RedirectResponse(BOARD_PATH, 303) if is_form else Response(status_code=204)
        public = runtime.settings.workspace.config.serve.public_url or ""
        response.set_cookie(
            COOKIE,
            make_session(runtime.secret, caller.key_id, datetime.now(UTC)),
            max_age=int(LIFETIME.total_seconds()),
            path=BOARD_PATH,
            secure=request.url.scheme == "https" or public.startswith("https://"),
            httponly=True,
            samesite="strict",
        )
        return response

    async def _trade(key: bytes, request: Request) -> tuple[Caller, Problem | None]:
        shown = caller_of(request.scope)
        try:
            found = shown if shown is not ANONYMOUS else await runtime.access.caller_of(key, datetime.now(UTC))
        except AccessDownError:
            return ANONYMOUS, problem_of_status(503)
        if found is None:
            seconds = runtime.rates.wait_of_wrong_key(request.scope)
            return ANONYMOUS, too_many(seconds) if seconds else problem_of_status(401)
        return found, None if found.may("board") else missing_scope("board")

    return [
        Route(BOARD_PATH, answering(page)),
        Route(f"{BOARD_PATH}/rows/{{table}}", answering(rows)),
        Route(LOGIN_PATH, login_page),
        Route(LOGIN_PATH, answering(login), methods=["POST"]),
    ]


def _folder(runtime: Runtime, caller: Caller) -> Path:
    folder = runtime.settings.workspace.board_folder
    return folder / "owners" if caller.may("board:owners") else folder


def _language(request: Request, runtime: Runtime) -> Language:
    asked = request.query_params.get("lang")
    if asked in ("en", "ja"):
        return asked
    return language_for(request.headers.get("accept-language"), runtime.settings.workspace.config.workspace.language)


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def _key_of(body: bytes, *, is_form: bool) -> bytes:
    """Return the key in a login, nothing for a body that has none."""
    if len(body) > MAX_KEY:
        return b""
    if is_form:
        return parse_qs(body.decode("utf-8", "replace")).get("key", [""])[0].strip().encode()
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return b""
    key = content.get("key") if isinstance(content, dict) else None
    return key.strip().encode() if isinstance(key, str) else b""


def _audit(runtime: Runtime, row: AuditRow) -> None:
    with runtime.state.writing() as connection:
        write_audit(connection, row)
