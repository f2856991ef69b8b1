"""The section of a model report on how well one endpoint is predicted."""

from __future__ import annotations

from dataclasses import dataclass

from pages.charts import calibration_chart, found_at, gains_chart, interval_hits, lift_chart
from pages.report_data import EndpointReport
from pages.report_parts import Badge, Cell, Context, Figure, Table, columns, make_table
from pages.report_readings import METRICS, ONLY_WHERE_COMPUTED, metric_interval, metric_text, verdict_of

__all__ = ["EndpointSection", "base_rate", "endpoint_section"]

FEW_OUTCOMES = 100
WORKED = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class EndpointSection:
    """Heading, sentences, metrics and figures of one endpoint."""

    anchor: str
    heading: str
    sentences: tuple[str, ...]
    metrics: Table | None
    figures: tuple[Figure, ...]


def endpoint_section(endpoint: EndpointReport, context: Context) -> EndpointSection:
    """Return everything that a report shows of one endpoint."""
    words, formats, named = context.words, context.formats, context.outcome(endpoint.outcome)
    anchor = f"endpoint-{endpoint.outcome}"
    days = context.days(endpoint.horizon_days)
    heading = words("endpoint.heading", name=named["name"], days=days)
    if endpoint.same_as_sql:
        return EndpointSection(anchor, heading, (words("endpoint.same_as_sql"),), None, ())
    sentences = [
        words(
            "endpoint.basis",
            train_rows=formats.number(endpoint.train_rows),
            train_outcomes=formats.number(endpoint.train_outcomes),
            test_rows=formats.number(endpoint.test_rows),
            test_outcomes=formats.number(endpoint.test_outcomes),
            rate=formats.percent(base_rate(endpoint)),
            noun=named["noun"],
            days=days,
        ),
        words("endpoint.intervals"),
    ]
    if endpoint.test_outcomes < FEW_OUTCOMES:
        sentences.append(words("endpoint.few", n=formats.number(endpoint.test_outcomes), noun=named["noun"]))
    builders = (_lift_figure, _calibration_figure, _gains_figure)
    figures = tuple(figure for build in builders if (figure := build(endpoint, context)) is not None)
    return EndpointSection(anchor, heading, tuple(sentences), _metrics_table(endpoint, context), figures)


def base_rate(endpoint: EndpointReport) -> float | None:
    """Return the share of tested leads with the outcome, None when none was tested."""
    return endpoint.test_outcomes / endpoint.test_rows if endpoint.test_rows else None


def _metrics_table(endpoint: EndpointReport, context: Context) -> Table:
    words, formats, named = context.words, context.formats, context.outcome(endpoint.outcome)
    rows: list[tuple[Cell, ...]] = []
    for name in METRICS:
        estimate = endpoint.metrics.get(name)
        base = base_rate(endpoint) if name == "average_precision" else endpoint.base.get(name)
        meaning = words(f"metric.{name}.meaning", base=metric_text(name, base, formats), **named)
        title = words(f"metric.{name}.name")
        if estimate is None and name in ONLY_WHERE_COMPUTED:
            continue
        if estimate is None:
            rows.append((title, words("common.not_computed"), "", "", meaning))
            continue
        value, interval = metric_text(name, estimate.value, formats), metric_interval(name, estimate, formats)
        verdict = Badge(*verdict_of(name, endpoint, words))
        rows.append((title, value, interval, verdict, meaning))
    heads = columns(words, "endpoint", "metric", "value:n", "interval:n", "verdict", "meaning:w")
    return make_table(
        words("endpoint.metrics_caption", **named), heads, rows, stacks=True, name=f"{endpoint.outcome}_metrics"
    )


def _lift_figure(endpoint: EndpointReport, context: Context) -> Figure | None:
    if not endpoint.deciles:
        return None
    words, formats, named = context.words, context.formats, context.outcome(endpoint.outcome)
    rows = [
        (
            str(row.decile),
            formats.number(row.leads),
            formats.number(row.outcomes),
            formats.percent(row.rate),
            formats.times(row.lift),
        )
        for row in endpoint.deciles
    ]
    heads = columns(words, "lift", "decile", "leads:n", "outcomes:n", "rate:n", "lift:n")
    numbers = make_table(words("lift.table", **named), heads, rows, name=f"{endpoint.outcome}_lift")
    return Figure(words("lift.title", **named), lift_chart(endpoint, formats), words("lift.caption"), numbers)


def _calibration_figure(endpoint: EndpointReport, context: Context) -> Figure | None:
    if not endpoint.calibration:
        return None
    words, formats, named = context.words, context.formats, context.outcome(endpoint.outcome)
    bins = endpoint.calibration
    rows = [
        (
            str(place),
            formats.number(group.leads),
            formats.percent(group.predicted),
            formats.percent(group.observed),
            formats.interval(formats.percent(group.low), formats.percent(group.high)),
        )
        for place, group in enumerate(bins, start=1)
    ]
    heads = columns(words, "calibration", "group", "leads:n", "predicted:n", "observed:n")
    heads = (*heads, *columns(words, "endpoint", "interval:n"))
    numbers = make_table(words("calibration.table", **named), heads, rows, name=f"{endpoint.outcome}_calibration")
    counted = {"bins": str(len(bins)), "inside": str(interval_hits(bins))}
    caption = words("calibration.caption_one" if len(bins) == 1 else "calibration.caption", **counted)
    return Figure(words("calibration.title", **named), calibration_chart(endpoint, formats), caption, numbers)


def _gains_figure(endpoint: EndpointReport, context: Context) -> Figure | None:
    if not endpoint.gains:
        return None
    words, formats, named = context.words, context.formats, context.outcome(endpoint.outcome)
    rows = [
        (
            formats.round_percent(share),
            formats.percent(found_at(endpoint.gains, share)),
            formats.round_percent(share),
        )
        for share in WORKED
    ]
    heads = columns(words, "gains", "worked:n", "found:n", "found_random:n")
    numbers = make_table(words("gains.table", **named), heads, rows, name=f"{endpoint.outcome}_gains")
    return Figure(
        words("gains.title", **named),
        gains_chart(endpoint, formats),
        words("gains.caption", **named),
        numbers,
    )
