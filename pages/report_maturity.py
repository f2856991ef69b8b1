"""The sections on what was learned from month by month, and on leak checks."""

from __future__ import annotations

from pages.chart_parts import GRID, MODEL, MUTED, PALE, linear_ticks
from pages.plot import Axis, draw, line, rect, text
from pages.report_evidence import MonthRow
from pages.report_parts import Badge, Block, Cell, Context, Figure, Figures, Section, columns, make_table

__all__ = ["leaks_section", "maturity_section"]

WIDTH, HEIGHT, LEFT, TOP = 448.0, 230.0, 46.0, 28.0
TONES = {"passed": "good", "attention": "care", "failed": "care", "not_computable": "plain", "not_run": "plain"}


def maturity_section(context: Context) -> Section | None:
    """Return rows, leads and outcomes by month with their settled and open shares; None without any row."""
    words, months = context.words, context.report.evidence.months
    if not months:
        return None
    outcomes = list(months[0].counts)
    figures = tuple(_figure(months, outcome, context) for outcome in outcomes)
    said = tuple(_said(months, outcome, context) for outcome in outcomes)
    return Section("maturity", words("maturity.heading"), (words("maturity.lead"), *said, Figures(figures)))


def _said(months: tuple[MonthRow, ...], outcome: str, context: Context) -> str:
    rows, mature = sum(m.rows for m in months), sum(m.counts[outcome].mature for m in months)
    came = sum(m.counts[outcome].rows_with for m in months)
    formats = context.formats
    return context.words(
        "maturity.said",
        mature=formats.percent(mature / rows if rows else None),
        open=formats.percent(1 - mature / rows if rows else None),
        rate=formats.percent(came / mature if mature else None),
        **{key: value for key, value in context.outcome(outcome).items() if key != "rate"},
    )


def _figure(months: tuple[MonthRow, ...], outcome: str, context: Context) -> Figure:
    words, formats, named = context.words, context.formats, context.outcome(outcome)
    cells: list[tuple[Cell, ...]] = []
    for month in months:
        count = month.counts[outcome]
        share = count.mature / month.rows if month.rows else None
        cells.append(
            (
                month.month,
                formats.number(month.rows),
                formats.number(month.leads),
                formats.percent(share),
                formats.percent(None if share is None else 1 - share),
                formats.number(count.leads_with),
                formats.percent(count.rows_with / count.mature) if count.mature else words("common.blank"),
            )
        )
    heads = columns(words, "maturity", "month", "rows:n", "leads:n", "mature:n", "open:n", "outcomes:n", "rate:n")
    table = make_table(words("maturity.table", **named), heads, cells, name=f"{outcome}_months")
    title = words("maturity.title", **named)
    return Figure(title, _chart(months, outcome, context), words("maturity.caption"), table)


def _chart(months: tuple[MonthRow, ...], outcome: str, context: Context) -> str:
    words, formats, named = context.words, context.formats, context.outcome(outcome)
    ticks = linear_ticks(0.0, max(month.rows for month in months), 3, whole=True)
    y = Axis(0.0, ticks[-1], HEIGHT - 26, TOP)
    step = (WIDTH - LEFT) / len(months)
    parts = [text(0, 14, words("maturity.axis"), fill=MUTED)]
    for tick in ticks:
        parts.append(line([(LEFT, y(tick)), (WIDTH, y(tick))], stroke=GRID, width=1))
        parts.append(text(LEFT - 6, y(tick) + 4, formats.number(tick), anchor="end", fill=MUTED))
    every = max(1, -(-len(months) // 6))
    for place, month in enumerate(months):
        x, mature = LEFT + step * (place + 0.1), month.counts[outcome].mature
        parts.append(rect(x, y(mature), step * 0.8, y(0.0) - y(mature), MODEL))
        parts.append(rect(x, y(month.rows), step * 0.8, y(mature) - y(month.rows), PALE))
        if place % every == 0:
            parts.append(text(x, HEIGHT - 8, month.month, fill=MUTED))
    parts.append(text(WIDTH, 14, words("maturity.key"), anchor="end", fill=MUTED))
    label = words("maturity.alt", months=str(len(months)), **named)
    return draw(parts, name=f"{outcome}-months", label=label, height=HEIGHT)


def leaks_section(context: Context) -> Section:
    """Return the verdict of every leak check, and which were not run."""
    words, rows = context.words, context.report.evidence.leaks
    if not rows:
        return Section("leaks", words("leaks.heading"), (words("leaks.none"),))
    cells: list[tuple[Cell, ...]] = [
        (
            row.check,
            words.known(f"leaks.{row.check}", row.check),
            Badge(words(f"leaks.{row.status}"), TONES.get(row.status, "plain")),
            words.phrase(row.found),
        )
        for row in rows
    ]
    heads = columns(words, "leaks", "check", "asked:w", "verdict", "found:w")
    table = make_table(words("leaks.table"), heads, cells, stacks=True, name="leak_checks")
    ran = sum(row.status != "not_run" for row in rows)
    blocks: tuple[Block, ...] = (words("leaks.lead", ran=str(ran), all=str(len(rows))), table)
    return Section("leaks", words("leaks.heading"), blocks)
