"""Charts of how well one endpoint is predicted: lift, calibration, gains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import altair as alt

from pages.chart_parts import (
    MARK,
    MODEL,
    MUTED,
    PALE,
    WIDTH,
    data,
    layered,
    linear_ticks,
    log_ticks,
    tick_axis,
    to_svg,
    value_axis,
)
from pages.formats import Formats
from pages.report_data import CalibrationBin, EndpointReport

__all__ = ["calibration_chart", "found_at", "gains_chart", "interval_hits", "lift_chart"]

LOG_FROM_RATIO = 12


def lift_chart(endpoint: EndpointReport, formats: Formats) -> str:
    """Return bars of the lift of each tenth of the leads, best first, against the average."""
    words, rate = formats.words, formats.words(f"outcome.{endpoint.outcome}.rate")
    rows: list[dict[str, Any]] = [
        {"tenth": row.decile, "lift": row.lift, "text": formats.times(row.lift), "above": row.lift >= 1}
        for row in endpoint.deciles
    ]
    ticks = linear_ticks(0.0, max([1.0, *(row.lift for row in endpoint.deciles)]) * 1.08, 4)
    y = alt.Y("lift:Q").scale(domain=[0, ticks[-1]])
    x = alt.X("tenth:O").axis(title=words("lift.axis_x"), labelAngle=0, ticks=False, domain=False)
    bars = (
        alt.Chart(data(rows))
        .mark_bar(width=alt.RelativeBandSize(0.78))
        .encode(
            x=x,
            y=y.axis(value_axis(ticks, [words("common.times", n=formats.count(tick)) for tick in ticks])),
            color=alt.when(alt.datum["above"]).then(alt.value(MODEL)).otherwise(alt.value(PALE)),
        )
    )
    texts = alt.Chart(data(rows)).mark_text(dy=-8, fontSize=11).encode(x=x, y=y, text="text:N")
    average = [{"at": 1.0, "text": words("lift.average", rate=rate)}]
    line = alt.Chart(data(average)).mark_rule(color=MARK, strokeWidth=1.5, strokeDash=[5, 3]).encode(y="at:Q")
    note = (
        alt.Chart(data(average))
        .mark_text(align="right", dy=-14, color=MARK)
        .encode(x=alt.value(WIDTH), y="at:Q", text="text:N")
    )
    title = words("lift.axis_y", rate=rate)
    label = words("lift.alt", rate=rate, top=rows[0]["text"], bottom=rows[-1]["text"]) if rows else title
    return to_svg(layered([bars, line, texts, note], title), name=f"{endpoint.outcome}-lift", label=label)


def calibration_chart(endpoint: EndpointReport, formats: Formats) -> str:
    """Return predicted against observed rates with their 90% intervals.

    The axes are logarithmic when predictions spread over more than a factor of twelve, as those of rare
    events do: on straight axes all groups but the best would lie on top of each other. A group without
    outcomes is then drawn hollow, at the lower edge.
    """
    words, bins = formats.words, endpoint.calibration
    scale = _calibration_scale(bins)
    rate = words(f"outcome.{endpoint.outcome}.rate")
    x = (
        alt.X("predicted:Q")
        .scale(scale.altair())
        .axis(tick_axis(scale.ticks, scale.labels(formats), words(scale.title, rate=rate)))
    )
    y = alt.Y("observed:Q").scale(scale.altair()).axis(value_axis(scale.ticks, scale.labels(formats)))
    rows = [scale.row(group) for group in bins]
    ends = [{"predicted": end, "observed": end} for end in scale.domain]
    diagonal = alt.Chart(data(ends)).mark_line(color=MARK, strokeWidth=1.5, strokeDash=[5, 3]).encode(x=x, y=y)
    bars = alt.Chart(data(rows)).mark_rule(color=MODEL, strokeWidth=2).encode(x=x, y=alt.Y("low:Q"), y2="high:Q")
    points = (
        alt.Chart(data([row for row in rows if row["seen"]]))
        .mark_point(size=64, filled=True, fill=MODEL, opacity=1)
        .encode(x=x, y=y)
    )
    hollow = (
        alt.Chart(data([row for row in rows if not row["seen"]]))
        .mark_point(size=52, filled=False, stroke=MODEL, strokeWidth=2, opacity=1)
        .encode(x=x, y=y)
    )
    title = words("calibration.axis_y", rate=rate)
    layers = [diagonal, bars, points, hollow, *_calibration_notes(rows, scale, formats)]
    label = words("calibration.alt", bins=str(len(bins)), inside=str(interval_hits(bins)), rate=rate)
    return to_svg(layered(layers, title), name=f"{endpoint.outcome}-calibration", label=label)


def interval_hits(bins: Sequence[CalibrationBin]) -> int:
    """Count groups whose prediction lies inside the 90% interval of the observed rate."""
    return sum(group.low <= group.predicted <= group.high for group in bins)


def gains_chart(endpoint: EndpointReport, formats: Formats) -> str:
    """Return the share of outcomes found by the share of leads worked, against a random order."""
    words = formats.words
    noun = words(f"outcome.{endpoint.outcome}.noun")
    ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
    labels = [formats.round_percent(tick) for tick in ticks]
    x = alt.X("worked:Q").scale(domain=[0, 1]).axis(tick_axis(ticks, labels, words("gains.axis_x")))
    y = alt.Y("found:Q").scale(domain=[0, 1]).axis(value_axis(ticks, labels))
    curve = [{"worked": worked, "found": found} for worked, found in endpoint.gains]
    corners = [{"worked": 0.0, "found": 0.0}, {"worked": 1.0, "found": 1.0}]
    marked = [_marked_gain(share, endpoint, formats) for share in (0.2, 0.5)]
    layers = [
        alt.Chart(data(corners)).mark_line(color=MUTED, strokeWidth=1.5, strokeDash=[5, 3]).encode(x=x, y=y),
        alt.Chart(data(curve)).mark_line(color=MODEL, strokeWidth=2.5).encode(x=x, y=y),
        alt.Chart(data(marked)).mark_point(size=64, filled=True, fill=MODEL, opacity=1).encode(x=x, y=y),
        alt.Chart(data(marked)).mark_text(align="left", dx=9, dy=9).encode(x=x, y=y, text="text:N"),
        _note(
            0.4,
            found_at(endpoint.gains, 0.4),
            words("gains.model"),
            x,
            y,
            dy=-8,
            dx=-8,
            align="right",
            color=MODEL,
        ),
        _note(0.72, 0.72, words("gains.random"), x, y, dy=16, align="left", color=MUTED),
    ]
    title = words("gains.axis_y", noun=noun)
    share, found = formats.round_percent(0.1), formats.percent(found_at(endpoint.gains, 0.1))
    label = words("gains.alt", share=share, found=found, noun=noun)
    return to_svg(layered(layers, title), name=f"{endpoint.outcome}-gains", label=label)


def found_at(gains: Sequence[tuple[float, float]], share: float) -> float:
    """Return the share of outcomes found after working a share of leads, between the given points linearly.

    Examples
    --------
    >>> round(found_at([(0.0, 0.0), (0.2, 0.6), (1.0, 1.0)], 0.1), 2)
    0.3
    """
    points = [(0.0, 0.0), *gains, (1.0, 1.0)]
    for (left, low), (right, high) in pairwise(points):
        if left <= share <= right and right > left:
            return low + (high - low) * (share - left) / (right - left)
    return share


@dataclass(frozen=True)
class _Scale:
    """Both axes of a calibration chart."""

    is_log: bool
    domain: tuple[float, float]
    ticks: tuple[float, ...]

    @property
    def title(self) -> str:
        return "calibration.axis_x_log" if self.is_log else "calibration.axis_x"

    def altair(self) -> alt.Scale:
        return alt.Scale(type="log" if self.is_log else "linear", domain=list(self.domain), nice=False)

    def labels(self, formats: Formats) -> list[str]:
        return [formats.round_percent(tick) for tick in self.ticks]

    def row(self, group: CalibrationBin) -> dict[str, Any]:
        return {
            "predicted": self._inside(group.predicted),
            "observed": self._inside(group.observed),
            "low": self._inside(group.low),
            "high": self._inside(group.high),
            "seen": group.observed > 0 or not self.is_log,
        }

    def _inside(self, value: float) -> float:
        return min(max(value, self.domain[0]), self.domain[1])


def _calibration_scale(bins: Sequence[CalibrationBin]) -> _Scale:
    smallest = min((group.predicted for group in bins), default=0.0)
    largest = max((max(group.predicted, group.high) for group in bins), default=1.0)
    if smallest <= 0 or max(group.predicted for group in bins) / smallest < LOG_FROM_RATIO:
        ticks = linear_ticks(0.0, largest, 4)
        return _Scale(False, (0.0, ticks[-1]), tuple(ticks))
    seen = [group.low for group in bins if group.observed > 0 and group.low > 0]
    low = max(min([smallest, *seen]), smallest / 4) / 1.6
    high = min(1.0, largest * 1.3)
    return _Scale(True, (low, high), tuple(log_ticks(low, high)))


def _calibration_notes(rows: Sequence[dict[str, Any]], scale: _Scale, formats: Formats) -> list[alt.Chart]:
    words = formats.words
    notes = [(words("calibration.perfect"), 12, MARK)]
    if not all(row["seen"] for row in rows):
        notes.append((words("calibration.none_seen"), 30, MODEL))
    return [
        alt.Chart(data([{"text": text}]))
        .mark_text(align="left", color=color)
        .encode(x=alt.value(10), y=alt.value(height), text="text:N")
        for text, height, color in notes
    ]


def _marked_gain(share: float, endpoint: EndpointReport, formats: Formats) -> dict[str, Any]:
    found = found_at(endpoint.gains, share)
    text = formats.words("gains.point", share=formats.round_percent(share), found=formats.percent(found))
    return {"worked": share, "found": found, "text": text}


def _note(worked: float, found: float, text: str, x: alt.X, y: alt.Y, **style: Any) -> alt.Chart:
    return (
        alt.Chart(data([{"worked": worked, "found": found, "text": text}]))
        .mark_text(**style)
        .encode(x=x, y=y, text="text:N")
    )
