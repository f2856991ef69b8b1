"""The section on whether probabilities are right: reliability curve, and observed over expected group by group."""

from __future__ import annotations

from collections.abc import Sequence

from pages.chart_parts import GRID, MARK, MODEL, MUTED, PALE, linear_ticks, log_ticks
from pages.plot import Axis, Dot, area, draw, forest, line, text
from pages.report_evidence import LevelRow, ReliabilityReport
from pages.report_parts import Badge, Block, Cell, Context, Figure, Figures, Section, columns, make_table
from pages.report_readings import has_interval

__all__ = ["calibration_section", "group_words"]

RATIO_TICKS = (0.25, 0.5, 1.0, 2.0, 4.0)
LOG_FROM = 12
WIDTH, HEIGHT, LEFT, TOP = 448.0, 300.0, 46.0, 26.0


def calibration_section(context: Context) -> Section | None:
    """Return the section; None where nothing was computed."""
    words, evidence = context.words, context.report.evidence
    if not evidence.reliability and not evidence.levels:
        return None
    figures = [figure for one in evidence.reliability if (figure := _reliability(one, context)) is not None]
    for outcome in dict.fromkeys(row.outcome for row in evidence.levels):
        rows = [row for row in evidence.levels if row.outcome == outcome]
        figures.append(_levels(rows, outcome, context))
    blocks: list[Block] = [words("levels.lead"), Figures(tuple(figures)), words("levels.many"), words("levels.shrunk")]
    return Section("calibration", words("reliability.heading"), tuple(blocks))


def group_words(kind: str, group: str, context: Context) -> str:
    """Return what a group is called: an age or month in words, a segment or a level of an attribute by its name."""
    words = context.words
    if kind == "age":
        low, _, high = group.partition("-")
        return words("levels.age_open", low=low) if not high else words("levels.age", low=low, high=high)
    if group in ("~other", "~missing"):
        group = words("levels.other" if group == "~other" else "levels.missing")
    return group if kind in ("segment", "month") else words("levels.attribute", name=kind, level=group)


def _reliability(found: ReliabilityReport, context: Context) -> Figure | None:
    if len(found.predicted) < 2:
        return None
    words, formats, named = context.words, context.formats, context.outcome(found.outcome)
    caption = words(
        "reliability.caption",
        outside=formats.percent(found.outside),
        miscalibration=formats.number(found.miscalibration, 5),
        null=formats.number(found.null_95, 5),
        verdict=words(f"reliability.{'good' if found.miscalibration <= found.null_95 else 'care'}"),
    )
    rows = [
        (formats.percent(p), formats.percent(r), formats.interval(formats.percent(low), formats.percent(high)))
        for p, r, low, high in zip(found.predicted, found.recalibrated, found.low, found.high, strict=True)
    ]
    heads = columns(words, "reliability", "predicted:n", "recalibrated:n", "band:n")
    table = make_table(words("reliability.table", **named), heads, rows, name=f"{found.outcome}_reliability")
    return Figure(words("reliability.title", **named), _curve(found, context), caption, table)


