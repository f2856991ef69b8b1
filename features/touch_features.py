"""Features of what a lead, or the other leads of its account, did.

Ages are counted back from ``as_of`` in days; a window of *w* days holds touches with ``age <= w`` (methods 1.3). How
long ago touches were is told by :mod:`features.touch_times`.
"""

# Ibis types a column as its widest class, which knows neither arithmetic nor the methods of its own kind.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import ibis
import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from features.feature import FRESHNESS, Direction, Feature, Group, Language, Relation, Shape, Silent
from features.known import DAY_US
from features.known_leads import KnownLeads
from features.known_touches import Cell, Cells, KindPool, KnownTouches
from features.words import kind_words

__all__ = [
    "ActiveDaysIn",
    "CountIn",
    "DistinctIn",
    "Scope",
    "SessionsIn",
    "TouchFeature",
    "ValueIn",
    "label_of",
]

Scope = Literal["own", "account"]
# Opens are fired by mail proxies that prefetch every image, so more of them need not mean more interest (methods 1.3).
NOISY = ("email_open", "open", "mail_open")


def label_of(kind: str, attributes: Collection[str] = ()) -> str:
    """Return how features of one kind of touch are called.

    No kind is taken for a pool of kinds, for the account, or for an attribute of its name: their signals stay apart.

    Examples
    --------
    >>> label_of("visit"), label_of("other"), label_of("demo", ["demo", "industry"])
    ('visit', 'kind.other', 'kind.demo')
    """
    is_taken = kind in ("any", "other", FRESHNESS, "mql", "recycled", *attributes)
    return f"kind.{kind}" if is_taken or kind.startswith(("account_", "kind.")) else kind


