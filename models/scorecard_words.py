"""Rows of the scorecard in words that a marketer enters in the tool, in English and Japanese."""

from __future__ import annotations

from collections.abc import Collection

from features.feature import Feature, Language
from features.lead_features import LeadAge
from features.touch_features import CountIn, TouchFeature
from features.words import kind_words
from models.scorecard_entries import CardRow

__all__ = ["row_words"]


def row_words(row: CardRow, language: Language, booleans: Collection[str] = ()) -> str:
    """Say what earns the points of a row.

    Parameters
    ----------
    row
        The row.
    language
        ``en`` or ``ja``.
    booleans
        Attributes that are yes or no.

    Examples
    --------
    >>> row_words(CardRow(CountIn("download", ("download",), window_days=30), 3, low=1.0), "en")
    'downloads in the last 30 days: 2 or more'
    >>> row_words(CardRow(LeadAge(), 4, high=7.0), "ja")
    'リードの作成：7日以内'
    """
    about, said = _about(row.feature, language), _said(row, language, booleans)
    return f"{about}: {said}" if language == "en" else f"{about}：{said}"


def _about(feature: Feature, language: Language) -> str:
    if isinstance(feature, LeadAge):
        return "lead created" if language == "en" else "リードの作成"
    if isinstance(feature, CountIn):
        many, days = kind_words(feature.label, language), feature.window_days
        if language == "ja":
            return f"直近{days}日間の{many}" if days else f"これまでの{many}"
        return f"{many} in the last {days} days" if days else f"{many} so far"
    if isinstance(feature, TouchFeature):
        one = kind_words(feature.label, language, one=True)
        if language == "ja":
            return "最後の接触（種類を問わない）" if feature.label == "any" else f"最後の{one}"
        return "last touch of any kind" if feature.label == "any" else f"last {one}"
    return str(getattr(feature, "attribute", feature.name))


def _said(row: CardRow, language: Language, booleans: Collection[str]) -> str:
    feature = row.feature
    if row.levels:
        return (", " if language == "en" else "、").join(row.levels)
    if row.others_than is not None:
        return _others(row.others_than, language)
    if isinstance(feature, CountIn):
        return _count(row, language)
    if feature.shape == "days":
        return _days(row, language)
    if row.includes_missing and not row.is_range:
        return "not given" if language == "en" else "未入力"
    if getattr(feature, "attribute", "") in booleans and row.is_range:
        is_yes = row.low is not None
        return ("yes" if is_yes else "no") if language == "en" else ("はい" if is_yes else "いいえ")
    return _number(row, language)


def _others(levels: tuple[str, ...], language: Language) -> str:
    if not levels:
        return "any value" if language == "en" else "値あり"
    return f"any value but {', '.join(levels)}" if language == "en" else f"{'、'.join(levels)}以外の値"


def _count(row: CardRow, language: Language) -> str:
    first = 0 if row.low is None else int(row.low) + 1
    if row.high is None:
        return f"{first} or more" if language == "en" else f"{first}回以上"
    last = int(row.high)
    if first == last:
        return ("none" if last == 0 else f"exactly {last}") if language == "en" else f"{last}回"
    return f"{first} to {last}" if language == "en" else f"{first}〜{last}回"


def _days(row: CardRow, language: Language) -> str:
    low, high = (None if end is None else f"{end:g}" for end in (row.low, row.high))
    if low is None and high is None:
        if language == "ja":
            return "一度もなし" if row.includes_missing else "あり"
        return "never" if row.includes_missing else "ever"
    if language == "ja":
        said = f"{high}日以内" if low is None else f"{low}日より前" + ("" if high is None else f"、{high}日以内")
        return f"{said}、または一度もなし" if row.includes_missing else said
    if low is None:
        said = f"at most {high} days ago" if high != "1" else "within 24 hours"
    else:
        said = f"more than {low} {'day' if low == '1' else 'days'} ago" + (f", at most {high}" if high else "")
    return f"{said}, or never" if row.includes_missing else said


def _number(row: CardRow, language: Language) -> str:
    low, high = (None if end is None else f"{end:,.12g}" for end in (row.low, row.high))
    if low is None and high is None:
        return "given" if language == "en" else "入力あり"
    if language == "ja":
        return f"{high}以下" if low is None else f"{low}を超え" + ("る" if high is None else f"、{high}以下")
    if low is None:
        return f"at most {high}"
    return f"more than {low}" + ("" if high is None else f", at most {high}")
