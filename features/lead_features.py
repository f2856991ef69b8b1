"""Features of what a lead is: attributes as known, age, account, and the old rule's verdict."""

# Ibis types a column as its widest class, which knows neither arithmetic nor the methods of its own kind.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import ibis
import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from crm.known import typed_change
from features.feature import FRESHNESS, Direction, Feature, Group, Language, Relation, Shape, Silent
from features.known import DAY_US, Attribute
from features.known_leads import KnownLeads

__all__ = [
    "AccountLeads",
    "AttributeIs",
    "AttributeMissing",
    "AttributeNumber",
    "AttributeOther",
    "LeadAge",
    "StageAge",
]


@dataclass(frozen=True)
class _AttributeFeature(Feature):
    """A number made of one attribute, as known at the moment."""

    available: ClassVar[str] = "the newest value recorded by as_of, or the value at creation"
    group: ClassVar[Group] = "fit"
    shape: ClassVar[Shape] = "flag"
    silent: ClassVar[Silent] = "off"

    attribute: str

    @property
    def signal(self) -> str:
        """The attribute."""
        return self.attribute

    @property
    def reads(self) -> Relation:
        """Attributes as known."""
        return "attributes"

    @property
    def is_exportable(self) -> bool:
        """A tool compares fields."""
        return True

    def _text_column(self, known: ir.Table) -> ir.Value:
        """Return the attribute as text; missing where the tables have no such attribute any more."""
        if self.attribute not in known.columns:
            return ibis.null("string")
        value = known[self.attribute]
        return value if value.type().is_string() else value.cast("string")


@dataclass(frozen=True)
class AttributeNumber(_AttributeFeature):
    """A numeric or yes/no attribute; missing stays missing."""

    shape: ClassVar[Shape] = "number"
    silent: ClassVar[Silent] = "never"

    @property
    def name(self) -> str:
        """``lead.{attribute}``, so that no attribute is taken for a derived feature."""
        return f"lead.{self.attribute}"

    @property
    def empty(self) -> float | None:
        """Missing stays missing."""
        return None

    def column(self, known: ir.Table) -> ir.Value:
        """Cast to a float; missing where it is no number, or where the tables have no such attribute any more."""
        if self.attribute not in known.columns:
            return ibis.null("float64")
        value = known[self.attribute]
        return typed_change(value, "number") if value.type().is_string() else value.cast("float64")

    def values(self, known: KnownLeads) -> NDArray[np.float64]:
        """Cast to a float; NaN where missing or no number."""
        return np.array([_number(value) for value in known.attribute(self.attribute)])

    def words(self, value: float, language: Language) -> str | None:
        """Say 'employees: 250'."""
        shown = f"{value:,.6g}" if not math.isnan(value) else ("not given" if language == "en" else "未入力")
        return f"{self.attribute}: {shown}"


def _number(value: Attribute) -> float:
    try:
        number = math.nan if value is None else float(value)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


@dataclass(frozen=True)
class AttributeIs(_AttributeFeature):
    """1 when a text attribute has one frequent value."""

    level: str = ""

    @property
    def name(self) -> str:
        """``lead.{attribute}={level}``."""
        return f"lead.{self.attribute}={self.level}"

    def column(self, known: ir.Table) -> ir.Value:
        """Compare with the level."""
        return (self._text_column(known) == ibis.literal(self.level)).fill_null(False).cast("float64")

    def values(self, known: KnownLeads) -> NDArray[np.float64]:
        """Compare with the level."""
        return known.texts(self.attribute).is_text(self.level)

    def words(self, value: float, language: Language) -> str | None:
        """Say 'industry: Software' when it is."""
        del language
        return f"{self.attribute}: {self.level}" if value == 1 else None


