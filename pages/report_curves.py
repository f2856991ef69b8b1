"""The section on what each feature adds to a score: small charts, points over a histogram of the leads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from pages.chart_parts import GRID, MODEL, MUTED, PALE, linear_ticks
from pages.plot import Axis, area, circle, draw, line, rect, shorten, text
from pages.report_evidence import Curve, CurveBin
from pages.report_parts import Block, Cell, Context, Figure, Figures, Folded, Section, columns, make_table

__all__ = ["curves_section"]

WIDTH, HEIGHT, BARS, LEFT, SIZE = 300.0, 190.0, 34.0, 34.0, 11
LOG_FROM = 30


def curves_section(context: Context) -> Section | None:
    """Return the section; None where no feature moves scores."""
    words, curves = context.words, context.report.evidence.curves
    if not curves:
        return None
    reach = _reach(curves)
    figures = tuple(
        Figure(_title(curve, context), _chart(curve, place, reach, context), "", None)
        for place, curve in enumerate(curves)
    )
    heads = columns(words, "curves", "feature", "value", "share:n", "points:n", "range:n", "unit", "mean_points:n")
    table = make_table(words("curves.table"), heads, list(_rows(context)), name="curves")
    kind = "curves.exact" if all(curve.is_exact for curve in curves) else "curves.mixed"
    blocks: tuple[Block, ...] = (
        words("curves.lead"),
        words(kind),
        Figures(figures, is_small=True),
        words("curves.caption"),
        Folded(words("page.numbers"), table),
    )
    return Section("curves", words("curves.heading"), blocks)


def _title(curve: Curve, context: Context) -> str:
    return curve.title.get(context.words.language, curve.name)


def _label(part: CurveBin, curve: Curve, context: Context) -> str:
    if part.label in ("~other", "~missing"):
        return context.words("levels.other" if part.label == "~other" else "levels.missing")
    if curve.is_level:
        return part.label
    return context.formats.number(part.value, 0 if abs(part.value) >= 10 or part.value == int(part.value) else 1)


def _rows(context: Context) -> Iterator[tuple[Cell, ...]]:
    words, formats = context.words, context.formats
    for curve in context.report.evidence.curves:
        missing = [] if curve.missing is None else [(curve.missing, words("levels.missing"))]
        for part, label in [*((part, _label(part, curve, context)) for part in curve.bins), *missing]:
            yield (
                _title(curve, context),
                label,
                formats.percent(part.share),
                formats.number(part.points, 2),
                formats.interval(formats.number(part.low, 2), formats.number(part.high, 2)),
                curve.unit.get(words.language, ""),
                formats.number(curve.mean_points, 2),
            )


def _reach(curves: tuple[Curve, ...]) -> tuple[float, float]:
    """Return lowest and highest points of all curves, so that all have one scale."""
    parts = [part for curve in curves for part in (*curve.bins, *((curve.missing,) if curve.missing else ()))]
    return min(0.0, *(part.low for part in parts)), max(0.0, *(part.high for part in parts))


def _chart(curve: Curve, place: int, reach: tuple[float, float], context: Context) -> str:
    words, formats = context.words, context.formats
    ticks = linear_ticks(*reach, 4)
    y = Axis(ticks[0], ticks[-1], HEIGHT - BARS - 34, 10)
    parts: list[str] = []
    for tick in ticks:
        parts.append(line([(LEFT, y(tick)), (WIDTH, y(tick))], stroke=MUTED if tick == 0 else GRID, width=1))
        parts.append(text(LEFT - 5, y(tick) + 4, formats.number(tick), size=SIZE, anchor="end", fill=MUTED))
    parts += _levels(curve, y, context) if curve.is_level else _numbers(curve, y, context)
    unit = curve.unit.get(words.language, "")
    if unit:
        parts.append(text(WIDTH, HEIGHT - 3, unit, size=SIZE, anchor="end", fill=MUTED))
    best = max(curve.bins, key=lambda part: part.points)
    least = min(curve.bins, key=lambda part: part.points)
    label = words(
        "curves.alt",
        feature=_title(curve, context),
        low=_label(least, curve, context),
        low_points=formats.number(least.points, 1),
        high=_label(best, curve, context),
        high_points=formats.number(best.points, 1),
    )
    return draw(parts, name=f"small curve-{place + 1}", label=label, width=WIDTH, height=HEIGHT)


def _bar(part: CurveBin, x: float, width: float, most: float) -> str:
    height = max(BARS * part.share / most, 0.8)
    return rect(x - width / 2, HEIGHT - 22 - height, width, height, PALE)


def _levels(curve: Curve, y: Axis, context: Context) -> list[str]:
    """Draw one dot a level, with its name under it where there is room."""
    parts: list[str] = []
    step = (WIDTH - LEFT) / len(curve.bins)
    most = max(part.share for part in curve.bins)
    for place, part in enumerate(curve.bins):
        x = LEFT + step * (place + 0.5)
        parts.append(_bar(part, x, step * 0.7, most))
        parts.append(line([(x, y(part.low)), (x, y(part.high))], stroke=MODEL, width=2))
        parts.append(circle(x, y(part.points), 3.5, MODEL))
        name = shorten(_label(part, curve, context), step - 2, SIZE)
        parts.append(text(x, HEIGHT - 8, name, size=SIZE, anchor="middle", fill=MUTED))
    return parts


def _numbers(curve: Curve, y: Axis, context: Context) -> list[str]:
    """Draw a line through the bins with the range of their leads, and the missing ones apart at the right."""
    bins = curve.bins
    room = 40.0 if curve.missing is not None else 0.0
    low, high = bins[0].value, bins[-1].value
    shift = 1.0 if low >= 0 and high > LOG_FROM * max(abs(low), 1.0) else 0.0  # log(1 + x) for long tails
    x = Axis(low + shift, max(high, low + 1e-9) + shift, LEFT + 8, WIDTH - 10 - room, shift > 0)
    at = [x(part.value + shift) for part in bins]
    upper, lower = ([(px, y(v)) for px, v in zip(at, ends, strict=True)] for ends in _ends(bins))
    parts = [area(upper, lower, PALE)]
    most = max([part.share for part in bins] + ([curve.missing.share] if curve.missing else []))
    gaps = [b - a for a, b in pairwise(at)]
    width = min(12.0, max(2.0, min(gaps, default=12.0) - 1))
    parts += [_bar(part, px, width, most) for part, px in zip(bins, at, strict=True)]
    parts.append(line([(px, y(part.points)) for part, px in zip(bins, at, strict=True)], width=2.2))
    parts += [circle(px, y(part.points), 2.4, MODEL) for part, px in zip(bins, at, strict=True)]
    for part, px, anchor in ((bins[0], at[0], "start"), (bins[-1], at[-1], "end")):
        parts.append(text(px, HEIGHT - 8, _label(part, curve, context), size=SIZE, anchor=anchor, fill=MUTED))
    if curve.missing is not None:
        px = WIDTH - 20
        parts += [_bar(curve.missing, px, 12, most), circle(px, y(curve.missing.points), 3.5, MODEL)]
        never = shorten(context.words("levels.missing"), room, SIZE)
        parts.append(text(px, HEIGHT - 8, never, size=SIZE, anchor="middle", fill=MUTED))
    return parts


def _ends(bins: tuple[CurveBin, ...]) -> tuple[list[float], list[float]]:
    return [part.high for part in bins], [part.low for part in bins]
