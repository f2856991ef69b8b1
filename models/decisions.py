"""What to do with a scored lead: hand it off, keep it, or leave it out.

``is_mql`` knows the line and the lead's value alone. A decision may remember: with hysteresis a lead that has crossed
the line does not fall back for a small step down, and in a band around the line a known share of decisions is drawn, so
that what a hand-off brings about can be measured later by the propensities that were logged.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from models.line import Line

__all__ = ["Decision", "DecisionName", "decide", "decided", "draw_of"]

DecisionName = Literal["hand_off", "keep", "held_by_band", "already_handed_off", "excluded"]


@dataclass(frozen=True)
class Decision:
    """What was decided of a lead at a moment.

    Parameters
    ----------
    decision
        ``hand_off``; ``keep``; ``held_by_band`` for a lead that the line would hand off and the draw keeps;
        ``already_handed_off``; ``excluded``.
    propensity
        Chance over all draws that a lead with this history of values is handed off; 0 or 1 outside the band. To be
        logged: without it, nothing can be learned from the band.
    is_above
        Whether the lead stands above the line, hysteresis counted in. It follows from the values alone and not from the
        draw, and is what the next decision has to know.
    """

    decision: DecisionName
    propensity: float
    is_above: bool


def draw_of(lead_id: str, line_version: str, key: bytes = b"") -> float:
    """Return a lead's draw under a line: a number in [0, 1) that stays the same until the line changes.

    Parameters
    ----------
    lead_id, line_version
        The first 53 bits of their HMAC-SHA256.
    key
        Of the HMAC. With a secret one nobody outside can tell which leads are held.

    Examples
    --------
    >>> draw_of("L1", "abc") == draw_of("L1", "abc") != draw_of("L1", "abd")
    True
    """
    digest = hmac.new(key, f"{lead_id}\0{line_version}".encode(), hashlib.sha256).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2.0**53


def decide(line: Line, previous: Decision | None, expected_value: float, draw: float) -> Decision:
    """Decide on a lead that no rule excludes and that sales does not have yet.

    A lead enters above ``threshold * (1 + hysteresis)`` and leaves at or below ``threshold * (1 - hysteresis)``; one
    that was never decided on enters at the upper end. In the band, a lead above is handed off with the chance
    ``1 - share``, a lead below with the chance ``share``. Where the line is at 0, both have no width and are off.

    Parameters
    ----------
    line
        The line in force.
    previous
        What was decided of the lead before under the same line; None for the first time. A lead that came back from
        sales begins anew.
    expected_value
        Workspace currency.
    draw
        As :func:`draw_of` gives it, in [0, 1).

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> line = Line(
    ...     price=100.0, margin=1.0, touch_cost=0.0, capacity_per_week=5.0, currency="EUR", quantiles=(0.0, 100.0),
    ...     median_mql_value=None, equivalent_p_won=None, crossings_per_week=5.0, weeks=8, leads_at_risk=9,
    ...     set_as_of=datetime(2026, 1, 1, tzinfo=UTC), hysteresis=0.1,
    ... )
    >>> first = decide(line, None, 105.0, 0.5)
    >>> second = decide(line, first, 111.0, 0.5)
    >>> third = decide(line, second, 95.0, 0.5)
    >>> first.decision, second.decision, third.decision
    ('keep', 'hand_off', 'hand_off')
    """
    was_above = previous is not None and previous.is_above
    edge = 1.0 - line.hysteresis if was_above else 1.0 + line.hysteresis
    is_above = expected_value > line.threshold * edge
    propensity = _propensity(line, expected_value, is_above)
    if draw < propensity:
        return Decision("hand_off", propensity, is_above)
    return Decision("held_by_band" if is_above else "keep", propensity, is_above)


def _propensity(line: Line, expected_value: float, is_above: bool) -> float:
    band = line.band
    if band is None or abs(expected_value - line.threshold) > line.threshold * band.width or line.threshold <= 0:
        return 1.0 if is_above else 0.0
    return 1.0 - band.share if is_above else band.share


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
