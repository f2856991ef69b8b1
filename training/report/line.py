"""The MQL line, its replay, and the old rule beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.feature import Language
from models.line import Replay, first_crossings
from pages.report_data import LineReport
from training.report.parts import ReportParts
from training.rules_rows import compared_rows, equivalent_row

__all__ = ["line_report", "line_values"]

SHOWN_PRICES = 400


def line_report(parts: ReportParts, language: Language) -> LineReport:
    """Return the line and what it would have done over the replayed weeks; ``language`` is that of the signals."""
    line, curve, weekly = parts.drawn
    rules = parts.rules
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
        comparison=None if rules is None else compared_rows(rules.comparison, rules.gaps, language),
        equivalents=tuple(equivalent_row(one) for one in line.equivalents),
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
    if not (worth > 0).any() or not replay.weeks:
        return ()
    best = np.zeros(int(replay.lead.max()) + 1)
    np.maximum.at(best, replay.lead, worth)
    above = np.unique(best[best > 0])
    wanted = above[np.unique(np.linspace(0, len(above) - 1, min(SHOWN_PRICES, len(above))).astype(np.int64))]
    prices = np.unique(np.concatenate([[0.0], wanted, [max(line.price, 0.0)]]))
    return tuple((float(price), *_crossed(replay, worth, float(price))) for price in prices)


def _crossed(replay: Replay, worth: NDArray[np.float64], price: float) -> tuple[float, float]:
    """Return first crossings at a price and their expected value, each a week."""
    crossing = first_crossings(replay, worth, price)
    return replay.a_week(float(len(crossing))), replay.a_week(float(worth[crossing].sum()))
