"""What every section of the board needs: the reader's words, how numbers are written, and who may be named."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from crm.known import from_micros
from models.intervals import Interval
from pages.chart_parts import linear_ticks
from pages.formats import Formats, Shown
from pages.report_parts import Definition
from pages.words import Words

__all__ = ["FEWEST_SHOWN", "BoardContext", "known", "share_ticks"]

FEWEST_SHOWN = 5
"""Groups of fewer people are not shown: their numbers would be those of persons."""


@dataclass(frozen=True)
class BoardContext:
    """A reader's board.

    Parameters
    ----------
    words, formats
        In the reader's language.
    timezone
        Of the workspace.
    owners
        What each owner is called on this board: a number, or the owner's own name for who may see it.
    """

    words: Words
    formats: Formats
    timezone: str
    owners: Mapping[str, str]

    def owner(self, name: str) -> str:
        """Return what an owner is called on this board."""
        return self.owners.get(name, "")

    def day(self, micros: float | None) -> str:
        """Return the day of a moment (microseconds since 1970 UTC) in the workspace's zone."""
        if micros is None or not math.isfinite(micros):
            return self.words("common.blank")
        return self.formats.moment(self._local(micros).date().isoformat())

    def month(self, iso: str) -> str:
        """Return an ISO date's month, short, with the year."""
        day = datetime.fromisoformat(iso)
        names = self.words("date.months").split()
        return self.words("board.month", month=names[day.month - 1], year=f"{day.year % 100:02d}")

    def hours(self, hours: float) -> str:
        """Return hours without their unit; a blank where there is no number."""
        return self.formats.number(hours, 0 if hours >= 99.5 else 1) if math.isfinite(hours) else self.blank

    @property
    def blank(self) -> str:
        """What stands where there is nothing."""
        return self.words("common.blank")

    def share(self, value: float) -> str:
        """Return a share in percent, a blank where there is none."""
        return self.formats.percent(value) if math.isfinite(value) else Shown(self.blank, None)

    def ends(self, low: float, high: float) -> str:
        """Return an interval of shares, a blank where there is none."""
        if not (math.isfinite(low) and math.isfinite(high)):
            return Shown(self.blank, None, None)
        return self.formats.interval(self.formats.percent(low), self.formats.percent(high))

    def points(self, value: float) -> str:
        """Return a difference of shares in percentage points with its sign."""
        shown = self.formats.percentage_points(value)
        return Shown(f"+{shown}", value) if value > 0 else shown

    def money_interval(self, found: Interval) -> str:
        """Return the ends of an interval of money, a blank where there are none."""
        if not (math.isfinite(found.low) and math.isfinite(found.high)):
            return Shown(self.blank, None, None)
        return self.formats.interval(self.formats.compact_money(found.low), self.formats.compact_money(found.high))

    def money(self, value: float | None) -> str:
        """Return an amount with three digits, a blank where there is none."""
        if value is None or not math.isfinite(value):
            return Shown(self.blank, None)
        return Shown(self.formats.compact_money(value), value)

    def count(self, value: float) -> str:
        """Return a count, a blank where there is none."""
        return self.formats.count(value) if math.isfinite(value) else Shown(self.blank, None)

    def defined(self, *keys: str, **values: str) -> Definition:
        """Return definitions one click away, of ``board.define.KEY`` each."""
        sentences = tuple(self.words(f"board.define.{key}", **values) for key in keys)
        return Definition(self.words("board.what_is_this"), sentences)

    def _local(self, micros: float) -> datetime:
        return from_micros(int(micros)).astimezone(UTC).astimezone(ZoneInfo(self.timezone))


def known(value: float) -> float | None:
    """Return a number, None for one that is none."""
    return value if math.isfinite(value) else None


def share_ticks(highest: float, context: BoardContext) -> Sequence[tuple[float, str]]:
    """Return round ticks from 0 to at least a share, at most 1."""
    ticks = [tick for tick in linear_ticks(0.0, max(highest, 0.01), 4) if tick <= 1.0 + 1e-9]
    ticks = ticks if ticks[-1] >= min(highest, 1.0) - 1e-9 else [*ticks, 1.0]
    return [(tick, context.formats.round_percent(tick)) for tick in ticks]
