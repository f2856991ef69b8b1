"""The sections of a model report on the MQL line, the amounts, the signals and the example leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from pages.line_charts import SHOWN_SIGNALS, price_chart, signals_chart, threshold, weekly_chart
from pages.report_parts import Cell, Context, Figure, Table, columns, make_table
from pages.report_readings import metric_interval, metric_text
from pages.report_rules import equivalents_table, gain_sentence, gaps_table, rules_table

__all__ = ["LineSection", "amount_table", "examples_table", "line_section", "signals_figure"]

QUANTILES_SHOWN = (50, 75, 90, 95, 99, 100)


@dataclass(frozen=True)
class LineSection:
    """Sentences, figures and tables on the MQL line; ``wide`` are its meaning for segments, and the old rule."""

    sentences: tuple[str, ...]
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]
    wide: tuple[Table, ...]


def line_section(context: Context) -> LineSection:
    """Return everything that a report shows of the MQL line."""
    line = context.report.line
    figures = [_curve_figure(context)] if line.curve else []
    figures += [_weekly_figure(context)] if line.weekly else []
    tables = [_grades_table(context), *([_values_table(context)] if len(line.values) == 101 else [])]
    words, formats = context.words, context.formats
    wide = [equivalents_table(line.equivalents, words, formats)]
    if line.comparison is not None:
        wide += [rules_table(line.comparison, words, formats), gaps_table(line.comparison, words, formats)]
    return LineSection(
        _sentences(context), tuple(figures), tuple(tables), tuple(table for table in wide if table is not None)
    )


def amount_table(context: Context) -> tuple[tuple[str, ...], Table]:
    """Return how amounts are estimated, in sentences, and their figures."""
    words, formats, amount = context.words, context.formats, context.report.amount
    key = f"amount.{amount.method}" if f"amount.{amount.method}" in words.texts else "amount.other"
    sentences = [words(key, wins=formats.number(amount.wins), with_amount=formats.number(amount.wins_with_amount))]
    if amount.method == "two_part":
        sentences.append(words("amount.reads_all" if amount.reads_engagement else "amount.reads_fit"))
    if amount.lost_deals:
        sentences.append(words("amount.lost", deals=formats.number(amount.lost_deals)))
    rows = [
        (words("amount.mean_amount"), formats.money(amount.mean_amount), ""),
        (words("amount.median_amount"), formats.money(amount.median_amount), ""),
    ]
    if amount.log_residual_sd is not None:
        rows.append((words("amount.spread"), formats.times(2.718281828**amount.log_residual_sd), ""))
    for key, estimate in (
        ("gini", amount.normalised_gini),
        ("coverage", amount.coverage_80),
        ("predicted_over_actual", amount.predicted_over_actual),
    ):
        if estimate is not None:
            interval = metric_interval(key, estimate, formats)
            rows.append((words(f"amount.{key}"), metric_text(key, estimate.value, formats), interval))
    if amount.rescaling is not None:
        rows.append((words("amount.rescaling"), formats.number(amount.rescaling, 2), ""))
    heads = (*columns(words, "amount", "measure", "value:n"), *columns(words, "endpoint", "interval:n"))
    return tuple(sentences), make_table(words("amount.caption"), heads, rows, stacks=True, name="amounts")


def signals_figure(context: Context) -> Figure | None:
    """Return what moves a score, None when nothing does."""
    words, formats = context.words, context.formats
    signals = sorted(context.report.signals, key=lambda row: -row.mean_points)
    if not signals:
        return None
    rows = [
        (
            row.signal,
            words.known(f"group.{row.group}", row.group),
            formats.number(row.mean_points, 2),
            formats.number(row.features),
        )
        for row in signals
    ]
    heads = columns(words, "signals", "signal", "group", "points:n", "features:n")
    more = len(signals) - SHOWN_SIGNALS
    caption = words("signals.caption")
    if more > 0:
        caption = f"{caption} {words('signals.more', n=str(more))}"
    numbers = make_table(words("signals.table"), heads, rows, name="signals")
    return Figure(words("signals.title"), signals_chart(signals, formats), caption, numbers)


def examples_table(context: Context) -> Table | None:
    """Return the example leads, None when there are none."""
    examples = context.report.examples
    if not examples:
        return None
    heads = columns(
        context.words,
        "examples",
        "lead_id",
        "score:n",
        "grade",
        "p_sql:n",
        "p_won:n",
        "expected_value:n",
        "reasons:w",
    )
    rows = [_example_row(example, context) for example in examples]
    return make_table(context.words("examples.caption"), heads, rows, stacks=True, name="examples")


def _example_row(example: Mapping[str, object], context: Context) -> tuple[Cell, ...]:
    formats = context.formats
    reasons = cast("Sequence[object]", example.get("reasons") or ())
    return (
        str(example.get("lead_id", "")),
        formats.number(_number(example, "score")),
        str(example.get("grade", "")),
        formats.percent(_number(example, "p_sql")),
        formats.percent(_number(example, "p_won")),
        formats.money(_number(example, "expected_value")),
        tuple(str(reason) for reason in reasons),
    )


def _number(example: Mapping[str, object], key: str) -> float | None:
    value = example.get(key)
    return float(value) if isinstance(value, int | float) else None


def _sentences(context: Context) -> tuple[str, ...]:
    words, formats, line = context.words, context.formats, context.report.line
    price = formats.money(threshold(line))
    rule = words(
        "line.rule",
        margin=formats.percent(line.margin),
        touch_cost=formats.money(line.touch_cost),
        price=price,
    )
    if line.capacity is None:
        how = [words("line.how_free", weeks=str(line.weeks))]
    else:
        how = [words("line.how", weeks=str(line.weeks), capacity=formats.count(line.capacity))]
        if line.price <= 0:
            how.append(words("line.slack", price=price))
    if line.equivalent_p_won is not None:
        how.append(words("line.equivalent", p=formats.percent(line.equivalent_p_won)))
    now = words("line.now", leads=formats.number(line.leads_at_risk), mqls=formats.number(line.mqls_now))
    gain = [] if line.comparison is None else [gain_sentence(line.comparison, words, formats)]
    return rule, *how, now, *gain


def _curve_figure(context: Context) -> Figure:
    words, formats, line = context.words, context.formats, context.report.line
    step = max(1, len(line.curve) // 25)
    rows = [(formats.money(price), formats.number(count, 1)) for price, count in line.curve[::step]]
    numbers = make_table(
        words("line.curve_table"), columns(words, "line", "price:n", "crossings:n"), rows, name="line_curve"
    )
    return Figure(words("line.curve_title"), price_chart(line, formats), words("line.curve_caption"), numbers)


def _weekly_figure(context: Context) -> Figure:
    words, formats, line = context.words, context.formats, context.report.line
    rows = [(formats.moment(start), formats.count(count)) for start, count in line.weekly]
    numbers = make_table(
        words("line.weekly_table"), columns(words, "line", "week", "crossings:n"), rows, name="line_weeks"
    )
    return Figure(words("line.weekly_title"), weekly_chart(line, formats), words("line.weekly_caption"), numbers)


def _grades_table(context: Context) -> Table:
    words, formats, grades = context.words, context.formats, context.report.line.grades
    total = sum(grades.values())
    rows = [
        (
            grade,
            formats.number(leads),
            formats.percent(leads / total if total else None),
            words.known(f"grade.{grade}", ""),
        )
        for grade, leads in sorted(grades.items())
    ]
    heads = columns(words, "line", "grade", "grade_leads:n", "grade_share:n", "grade_meaning:w")
    return make_table(words("line.grades_caption"), heads, rows, stacks=True, name="grades")


def _values_table(context: Context) -> Table:
    words, formats, values = context.words, context.formats, context.report.line.values
    names = {50: words("line.values_median"), 100: words("line.values_best")}
    rows = [
        (
            names.get(at) or words("line.values_top", share=formats.round_percent(1 - at / 100)),
            formats.money(values[at]),
        )
        for at in QUANTILES_SHOWN
    ]
    return make_table(
        words("line.values_caption"), columns(words, "line", "values_position", "values_value:n"), rows, name="values"
    )
