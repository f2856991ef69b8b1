"""Known limits that follow from the numbers of this run."""

from __future__ import annotations

from collections.abc import Iterator

from pages.report_data import EndpointReport
from pages.report_parts import Context
from pages.report_readings import has_interval

__all__ = ["facts_of"]

FEW_OUTCOMES = 100
WIDE_AUC = 0.08


def facts_of(context: Context) -> tuple[str, ...]:
    """Return what a reader must know before believing this run, most telling first."""
    endpoints = [endpoint for endpoint in context.report.endpoints if not endpoint.same_as_sql]
    said = [sentence for endpoint in endpoints for sentence in _of_endpoint(endpoint, context)]
    return (*said, *_of_line(context), *_of_levels(context), *_of_data(context))


def _of_endpoint(endpoint: EndpointReport, context: Context) -> Iterator[str]:
    words, formats, named = context.words, context.formats, context.outcome(endpoint.outcome)
    if 0 < endpoint.test_outcomes < FEW_OUTCOMES:
        yield words("facts.few", n=formats.number(endpoint.test_outcomes), **named)
    auc = endpoint.metrics.get("auc")
    if auc is not None and has_interval(auc):
        ends = formats.interval(formats.number(auc.low, 2), formats.number(auc.high, 2))
        if (auc.low or 0.0) <= 0.5:
            yield words("facts.no_better", interval=ends, **named)
        elif (auc.high or 0.0) - (auc.low or 0.0) > WIDE_AUC:
            yield words("facts.wide", interval=ends, **named)
    ratio = endpoint.metrics.get("observed_over_expected")
    if ratio is not None and has_interval(ratio) and not (ratio.low or 0.0) <= 1.0 <= (ratio.high or 0.0):
        yield words("facts.level", ratio=formats.number(ratio.value, 2), **named)


def _of_line(context: Context) -> Iterator[str]:
    words, formats, report = context.words, context.formats, context.report
    if report.line.comparison is None:
        yield words("facts.no_old_rule")
        return
    gain = report.line.comparison.gain
    if has_interval(gain) and (gain.low or 0.0) <= 0.0 <= (gain.high or 0.0):
        ends = formats.interval(formats.money(gain.low), formats.money(gain.high))
        yield words("facts.gain_zero", interval=ends)


_FOLLOWS = {
    "earned": "facts.update_earned",
    "confirmed": "facts.update_confirmed",
    "follows_sql": "facts.update_follows_sql",
}


def _of_levels(context: Context) -> Iterator[str]:
    words, formats = context.words, context.formats
    for state in context.report.evidence.level_states:
        named = context.outcome(state.outcome)
        if state.factor != 1.0:
            yield words(_FOLLOWS[state.reason or "earned"], factor=formats.number(state.factor, 2), **named)
        elif state.reason is not None:
            yield words("facts.update_idle", n=str(state.origins), **named)
        else:
            yield words("facts.update_off", n=str(state.origins), **named)


def _of_data(context: Context) -> Iterator[str]:
    words, report = context.words, context.report
    if report.observed_from is not None:
        yield words("facts.truncated", when=context.formats.moment(report.observed_from))
    evidence = report.evidence
    if any(row.status == "not_run" for row in evidence.leaks):
        yield words("facts.leaks")
    if evidence.pooled and evidence.backtest is None:
        yield words("facts.no_backtest")
