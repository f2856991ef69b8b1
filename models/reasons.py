"""Points in words: what each signal added, with the raw fact behind it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.feature import FRESHNESS, Language
from features.phrases import UNKNOWN
from features.spec import FeatureSet
from features.words import kind_words

__all__ = ["Described", "describe_signals", "signal_words"]

Matrix = NDArray[np.float64]
MIN_REASON = 0.5
"""Points below which a signal is no reason: half a point is a change of odds by 7%."""


@dataclass(frozen=True)
class Described:
    """Points of n leads in words; every list has length n.

    Parameters
    ----------
    points
        One record a signal: signal, group, points and words.
    reasons
        The top three positive and two negative signals in words, with their points.
    fit_points, engagement_points
        Sums of the points by group.
    """

    points: list[list[dict[str, Any]]]
    reasons: list[list[str]]
    fit_points: list[float]
    engagement_points: list[float]


def describe_signals(
    features: FeatureSet, matrix: Matrix, parts: Matrix, points: Matrix, language: Language
) -> Described:
    """Say what each signal of each lead added.

    Features of one signal (the same kind of touch over several windows, the levels of one attribute) overlap, so their
    points are only clear together: they are summed, and the feature that moved the sum most speaks for them.

    Parameters
    ----------
    features
        The features.
    matrix
        Their values, shape (n, n_features).
    parts
        Points of each feature, shape (n, n_features).
    points
        Points of each signal, shape (n, n_signals).
    language
        Of the words.
    """
    speakers, is_said = _speakers(features, matrix, parts, points)
    values = features.as_said(np.take_along_axis(matrix, speakers, axis=1), speakers)
    is_fit = features.is_fit[speakers]
    say = features.phrases[language].say_each
    plain = [signal_words(signal, language) for signal in features.signals]
    rows = zip(speakers.tolist(), np.where(np.isnan(values), UNKNOWN, values).tolist(), is_said.tolist(), strict=True)
    words = [
        [text or name if said else name for text, said, name in zip(say(numbers, row), saids, plain, strict=True)]
        for numbers, row, saids in rows
    ]
    groups = np.where(is_fit, "fit", "engagement").tolist()
    shown = points.tolist()
    records = [
        [
            {"signal": signal, "group": group, "points": point, "words": text}
            for signal, group, point, text in zip(features.signals, *row, strict=True)
        ]
        for row in zip(groups, shown, words, strict=True)
    ]
    fit = np.where(is_fit, points, 0.0).sum(axis=1)
    engagement = np.where(is_fit, 0.0, points).sum(axis=1)
    return Described(records, _reasons(points, words), fit.tolist(), engagement.tolist())


def _speakers(
    features: FeatureSet, matrix: Matrix, parts: Matrix, points: Matrix
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the feature that speaks for each signal, and whether its value has words, each of shape (n, n_signals).

    Of several that moved the sum equally the first speaks; where none has words, the first stands for the signal.
    """
    order, first = features.by_signal
    signal = features.signal_of[order]
    weights = np.where(features.speak(matrix), parts, np.nan)[:, order]
    weights *= np.where(points >= 0, 1.0, -1.0)[:, signal]
    most = np.fmax.reduceat(weights, first, axis=1)
    is_most = weights == most[:, signal]
    at = np.minimum.reduceat(np.where(is_most, np.arange(len(order)), len(order)), first, axis=1)
    is_said = ~np.isnan(most)
    return order[np.where(is_said, at, first)], is_said


def _reasons(points: Matrix, words: list[list[str]]) -> list[list[str]]:
    ranked = np.argsort(-points, axis=1, kind="stable")
    rows = zip(points.tolist(), words, ranked[:, :3].tolist(), ranked[:, :-3:-1].tolist(), strict=True)
    return [
        [
            f"{text[at]} ({point[at]:+.1f})"
            for at in (*(i for i in best if point[i] >= MIN_REASON), *(i for i in worst if point[i] <= -MIN_REASON))
        ]
        for point, text, best, worst in rows
    ]


@cache
def signal_words(signal: str, language: Language) -> str:
    """Return what a signal is called where no single fact speaks for it.

    Examples
    --------
    >>> signal_words("account_any", "en")
    "touches by the account's others"
    """
    if signal.startswith("account_") and signal != "account_leads":
        kind = kind_words(signal.removeprefix("account_"), language)
        return f"{kind} by the account's others" if language == "en" else f"同じ企業の他の方の{kind}"
    own = {
        FRESHNESS: ("age and last touch of the lead", "リードの経過日数と最終接触"),
        "mql": ("MQL by the old rule", "旧ルールでのMQL化"),
        "recycled": ("recycled before", "過去のリサイクル"),
        "account_leads": ("leads of the account", "企業内のリード数"),
    }
    if signal in own:
        return own[signal][0 if language == "en" else 1]
    return kind_words(signal, language)
