"""How much one caller may ask for: requests in any 60 seconds, counted in this process."""

from __future__ import annotations

import hashlib
import ipaddress
import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.types import Scope

from serving.problems import Problem
from serving.routes import template_of

__all__ = ["Rates", "too_many"]

WRONG_KEYS_PER_MINUTE = 30
ADDRESS_GROUPS = 4_096
"""Addresses share so many counters: somebody with a million of them fills no memory, and right keys pass anyway."""


class Rates:
    """Counters of one service.

    Parameters
    ----------
    per_minute
        Most requests of one key, and of one group of addresses at routes that guard themselves.
    """

    def __init__(self, per_minute: int) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(per_minute)
        self._wrong = RateLimitItemPerMinute(WRONG_KEYS_PER_MINUTE)

    def wait_of_key(self, key_id: str) -> int:
        """Count a request of a key; seconds to wait when it is one too many, else 0."""
        return self._wait(self._requests, "key", key_id)

    def wait_of_address(self, scope: Scope) -> int:
        """Count a request without a key, by route and address; seconds to wait when it is one too many, else 0."""
        return self._wait(self._requests, template_of(scope["path"]), _group_of(scope))

    def wait_of_wrong_key(self, scope: Scope) -> int:
        """Count a wrong key, by address; seconds to wait when it is one too many, else 0."""
        return self._wait(self._wrong, "wrong", _group_of(scope))

    def _wait(self, limit: RateLimitItemPerMinute, *names: str) -> int:
        if self._limiter.hit(limit, *names):
            return 0
        return max(1, math.ceil(self._limiter.get_window_stats(limit, *names).reset_time - time.time()))


def _group_of(scope: Scope) -> str:
    """Return the counter of a client's address; of IPv6 that of its network, which one customer has whole."""
    client = scope.get("client")
    text = str(client[0]) if client else ""
    try:
        address = ipaddress.ip_address(text)
        if address.version == 6:
            text = str(ipaddress.ip_network((address, 64), strict=False))
    except ValueError:
        pass
    return str(int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % ADDRESS_GROUPS)


def too_many(seconds: int) -> Problem:
    """Return the problem of a caller who must wait.

    Examples
    --------
    >>> too_many(3).headers
    {'Retry-After': '3'}
    """
    return Problem(
        "too-many-requests",
        "Too many requests of one caller",
        429,
        f"Send it again after {seconds} s; batches score many leads in one request.",
        headers={"Retry-After": str(seconds)},
    )
