"""A share by month or week with its interval, drawn by hand: what is not mature is hollow, on a shaded ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pages.chart_parts import GRID, MARK, MODEL, MUTED, PALE, text_width
from pages.plot import WIDTH, Axis, circle, draw, line, rect, text

__all__ = ["Point", "trend"]

HEIGHT = 230.0
TOP, BOTTOM, LEFT, RIGHT = 30.0, 44.0, 46.0, 14.0


@dataclass(frozen=True)
class Point:
    """One period: label, value and ends (None where there is none), as written, and whether it is still open."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    shown: str
    is_open: bool = False


def trend(
    points: Sequence[Point],
    ticks: Sequence[tuple[float, str]],
    title: str,
    *,
    goal: float | None,
    name: str,
    label: str,
) -> str:
    """Return a share by period.

    Parameters
    ----------
    points
        In order of time.
    ticks
        Values and how they are written, rising; the first and the last are the ends of the axis.
    title
        What is measured.
    goal
        Where a dashed line stands; None for none.
    name, label
        Class of the drawing, and what it shows in words.
    """
    across = Axis(-0.5, max(len(points) - 0.5, 0.5), LEFT, WIDTH - RIGHT)
    up = Axis(ticks[0][0], ticks[-1][0], HEIGHT - BOTTOM, TOP)
    parts = [text(0, 14, title, fill=MUTED)]
    parts += _ground(points, across)
    parts += _grid(ticks, up)
    if goal is not None:
        parts.append(line([(LEFT, up(goal)), (WIDTH - RIGHT, up(goal))], stroke=MARK, width=1.5, dash="5 3"))
    drawn = [(place, point) for place, point in enumerate(points) if point.value is not None]
    for (one, first), (two, second) in pairwise(drawn):
        ends = [(across(one), up(first.value or 0.0)), (across(two), up(second.value or 0.0))]
        parts.append(line(ends, stroke=PALE if second.is_open else MODEL, width=1.5))
    for place, point in drawn:
        x = across(place)
        if point.low is not None and point.high is not None:
            parts.append(line([(x, up(point.low)), (x, up(point.high))], stroke=MODEL, width=2))
        parts.append(circle(x, up(point.value or 0.0), 4.0, MODEL))
        if point.is_open:
            parts.append(circle(x, up(point.value or 0.0), 2.4, "#ffffff"))
    parts += _labels(points, across)
    if drawn:
        place, point = drawn[-1]
        at = min(across(place), WIDTH - text_width(point.shown) / 2)
        parts.append(text(at, max(up(point.high or point.value or 0.0) - 7, 26), point.shown, anchor="middle"))
    return draw(parts, name=name, label=label, height=HEIGHT)


def _ground(points: Sequence[Point], across: Axis) -> list[str]:
    opened = [place for place, point in enumerate(points) if point.is_open]
    if not opened:
        return []
    start = across(min(opened) - 0.5)
    return [rect(start, TOP, across(len(points) - 0.5) - start, HEIGHT - BOTTOM - TOP, GRID)]


def _grid(ticks: Sequence[tuple[float, str]], up: Axis) -> list[str]:
    parts: list[str] = []
    for value, words in ticks:
        parts.append(line([(LEFT, up(value)), (WIDTH - RIGHT, up(value))], stroke=GRID, width=1))
        parts.append(text(LEFT - 6, up(value) + 4, words, anchor="end", fill=MUTED))
    return parts


def _labels(points: Sequence[Point], across: Axis) -> list[str]:
    widest = max((text_width(point.label) for point in points), default=1.0) * 1.3
    room = (WIDTH - LEFT - RIGHT) / max(len(points), 1)
    every = max(1, int(-(-widest // room)))
    last = len(points) - 1
    return [
        text(across(place), HEIGHT - BOTTOM + 18, point.label, anchor="middle", fill=MUTED)
        for place, point in enumerate(points)
        if (last - place) % every == 0
    ]
