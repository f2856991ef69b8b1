"""Business time: hours that a team is at work, across weekends, holidays and changes of the clock.

A calendar is a list of open spans in UTC. Business time passes inside them alone, so a clock that starts at night moves
to the next open minute by itself, and the time between two moments is the difference of what has passed by each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import holidays
import numpy as np
from numpy.typing import NDArray

from crm.config_sla import HoursConfig, SlaConfig
from crm.known import from_micros, to_micros

__all__ = ["HOUR_US", "BusinessHours", "Calendars", "business_hours"]

Matrix = NDArray[np.float64]
HOUR_US = 3_600_000_000
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class BusinessHours:
    """When a team is at work.

    Parameters
    ----------
    opens_us, closes_us
        Shape (spans,): ends of the open spans, microseconds since 1970 UTC, in order and apart.
    passed_us
        Shape (spans + 1,): business time that has passed when each span opens; the last is all of it.
    """

    opens_us: Matrix
    closes_us: Matrix
    passed_us: Matrix

    def passed(self, moments_us: Matrix) -> Matrix:
        """Return the business time that has passed by each moment, hours; NaN for none."""
        known = np.nan_to_num(moments_us, nan=0.0)
        span = np.clip(np.searchsorted(self.opens_us, known, side="right") - 1, 0, None)
        inside = np.clip(known - self.opens_us[span], 0.0, self.closes_us[span] - self.opens_us[span])
        return np.where(np.isfinite(moments_us), (self.passed_us[span] + inside) / HOUR_US, np.nan)

    def between(self, start_us: Matrix, end_us: Matrix) -> Matrix:
        """Return the business hours from one moment to a later one, shape (n,); NaN where either is none."""
        return self.passed(end_us) - self.passed(start_us)

    def after(self, start_us: Matrix, hours: float) -> Matrix:
        """Return when so many business hours after each moment have passed, microseconds since 1970 UTC, shape (n,).

        NaN where that lies beyond the calendar.
        """
        wanted = (self.passed(start_us) + hours) * HOUR_US
        span = np.clip(np.searchsorted(self.passed_us, np.nan_to_num(wanted), side="left") - 1, 0, None)
        span = np.minimum(span, len(self.opens_us) - 1)
        found = self.opens_us[span] + wanted - self.passed_us[span]
        return np.where(wanted <= self.passed_us[-1], found, np.nan)


def business_hours(hours: HoursConfig, zone: str, first: datetime, last: datetime) -> BusinessHours:
    """Lay out the open spans of a team over a range of days.

    Parameters
    ----------
    hours
        The team's hours.
    zone
        Zone where they name none.
    first, last
        Moments that the calendar has to cover. Timezone-aware.

    Examples
    --------
    Friday 17:00 to Monday 10:00 in Tokyo are two business hours.

    >>> from datetime import UTC
    >>> friday, monday = datetime(2026, 7, 3, 8, tzinfo=UTC), datetime(2026, 7, 6, 1, tzinfo=UTC)
    >>> calendar = business_hours(HoursConfig(), "Asia/Tokyo", friday, monday)
    >>> float(calendar.between(np.array([to_micros(friday)]), np.array([to_micros(monday)]))[0])
    2.0
    """
    place = ZoneInfo(hours.timezone or zone)
    day = first.astimezone(place).date() - timedelta(days=1)
    end = last.astimezone(place).date() + timedelta(days=1)
    off = _days_off(hours, day, end)
    spans: list[tuple[int, int]] = []
    while day <= end:
        if WEEKDAYS[day.weekday()] in hours.days and day not in off:
            span = (_moment(day, hours.opens, place), _moment(day, hours.closes, place))
            spans += [span] if span[0] < span[1] else []  # else an hour that the clock leaves out
        day += timedelta(days=1)
    if not spans:  # closed on every day: nothing ever comes due
        spans.append((to_micros(last), to_micros(last)))
    opens, closes = np.array(spans, dtype=np.float64).T
    return BusinessHours(opens, closes, np.concatenate([[0.0], np.cumsum(closes - opens)]))


def _moment(day: date, clock: time, place: ZoneInfo) -> int:
    if clock == time.max:
        day, clock = day + timedelta(days=1), time(0)
    return to_micros(datetime.combine(day, clock, tzinfo=place))


def _days_off(hours: HoursConfig, first: date, last: date) -> set[date]:
    off = set(hours.closed_on)
    if hours.country is not None:
        years = range(first.year, last.year + 1)
        off |= set(holidays.country_holidays(hours.country, subdiv=hours.subdivision, years=years))
    return off


class Calendars:
    """Business hours of each team of an agreement, over one range of days.

    Parameters
    ----------
    sla
        The agreement.
    zone
        The workspace's zone.
    first_us, last_us
        Moments to cover, microseconds since 1970 UTC.
    """

    def __init__(self, sla: SlaConfig, zone: str, first_us: float, last_us: float) -> None:
        first, last = from_micros(int(first_us)), from_micros(int(last_us))
        # Terms come due after the end of what was observed.
        ahead = last + timedelta(days=400)
        self._usual = business_hours(sla.hours, zone, first, ahead)
        self._own: Mapping[str, BusinessHours] = {
            team: business_hours(hours, zone, first, ahead) for team, hours in sla.hours_of_team.items()
        }

    def between(self, team: NDArray[np.object_], start_us: Matrix, end_us: Matrix) -> Matrix:
        """Return the business hours of each row's team between two moments, shape (n,)."""
        found = self._usual.between(start_us, end_us)
        for name, calendar in self._own.items():
            rows = team == name
            found[rows] = calendar.between(start_us[rows], end_us[rows])
        return found

    def after(self, team: NDArray[np.object_], start_us: Matrix, hours: Matrix) -> Matrix:
        """Return when each row's hours have passed, microseconds since 1970 UTC, shape (n,)."""
        found = np.full(len(start_us), np.nan)
        for term in np.unique(hours):
            same = hours == term
            found[same] = self._usual.after(start_us[same], float(term))
            for name, calendar in self._own.items():
                rows = same & (team == name)
                found[rows] = calendar.after(start_us[rows], float(term))
        return found
