"""Charts of the MQL line, and of what moves a score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import altair as alt

from pages.chart_parts import (
    FIT,
    HEIGHT,
    INK,
    LABEL_SPACE,
    MARK,
    MODEL,
    ON_MODEL,
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
NAME_SPACE = 205
NAME_SIZE = 12
MOST_LABELLED = 16


def threshold(line: LineReport) -> float:
    """Return what an expected value must exceed, workspace currency: the price, never below 0."""
    return max(line.price, 0.0)


def price_chart(line: LineReport, formats: Formats) -> str:
    """Return first crossings a week by the price of the line, with capacity and the chosen price marked."""
    words, at, shown = formats.words, threshold(line), _near_the_line(line)
    low, high = min(at, shown[0][0]), max(at, shown[-1][0], shown[0][0] + 1.0)
    most = max([1.0, line.crossings_per_week, line.capacity or 0.0, *(count for _, count in shown)])
    x_ticks = [tick for tick in linear_ticks(low, high, 4) if low <= tick <= high]
    y_ticks = linear_ticks(0.0, most * 1.12, 4, whole=True)
    x_axis = tick_axis(x_ticks, [formats.compact_money(tick) for tick in x_ticks], words("line.curve_x"), grid=False)
    x = alt.X("price:Q").scale(domain=[low, high], nice=False).axis(x_axis)
    y = _counts(y_ticks, formats)
    curve = [{"price": price, "count": count} for price, count in shown]
    per_week = formats.count(line.crossings_per_week)
    text = words("line.curve_price", price=formats.compact_money(at), n=per_week)
    chosen = data([{"price": at, "count": line.crossings_per_week, "top": y_ticks[-1], "zero": 0, "text": text}])
    side: dict[str, Any] = {"align": "left", "dx": 7} if at <= (low + high) / 2 else {"align": "right", "dx": -7}
    top = alt.Y("top:Q")
    layers = [
        alt.Chart(chosen).mark_rule(color=INK, strokeWidth=1.5).encode(x=x, y=top, y2="zero:Q"),
        alt.Chart(data(curve)).mark_line(color=MODEL, strokeWidth=2.5).encode(x=x, y=y),
        *_capacity_line(line, y),
        *_capacity_note(line, formats, y),
        alt.Chart(chosen).mark_point(size=90, filled=True, fill=INK, opacity=1).encode(x=x, y=y),
        alt.Chart(chosen)
        .mark_text(dy=7, fontWeight="bold", lineBreak="\n", lineHeight=17, **side)
        .encode(x=x, y=top, text="text:N"),
    ]
    known = {"price": formats.money(at), "n": per_week}
    label = words("line.curve_alt", **known)
    if line.capacity is not None:
        label = words("line.curve_alt_capacity", capacity=formats.count(line.capacity), **known)
    return to_svg(layered(layers, words("line.curve_y")), name="line-price", label=label)


def weekly_chart(line: LineReport, formats: Formats) -> str:
    """Return bars of first crossings in each replayed week, with the capacity."""
    words, counts = formats.words, [count for _, count in line.weekly]
    ticks = linear_ticks(0.0, max([1.0, line.capacity or 0.0, *counts]) * 1.08, 4, whole=True)
    side = _side_note(line, formats)
    width = WIDTH - (max(text_width(part) for part in side.split("\n")) + 8 if side else 0)
    rows = _weekly_rows(line, formats, ticks[-1])
    x = alt.X("order:O").axis(_week_axis([row["week"] for row in rows], width, words("line.weekly_x")))
    y = _counts(ticks, formats)
    inside = alt.Chart(data([row for row in rows if row["is_tall"]])).mark_text(color=ON_MODEL, fontSize=12)
    above = alt.Chart(data([row for row in rows if not row["is_tall"]])).mark_text(dy=-8, fontSize=12)
    layers = [
        alt.Chart(data(rows)).mark_bar(color=MODEL, width=alt.RelativeBandSize(0.72)).encode(x=x, y=y),
        *([inside.encode(x=x, y=alt.value(HEIGHT - 10), text="text:N")] if len(rows) <= MOST_LABELLED else []),
        *([above.encode(x=x, y=y, text="text:N")] if len(rows) <= MOST_LABELLED else []),
        *_capacity_line(line, y),
    ]
    if side:
        note = data([{"count": line.capacity, "text": side}])
        style: dict[str, Any] = {
            "align": "left",
            "dx": 6,
            "lineBreak": "\n",
            "baseline": "middle",
            "dy": -7,
            "color": MARK,
        }
        layers.append(alt.Chart(note).mark_text(**style).encode(x=alt.value(width), y=y, text="text:N"))
    mean = formats.count(fmean(counts) if counts else 0.0)
    low, high = formats.count(min(counts, default=0.0)), formats.count(max(counts, default=0.0))
    label = words("line.weekly_alt", weeks=str(len(counts)), low=low, high=high, mean=mean)
    chart = layered(layers, words("line.weekly_y", mean=mean), width=width)
    return to_svg(chart, name="line-weekly", label=label)


def signals_chart(signals: Sequence[SignalRow], formats: Formats) -> str:
    """Return bars of the mean points of the strongest signals, coloured and named by group."""
    words = formats.words
    shown = sorted(signals, key=lambda row: -row.mean_points)[:SHOWN_SIGNALS]
    rows = [_signal_row(place, row, formats) for place, row in enumerate(shown)]
    space = min(NAME_SPACE, max(text_width(row["name"], NAME_SIZE) for row in rows) + 8)
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
    bars = alt.Chart(data(rows)).mark_bar(height=alt.RelativeBandSize(0.7)).encode(x=x, y=y, color=colour)
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


def _counts(ticks: Sequence[float], formats: Formats) -> alt.Y:
    axis = value_axis(ticks, [formats.count(tick) for tick in ticks])
    return alt.Y("count:Q").scale(domain=[0, ticks[-1]], nice=False).axis(axis)


def _capacity_line(line: LineReport, y: alt.Y) -> list[alt.Chart]:
    if line.capacity is None:
        return []
    rule = alt.Chart(data([{"count": line.capacity}])).mark_rule(color=MARK, strokeWidth=1.5, strokeDash=[5, 3])
    return [rule.encode(y=y)]


def _capacity_note(line: LineReport, formats: Formats, y: alt.Y) -> list[alt.Chart]:
    if line.capacity is None:
        return []
    text = formats.words("line.curve_capacity", n=formats.count(line.capacity))
    note = alt.Chart(data([{"count": line.capacity, "text": text}])).mark_text(align="left", dy=-8, color=MARK)
    return [note.encode(x=alt.value(6), y=y, text="text:N")]


def _side_note(line: LineReport, formats: Formats) -> str:
    if line.capacity is None:
        return ""
    return formats.words("line.weekly_capacity", n=formats.count(line.capacity))


def _weekly_rows(line: LineReport, formats: Formats, top: float) -> list[dict[str, Any]]:
    return [
        {
            "week": formats.short_date(start),
            "order": place,
            "count": count,
            "text": formats.count(count),
            "is_tall": count / top * HEIGHT > 22,
        }
        for place, (start, count) in enumerate(line.weekly)
    ]


def _week_axis(weeks: Sequence[str], width: float, title: str) -> alt.Axis:
    """Label every week, or every second or third where they would touch."""
    room = width / max(len(weeks), 1)
    step = max(1, math.ceil((max((text_width(week, 12) for week in weeks), default=0.0) + 6) / room))
    labels = [week if place % step == 0 else "" for place, week in enumerate(weeks)]
    return tick_axis(list(range(len(weeks))), labels, title, labelAngle=0, ticks=False, domain=False)


def _signal_row(place: int, row: SignalRow, formats: Formats) -> dict[str, Any]:
    points, group = formats.number(row.mean_points, 1), formats.words.known(f"group.{row.group}", row.group)
    text = formats.words("signals.label", points=points, group=group)
    return {"place": place, "name": row.signal, "points": row.mean_points, "group": row.group, "text": text}


def _shortened(text: str, width: float) -> str:
    if text_width(text, NAME_SIZE) <= width:
        return text
    kept = text
    while kept and text_width(kept + "…", NAME_SIZE) > width:
        kept = kept[:-1]
    return kept.rstrip() + "…"
