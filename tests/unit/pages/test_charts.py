"""Charts are SVG with real text, ids of their own, and survive odd numbers."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import altair as alt
import pytest

from pages.chart_parts import data, layered, to_svg
from pages.charts import calibration_chart, found_at, gains_chart, interval_hits, lift_chart
from pages.formats import Formats
from pages.line_charts import price_chart, signals_chart, threshold, weekly_chart
from pages.report_data import CalibrationBin, ModelReport
from pages.words import Language, load_words

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> str:
    """Return all text of a drawing; parsing fails on anything but well-formed XML."""
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    return " ".join("".join(text.itertext()) for text in root.iter(f"{SVG}text"))


def formats(language: Language = "en", currency: str = "JPY") -> Formats:
    return Formats(load_words(language), currency)


def test_lift_labels_every_bar_and_the_average(report: ModelReport) -> None:
    said = texts(lift_chart(report.endpoints[1], formats()))
    assert "4.9×" in said
    assert "average win rate: 1×" in said


def test_rare_outcomes_get_logarithmic_axes_and_frequent_ones_do_not(report: ModelReport) -> None:
    rare = report.endpoints[1]
    assert "logarithmic" in texts(calibration_chart(rare, formats()))
    bins = tuple(CalibrationBin(rate, rate, rate - 0.05, rate + 0.05, 100) for rate in (0.2, 0.3, 0.5))
    assert "logarithmic" not in texts(calibration_chart(replace(rare, calibration=bins), formats()))


def test_a_group_without_outcomes_is_said_to_have_none(report: ModelReport) -> None:
    sql, won = report.endpoints
    assert "none observed" in texts(calibration_chart(won, formats()))
    assert "none observed" not in texts(calibration_chart(sql, formats()))


def test_predictions_inside_their_intervals_are_counted() -> None:
    assert interval_hits([CalibrationBin(0.1, 0.2, 0.05, 0.3, 9), CalibrationBin(0.5, 0.2, 0.05, 0.3, 9)]) == 1


def test_gains_are_read_between_points(report: ModelReport) -> None:
    assert found_at([(0.0, 0.0), (0.5, 0.8), (1.0, 1.0)], 0.25) == pytest.approx(0.4)
    assert found_at([], 0.3) == pytest.approx(0.3)
    assert "20% → 56%" in texts(gains_chart(report.endpoints[0], formats()))


def test_the_price_chart_names_the_line_and_the_capacity(report: ModelReport) -> None:
    said = texts(price_chart(report.line, formats()))
    assert "line ¥54.3k" in said
    assert "38.6 a week" in said
    assert "capacity 40 a week" in said
    assert "capacity" not in texts(price_chart(replace(report.line, capacity=None), formats()))


@pytest.mark.parametrize("curve", [(), ((0.0, 0.0),), ((0.0, 5.0), (10.0, 5.0)), ((-50.0, 9.0), (100.0, 0.0))])
def test_the_price_chart_survives_short_curves(report: ModelReport, curve: tuple[tuple[float, float], ...]) -> None:
    assert "line" in texts(price_chart(replace(report.line, curve=curve, price=-3.0), formats()))


def test_the_line_never_lies_below_zero(report: ModelReport) -> None:
    assert threshold(replace(report.line, price=-5.0)) == 0.0


def test_weeks_are_counted_in_their_bars(report: ModelReport) -> None:
    said = texts(weekly_chart(report.line, formats("ja")))
    assert "47" in said
    assert "8月3日" in said
    quiet = replace(report.line, weekly=tuple((f"2026-01-{day:02}", 0.0) for day in range(1, 29)), capacity=None)
    assert texts(weekly_chart(quiet, formats()))


def test_signals_are_named_with_points_and_group(report: ModelReport) -> None:
    said = texts(signals_chart(report.signals, formats()))
    assert "4.1 · engagement" in said
    assert "3.0 · fit" in said or "3.1 · fit" in said
    assert "chats" not in said


def test_text_of_the_data_cannot_leave_its_drawing(report: ModelReport) -> None:
    nasty = replace(report.signals[0], signal='</text><script>alert("1")</script>')
    svg = signals_chart([nasty], formats())
    assert "<script" not in svg
    assert "<script>" in texts(svg)


def test_ids_belong_to_their_drawing() -> None:
    points = alt.Chart(data([{"x": 1, "y": 1}])).mark_point(clip=True).encode(x="x:Q", y="y:Q")
    first, second = (to_svg(layered([points], "y"), name=name, label="points") for name in ("one", "two"))
    assert re.findall(r' id="([^"]+)"', first) == ["one-1"]
    assert "url(#one-1)" in first
    assert first == second.replace("two", "one")


def test_japanese_stays_text_in_fonts_that_have_it(report: ModelReport) -> None:
    svg = lift_chart(report.endpoints[0], formats("ja"))
    assert "平均のSQL化率" in texts(svg)
    assert "Noto Sans CJK JP" in svg
    assert "Hiragino Sans" in svg
    assert not re.search(r"<(image|foreignObject|a) ", svg)
