"""Charts of the MQL line, and of what moves a score."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import altair as alt

from pages.chart_parts import (
    FIT,
    INK,
    LABEL_SPACE,
    MARK,
    MODEL,
    WIDTH,
    data,
    layered,
    linear_ticks,
    text_width,
    tick_axis,
    to_svg,
    value_axis,
)
from pages.formats import Formats
from pages.report_data import LineReport, SignalRow

__all__ = ["SHOWN_SIGNALS", "price_chart", "signals_chart", "threshold", "weekly_chart"]

SHOWN_SIGNALS = 15
BAR_HEIGHT = 24


def threshold(line: LineReport) -> float:
    """Return what an expected value must exceed, workspace currency: the price, never below 0."""
    return max(line.price, 0.0)


def price_chart(line: LineReport, formats: Formats) -> str:
    """Return first crossings a week by the price of the line, with capacity and the chosen price marked."""
    words, at = formats.words, threshold(line)
    shown = _near_the_line(line)
    top = max([line.crossings_per_week, line.capacity or 0.0, *(count for _, count in shown)])
    x_ticks = linear_ticks(shown[0][0], shown[-1][0], 4)
    y_ticks = linear_ticks(0.0, max(top, 1.0) * 1.05, 4)
    x = (
        alt.X("price:Q")
        .scale(domain=[x_ticks[0], x_ticks[-1]], nice=False)
        .axis(
            tick_axis(
                x_ticks, [formats.compact_money(tick) for tick in x_ticks], words("line.curve_x"), grid=False
            )
        )
    )
    y = (
        alt.Y("count:Q")
        .scale(domain=[0, y_ticks[-1]], nice=False)
        .axis(value_axis(y_ticks, [formats.count(tick) for tick in y_ticks]))
    )
    curve = [{"price": price, "count": count} for price, count in shown]
    chosen: dict[str, Any] = {"price": at, "count": line.crossings_per_week, "zero": 0}
    per_week = formats.count(line.crossings_per_week)
    chosen["text"] = words("line.curve_price", price=formats.compact_money(at), n=per_week)
    on_the_right = at > (x_ticks[0] + x_ticks[-1]) / 2
    side: dict[str, Any] = {"align": "right", "dx": -9} if on_the_right else {"align": "left", "dx": 9}
    layers = [
        alt.Chart(data(curve)).mark_line(color=MODEL, strokeWidth=2.5).encode(x=x, y=y),
        *_capacity(line, formats, y),
        alt.Chart(data([chosen]))
        .mark_rule(color=INK, strokeWidth=1.5)
        .encode(x=x, y=alt.Y("zero:Q"), y2="count:Q"),
        alt.Chart(data([chosen])).mark_point(size=90, filled=True, fill=INK, opacity=1).encode(x=x, y=y),
        alt.Chart(data([chosen]))
        .mark_text(dy=-12, fontWeight="bold", **side)
        .encode(x=x, y=y, text="text:N"),
    ]
    known = {"price": formats.money(at), "n": per_week}
    label = words("line.curve_alt", **known)
    if line.capacity is not None:
        label = words("line.curve_alt_capacity", capacity=formats.count(line.capacity), **known)
    return to_svg(layered(layers, words("line.curve_y")), name="line-price", label=label)


def weekly_chart(line: LineReport, formats: Formats) -> str:
    """Return bars of first crossings in each replayed week, with their mean and the capacity."""
    words, counts = formats.words, [count for _, count in line.weekly]
    rows: list[dict[str, Any]] = [
        {"week": formats.short_date(start), "order": place, "count": count, "text": formats.count(count)}
        for place, (start, count) in enumerate(line.weekly)
    ]
    ticks = linear_ticks(0.0, max([1.0, line.capacity or 0.0, *counts]) * 1.1, 4)
    y = (
        alt.Y("count:Q")
        .scale(domain=[0, ticks[-1]], nice=False)
        .axis(value_axis(ticks, [formats.count(t) for t in ticks]))
    )
    step = -(-len(rows) // 8)
    labels = [row["week"] if place % max(step, 1) == 0 else "" for place, row in enumerate(rows)]
    x = alt.X("order:O").axis(
        tick_axis(
            list(range(len(rows))), labels, words("line.weekly_x"), labelAngle=0, ticks=False, domain=False
        )
    )
    layers = [
        alt.Chart(data(rows))
        .mark_bar(color=MODEL, cornerRadiusEnd=2, width=alt.RelativeBandSize(0.72))
        .encode(x=x, y=y),
        alt.Chart(data(rows if len(rows) <= 16 else []))
        .mark_text(dy=-8, fontSize=11)
        .encode(x=x, y=y, text="text:N"),
        *_capacity(line, formats, y),
    ]
    label = words(
        "line.weekly_alt",
        weeks=str(len(counts)),
        low=formats.count(min(counts, default=0.0)),
        high=formats.count(max(counts, default=0.0)),
        mean=formats.count(fmean(counts) if counts else 0.0),
    )
    return to_svg(layered(layers, words("line.weekly_y")), name="line-weekly", label=label)


def signals_chart(signals: Sequence[SignalRow], formats: Formats) -> str:
    """Return bars of the mean points of the strongest signals, coloured and named by group."""
    words = formats.words
    shown = sorted(signals, key=lambda row: -row.mean_points)[:SHOWN_SIGNALS]
    rows = [_signal_row(place, row, formats) for place, row in enumerate(shown)]
    space = min(170.0, max(text_width(row["name"]) for row in rows) + 8)
    room = max(text_width(row["text"], 12) for row in rows) + 10
    width = WIDTH + LABEL_SPACE - space
    largest = max(max(row.mean_points for row in shown), 1e-9)
    places = list(range(len(rows)))
    y = (
        alt.Y("place:O")
        .sort(places)
        .axis(
            tick_axis(
                places,
                [_shortened(row["name"], space - 8) for row in rows],
                None,
                domain=False,
                ticks=False,
                minExtent=space,
                maxExtent=space,
                labelLimit=0,
                labelColor=INK,
            )
        )
    )
    x = alt.X("points:Q").scale(domain=[0, largest], range=[0, width - room], nice=False).axis(None)
    colour = alt.Color("group:N").scale(domain=["fit", "engagement"], range=[FIT, MODEL]).legend(None)
    bars = (
        alt.Chart(data(rows))
        .mark_bar(cornerRadiusEnd=2, height=alt.RelativeBandSize(0.7))
        .encode(x=x, y=y, color=colour)
    )
    texts = alt.Chart(data(rows)).mark_text(align="left", dx=6, fontSize=12).encode(x=x, y=y, text="text:N")
    label = words(
        "signals.alt", n=str(len(rows)), first=rows[0]["name"], points=formats.number(shown[0].mean_points, 1)
    )
    chart = layered([bars, texts], words("signals.axis_x"), width=width, height=BAR_HEIGHT * len(rows))
    return to_svg(chart, name="signals", label=label)


def _near_the_line(line: LineReport) -> list[tuple[float, float]]:
    """Leave out the long flat end of the curve, far above the line."""
    curve = sorted(line.curve) or [(threshold(line), line.crossings_per_week)]
    most = max(count for _, count in curve)
    tail = next((price for price, count in curve if count <= 0.04 * most), curve[-1][0])
    far = max(tail, 1.6 * threshold(line))
    near = [(price, count) for price, count in curve if price <= far]
    return near if len(near) > 1 else curve


def _capacity(line: LineReport, formats: Formats, y: alt.Y) -> list[alt.Chart]:
    if line.capacity is None:
        return []
    text = formats.words("line.curve_capacity", n=formats.count(line.capacity))
    row = data([{"count": line.capacity, "text": text}])
    return [
        alt.Chart(row).mark_rule(color=MARK, strokeWidth=1.5, strokeDash=[5, 3]).encode(y=y),
        alt.Chart(row)
        .mark_text(align="right", dy=-8, color=MARK)
        .encode(x=alt.value(WIDTH), y=y, text="text:N"),
    ]


def _signal_row(place: int, row: SignalRow, formats: Formats) -> dict[str, Any]:
    points, group = formats.number(row.mean_points, 1), formats.words.known(f"group.{row.group}", row.group)
    text = formats.words("signals.label", points=points, group=group)
    return {"place": place, "name": row.signal, "points": row.mean_points, "group": row.group, "text": text}


def _shortened(text: str, width: float) -> str:
    if text_width(text) <= width:
        return text
    kept = text
    while kept and text_width(kept + "…") > width:
        kept = kept[:-1]
    return kept.rstrip() + "…"
