"""Which addresses are those of webhooks, and which of them may be written down."""

from __future__ import annotations

import re

from starlette.types import Scope

__all__ = ["is_hook", "named_path"]

_HOOK = re.compile(r"/v1/hooks/(hubspot|generic|odoo/[^/]{1,200})")
_WITH_TOKEN = "/v1/hooks/odoo/"  # noqa: S105 - what stands before a token


def is_hook(scope: Scope) -> bool:
    """Tell whether a request is a webhook: its sender shows no key, but signs, or knows an address."""
    return scope["type"] == "http" and scope["method"] == "POST" and bool(_HOOK.fullmatch(scope["path"]))


def named_path(path: str) -> str:
    """Return a path without the token that it ends with.

    Examples
    --------
    >>> named_path("/v1/hooks/odoo/s3cret"), named_path("/v1/score")
    ('/v1/hooks/odoo', '/v1/score')
    """
    return _WITH_TOKEN.rstrip("/") if path.startswith(_WITH_TOKEN) else path
