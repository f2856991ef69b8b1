"""Every route of the service and what a key must be allowed to do there: the one table of both.

What is not in the table does not exist, for whatever key: a route that somebody mounts and forgets here answers nobody,
rather than everybody. The log and the counters name routes as they stand here, so no id or token gets into them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["OPEN_PATHS", "ROUTES", "Route", "allowed_methods", "route_of", "template_of"]

OPEN_PATHS = frozenset({"/livez", "/readyz", "/healthz"})
"""The probes: no key, no limit."""


@dataclass(frozen=True)
class Route:
    """One route.

    Parameters
    ----------
    method
        GET stands for HEAD as well.
    template
        Its path; ``{name}`` is one part of it, which is never written down.
    scope
        What the key must be allowed to do; None for any key.
    guards_itself
        A caller without a key is let through: the route checks a signature, a token or a password of its own. A key
        that is shown all the same must be allowed.
    """

    method: str
    template: str
    scope: str | None = None
    guards_itself: bool = False
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = re.split(r"(\{\w+\})", self.template)
        text = "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts)
        object.__setattr__(self, "pattern", re.compile(text, re.DOTALL))


ROUTES: tuple[Route, ...] = (
    Route("GET", "/"),
    Route("GET", "/docs.json"),
    Route("GET", "/openapi/salesforce.json"),
    Route("GET", "/metrics", "metrics"),
    Route("POST", "/v1/score", "score"),
    Route("POST", "/v1/score/batch", "score"),
    Route("POST", "/v1/score/flat", "score"),
    Route("POST", "/v1/leads", "ingest"),
    Route("POST", "/v1/touches", "ingest"),
    Route("POST", "/v1/stages", "ingest"),
    Route("POST", "/v1/hand-offs", "ingest"),
    Route("POST", "/v1/opportunities", "ingest"),
    Route("GET", "/v1/leads", "read"),
    Route("GET", "/v1/leads/{lead_id}/scores", "read"),
    Route("GET", "/v1/line", "read"),
    Route("GET", "/v1/model", "read"),
    Route("DELETE", "/v1/leads/{lead_id}", "erase"),
    Route("POST", "/v1/leads/{lead_id}/objection", "erase"),
    Route("POST", "/v1/hooks/{source}", "hooks", guards_itself=True),
    Route("POST", "/v1/hooks/{source}/{token}", "hooks", guards_itself=True),
    Route("GET", "/board/login", "board", guards_itself=True),
    Route("POST", "/board/login", "board", guards_itself=True),
    Route("GET", "/board", "board", guards_itself=True),
    Route("GET", "/board/rows/{table}", "board:rows"),
)


def route_of(method: str, path: str) -> Route | None:
    """Return the route that answers, None where there is none.

    Examples
    --------
    >>> route_of("HEAD", "/v1/leads/L1/scores").scope
    'read'
    >>> route_of("DELETE", "/v1/score") is None
    True
    """
    verb = "GET" if method == "HEAD" else method
    return next((route for route in _at(path) if route.method == verb), None)


def allowed_methods(path: str) -> tuple[str, ...]:
    """Return the methods that a path has, none where there is no such path.

    Examples
    --------
    >>> allowed_methods("/v1/leads")
    ('POST', 'GET')
    """
    return tuple(route.method for route in _at(path))


def template_of(path: str) -> str:
    """Return how a path is written down.

    Examples
    --------
    >>> template_of("/v1/hooks/odoo/7c1f")
    '/v1/hooks/{source}/{token}'
    >>> template_of("/taro@example.com")
    'other'
    """
    if path in OPEN_PATHS:
        return path
    return next((route.template for route in _at(path)), "other")


def _at(path: str) -> Iterable[Route]:
    fixed = _FIXED.get(path)
    return fixed if fixed is not None else (route for route in _OPEN if route.pattern.fullmatch(path))


_FIXED: dict[str, list[Route]] = {}
for _route in ROUTES:
    if "{" not in _route.template:
        _FIXED.setdefault(_route.template, []).append(_route)
_OPEN = tuple(route for route in ROUTES if "{" in route.template)
