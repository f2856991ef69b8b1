"""The first section of a model report: what a head of sales reads before the meeting."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pages.charts import found_at
from pages.line_charts import threshold
from pages.report_data import EndpointReport
from pages.report_endpoint import base_rate
from pages.report_parts import Context, Tile
from pages.report_readings import has_interval, metric_text, verdict_of

__all__ = ["Summary", "report_summary"]


@dataclass(frozen=True)
class Summary:
    """Sentences and headline tiles."""

    sentences: tuple[str, ...]
    tiles: tuple[Tile, ...]


def report_summary(context: Context) -> Summary:
    """Return the headline: what is predicted, how well, and where that puts the MQL line."""
    endpoint = _headline_endpoint(context)
    tiles = _model_tiles(endpoint, context) if endpoint is not None else []
    sentences = [_predicts(context), *(_basis(endpoint, context) if endpoint is not None else [])]
    return Summary(tuple(sentences), (*tiles, *_line_tiles(context)))


def _headline_endpoint(context: Context) -> EndpointReport | None:
    """Choose the endpoint that the score ranks by; where it repeats SQL, SQL's figures."""
    ranked = context.endpoint(context.report.score_outcome)
    if ranked is None or ranked.same_as_sql:
        ranked = context.endpoint("sql") or ranked
    return ranked or next(iter(context.report.endpoints), None)


def _predicts(context: Context) -> str:
    sql, won = context.endpoint("sql"), context.endpoint("won")
    if sql is not None and won is not None and not won.same_as_sql:
        days = {"sql_days": context.days(sql.horizon_days), "won_days": context.days(won.horizon_days)}
        return context.words("summary.predicts", **days)
    only = won or sql
    outcome, days = (only.outcome, only.horizon_days) if only is not None else ("won", 0.0)
    reaches = context.outcome(outcome)["reaches"]
    return context.words("summary.predicts_one", reaches=reaches, days=context.days(days))


def _basis(endpoint: EndpointReport, context: Context) -> list[str]:
    formats = context.formats
    basis = context.words(
        "summary.basis",
        rows=formats.number(endpoint.test_rows),
        outcomes=formats.number(endpoint.test_outcomes),
        rate=formats.percent(base_rate(endpoint)),
        reached_many=context.outcome(endpoint.outcome)["reached_many"],
    )
    won = context.endpoint("won")
    falls_back = context.report.score_outcome == "sql" and won is not None and not won.same_as_sql
    return [basis, context.words("summary.score_is_sql")] if falls_back else [basis]


def _model_tiles(endpoint: EndpointReport, context: Context) -> list[Tile]:
    named = context.outcome(endpoint.outcome)
    tiles = [
        _rate_tile("auc", "ranking", endpoint, context),
        _lift_tile(endpoint, context, named),
        _rate_tile("observed_over_expected", "calibration", endpoint, context),
    ]
    return [tile for tile in tiles if tile is not None]


def _rate_tile(metric: str, key: str, endpoint: EndpointReport, context: Context) -> Tile | None:
    """Return a tile that reads a measure out of 100, with its interval where there is one."""
    estimate = endpoint.metrics.get(metric)
    if estimate is None or not math.isfinite(estimate.value):
        return None
    words, formats, named = context.words, context.formats, context.outcome(endpoint.outcome)
    hundredth = formats.number(100 * round(estimate.value, 2))
    if not has_interval(estimate):
        sentence = words(f"summary.{key}_plain", n=hundredth, **named)
    else:
        ends = (formats.number(100 * round(end, 2)) for end in (estimate.low, estimate.high) if end is not None)
        sentence = words(f"summary.{key}", n=hundredth, interval=formats.interval(*ends), **named)
    verdict, tone = verdict_of(metric, endpoint, words)
    value = formats.number(estimate.value, 2)
    return Tile(words(f"summary.{key}_label"), value, sentence, verdict, tone)


def _lift_tile(endpoint: EndpointReport, context: Context, named: dict[str, str]) -> Tile | None:
    estimate = endpoint.metrics.get("lift_at_10")
    if estimate is None or not math.isfinite(estimate.value):
        return None
    words, formats = context.words, context.formats
    lift = metric_text("lift_at_10", estimate.value, formats)
    share = found_at(endpoint.gains, 0.1) if endpoint.gains else min(1.0, estimate.value / 10)
    times = formats.number(estimate.value, 1)
    sentence = words("summary.lift", lift=times, share=formats.percent(share), **named)
    verdict, tone = verdict_of("lift_at_10", endpoint, words)
    return Tile(words("summary.lift_label"), lift, sentence, verdict, tone)


def _line_tiles(context: Context) -> list[Tile]:
    words, formats, line = context.words, context.formats, context.report.line
    price = formats.money(threshold(line))
    sentence = words("summary.line", price=price) if threshold(line) > 0 else words("summary.line_zero")
    volume = {"n": formats.count(line.crossings_per_week), "weeks": str(line.weeks)}
    if line.capacity is None:
        weekly = words("summary.volume_free", **volume)
    else:
        weekly = words("summary.volume", capacity=formats.count(line.capacity), **volume)
    return [
        Tile(words("summary.line_label"), price, sentence),
        Tile(words("summary.volume_label"), words("common.per_week", n=volume["n"]), weekly),
    ]
