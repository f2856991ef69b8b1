"""Words of features by value, kept: most leads of a request share most facts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from features.feature import Feature, Language

__all__ = ["UNKNOWN", "Phrases"]

MOST_KEPT = 50_000
"""Phrases kept at a time, some 10 MB; ages and weighted sums take ever new values, so all of them cannot be."""
UNKNOWN = -math.inf
"""What stands for not a number, which as a key is never found again. No feature is endless."""


class Phrases:
    """What features say of their values in one language.

    Parameters
    ----------
    features
        The features, in order.
    language
        Of the words.
    """

    def __init__(self, features: Sequence[Feature], language: Language) -> None:
        self._known = _Kept(features, language)

    def say(self, number: int, value: float) -> str | None:
        """Return the words of one value of the feature of a number, as ``Feature.words`` does."""
        return self._known[number, UNKNOWN if math.isnan(value) else value]

    def say_each(self, numbers: Iterable[int], values: Iterable[float]) -> list[str | None]:
        """Return the words of one value a feature, with :data:`UNKNOWN` for not a number."""
        return list(map(self._known.__getitem__, zip(numbers, values, strict=True)))


class _Kept(dict[tuple[int, float], str | None]):
    """Words by feature and value, made when they are first asked for: a look at them is one at a dictionary."""

    def __init__(self, features: Sequence[Feature], language: Language) -> None:
        super().__init__()
        self._features: Sequence[Feature] = features
        self._language: Language = language

    def __missing__(self, key: tuple[int, float]) -> str | None:
        if len(self) >= MOST_KEPT:
            self.clear()
        number, value = key
        words = self._features[number].words(math.nan if value == UNKNOWN else value, self._language)
        self[key] = words
        return words
