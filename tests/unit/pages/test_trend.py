"""A share by period: what is open is hollow and shaded, what is missing is a gap, and labels do not run together."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pages import trend as trend_module
from pages.trend import Point, trend

SVG = "{http://www.w3.org/2000/svg}"
TICKS = ((0.0, "0%"), (0.5, "50%"), (1.0, "100%"))


def drawn(points: list[Point], goal: float | None = None) -> ElementTree.Element:
    return ElementTree.fromstring(trend(points, TICKS, "Share <of> all", goal=goal, name="t", label='by "month"'))


def count(root: ElementTree.Element, kind: str, **given: str) -> int:
    return sum(all(one.get(key) == value for key, value in given.items()) for one in root.iter(f"{SVG}{kind}"))


def months(number: int, opened: int = 0) -> list[Point]:
    return [
        Point(f"2025-{month:02}", month / 40, month / 50, month / 30, f"{month}%", month > number - opened)
        for month in range(1, number + 1)
    ]


def test_the_newest_value_stands_in_words() -> None:
    texts = ["".join(text.itertext()) for text in drawn(months(6)).iter(f"{SVG}text")]
    assert "6%" in texts
    assert "5%" not in texts
    assert "Share <of> all" in texts
    assert {"0%", "50%", "100%"} <= set(texts)


def test_what_is_open_is_hollow_on_a_ground() -> None:
    closed, opened = drawn(months(6)), drawn(months(6, opened=2))
    assert count(closed, "circle") == 6
    assert count(opened, "circle") == 8
    assert count(opened, "circle", fill="#ffffff") == 2
    assert count(opened, "rect") == count(closed, "rect") + 1


def test_a_period_without_a_value_is_left_out() -> None:
    points = months(6)
    points[2] = Point("2025-03", None, None, None, "-")
    assert count(drawn(points), "circle") == 5


def test_every_colour_has_another_one_in_the_dark() -> None:
    style = (Path(trend_module.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
    for one in drawn(months(6, opened=2), goal=0.5).iter():
        for place in ("fill", "stroke"):
            if (colour := one.get(place, "none")) != "none":
                assert re.search(rf'\.chart \w*\[{place}="{colour}"\]', style), (one.tag, place, colour)


def test_a_goal_is_dashed() -> None:
    def dashed(root: ElementTree.Element) -> int:
        return sum(one.get("stroke-dasharray") is not None for one in root.iter())

    assert dashed(drawn(months(3), goal=0.9)) == dashed(drawn(months(3))) + 1


@pytest.mark.parametrize("number", [0, 1, 2, 12, 52])
def test_any_number_of_periods_is_a_drawing_with_labels_apart(number: int) -> None:
    points = [Point(f"2025-W{week:02}", 0.5, None, None, "50%") for week in range(1, number + 1)]
    root = drawn(points)
    at = [float(text.get("x") or 0) for text in root.iter(f"{SVG}text") if "W" in "".join(text.itertext())]
    assert all(two - one > 45 for one, two in pairwise(at))
    if points:
        assert points[-1].label in ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
