"""Points in words: what each signal added, with the raw fact behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.feature import FRESHNESS, Language
from features.spec import FeatureSet
from features.words import kind_words

__all__ = ["describe_signals", "signal_words"]


def describe_signals(
    features: FeatureSet,
    row: NDArray[np.float64],
    parts: NDArray[np.float64],
    points: NDArray[np.float64],
    language: Language,
) -> list[dict[str, Any]]:
    """Return one record a signal: signal, group, points and words.

    Features of one signal (the same kind of touch over several windows, the levels of one attribute) overlap, so their
    points are only clear together: they are summed, and the feature that moved the sum most speaks for them.

    Parameters
    ----------
    features
        The features.
    row
        Their values, shape (n_features,).
    parts
        Points of each feature, shape (n_features,).
    points
        Points of each signal, shape (n_signals,).
    language
        Of the words.
    """
    speakers: dict[int, tuple[float, int]] = {}
    for number, signal in enumerate(features.signal_of):
        weight = float(parts[number]) * (1.0 if points[signal] >= 0 else -1.0)
        if not _speaks(features, number, row):
            continue
        if int(signal) not in speakers or weight > speakers[int(signal)][0]:
            speakers[int(signal)] = (weight, number)
    found: list[dict[str, Any]] = []
    for position, signal in enumerate(features.signals):
        _, number = speakers.get(position, (0.0, -1))
        feature = features.features[number if number >= 0 else int(np.flatnonzero(features.signal_of == position)[0])]
        words = feature.words(float(row[number]), language) if number >= 0 else None
        found.append(
            {
                "signal": signal,
                "group": feature.group,
                "points": float(points[position]),
                "words": words or signal_words(signal, language),
            }
        )
    return found


def _speaks(features: FeatureSet, number: int, row: NDArray[np.float64]) -> bool:
    return features.features[number].words(float(row[number]), "en") is not None


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
