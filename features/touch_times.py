"""Features of how long ago a lead's touches were, or those of its account's other leads.

Ages are counted back from ``as_of`` in days. Sources of the formulas: methods 1.3 (recency, exponential decay
``sum 2^(-age / half-life)``, velocity ``n7 / (n30 + 1)``).
"""

# Ibis types a column as its widest class, which knows neither arithmetic nor the methods of its own kind.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import ibis
import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from features.feature import FRESHNESS, Direction, Language, Shape, Silent
from features.known import DAY_US
from features.known_touches import Cell
from features.touch_features import TouchFeature

__all__ = ["DecayedSum", "Recency", "Velocity"]


@dataclass(frozen=True)
class Recency(TouchFeature):
    """Days since the newest touch; missing when there is none."""

    shape: ClassVar[Shape] = "days"
    silent: ClassVar[Silent] = "never"

    @property
    def measure(self) -> str:
        """``recency_days``."""
        return "recency_days"

    @property
    def signal(self) -> str:
        """The kind of touch; the lead's own last touch of any kind tells of freshness, as its age does."""
        return FRESHNESS if self.label == "any" and self.scope == "own" else super().signal

    @property
    def direction(self) -> Direction:
        """The longer ago, the lower."""
        return -1 if super().direction == 1 else 0

    @property
    def is_exportable(self) -> bool:
        """A tool asks whether something was done in the last days; several kinds are joined by "or"."""
        return self.scope == "own" and self.label != "other"

    @property
    def empty(self) -> float | None:
        """Missing without a touch."""
        return None

    def column(self, known: ir.Table) -> ir.Value:
        """Take the smallest age."""
        return known.age_us.min(where=self._meant(known)).cast("float64") / DAY_US

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The smallest age."""
        return (Cell("recency", 0, self.pool),)

    def words(self, value: float, language: Language) -> str | None:
        """Say, for example, 'last download 3 days ago'."""
        if math.isnan(value):
            return self._none(language)
        what = self._what(language, one=True)
        if language == "ja":
            return f"最後の{what}は{value:.0f}日前" if value >= 1 else f"24時間以内に{what}"
        if value < 1:
            return f"last {what} within 24 hours"
        return f"last {what} {value:.0f} day{'s' if round(value) != 1 else ''} ago"


@dataclass(frozen=True)
class DecayedSum(TouchFeature):
    """Touches weighted by ``2^(-age / half-life)``."""

    half_life_days: int = 14

    @property
    def measure(self) -> str:
        """``decay_{half-life}d``."""
        return f"decay_{self.half_life_days}d"

    def column(self, known: ir.Table) -> ir.Value:
        """Sum the weights."""
        rate = -np.log(2.0) / (self.half_life_days * DAY_US)
        return ibis.ifelse(self._meant(known), (known.age_us.cast("float64") * float(rate)).exp(), 0.0).sum()

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The sum of the weights."""
        return (Cell("decay", self.half_life_days, self.pool),)

    def words(self, value: float, language: Language) -> str | None:
        """Say how lively the touches are."""
        if not value > 0:
            return self._absent(value, language)
        if language == "ja":
            return f"最近の{self._what(language)}(新しさで加重 {value:.1f}回)"
        return f"recent {self._what(language)} ({value:.1f}, weighted by freshness)"


@dataclass(frozen=True)
class Velocity(TouchFeature):
    """Touches of the last 7 days over one plus those of the last 30."""

    shape: ClassVar[Shape] = "number"

    @property
    def measure(self) -> str:
        """``velocity``."""
        return "velocity"

    def column(self, known: ir.Table) -> ir.Value:
        """Divide the two counts."""
        meant = self._meant(known)
        week = (meant & (known.age_us <= 7 * DAY_US)).cast("int64").sum().cast("float64")
        month = (meant & (known.age_us <= 30 * DAY_US)).cast("int64").sum().cast("float64")
        return week / (month + 1.0)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The two counts."""
        return Cell("count", 7, self.pool), Cell("count", 30, self.pool)

    def from_cells(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        """Divide the two counts."""
        return found[0] / (found[1] + 1.0)

    def words(self, value: float, language: Language) -> str | None:
        """Say how much of the month's activity fell in the last week."""
        if math.isnan(value):
            return None
        if not value > 0:
            return "nothing in the last 7 days" if language == "en" else "直近7日間の活動なし"
        if language == "ja":
            return f"活動の勢い {value:.0%}(30日間に占める直近7日間)"
        return f"{value:.0%} of the month's activity in the last 7 days"
