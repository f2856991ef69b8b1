"""Which language a caller wants its reasons in."""

from __future__ import annotations

from features.feature import Language

__all__ = ["language_for"]


def language_for(header: str | None, default: Language) -> Language:
    """Choose English or Japanese by ``Accept-Language``.

    Parameters
    ----------
    header
        The header's value; None when there is none.
    default
        Taken when the header names neither.

    Examples
    --------
    >>> language_for("ja-JP,ja;q=0.9,en;q=0.8", "en")
    'ja'
    >>> language_for("de, en;q=0.3", "ja")
    'en'
    >>> language_for("*", "ja")
    'ja'
    """
    best: Language = default
    best_weight = 0.0
    for part in (header or "")[:200].split(","):
        tag, _, parameter = part.partition(";")
        name = tag.strip().lower().partition("-")[0]
        weight = _weight(parameter)
        if (name == "ja" or name == "en") and weight > best_weight:
            best, best_weight = name, weight
    return best


def _weight(parameter: str) -> float:
    text = parameter.strip().removeprefix("q=")
    is_number = text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit()
    return min(float(text), 1.0) if is_number else 0.0 if text else 1.0
