"""What a feature is called over a chart, and its unit, in English and Japanese."""

from __future__ import annotations

from collections.abc import Mapping

from features.feature import Feature, Language
from features.lead_features import AccountLeads, LeadAge, StageAge
from features.touch_features import (
    ActiveDaysIn,
    CountIn,
    DistinctIn,
    SessionsIn,
    TouchFeature,
    ValueIn,
)
from features.touch_times import DecayedSum, Recency, Velocity
from features.words import kind_words
from models.reasons import signal_words

__all__ = ["feature_title", "feature_unit"]

_UNITS: Mapping[type[Feature], Mapping[Language, str]] = {
    ActiveDaysIn: {"en": "days", "ja": "日"},
    SessionsIn: {"en": "sessions", "ja": "セッション"},
    DistinctIn: {"en": "pieces of content", "ja": "種類"},
    Velocity: {"en": "ratio", "ja": "比率"},
    DecayedSum: {"en": "touches, weighted by freshness", "ja": "回（新しさで加重）"},
    CountIn: {"en": "times", "ja": "回"},
    AccountLeads: {"en": "leads", "ja": "件"},
}


def feature_title(feature: Feature, language: Language) -> str:
    """Return what a feature measures; an attribute keeps its own name.

    Examples
    --------
    >>> feature_title(CountIn("download", ("download",), window_days=30), "en")
    'downloads in the last 30 days'
    >>> feature_title(Recency("any"), "ja")
    '最後の接触からの日数'
    """
    if isinstance(feature, TouchFeature):
        return _touch_title(feature, language)
    if isinstance(feature, LeadAge):
        return "age of the lead" if language == "en" else "リードの経過日数"
    if isinstance(feature, AccountLeads):
        return "other leads of the account" if language == "en" else "同じ企業の他のリード数"
    if isinstance(feature, StageAge):
        what = signal_words(feature.signal, language)
        return f"time since: {what}" if language == "en" else f"{what}からの日数"
    return str(getattr(feature, "attribute", feature.name))


def feature_unit(feature: Feature, language: Language) -> str:
    """Return the unit of a feature's values; empty for an attribute, whose unit nobody told.

    Examples
    --------
    >>> feature_unit(LeadAge(), "en"), feature_unit(Velocity("any"), "ja")
    ('days', '比率')
    """
    if feature.shape == "days":
        return _UNITS[ActiveDaysIn][language]
    return next((unit[language] for kind, unit in _UNITS.items() if isinstance(feature, kind)), "")


def _touch_title(feature: TouchFeature, language: Language) -> str:
    what = kind_words(feature.label, language)
    one = kind_words(feature.label, language, one=True)
    if language == "ja":
        title = _japanese(feature, what, one)
        return f"同じ企業の他の方の{title}" if feature.scope == "account" else title
    title = _english(feature, what, one)
    return f"{title} (the account's others)" if feature.scope == "account" else title


def _english(feature: TouchFeature, what: str, one: str) -> str:
    if isinstance(feature, Recency):
        return f"time since the last {one}"
    if isinstance(feature, DecayedSum):
        return f"recent {what}, half-life {feature.half_life_days} days"
    if isinstance(feature, Velocity):
        return f"pace of {what}: last 7 days against 30"
    days = getattr(feature, "window_days", 0)
    when = f"in the last {days} days" if days > 1 else "in the last day" if days == 1 else "so far"
    if isinstance(feature, DistinctIn):
        return f"different pieces of content ({what}) {when}"
    if isinstance(feature, ActiveDaysIn):
        return f"active days ({what}) {when}"
    if isinstance(feature, SessionsIn):
        return f"sessions ({what}) {when}"
    return f"value of {what} {when}" if isinstance(feature, ValueIn) else f"{what} {when}"


def _japanese(feature: TouchFeature, what: str, one: str) -> str:
    if isinstance(feature, Recency):
        return f"最後の{one}からの日数"
    if isinstance(feature, DecayedSum):
        return f"最近の{what}（半減期{feature.half_life_days}日）"
    if isinstance(feature, Velocity):
        return f"{what}の勢い（直近7日と30日の比）"
    days = getattr(feature, "window_days", 0)
    when = f"直近{days}日間の" if days else "これまでの"
    if isinstance(feature, DistinctIn):
        return f"{when}{what}のコンテンツ種類数"
    if isinstance(feature, ActiveDaysIn):
        return f"{when}{what}のあった日数"
    if isinstance(feature, SessionsIn):
        return f"{when}{what}のセッション数"
    return f"{when}{what}の値の合計" if isinstance(feature, ValueIn) else f"{when}{what}"
