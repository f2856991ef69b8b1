"""Old rule, new line and its equivalents as the plain rows that pages show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.feature import Language
from models.gain import Comparison, Side
from models.intervals import Interval
from models.line_terms import Equivalent, Mark
from pages.report_data import EquivalentRow, Estimate, MarkRow, RuleRow, RulesReport
from training.crossed import SignalGap, largest_gaps

__all__ = ["compared_rows", "equivalent_row"]


def _estimate(found: Interval) -> Estimate:
    """Return a number with its interval, ends None where there are none."""
    return Estimate(found.value, *(end if np.isfinite(end) else None for end in (found.low, found.high)))


def compared_rows(found: Comparison, gaps: Sequence[SignalGap], language: Language) -> RulesReport:
    """Return old rule and new line side by side; ``language`` is that of the signals."""

    def side(rule: Side) -> RuleRow:
        sql, won, revenue, value = map(_estimate, (rule.sql_rate, rule.won_rate, rule.revenue, rule.value))
        return RuleRow(rule.mqls, rule.worked, sql, won, revenue, value, rule.hours)

    return RulesReport(
        found.since,
        found.until,
        found.weeks,
        side(found.old),
        side(found.new),
        _estimate(found.gain),
        found.probability,
        found.both,
        found.only_old,
        found.only_new,
        tuple(largest_gaps(gaps, language)),
    )


def equivalent_row(found: Equivalent) -> EquivalentRow:
    """Return what the line means for a segment."""

    def mark(one: Mark | None) -> MarkRow | None:
        return None if one is None else MarkRow(one.p_won, one.score)

    return EquivalentRow(
        found.segment, found.leads, found.mqls, found.mean_amount, mark(found.a), mark(found.b), mark(found.c)
    )
