"""The board over HTTP: the page that ``kizashi align`` wrote, the rows behind it, and the login.

Pages and rows are files. Whoever may not see owners' names gets those in which owners are numbers. Each download of
rows is written into the audit before it is answered.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from crm.audit import Action, AuditRow, write_audit
from crm.errors import StateError
from pages.board import board_policy
from pages.board_login import login_policy, render_login
from pages.words import Language
from serving.access import AccessDownError
from serving.board_session import BOARD_PATH, COOKIE, LIFETIME, make_session
from serving.callers import ANONYMOUS, Caller, caller_of, notes_of
from serving.guards import request_id_of
from serving.languages import language_for
from serving.problems import Problem, ProblemError, missing_scope, problem_of_status, problem_response
from serving.rates import too_many
from serving.runtime import Runtime
from serving.watch import Watch

__all__ = ["board_routes"]

LOGIN_PATH = f"{BOARD_PATH}/login"
_ROWS = re.compile(r"[a-z0-9_]{1,80}\.csv")
_NOT_MADE = Problem(
    "no-board",
    "There is no board",
    404,
    "Make it with 'kizashi align', for example every night; an erasure takes away the one that names the lead.",
)
_FOREIGN = Problem("foreign-login", "The login came from another site", 403, "Open the board's own login page.")
_LANGUAGES = Problem("unknown-language", "The board is not in that language", 422, "Give lang=en or lang=ja.")
_NO_BODY = Problem("no-login", "There is no key in the body", 422, 'Send {"key": "KEY"}, of at most 4,000 characters.')
_NO_KEY = Problem("no-key", "An access token makes no session", 403, "Log in with an API key of the scope board.")
MAX_KEY = 4_000


def board_routes(runtime: Runtime, watch: Watch) -> list[Route]:
    """Return ``GET /board``, ``GET /board/rows/{table}``, and ``GET`` and ``POST /board/login``."""
    desk = _Desk(runtime)

    def answering(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            request_id = request_id_of(request.scope)
            try:
                return await answer(request)
            except ProblemError as error:
                return problem_response(error.problem, request_id)
            except (StateError, SQLAlchemyError) as error:
                watch.failed(error, request_id)
                return problem_response(problem_of_status(503), request_id)

        return guarded

    return [
        Route(BOARD_PATH, answering(desk.page)),
        Route(f"{BOARD_PATH}/rows/{{table}}", answering(desk.rows)),
        Route(LOGIN_PATH, answering(desk.login_page)),
        Route(LOGIN_PATH, answering(desk.login), methods=["POST"]),
    ]


class _Desk:
    """Answers for the board of one workspace; a refusal is raised as ``ProblemError``."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    async def page(self, request: Request) -> Response:
        """Answer with the page, and a browser without a key with the way to the login."""
        caller = caller_of(request.scope)
        if caller is ANONYMOUS:
            if "text/html" in request.headers.get("accept", ""):
                return RedirectResponse(LOGIN_PATH, 303)
            challenge = {"WWW-Authenticate": 'Bearer realm="kizashi"'}
            raise ProblemError(problem_of_status(401).with_headers(challenge))
        path = self._folder(caller) / f"board.{self._language(request)}.html"
        if not path.is_file():
            raise ProblemError(_NOT_MADE)
        notes_of(request.scope).policy = f"{board_policy()}; frame-ancestors 'none'"
        return FileResponse(path, media_type="text/html")

    async def rows(self, request: Request) -> Response:
        """Answer with a file of rows, once the audit has the download."""
        caller, name = caller_of(request.scope), str(request.path_params["table"])
        path = self._folder(caller) / "rows" / name
        if not _ROWS.fullmatch(name) or not path.is_file():
            raise ProblemError(problem_of_status(404))
        detail = {"table": name.removesuffix(".csv"), "owners": caller.may("board:owners")}
        if request.method != "HEAD":
            await self._note("board_rows", caller, request, detail)
        return FileResponse(path, media_type="text/csv", filename=name)

    async def login_page(self, request: Request) -> Response:
        """Answer with the page on which a key is given."""
        notes_of(request.scope).policy = f"{login_policy()}; frame-ancestors 'none'"
        return HTMLResponse(render_login(self._language(request), was_wrong="wrong" in request.query_params))

    async def login(self, request: Request) -> Response:
        """Trade a key for a cookie."""
        is_form = _is_form(request)
        if _is_foreign(request):
            raise ProblemError(_FOREIGN)
        try:
            caller = await self._caller(_key_of(await request.body(), is_form=is_form), request)
        except ProblemError as error:
            if is_form and error.problem.status in (401, 403):
                language = f"&lang={asked}" if (asked := request.query_params.get("lang")) in ("en", "ja") else ""
                return RedirectResponse(f"{LOGIN_PATH}?wrong=1{language}", 303)
            raise
        await self._note("board_login", caller, request, None)
        response = RedirectResponse(BOARD_PATH, 303) if is_form else Response(status_code=204)
        public = self.runtime.settings.workspace.config.serve.public_url or ""
        response.set_cookie(
            COOKIE,
            make_session(self.runtime.secret, self.runtime.access.session_id(caller.key_id), datetime.now(UTC)),
            max_age=int(LIFETIME.total_seconds()),
            path=BOARD_PATH,
            secure=request.url.scheme == "https" or public.startswith("https://"),
            httponly=True,
            samesite="strict",
        )
        return response

    async def _caller(self, key: bytes, request: Request) -> Caller:
        """Return who may see the board by a key."""
        try:
            found = await self.runtime.access.caller_of(key, datetime.now(UTC)) if key else None
        except AccessDownError:
            raise ProblemError(problem_of_status(503)) from None
        if found is None:
            seconds = self.runtime.rates.wait_of_wrong_key(request.scope)
            key_id = self.runtime.access.key_id_of(key)
            await self.runtime.refusals.note(key_id, 401, request_id_of(request.scope), datetime.now(UTC))
            raise ProblemError(too_many(seconds) if seconds else problem_of_status(401))
        if not found.may("board"):
            raise ProblemError(missing_scope("board"))
        session_id = self.runtime.access.session_id(found.key_id)
        if await self.runtime.access.caller_of_session(session_id, datetime.now(UTC)) is None:
            raise ProblemError(_NO_KEY)  # an access token ends on its own; a session could not follow it
        return found

    async def _note(self, action: Action, caller: Caller, request: Request, detail: Mapping[str, Any] | None) -> None:
        row = AuditRow(datetime.now(UTC), caller.key_id, action, request_id=request_id_of(request.scope), detail=detail)

        def write() -> None:
            with self.runtime.state.writing() as connection:
                write_audit(connection, row)

        await run_sync(write)

    def _folder(self, caller: Caller) -> Path:
        folder = self.runtime.settings.workspace.board_folder
        return folder / "owners" if caller.may("board:owners") else folder

    def _language(self, request: Request) -> Language:
        asked = request.query_params.get("lang")
        if asked in ("en", "ja"):
            return asked
        if asked is not None:
            raise ProblemError(_LANGUAGES)
        default = self.runtime.settings.workspace.config.workspace.language
        return language_for(request.headers.get("accept-language"), default)


def _is_foreign(request: Request) -> bool:
    """Tell whether a browser says that another site sent this: nobody is to be logged in under somebody else's key.

    From a page that sends no referrer, browsers call the origin null, and only ``Sec-Fetch-Site`` tells.
    """
    if (site := request.headers.get("sec-fetch-site")) is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def _key_of(body: bytes, *, is_form: bool) -> bytes:
    """Return the key in a login: of a form perhaps an empty one, of JSON what the document says a key is."""
    if is_form:
        return parse_qs(body.decode("utf-8", "replace")).get("key", [""])[0].strip().encode()
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ProblemError(problem_of_status(400)) from None
    key = content.get("key") if isinstance(content, dict) else None
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY:
        raise ProblemError(_NO_BODY)
    return key.strip().encode()
