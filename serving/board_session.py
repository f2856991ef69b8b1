"""Sessions of the board: a key is traded for a cookie that says which key it was, until when, and nothing secret.

The cookie is signed with the state's secret. What it may do is looked up with each request: a key that is revoked, or
that loses a scope, takes its sessions along.
"""

from __future__ import annotations

import base64
import hmac
from datetime import datetime, timedelta
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie

from starlette.types import Scope

from crm.known import to_micros

__all__ = ["BOARD_PATH", "COOKIE", "LIFETIME", "cookie_of", "make_session", "session_key_id"]

COOKIE = "kizashi_board"
BOARD_PATH = "/board"
LIFETIME = timedelta(hours=12)
_PURPOSE = b"kizashi board session 1"


def make_session(secret: bytes, key_id: str, now: datetime) -> str:
    """Return the value of a session's cookie.

    Parameters
    ----------
    secret
        The state's.
    key_id
        Of the key that was traded for it.
    now
        The clock. Timezone-aware.
    """
    content = f"{key_id}|{to_micros(now + LIFETIME)}".encode()
    return f"{_text(content)}.{_text(_signature(secret, content))}"


def session_key_id(secret: bytes, value: str, now: datetime) -> str | None:
    """Return whose session a cookie is; None for one that is over or that was not signed here.

    Examples
    --------
    >>> from datetime import UTC
    >>> noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    >>> session = make_session(b"secret", "k1", noon)
    >>> session_key_id(b"secret", session, noon), session_key_id(b"other", session, noon)
    ('k1', None)
    >>> session_key_id(b"secret", session, noon + LIFETIME) is None
    True
    """
    shown, _, signature = value.partition(".")
    content = _bytes(shown)
    if content is None or not hmac.compare_digest(_signature(secret, content), _bytes(signature) or b""):
        return None
    key_id, _, until = content.decode("utf-8", "replace").rpartition("|")
    return key_id if until.isdecimal() and to_micros(now) < int(until) else None


def cookie_of(scope: Scope) -> str | None:
    """Return the board's cookie of a request; None without one, or on any other path than the board's."""
    path = str(scope["path"])
    if path != BOARD_PATH and not path.startswith(f"{BOARD_PATH}/"):
        return None
    for name, value in scope["headers"]:
        if name == b"cookie":
            try:
                found = SimpleCookie(value.decode("latin-1")).get(COOKIE)
            except CookieError:
                continue
            if found is not None:
                return found.value
    return None


def _signature(secret: bytes, content: bytes) -> bytes:
    key = hmac.digest(secret, _PURPOSE, sha256)  # of its own, so that no other signature is one of these
    return hmac.digest(key, content, sha256)


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
