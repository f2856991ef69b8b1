"""Business time against a count of open minutes, over weekends, holidays and changes of the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from alignment.business_hours import Calendars, business_hours
from crm.config_sla import HoursConfig, SlaConfig
from crm.known import from_micros, to_micros

FIRST, LAST = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def hours(**values: Any) -> HoursConfig:
    return HoursConfig.model_validate(values)


def _open_minutes(config: HoursConfig, start: datetime, end: datetime, off: set[date]) -> int:
    place, count = ZoneInfo(config.timezone or "UTC"), 0
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    while start < end:
        local = start.astimezone(place)
        is_day = days[local.weekday()] in config.days and local.date() not in off
        count += is_day and config.opens <= local.time() < config.closes
        start += MINUTE
    return count


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York", "Europe/Berlin"]),
    st.integers(0, 28 * 1440),
    st.integers(0, 10 * 1440),
)
def test_it_counts_open_minutes_also_where_the_clock_changes(zone: str, start: int, length: int) -> None:
    """New York changes on 8 March 2026, Berlin on 29 March."""
    config = hours(timezone=zone, opens="09:30", closes="18:00", closed_on=[date(2026, 3, 17)])
    begin = FIRST + start * MINUTE
    end = begin + length * MINUTE
    calendar = business_hours(config, "UTC", FIRST, LAST)
    got = calendar.between(np.array([float(to_micros(begin))]), np.array([float(to_micros(end))]))[0]
    assert got * 60 == pytest.approx(_open_minutes(config, begin, end, {date(2026, 3, 17)}))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 28 * 1440), st.integers(1, 60))
def test_a_term_is_over_once_its_hours_have_passed(start: int, term: int) -> None:
    calendar = business_hours(hours(timezone="Asia/Tokyo"), "UTC", FIRST, LAST)
    begin = np.array([float(to_micros(FIRST + start * MINUTE))])
    due = calendar.after(begin, float(term))
    assert calendar.between(begin, due)[0] == pytest.approx(term)
    assert calendar.between(begin, due - 60e6)[0] < term  # no earlier moment would do


def test_a_clock_that_starts_at_night_moves_to_the_next_open_minute() -> None:
    calendar = business_hours(hours(timezone="Asia/Tokyo"), "UTC", FIRST, LAST)
    saturday = float(to_micros(datetime(2026, 3, 7, 3, tzinfo=UTC)))
    due = calendar.after(np.array([saturday]), 1.0)[0]
    assert from_micros(int(due)).astimezone(ZoneInfo("Asia/Tokyo")).isoformat() == "2026-03-09T10:00:00+09:00"


def test_public_holidays_are_no_working_days() -> None:
    """20 March 2026 is the vernal equinox in Japan, a Friday."""
    friday, monday = (np.array([float(to_micros(datetime(2026, 3, d, tzinfo=UTC)))]) for d in (20, 23))
    with_holidays = business_hours(hours(timezone="Asia/Tokyo", country="JP"), "UTC", FIRST, LAST)
    without = business_hours(hours(timezone="Asia/Tokyo"), "UTC", FIRST, LAST)
    assert with_holidays.between(friday, monday)[0] == 0
    assert without.between(friday, monday)[0] == 9


def test_a_day_may_be_open_around_the_clock() -> None:
    config = hours(opens="00:00", closes="24:00", days=["mon", "tue", "wed", "thu", "fri", "sat", "sun"])
    assert config.closes == time.max
    calendar = business_hours(config, "UTC", FIRST, LAST)
    start, end = (np.array([float(to_micros(FIRST + step))]) for step in (timedelta(hours=5), timedelta(hours=77)))
    assert calendar.between(start, end)[0] == pytest.approx(72)


def test_each_team_has_its_own_hours() -> None:
    sla = SlaConfig.model_validate({"hours_of_team": {"tokyo": {"timezone": "Asia/Tokyo"}}})
    calendars = Calendars(sla, "UTC", float(to_micros(FIRST)), float(to_micros(LAST)))
    start = np.full(2, float(to_micros(datetime(2026, 3, 2, tzinfo=UTC))))  # 09:00 in Tokyo
    end = start + 3_600_000_000.0
    team = np.array(["tokyo", "london"], dtype=object)
    assert calendars.between(team, start, end).tolist() == [1.0, 0.0]
    due = calendars.after(team, start, np.array([1.0, 1.0]))
    assert [from_micros(int(moment)).hour for moment in due] == [1, 10]


def test_what_never_happened_has_no_hours() -> None:
    calendar = business_hours(hours(), "UTC", FIRST, LAST)
    assert np.isnan(calendar.between(np.array([float(to_micros(FIRST))]), np.array([np.nan]))[0])
    assert np.isnan(calendar.after(np.array([float(to_micros(FIRST))]), 1e6)[0])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"opens": "18:00", "closes": "09:00"}, "does not lie after opens"),
        ({"opens": "9 am"}, "no time of day"),
        ({"country": "Atlantis"}, "no known holidays"),
        ({"timezone": "Mars/Base"}, "no time zone"),
        ({"days": []}, "at least 1"),
    ],
)
def test_hours_that_make_no_sense_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        hours(**values)
