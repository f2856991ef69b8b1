"""Months and weeks of the business: in which a lead, an MQL or a hand-off falls, in the workspace's time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from crm.known import to_micros

__all__ = ["DAY_US", "Periods", "months_until", "weeks_until"]

DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Periods:
    """Periods that follow each other without a gap.

    Parameters
    ----------
    starts
        First day of each, ISO dates, in order.
    bounds_us
        Shape (periods + 1,): where they begin, and where the last one ends, microseconds since 1970 UTC.
    """

    starts: tuple[str, ...]
    bounds_us: NDArray[np.int64]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.starts)

    def place(self, moments_us: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the period of each moment, shape (n,); -1 for a moment outside of all, or for none (NaN)."""
        known = np.where(np.isfinite(moments_us), moments_us, float(self.bounds_us[0]) - 1.0)
        found = np.searchsorted(self.bounds_us, known, side="right") - 1
        return np.where((found >= 0) & (found < len(self)), found, -1).astype(np.int64)


def months_until(until: datetime, zone: str, count: int) -> Periods:
    """Return the calendar month of a moment and those before it.

    Parameters
    ----------
    until
        Timezone-aware; the last month holds it, unless it is that month's first moment.
    zone
        IANA name.
    count
        How many months.

    Examples
    --------
    >>> from datetime import UTC
    >>> months_until(datetime(2026, 7, 1, tzinfo=UTC), "UTC", 3).starts
    ('2026-04-01', '2026-05-01', '2026-06-01')
    """
    last = (until - timedelta(microseconds=1)).astimezone(ZoneInfo(zone))
    numbers = [last.year * 12 + last.month - 1 - back for back in range(count - 1, -2, -1)]
    firsts = [datetime(number // 12, number % 12 + 1, 1, tzinfo=ZoneInfo(zone)) for number in numbers]
    return _periods(firsts)


def weeks_until(until: datetime, zone: str, count: int) -> Periods:
    """Return the week (from Monday on) of a moment and those before it; see :func:`months_until`."""
    last = (until - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).date()
    monday = last - timedelta(days=last.weekday())
    days = [monday + timedelta(weeks=1 - back) for back in range(count, -1, -1)]
    return _periods([datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) for day in days])


def _periods(firsts: list[datetime]) -> Periods:
    bounds = np.array([to_micros(first) for first in firsts], dtype=np.int64)
    return Periods(tuple(first.date().isoformat() for first in firsts[:-1]), bounds)
