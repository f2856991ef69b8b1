"""The section on revenue: what leads were expected to bring, and what they brought."""

from __future__ import annotations

from pages.chart_parts import GRID, MARK, MODEL, MUTED, linear_ticks
from pages.plot import Axis, circle, draw, line, text
from pages.report_evidence import RevenueReport
from pages.report_parts import Block, Cell, Context, Figure, Figures, Section, columns, make_table
from pages.report_readings import has_interval

__all__ = ["revenue_section"]

WIDTH, HEIGHT, LEFT, TOP = 448.0, 250.0, 70.0, 28.0


def revenue_section(context: Context) -> Section:
    """Return expected against actual revenue of unseen leads, and what those at risk now are worth."""
    words, formats, found = context.words, context.formats, context.report.evidence.revenue
    heading = words("revenue.heading")
    if found is None:
        return Section("revenue", heading, (words("revenue.none"),))
    ratio = formats.interval(formats.number(found.ratio.low, 2), formats.number(found.ratio.high, 2))
    inside = has_interval(found.ratio) and (found.ratio.low or 0) <= 1 <= (found.ratio.high or 0)
    blocks: list[Block] = [
        words(
            "revenue.lead",
            leads=formats.number(found.leads),
            wins=formats.number(found.wins),
            expected=formats.money(found.expected),
            actual=formats.money(found.actual),
            ratio=formats.number(found.ratio.value, 2),
            interval=ratio,
            verdict=words("revenue.good" if inside else "revenue.care"),
        )
    ]
    if found.now is not None and found.value_now is not None:
        blocks.append(
            words(
                "revenue.now",
                leads=formats.number(found.leads_now),
                total=formats.money(found.now.value),
                interval=formats.interval(formats.money(found.now.low), formats.money(found.now.high)),
                each=formats.money(found.value_now.value),
                each_interval=formats.interval(formats.money(found.value_now.low), formats.money(found.value_now.high)),
            )
        )
    blocks += [Figures((_figure(found, context),)), _numbers(found, context)]
    return Section("revenue", heading, tuple(blocks))


def _numbers(found: RevenueReport, context: Context) -> Block:
    words, formats = context.words, context.formats
    blank = words("common.blank")
    rows: list[tuple[Cell, ...]] = [
        (words("revenue.expected_sum"), formats.money(found.expected), blank),
        (words("revenue.actual_sum"), formats.money(found.actual), blank),
        (
            words("revenue.ratio"),
            formats.number(found.ratio.value, 2),
            formats.interval(formats.number(found.ratio.low, 2), formats.number(found.ratio.high, 2)),
        ),
        (
            words("revenue.gini"),
            formats.number(found.gini.value, 2),
            formats.interval(formats.number(found.gini.low, 2), formats.number(found.gini.high, 2)),
        ),
        (words("revenue.unpriced"), formats.number(found.unpriced), blank),
    ]
    heads = columns(words, "revenue", "measure", "value:n", "interval:n")
    return make_table(words("revenue.table"), heads, rows, name="revenue")


def _figure(found: RevenueReport, context: Context) -> Figure:
    words, formats = context.words, context.formats
    most = max([1.0, *(max(row.expected, row.actual.value, row.actual.high or 0.0) for row in found.tenths)])
    ticks = linear_ticks(0.0, most, 4)
    y = Axis(0.0, ticks[-1], HEIGHT - 42, TOP)
    step = (WIDTH - LEFT) / max(len(found.tenths), 1)
    parts = [text(0, 14, words("revenue.axis"), fill=MUTED)]
    for tick in ticks:
        parts.append(line([(LEFT, y(tick)), (WIDTH, y(tick))], stroke=GRID, width=1))
        parts.append(text(LEFT - 6, y(tick) + 4, formats.compact_money(tick), anchor="end", fill=MUTED))
    cells: list[tuple[Cell, ...]] = []
    for place, row in enumerate(found.tenths):
        x = LEFT + step * (place + 0.5)
        if row.actual.low is not None and row.actual.high is not None:
            parts.append(line([(x, y(row.actual.low)), (x, y(row.actual.high))], width=2))
        parts.append(circle(x, y(row.actual.value), 4.5, MODEL))
        parts.append(line([(x - step * 0.35, y(row.expected)), (x + step * 0.35, y(row.expected))], stroke=MARK))
        parts.append(text(x, HEIGHT - 26, str(row.tenth), anchor="middle", fill=MUTED))
        ends = formats.interval(formats.money(row.actual.low), formats.money(row.actual.high))
        actual = formats.money(row.actual.value)
        cells.append((str(row.tenth), formats.number(row.leads), formats.money(row.expected), actual, ends))
    parts.append(text((LEFT + WIDTH) / 2, HEIGHT - 6, words("revenue.axis_x"), anchor="middle", fill=MUTED))
    parts.append(text(WIDTH, TOP + 14, words("revenue.key_expected"), anchor="end", fill=MARK))
    parts.append(text(WIDTH, TOP + 32, words("revenue.key_actual"), anchor="end", fill=MODEL))
    chart = draw(parts, name="revenue-tenths", label=words("revenue.alt"), height=HEIGHT)
    heads = columns(words, "revenue", "tenth", "leads:n", "expected:n", "actual:n", "interval:n")
    table = make_table(words("revenue.tenths"), heads, cells, name="revenue_tenths")
    return Figure(words("revenue.title"), chart, words("revenue.caption"), table)
