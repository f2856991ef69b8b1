"""How much one caller may ask for: requests in any 60 seconds, counted in this process."""

from __future__ import annotations

import hashlib
import ipaddress
import math
import time
from collections import deque
from collections.abc import Callable

from starlette.types import Scope

from serving.problems import Problem
from serving.routes import template_of

__all__ = ["Rates", "too_many"]

WINDOW_SECONDS = 60.0
WRONG_KEYS_PER_MINUTE = 30
ADDRESS_GROUPS = 4_096
"""Addresses share so many counters: somebody with a million of them fills no memory, and right keys pass anyway."""


class Rates:
    """Counters of one service, for one thread.

    The moments of the last minute's requests are kept, so that a limit holds for every 60 seconds and not for those of
    the clock; they are as many as the limit at most. ADR 0018 says why no library does this.

    Parameters
    ----------
    per_minute
        Most requests of one key, and of one group of addresses at routes that guard themselves.
    clock
        Seconds that only grow.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._moments: dict[tuple[str, str], deque[float]] = {}
        self._looked_through = clock()

    def wait_of_key(self, key_id: str) -> int:
        """Count a request of a key; seconds to wait when it is one too many, else 0."""
        return self._wait(self._per_minute, "key", key_id)

    def wait_of_address(self, scope: Scope) -> int:
        """Count a request without a key, by route and address; seconds to wait when it is one too many, else 0."""
        return self._wait(self._per_minute, template_of(scope["path"]), _group_of(scope))

    def wait_of_wrong_key(self, scope: Scope) -> int:
        """Count a wrong key, by address; seconds to wait when it is one too many, else 0."""
        return self._wait(WRONG_KEYS_PER_MINUTE, "wrong", _group_of(scope))

    def _wait(self, limit: int, what: str, who: str) -> int:
        now = self._clock()
        start = now - WINDOW_SECONDS
        if self._looked_through < start:
            self._looked_through = now
            self._moments = {one: moments for one, moments in self._moments.items() if moments[-1] > start}
        moments = self._moments.setdefault((what, who), deque())
        while moments and moments[0] <= start:
            moments.popleft()
        if len(moments) < limit:
            moments.append(now)
            return 0
        return max(1, math.ceil(moments[0] - start))


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