def _curve(found: ReliabilityReport, context: Context) -> str:
    words, formats, named = context.words, context.formats, context.outcome(found.outcome)
    x, y, ticks = _axes(found)
    parts = [text(0, 14, words("reliability.axis_y", **named), fill=MUTED)]
    for tick in ticks:
        parts.append(line([(x.start, y(tick)), (x.end, y(tick))], stroke=GRID, width=1))
        parts.append(text(LEFT - 6, y(tick) + 4, formats.round_percent(tick), anchor="end", fill=MUTED))
        parts.append(text(x(tick), HEIGHT - 22, formats.round_percent(tick), anchor="middle", fill=MUTED))
    axis = words("reliability.axis_log" if x.is_log else "reliability.axis", **named)
    parts.append(text((x.start + x.end) / 2, HEIGHT - 4, axis, anchor="middle", fill=MUTED))
    upper, lower = (
        [(x(p), y(v)) for p, v in zip(found.predicted, end, strict=True)] for end in (found.high, found.low)
    )
    parts.append(area(upper, lower, PALE))
    parts.append(line([(x(x.low), y(x.low)), (x(x.high), y(x.high))], stroke=MARK, width=1.5, dash="5 3"))
    parts.append(line([(x(p), y(v)) for p, v in zip(found.predicted, found.recalibrated, strict=True)], width=2.5))
    # One stroke a percent of the leads: where most of them are.
    parts += [line([(x(p), y.start), (x(p), y.start - 6)], stroke=MODEL, width=1) for p in found.predicted]
    parts.append(text(x.start + 8, TOP + 16, words("reliability.perfect"), fill=MARK))
    label = words("reliability.alt", outside=formats.percent(found.outside), **named)
    return draw(parts, name=f"{found.outcome}-reliability", label=label, height=HEIGHT)


def _axes(found: ReliabilityReport) -> tuple[Axis, Axis, list[float]]:
    least = max(found.predicted[0], 1e-5)
    most = max(found.predicted[-1], found.recalibrated[-1], found.high[-1])
    is_log = found.predicted[-1] / least > LOG_FROM
    ends = (LEFT, WIDTH - 10), (HEIGHT - 40, TOP)
    if is_log:
        low, high = least / 1.3, min(most * 1.2, 1.0)
        ticks = log_ticks(low, high)
    else:
        ticks = linear_ticks(0.0, most, 4)
        low, high = 0.0, ticks[-1]
    x, y = (Axis(low, high, *pair, is_log) for pair in ends)
    return x, y, ticks


def _levels(rows: Sequence[LevelRow], outcome: str, context: Context) -> Figure:
    words, formats, named = context.words, context.formats, context.outcome(outcome)
    shown = [row for row in rows if row.kind != "month"] or list(rows)
    dots = [
        Dot(
            group_words(row.kind, row.group, context),
            formats.number(row.ratio.value, 2),
            row.ratio.value,
            row.ratio.low,
            row.ratio.high,
            row.is_off,
        )
        for row in shown
    ]
    ticks = [(tick, formats.number(tick, 0 if tick >= 1 else 2).rstrip("0").rstrip(".") or "0") for tick in RATIO_TICKS]
    off = sum(row.is_off for row in rows)
    label = words("levels.alt", groups=str(len(shown)), off=str(off), **named)
    chart = forest(dots, ticks, words("levels.axis", **named), reference=1, name=f"{outcome}-levels", label=label)
    kinds = {
        "age": words("levels.kind_age"),
        "month": words("levels.kind_month"),
        "segment": words("levels.kind_segment"),
    }
    cells: list[tuple[Cell, ...]] = [
        (
            kinds.get(row.kind, row.kind),
            group_words(row.kind, row.group, context),
            formats.number(row.leads),
            formats.number(row.observed),
            formats.number(row.expected, 1),
            formats.number(row.ratio.value, 2),
            formats.interval(formats.number(row.ratio.low, 2), formats.number(row.ratio.high, 2)),
            formats.number(row.shrunk.value, 2),
            formats.interval(formats.number(row.shrunk.low, 2), formats.number(row.shrunk.high, 2)),
            Badge(words("levels.off"), "care") if row.is_off else Badge("", "plain"),
        )
        for row in rows
        if has_interval(row.ratio)
    ]
    heads = columns(
        words,
        "levels",
        "kind",
        "group",
        "leads:n",
        "observed:n",
        "expected:n",
        "ratio:n",
        "interval:n",
        "pulled:n",
        "interval:n",
        "verdict",
    )
    table = make_table(words("levels.table", **named), heads, cells, name=f"{outcome}_levels")
    caption = words("levels.caption", off=str(off), groups=str(len(rows)))
    return Figure(words("levels.title", **named), chart, caption, table)
