"""How long a client waits: what the CRM asked for, what its limit leaves, or ever longer, and at random."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["LONGEST_ASKED_S", "Pace", "Waiting", "backoff_s", "retry_after_s"]

MILLISECONDS_FROM = 1_000.0
"""A Retry-After of HubSpot from here on is taken for milliseconds, in which HubSpot writes and reads some: taken for
seconds it would stop deliveries for a quarter of an hour, while the other mistake costs one more call."""


LONGEST_ASKED_S = 3_600.0
"""How long a CRM is left alone that asks for more: it may have meant another unit, and scores grow old."""


@dataclass(frozen=True)
class Waiting:
    """The clock that waits are measured with, and how they are spent; tests put their own in.

    Parameters
    ----------
    monotonic
        Seconds that only rise.
    sleep
        Waits so many seconds.
    chance
        A number in [0, 1).
    """

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = field(default=random.random)


@dataclass
class Pace:
    """At most ``calls`` in any ``seconds``: the limit that a CRM sets per key.

    The CRM measures when calls arrive, not when they leave: ``slack_s`` keeps two of them that travelled at different
    speeds from falling into one span.
    """

    calls: int
    seconds: float
    waiting: Waiting
    slack_s: float = 0.25
    _sent: deque[float] = field(default_factory=deque, repr=False)

    def delay_s(self) -> float:
        """Return how long to wait before the next call, in seconds."""
        now, span = self.waiting.monotonic(), self.seconds + self.slack_s
        while self._sent and self._sent[0] <= now - span:
            self._sent.popleft()
        return self._sent[0] + span - now if len(self._sent) >= self.calls else 0.0

    def note(self) -> None:
        """Count a call that leaves now."""
        self._sent.append(self.waiting.monotonic())


def backoff_s(tries: int, chance: float, *, first_s: float, most_s: float) -> float:
    """Return how long to wait after ``tries`` vain tries: full jitter under a bound that doubles.

    Without the jitter, all who were turned away together would come back together.

    References
    ----------
    M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Examples
    --------
    >>> [backoff_s(tries, 0.5, first_s=1.0, most_s=60.0) for tries in (0, 1, 2, 9)]
    [0.5, 1.0, 2.0, 30.0]
    """
    return chance * min(most_s, first_s * 2.0 ** min(tries, 60))


def retry_after_s(value: str | None, date: str | None, *, may_be_milliseconds: bool = False) -> float | None:
    """Read a ``Retry-After``: seconds or a moment (RFC 9110, 10.2.3), from HubSpot perhaps milliseconds.

    Parameters
    ----------
    value
        The header.
    date
        The ``Date`` header of the same answer: a moment is counted from the CRM's own clock, which may not be ours.
    may_be_milliseconds
        Take a number from :data:`MILLISECONDS_FROM` on for milliseconds.

    Returns
    -------
    float or None
        Seconds, not negative; None without a header, or with one that says nothing.

    Examples
    --------
    >>> retry_after_s("7", None), retry_after_s("3600", None), retry_after_s("soon", None)
    (7.0, 3600.0, None)
    >>> retry_after_s("1500", None, may_be_milliseconds=True)
    1.5
    >>> retry_after_s("Mon, 02 Nov 2026 10:00:30 GMT", "Mon, 02 Nov 2026 10:00:00 GMT")
    30.0
    """
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        until, sent = _moment(value), _moment(date or "")
        return max(0.0, (until - sent).total_seconds()) if until and sent else None
    if not 0.0 <= number < 1e12:  # also not a number
        return None
    return number / 1_000.0 if may_be_milliseconds and number >= MILLISECONDS_FROM else number


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
