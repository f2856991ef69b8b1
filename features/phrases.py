"""Words of features by value, kept: most leads of a request share most facts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from features.feature import Feature, Language

__all__ = ["Phrases"]

MOST_KEPT = 50_000
"""Phrases kept at a time, some 10 MB; ages and weighted sums take ever new values, so all of them cannot be."""
_UNSAID = "\0"


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
        self._features: Sequence[Feature] = features
        self._language: Language = language
        self._known: dict[tuple[int, float | None], str | None] = {}

    def say(self, number: int, value: float) -> str | None:
        """Return the words of one value of the feature of a number, as ``Feature.words`` does."""
        key = (number, None if math.isnan(value) else value)  # as a key, not a number is never found again
        found = self._known.get(key, _UNSAID)
        if found is _UNSAID:
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            found = self._known[key] = self._features[number].words(value, self._language)
        return found
