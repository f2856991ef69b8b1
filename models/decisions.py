"""What to do with a scored lead: hand it off, keep it, or leave it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["decided"]


def decided(answer: Mapping[str, Any], excluded_by: str | None) -> dict[str, Any]:
    """Return an answer with its ``decision`` and ``excluded_by``.

    An excluded lead keeps its score and its value, but it is no MQL, so its grade is C or D: A and B are MQLs.

    Parameters
    ----------
    answer
        As :func:`models.scoring.answers` gives it.
    excluded_by
        Name of the rule of ``[exclude]`` that meets the lead; None when none does.

    Examples
    --------
    >>> answer = {"is_mql": True, "grade": "A", "expected_value": 90.0}
    >>> decided(answer, None)["decision"], decided(answer, "customers")["decision"]
    ('hand_off', 'excluded')
    """
    if excluded_by is None:
        return {**answer, "decision": "hand_off" if answer["is_mql"] else "keep", "excluded_by": None}
    grade = "C" if answer["expected_value"] > 0 else "D"
    return {**answer, "is_mql": False, "grade": grade, "decision": "excluded", "excluded_by": excluded_by}
