"""Small drawings written as SVG by hand: dots with intervals, curves over a histogram, bands.

They look as the other charts do: their colours are those of :mod:`pages.chart_parts`, which style.css gives a shade on
a dark page. Dozens of them cost no time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pages.chart_parts import FONTS, GRID, INK, MARK, MODEL, MUTED, PALE, text_width

__all__ = ["Axis", "Dot", "area", "circle", "draw", "forest", "line", "rect", "shorten", "text"]

WIDTH = 448.0
ROW = 27.0
TOP = 30.0
LABEL_SIZE = 12
LABEL_AT_MOST = 190.0
VALUE_SPACE = 44.0


@dataclass(frozen=True)
class Axis:
    """From values to pixels; logarithmic where asked. Values beyond the ends are drawn at the ends."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        value = min(max(value, self.low), self.high)
        if self.is_log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


@dataclass(frozen=True)
class Dot:
    """One row of a forest chart: label, value as written, value and ends, and whether it stands out."""

    label: str
    shown: str
    value: float
    low: float | None
    high: float | None
    stands_out: bool = False
    is_ours: bool = True


def text(x: float, y: float, words: str, *, size: int = LABEL_SIZE, anchor: str = "start", fill: str = INK) -> str:
    """Return text; ``anchor`` is start, middle or end."""
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}px" text-anchor="{anchor}"'
    return f'<text {place} fill="{fill}">{escape(words)}</text>'


def line(points: Sequence[tuple[float, float]], *, stroke: str = MODEL, width: float = 2, dash: str = "") -> str:
    """Return a line through points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width:g}"{dashed}/>'


def area(upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]], fill: str = PALE) -> str:
    """Return the area between two lines over the same places."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*upper, *reversed(lower)])
    return f'<polygon points="{path}" fill="{fill}" fill-opacity="0.55"/>'


def rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    """Return a filled rectangle."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" fill="{fill}"/>'


def circle(x: float, y: float, radius: float, fill: str) -> str:
    """Return a filled circle."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{fill}"/>'


def draw(parts: Sequence[str], *, name: str, label: str, width: float = WIDTH, height: float) -> str:
    """Return the drawing: one image to a screen reader, told by ``label``."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart {name}" role="img" aria-label="{escape(label)}" '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'font-family="{escape(FONTS)}">{"".join(parts)}</svg>'
    )


def shorten(words: str, width: float, size: float = LABEL_SIZE) -> str:
    """Return words that fit, with an ellipsis where some are left out.

    Examples
    --------
    >>> shorten("manufacturing", 60.0)
    'manufact…'
    """
    if text_width(words, size) <= width:
        return words
    kept = words
    while kept and text_width(kept + "…", size) > width:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def forest(
    rows: Sequence[Dot], ticks: Sequence[tuple[float, str]], title: str, *, reference: float, name: str, label: str
) -> str:
    """Return dots with their intervals under each other, and a dashed line at ``reference``.

    Parameters
    ----------
    rows
        From top to bottom.
    ticks
        Values and how they are written, rising; the first and the last are the ends of the axis, which is logarithmic
        where the reference is 1 and the first is above 0.
    title
        What is measured.
    reference
        Where the dashed line stands.
    name, label
        Class of the drawing, and what it shows in words.
    """
    room = 1.25  # phones enlarge texts by so much
    space = min(LABEL_AT_MOST, max(text_width(row.label, LABEL_SIZE * room) for row in rows) + 10)
    axis = Axis(ticks[0][0], ticks[-1][0], space + 6, WIDTH - VALUE_SPACE - 12, ticks[0][0] > 0 and reference == 1)
    bottom = TOP + ROW * len(rows)
    parts = [text(0, 14, title, fill=MUTED)]
    for value, words in ticks:
        parts += [line([(axis(value), TOP - 4), (axis(value), bottom)], stroke=GRID, width=1)]
        parts += [text(axis(value), bottom + 16, words, anchor="middle", fill=MUTED)]
    parts.append(line([(axis(reference), TOP - 4), (axis(reference), bottom)], stroke=MARK, width=1.5, dash="5 3"))
    for place, row in enumerate(rows):
        y = TOP + ROW * (place + 0.5)
        colour = MARK if row.stands_out else MODEL if row.is_ours else MUTED
        parts.append(text(0, y + 4, shorten(row.label, space - 4, LABEL_SIZE * room)))
        if row.low is not None and row.high is not None:
            parts.append(line([(axis(row.low), y), (axis(row.high), y)], stroke=colour, width=2))
        parts += [circle(axis(row.value), y, 4.5, colour)]
        parts += [text(WIDTH, y + 4, row.shown, anchor="end", fill=colour)]
    return draw(parts, name=name, label=label, height=bottom + 24)