@dataclass(frozen=True)
class TouchFeature(Feature):
    """A number made of touches of one kind, or of several pooled.

    Parameters
    ----------
    label
        ``any`` for every touch, ``other`` for the pooled rest, otherwise the kind.
    kinds
        Kinds that are meant; for ``other`` the kinds that are left out; empty for ``any``.
    scope
        The lead's own touches, or those of its account's other leads.
    """

    available: ClassVar[str] = "touches happened before as_of and were recorded by then"
    group: ClassVar[Group] = "engagement"
    shape: ClassVar[Shape] = "count"
    silent: ClassVar[Silent] = "missing"

    label: str
    kinds: tuple[str, ...] = ()
    scope: Scope = "own"

    @property
    @abstractmethod
    def measure(self) -> str:
        """What is measured, as the tail of the name."""

    @property
    def name(self) -> str:
        """``[account_]{kind}_{measure}``."""
        return f"{self._prefix}{self.label}_{self.measure}"

    @property
    def signal(self) -> str:
        """The kind of touch, the account's apart."""
        return f"{self._prefix}{self.label}"

    @property
    def reads(self) -> Relation:
        """The lead's touches or its account's."""
        return "touches" if self.scope == "own" else "account_touches"

    @property
    def direction(self) -> Direction:
        """More human intent may only raise a score; noisy or pooled kinds are left to the data."""
        return 0 if self.label in NOISY or self.label == "other" or self.scope == "account" else 1

    @property
    def _prefix(self) -> str:
        return "" if self.scope == "own" else "account_"

    def _meant(self, known: ir.Table) -> ir.BooleanValue:
        if self.label == "any":
            return known.happened_us.notnull()
        meant = known.kind.isin(self.kinds)
        return ~meant if self.label == "other" else meant

    @cached_property
    def pool(self) -> KindPool:
        """Kinds that are meant."""
        return KindPool(() if self.label == "any" else self.kinds, is_rest=self.label in ("any", "other"))

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Numbers of a lead's touches that it is made of; none for what is not added up but told apart."""
        return ()

    def from_cells(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the number of each lead, shape (n,), from its cells, shape (n_cells, n)."""
        return found[0]

    def values(self, known: KnownLeads) -> NDArray[np.float64]:
        """Measure the touches of each lead; NaN where its account is not known."""
        return self.from_cells(self._touches(known).cells(Cells(self.cells, known.kinds)))

    def _touches(self, known: KnownLeads) -> KnownTouches:
        return known.touches if self.scope == "own" else known.account_touches

    def _what(self, language: Language, *, one: bool = False) -> str:
        words = kind_words(self.label, language, one=one)
        if self.scope == "own":
            return words
        return f"{words} by others of the account" if language == "en" else f"同じ企業の他の方の{words}"

    def _none(self, language: Language) -> str:
        return f"no {self._what(language)} yet" if language == "en" else f"{self._what(language)}なし"

    def _absent(self, value: float, language: Language) -> str | None:
        """Say that there is none; nothing when it is not known whether there is one."""
        return None if math.isnan(value) else self._none(language)


@dataclass(frozen=True)
class _WindowFeature(TouchFeature):
    """A measure over the touches of the last ``window_days`` days; 0 days stands for all time."""

    window_days: int = 0

    measured: ClassVar[str] = "count"

    @property
    def measure(self) -> str:
        """``{measured}_{window}d``, or ``{measured}_all``."""
        return f"{self.measured}_{self.window_days}d" if self.window_days else f"{self.measured}_all"

    def _inside(self, known: ir.Table) -> ir.BooleanValue:
        meant = self._meant(known)
        return meant & (known.age_us <= self.window_days * DAY_US) if self.window_days else meant

    def _none(self, language: Language) -> str:
        if not self.window_days:
            return super()._none(language)
        what = self._what(language)
        return f"no {what} {self._period(language)}" if language == "en" else f"{self._period(language)}{what}なし"

    def _period(self, language: Language) -> str:
        if not self.window_days:
            return "so far" if language == "en" else "これまでに"
        days = self.window_days
        if language == "ja":
            return f"直近{days}日間に"
        return "in the last day" if days == 1 else f"in the last {days} days"


@dataclass(frozen=True)
class CountIn(_WindowFeature):
    """Number of touches in a window."""

    @property
    def is_exportable(self) -> bool:
        """A tool counts one kind at a time, and has no sum over kinds."""
        return self.scope == "own" and self.label not in ("any", "other")

    def column(self, known: ir.Table) -> ir.Value:
        """Count the touches inside."""
        return self._inside(known).cast("int64").sum().cast("float64")

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The count."""
        return (Cell("count", self.window_days, self.pool),)

    def words(self, value: float, language: Language) -> str | None:
        """Say, for example, '3 downloads in the last 7 days'."""
        if not value > 0:
            return self._absent(value, language)
        if language == "ja":
            return f"{self._period(language)}{self._what(language)}{value:.0f}回"
        return f"{value:.0f} {self._what(language, one=value == 1)} {self._period(language)}"


@dataclass(frozen=True)
class ValueIn(_WindowFeature):
    """Sum of the touches' own ``value`` (minutes, pages, searches) in a window."""

    measured: ClassVar[str] = "value"

    def column(self, known: ir.Table) -> ir.Value:
        """Sum the values inside."""
        return ibis.ifelse(self._inside(known), known.value.fill_null(0.0), 0.0).sum()

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The sum."""
        return (Cell("value", self.window_days, self.pool),)

    def words(self, value: float, language: Language) -> str | None:
        """Say, for example, 'searches with a value of 12 in the last 7 days': the column ``value`` has its own unit."""
        if not value > 0:
            return self._absent(value, language)
        if language == "ja":
            return f"{self._period(language)}{self._what(language)}(値の合計{value:,.6g})"
        return f"{self._what(language)} with a value of {value:,.6g} {self._period(language)}"


@dataclass(frozen=True)
class DistinctIn(_WindowFeature):
    """Number of different contents touched in a window."""

    measured: ClassVar[str] = "content"

    def column(self, known: ir.Table) -> ir.Value:
        """Count distinct contents inside."""
        return known.content_id.nunique(where=self._inside(known)).cast("float64")

    def values(self, known: KnownLeads) -> NDArray[np.float64]:
        """Count different contents; NaN where the account is not known."""
        return self._touches(known).distinct("content", self.window_days, self.pool)

    def words(self, value: float, language: Language) -> str | None:
        """Say, for example, '4 different pieces of content in the last 30 days'."""
        if math.isnan(value):
            return None
        if not value > 0:
            period = self._period(language)
            return f"no content used {period}" if language == "en" else f"{period}コンテンツ利用なし"
        if language == "ja":
            return f"{self._period(language)}{value:.0f}種類のコンテンツを利用"
        if value == 1:
            return f"one piece of content {self._period(language)}"
        return f"{value:.0f} different pieces of content {self._period(language)}"


@dataclass(frozen=True)
class ActiveDaysIn(_WindowFeature):
    """Number of days (UTC) with at least one touch in a window."""

    measured: ClassVar[str] = "active_days"

    def column(self, known: ir.Table) -> ir.Value:
        """Count distinct days inside."""
        return (known.happened_us // DAY_US).nunique(where=self._inside(known)).cast("float64")

    def values(self, known: KnownLeads) -> NDArray[np.float64]:
        """Count different days; NaN where the account is not known."""
        return self._touches(known).distinct("day", self.window_days, self.pool)

    def words(self, value: float, language: Language) -> str | None:
        """Say, for example, 'active on 5 days in the last 30 days'."""
        if not value > 0:
            return self._absent(value, language)
        if language == "ja":
            return f"{self._period(language)}{value:.0f}日活動"
        return f"active on {value:.0f} day{'s' if value != 1 else ''} {self._period(language)}"


@dataclass(frozen=True)
class SessionsIn(_WindowFeature):
    """Number of sessions begun in a window; a new session begins after more than 30 quiet minutes.

    With a kind, the sessions that a touch of this kind began.
    """

    measured: ClassVar[str] = "sessions"

    def column(self, known: ir.Table) -> ir.Value:
        """Count the moments inside at which a session began with a touch that is meant."""
        begun = self._inside(known) & known.starts_session
        return known.happened_us.nunique(where=begun).cast("float64")

    def values(self, known: KnownLeads) -> NDArray[np.float64]:
        """Count sessions begun; NaN where the account is not known."""
        return self._touches(known).distinct("session", self.window_days, self.pool)

    def words(self, value: float, language: Language) -> str | None:
        """Say, for example, '2 sessions in the last 7 days'."""
        if not value > 0:
            return self._absent(value, language)
        if language == "ja":
            return f"{self._period(language)}{value:.0f}セッション"
        return f"{value:.0f} session{'s' if value != 1 else ''} {self._period(language)}"
