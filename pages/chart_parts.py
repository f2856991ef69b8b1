"""What every chart shares: scales, colours, and the way from an Altair chart to SVG text."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import altair as alt
import vl_convert

__all__ = [
    "FIT",
    "GRID",
    "HEIGHT",
    "INK",
    "LABEL_SPACE",
    "MARK",
    "MODEL",
    "MUTED",
    "ON_MODEL",
    "PALE",
    "WIDTH",
    "data",
    "layered",
    "linear_ticks",
    "log_ticks",
    "text_width",
    "tick_axis",
    "to_svg",
    "value_axis",
]

# Okabe and Ito's palette, told apart by colour-blind readers; style.css gives each its shade on a dark page.
INK = "#1f2430"
MUTED = "#5d6675"
GRID = "#e4e7ec"
MODEL = "#0072b2"
PALE = "#a8cbe2"
ON_MODEL = "#ffffff"
MARK = "#c24e00"
FIT = "#e69f00"

FONTS = (
    'system-ui, -apple-system, "Segoe UI", "Noto Sans CJK JP", "Noto Sans JP", "Hiragino Sans", "Yu Gothic", sans-serif'
)
TEXT_SIZE = 13
WIDTH = 372
HEIGHT = 250
LABEL_SPACE = 42
FULL_WIDTH = 448.0
"""Width of every drawing, so that their texts come out equally large."""

_NOISE = re.compile(r' (?:class|role|pointer-events|font-family|aria-[a-z]+)="[^"]*"')
_EMPTY = re.compile(
    r'<rect width="[^"]*" height="[^"]*" fill="transparent"/>'
    r'|<path d="(?:M0,0h0v0h0Z)?"(?: display="none")?/>'
)
_IDS = re.compile(r' id="([^"]+)"')


def data(rows: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    """Return rows as the data of a chart layer."""
    return alt.InlineData(values=[dict(row) for row in rows])


def linear_ticks(low: float, high: float, count: int = 5, *, whole: bool = False) -> list[float]:
    """Return round numbers (steps of 1, 2, 2.5 or 5, or whole ones) that cover ``low`` to ``high``.

    Examples
    --------
    >>> linear_ticks(0.0, 3.7)
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    span = high - low
    if not span > 0:
        return [low, low + 1.0]
    raw = max(span / count, 1.0 if whole else 0.0)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(
        size * power
        for size in ((1.0, 2.0, 5.0, 10.0) if whole else (1.0, 2.0, 2.5, 5.0, 10.0))
        if size * power >= raw * 0.999
    )
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten from ``low`` to ``high``, thinned out to at most six.

    Examples
    --------
    >>> log_ticks(0.002, 0.11)
    [0.002, 0.005, 0.01, 0.02, 0.05, 0.1]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{digit}e{power}") for power in powers for digit in digits]
        inside = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
        if len(inside) <= 6:
            return inside
    return inside[:: math.ceil(len(inside) / 6)]


def tick_axis(at: Sequence[float], labels: Sequence[str], title: str | None, **options: Any) -> alt.Axis:
    """Return an axis with exactly these ticks and labels."""
    expression = f"({json.dumps(list(labels))})[indexof({json.dumps(list(at))}, datum.value)]"
    return alt.Axis(values=list(at), labelExpr=expression, title=title, labelOverlap=False, labelFlush=False, **options)


def value_axis(at: Sequence[float], labels: Sequence[str]) -> alt.Axis:
    """Return the vertical axis of a chart: labels and grid alone, as wide in every chart."""
    return tick_axis(at, labels, None, domain=False, ticks=False, minExtent=LABEL_SPACE, maxExtent=LABEL_SPACE)


def layered(layers: Sequence[alt.Chart], title: str, *, width: float = WIDTH, height: float = HEIGHT) -> alt.LayerChart:
    """Return layers on one pair of axes; ``title`` says what is measured upwards."""
    return alt.LayerChart(layer=list(layers), width=width, height=height, title=title)


def text_width(text: str, size: float = TEXT_SIZE) -> float:
    """Estimate how wide a text is drawn, in pixels, whatever fonts are installed here.

    Examples
    --------
    >>> text_width("料金", size=10) > text_width("ab", size=10)
    True
    """
    return sum(size * (1.0 if unicodedata.east_asian_width(letter) in "FW" else 0.51) for letter in text)


def to_svg(chart: alt.LayerChart, *, name: str, label: str) -> str:
    """Render a chart as SVG text that stands in a page.

    The chart is one image to a screen reader, told by ``label``. Ids begin with ``name``, so that several
    charts in a page do not collide. Text stays text, in the first of the usual fonts (Japanese ones included)
    that the reader has.

    Parameters
    ----------
    chart
        The layers.
    name
        Unique within the page; letters, digits and hyphens.
    label
        What the chart shows, in words.
    """
    spec = chart.configure(**_theme()).to_dict()
    svg = vl_convert.vegalite_to_svg(spec)
    opening, body = svg.split(">", 1)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', opening)
    width, height = (max(float(box[1]), FULL_WIDTH), float(box[2])) if box else (FULL_WIDTH, FULL_WIDTH)
    body = _with_own_ids(_EMPTY.sub("", _NOISE.sub("", body)), name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart {name}" '
        f'role="img" aria-label="{escape(label)}" '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'font-family="{escape(FONTS)}">{body}'
    )


def _with_own_ids(body: str, name: str) -> str:
    """Return the drawing with ids of its own: the renderer counts them on from one drawing to the next."""
    for number, old in enumerate(dict.fromkeys(_IDS.findall(body)), start=1):
        body = body.replace(f'id="{old}"', f'id="{name}-{number}"').replace(f"#{old})", f"#{name}-{number})")
    return body


def _theme() -> dict[str, Any]:
    axis = alt.AxisConfig(
        domainColor=MUTED,
        tickColor=MUTED,
        gridColor=GRID,
        labelColor=MUTED,
        titleColor=INK,
        labelFontSize=TEXT_SIZE - 1,
        titleFontSize=TEXT_SIZE - 1,
        titleFontWeight="normal",
        labelPadding=4,
        titlePadding=8,
        tickSize=4,
    )
    title = alt.TitleConfig(
        anchor="start", frame="bounds", fontSize=TEXT_SIZE - 1, fontWeight="normal", color=INK, offset=10
    )
    return {
        "font": "sans-serif",
        "background": "transparent",
        "padding": {"left": 4, "right": 14, "top": 4, "bottom": 4},
        "axis": axis,
        "title": title,
        "view": alt.ViewConfig(stroke=None),
        "text": alt.MarkConfig(fontSize=TEXT_SIZE, color=INK),
    }
