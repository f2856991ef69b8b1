"""Errors as problem documents (RFC 9457): what a client is told, without what it sent or how we work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from starlette.responses import Response

from crm.errors import RequestError

__all__ = [
    "MAX_ERRORS",
    "PROBLEM_TYPE",
    "FieldError",
    "Problem",
    "ProblemError",
    "invalid_request",
    "json_pointer",
    "missing_scope",
    "problem_of_status",
    "problem_response",
]

PROBLEM_TYPE = "application/problem+json"
MAX_ERRORS = 100
"""Errors listed in one answer; a batch can hold thousands, and a person reads the first few."""


@dataclass(frozen=True)
class FieldError:
    """One thing that is wrong with, or worth knowing of, one field.

    Parameters
    ----------
    field
        JSON pointer (RFC 6901) into the request's body, empty for the whole body.
    message
        What was expected. Never holds the value that was sent.
    """

    field: str
    message: str


@dataclass(frozen=True)
class Problem:
    """One problem document.

    Parameters
    ----------
    slug
        Tail of its ``type``.
    title
        The same words for every problem of the type.
    status
        HTTP status.
    detail
        What happened this time and what to do.
    errors
        Every field that is wrong.
    headers
        Further headers of the answer.
    """

    slug: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self, request_id: str) -> bytes:
        """Return the JSON text.

        Examples
        --------
        >>> print(problem_of_status(404).document("7f").decode())
        {"type":"urn:kizashi:problem:not-found","title":"There is nothing here","status":404,"detail":\
"GET /docs.json lists what there is.","instance":"urn:kizashi:request:7f"}
        """
        content: dict[str, object] = {
            "type": f"urn:kizashi:problem:{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": f"urn:kizashi:request:{request_id}",
        }
        if self.errors:
            content["errors"] = [asdict(error) for error in self.errors]
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()

    def with_headers(self, headers: Mapping[str, str]) -> Problem:
        """Return the same problem with further headers."""
        return replace(self, headers={**self.headers, **headers})


class ProblemError(RequestError):
    """A request that is answered with ``problem``; ``field`` is the first culprit."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(
            found=problem.title[0].lower() + problem.title[1:],
            expected="a request as /docs.json describes it",
            fix=problem.detail.rstrip("."),
            field=problem.errors[0].field if problem.errors else "",
        )


def json_pointer(*parts: str | int) -> str:
    """Return a JSON pointer.

    Examples
    --------
    >>> json_pointer("touches", 3, "happened_at")
    '/touches/3/happened_at'
    >>> json_pointer("lead", "a/b~c")
    '/lead/a~1b~0c'
    """
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def invalid_request(errors: Sequence[FieldError]) -> Problem:
    """Return the problem of a body that is JSON and still cannot be scored; nothing of it was.

    Examples
    --------
    >>> invalid_request([FieldError("/lead", "is required")]).detail
    '1 field is wrong; nothing was scored. Correct it and send it all again.'
    """
    count = len(errors)
    shown = f" The first {MAX_ERRORS} are listed." if count > MAX_ERRORS else ""
    what = "1 field is" if count == 1 else f"{count:,} fields are"
    these = "it" if count == 1 else "them"
    detail = f"{what} wrong; nothing was scored.{shown} Correct {these} and send it all again."
    return Problem("invalid-request", "The request cannot be understood", 422, detail, tuple(errors[:MAX_ERRORS]))


def missing_scope(scope: str) -> Problem:
    """Return the problem of a key that may not do what it was shown for.

    Examples
    --------
    >>> missing_scope("erase").headers
    {'WWW-Authenticate': 'Bearer realm="kizashi", error="insufficient_scope", scope="erase"'}
    """
    return Problem(
        "forbidden",
        "The key may not do this",
        403,
        f"The key lacks the scope '{scope}'; 'kizashi keys create NAME --scope {scope}' makes one that has it.",
        headers={"WWW-Authenticate": f'Bearer realm="kizashi", error="insufficient_scope", scope="{scope}"'},
    )


def problem_of_status(status: int) -> Problem:
    """Return the problem of a status that has no more to say.

    Examples
    --------
    >>> problem_of_status(503).headers
    {'Retry-After': '1'}
    >>> problem_of_status(418).slug
    'refused'
    """
    if status in _BY_STATUS:
        slug, title, detail = _BY_STATUS[status]
    elif status >= 500:
        slug, title, detail = _BY_STATUS[500]
    else:
        slug, title, detail = "refused", "The request was refused", "GET /docs.json tells what is accepted."
    return Problem(slug, title, status, detail, headers={"Retry-After": "1"} if status in (429, 503) else {})


_BY_STATUS: Mapping[int, tuple[str, str, str]] = {
    400: ("bad-request", "The request cannot be read", "Send one JSON object in UTF-8."),
    401: (
        "unauthorized",
        "The key is missing or wrong",
        "Send 'Authorization: Bearer KEY' or 'X-API-Key: KEY'; 'kizashi keys create' makes keys.",
    ),
    404: ("not-found", "There is nothing here", "GET /docs.json lists what there is."),
    405: ("method-not-allowed", "This route has another method", "The header Allow names it."),
    408: ("slow-body", "The request did not come in time", "Send it in one go, or fewer leads at once."),
    413: ("too-large", "The request is too large", "Send fewer leads, or fewer touches a lead."),
    415: (
        "unsupported-media-type",
        "The request is not JSON",
        "Send 'Content-Type: application/json' in UTF-8, not compressed.",
    ),
    429: ("busy", "Too many requests at once", "Send it again after a moment."),
    431: ("headers-too-large", "The headers are too large", "Send fewer of them, 32 kB at most."),
    500: (
        "internal",
        "The service failed",
        "Nothing is wrong with your request that we know of; the instance finds it in the log.",
    ),
    503: ("unavailable", "The service is not ready", "Send it again after a moment."),
    504: ("timeout", "The answer took too long", "Send fewer leads, or fewer touches a lead."),
}


def problem_response(problem: Problem, request_id: str) -> Response:
    """Return a problem as a Starlette response."""
    return Response(problem.document(request_id), problem.status, dict(problem.headers), PROBLEM_TYPE)