@dataclass(frozen=True)
class AttributeOther(_AttributeFeature):
    """1 when a text attribute has a value that is none of the frequent ones."""

    levels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``lead.{attribute}~rare``."""
        return f"lead.{self.attribute}~rare"

    def column(self, known: ir.Table) -> ir.Value:
        """Test that the value is present and not frequent."""
        value = self._text_column(known)
        return (value.notnull() & value.notin(self.levels)).fill_null(False).cast("float64")

    def values(self, known: KnownLeads) -> NDArray[np.float64]:
        """Test that the value is present and not frequent."""
        codes, numbers = known.texts(self.attribute)
        is_rare = [text is not None and text not in self.levels for text in numbers]
        return np.array(is_rare, dtype=np.float64)[codes]

    def words(self, value: float, language: Language) -> str | None:
        """Say 'industry: one of the rarer values'."""
        if value != 1:
            return None
        return f"{self.attribute}: " + ("one of the rarer values" if language == "en" else "その他")


@dataclass(frozen=True)
class AttributeMissing(_AttributeFeature):
    """1 when a text attribute has no value."""

    @property
    def name(self) -> str:
        """``lead.{attribute}~missing``."""
        return f"lead.{self.attribute}~missing"

    def column(self, known: ir.Table) -> ir.Value:
        """Test that there is no value."""
        return self._text_column(known).isnull().cast("float64")

    def values(self, known: KnownLeads) -> NDArray[np.float64]:
        """Test that there is no value."""
        return known.texts(self.attribute).is_text(None)

    def words(self, value: float, language: Language) -> str | None:
        """Say 'industry: not given'."""
        if value != 1:
            return None
        return f"{self.attribute}: " + ("not given" if language == "en" else "未入力")


@dataclass(frozen=True)
class LeadAge(Feature):
    """Days since the lead was created."""

    available: ClassVar[str] = "created_at is known from creation on"
    group: ClassVar[Group] = "engagement"
    shape: ClassVar[Shape] = "days"
    silent: ClassVar[Silent] = "missing"

    @property
    def name(self) -> str:
        """``lead_age_days``."""
        return "lead_age_days"

    @property
    def signal(self) -> str:
        """How fresh the lead is, together with its last touch."""
        return FRESHNESS

    @property
    def reads(self) -> Relation:
        """Creation lies beside the attributes."""
        return "attributes"

    @property
    def is_exportable(self) -> bool:
        """A tool knows when a person was created."""
        return True

    @property
    def empty(self) -> float | None:
        """Missing for an unknown lead."""
        return None

    def column(self, known: ir.Table) -> ir.Value:
        """Subtract creation from as_of."""
        return (known.as_of_us - known.created_us).cast("float64") / DAY_US

    def values(self, known: KnownLeads) -> NDArray[np.float64]:
        """Subtract creation from as_of."""
        return known.age_days

    def words(self, value: float, language: Language) -> str | None:
        """Say 'a lead for 12 days'."""
        if math.isnan(value):
            return None
        if language == "ja":
            return f"リード化から{value:.0f}日" if value >= 1 else "リード化から24時間以内"
        if value < 1:
            return "a lead for less than a day"
        return f"a lead for {value:.0f} day{'s' if round(value) != 1 else ''}"


@dataclass(frozen=True)
class AccountLeads(Feature):
    """Number of other leads of the same account."""

    available: ClassVar[str] = "the other leads were created by as_of"
    group: ClassVar[Group] = "fit"
    shape: ClassVar[Shape] = "count"
    silent: ClassVar[Silent] = "missing"

    @property
    def name(self) -> str:
        """``account_leads_count``."""
        return "account_leads_count"

    @property
    def signal(self) -> str:
        """The account."""
        return "account_leads"

    @property
    def reads(self) -> Relation:
        """The account's other leads."""
        return "account_leads"

    def column(self, known: ir.Table) -> ir.Value:
        """Count them."""
        return known.member_id.nunique().cast("float64")

    def values(self, known: KnownLeads) -> NDArray[np.float64]:
        """Count them; NaN where the account is not known."""
        return known.account_leads

    def words(self, value: float, language: Language) -> str | None:
        """Say '3 other leads of the account'."""
        if math.isnan(value):
            return None
        if language == "ja":
            return f"同じ企業に他のリード{value:.0f}件" if value > 0 else "同じ企業に他のリードなし"
        return (
            f"{value:.0f} other lead{'s' if value != 1 else ''} of the account"
            if value > 0
            else "the account's only lead"
        )


@dataclass(frozen=True)
class StageAge(Feature):
    """Days since the lead last entered a stage; missing if never."""

    available: ClassVar[str] = "mql and recycled are set before sales decides; both clocks hold"
    group: ClassVar[Group] = "engagement"
    shape: ClassVar[Shape] = "days"
    silent: ClassVar[Silent] = "never"

    stage: Literal["mql", "recycled"]

    @property
    def name(self) -> str:
        """``{stage}_age_days``."""
        return f"{self.stage}_age_days"

    @property
    def signal(self) -> str:
        """The stage."""
        return self.stage

    @property
    def reads(self) -> Relation:
        """Entries into the stage."""
        return self.stage

    @property
    def direction(self) -> Direction:
        """Left to the data."""
        return 0

    @property
    def empty(self) -> float | None:
        """Missing if never."""
        return None

    def column(self, known: ir.Table) -> ir.Value:
        """Take the smallest age."""
        return known.age_us.min().cast("float64") / DAY_US

    def values(self, known: KnownLeads) -> NDArray[np.float64]:
        """Take the smallest age; NaN if never."""
        return known.stage_age_days(self.stage)

    def words(self, value: float, language: Language) -> str | None:
        """Say 'MQL by the old rule for 3 days'."""
        what = {"mql": ("MQL by the old rule", "旧ルールでMQL化"), "recycled": ("recycled", "リサイクル")}[self.stage]
        if math.isnan(value):
            return f"never {what[0]}" if language == "en" else f"{what[1]}なし"
        days = f"{value:.0f} day{'s' if round(value) != 1 else ''} ago" if language == "en" else f"から{value:.0f}日"
        return f"{what[0]} {days}" if language == "en" else f"{what[1]}{days}"
