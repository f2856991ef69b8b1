"""The line for another capacity: a slider over the replayed weeks, and the same as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pages.report_parts import Context, Section, Slider, Table, columns, make_table

__all__ = ["capacity_section"]

STEPS, ROWS = 60, 10


def capacity_section(context: Context) -> Section | None:
    """Return the section; None where no lead has a value above zero."""
    words, values, line = context.words, context.report.evidence.line_values, context.report.line
    if len(values) < 2:
        return None
    most = max(count for _, count, _ in values)
    own = line.capacity if line.capacity is not None else most
    unit = max(1, round(most / STEPS))
    capacities = sorted({*(float(at) for at in range(unit, int(most) + 1, unit)), own})
    steps = [_step(capacity, values, context) for capacity in capacities]
    slider = Slider(json.dumps(steps, ensure_ascii=False), len(steps), capacities.index(own))
    shown = capacities[:: max(1, len(capacities) // ROWS)]
    rows = [_step(capacity, values, context) for capacity in sorted({*shown, own})]
    heads = columns(words, "slider", "capacity:n", "price:n", "crossings:n", "value:n")
    table: Table = make_table(words("slider.table"), heads, rows, name="line_capacities")
    return Section("capacity", words("slider.heading"), (words("slider.lead"), slider, table))


def _step(capacity: float, values: Sequence[tuple[float, float, float]], context: Context) -> tuple[str, ...]:
    """Return what the line would be: the lowest price at which no more leads cross than there is capacity for."""
    price, count, worth = next((row for row in values if row[1] <= capacity), values[-1])
    formats = context.formats
    return formats.count(capacity), formats.money(price), formats.number(count, 1), formats.money(worth)
