"""The MQL line, its replay, and the old rule beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.gain import Comparison, Side
from models.line import Replay
from pages.report_data import LineReport, RuleRow, RulesReport
from training.report.parts import ReportParts, estimate_of

__all__ = ["line_report", "line_values"]

SHOWN_CAPACITIES = 120


def line_report(parts: ReportParts) -> LineReport:
    """Return the line and what it would have done over the replayed weeks."""
    line, curve, weekly = parts.drawn
    replay = parts.weeks.replay
    values = line.expected_value(parts.weeks.revenue)
    grades = line.grades(values)
    return LineReport(
        price=line.price,
        capacity=line.capacity_per_week,
        touch_cost=line.touch_cost,
        margin=line.margin,
        weeks=line.weeks,
        crossings_per_week=line.crossings_per_week,
        leads_at_risk=line.leads_at_risk,
        mqls_now=int((values > line.threshold).sum()),
        equivalent_p_won=line.equivalent_p_won,
        curve=_thin(curve, line.price),
        weekly=tuple(zip(replay.starts, (float(count) for count in weekly), strict=True)),
        values=tuple(float(v) for v in np.quantile(values, np.linspace(0, 1, 101))) if values.size else (),
        grades={grade: int((grades == grade).sum()) for grade in "ABCD"},
        comparison=None if parts.comparison is None else _rules(parts.comparison),
    )


def _rules(found: Comparison) -> RulesReport:
    def side(rule: Side) -> RuleRow:
        measured = (rule.sql_rate, rule.won_rate, rule.revenue, rule.value)
        return RuleRow(rule.mqls, rule.worked, *(estimate_of(interval) for interval in measured))

    return RulesReport(
        found.since,
        found.until,
        found.weeks,
        side(found.old),
        side(found.new),
        estimate_of(found.gain),
        found.probability,
        found.both,
        found.only_old,
        found.only_new,
    )


def _thin(curve: tuple[tuple[float, float], ...], price: float, points: int = 120) -> tuple[tuple[float, float], ...]:
    """Keep every few points, both ends, and the two at the price."""
    at_price = int(np.searchsorted([x for x, _ in curve], price))
    kept = {*range(0, len(curve), max(len(curve) // points, 1)), len(curve) - 1, at_price - 1, at_price}
    return tuple(curve[number] for number in sorted(kept) if 0 <= number < len(curve))


def line_values(parts: ReportParts) -> tuple[tuple[float, float, float], ...]:
    """Return triples (price, first crossings a week, their expected value a week), rising in price.

    A lead counts with its expected value in the week in which it first crosses.
    """
    line, replay = parts.drawn[0], parts.weeks.replay
    worth = line.expected_value(replay.expected_revenue)
    above = np.unique(worth[worth > 0])
    if not above.size or not replay.weeks:
        return ()
    wanted = np.unique(np.quantile(above, np.linspace(0.0, 1.0, SHOWN_CAPACITIES)))
    prices = np.unique(np.concatenate([[0.0], wanted, [max(line.price, 0.0)]]))
    return tuple((float(price), *_crossed(replay, worth, float(price))) for price in prices)


def _crossed(replay: Replay, worth: NDArray[np.float64], price: float) -> tuple[float, float]:
    """Return first crossings at a price and their expected value, each a week."""
    above = np.flatnonzero(worth > price)
    # Rows by lead and week: the first one above the price is the crossing, unless it lies before the replay.
    order = above[np.lexsort((replay.week[above], replay.lead[above]))]
    _, first = np.unique(replay.lead[order], return_index=True)
    crossing = order[first]
    crossing = crossing[replay.week[crossing] > 0]
    return len(crossing) / replay.weeks, float(worth[crossing].sum()) / replay.weeks
