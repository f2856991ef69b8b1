"""The section on test periods: the model beside plain methods, and the backtest where one was run."""

from __future__ import annotations

from collections.abc import Sequence

from pages.estimate import Estimate
from pages.plot import Dot, forest
from pages.report_evidence import BacktestRun, OriginRow, Pooled
from pages.report_parts import Block, Cell, Context, Figure, Figures, Section, Table, columns, make_table

__all__ = ["origins_section"]

OURS = "kizashi"
AUC_TICKS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def origins_section(context: Context) -> Section | None:
    """Return the section; None where nothing was computed."""
    words, evidence = context.words, context.report.evidence
    if not evidence.pooled:
        return None
    blocks: list[Block] = [words("origins.lead")]
    figures: list[Figure] = []
    tables: list[Table] = []
    for outcome in dict.fromkeys(row.outcome for row in evidence.pooled):
        rows = [row for row in evidence.origins if row.outcome == outcome and row.auc is not None]
        if rows:
            figures.append(_figure(rows, outcome, context))
        tables.append(_pooled([row for row in evidence.pooled if row.outcome == outcome], outcome, context))
    blocks += [Figures(tuple(figures))] if figures else []
    blocks += [*tables, words("origins.few"), *_backtest(evidence.backtest, context)]
    return Section("origins", words("origins.heading"), tuple(blocks))


def _figure(rows: Sequence[OriginRow], outcome: str, context: Context) -> Figure:
    words, formats, named = context.words, context.formats, context.outcome(outcome)
    dots: list[Dot] = []
    for row in rows:
        if row.auc is None:
            continue
        method = words.known(f"method.{row.method}", row.method)
        name = words("origins.row", start=formats.moment(row.start), method=method) if row.method == OURS else method
        shown = formats.number(row.auc.value, 2)
        dots.append(Dot(name, shown, row.auc.value, row.auc.low, row.auc.high, is_ours=row.method == OURS))
    ticks = [(tick, formats.number(tick, 1)) for tick in AUC_TICKS]
    label = words("origins.alt", periods=str(len({row.start for row in rows})), **named)
    chart = forest(dots, ticks, words("origins.axis"), reference=0.5, name=f"{outcome}-origins", label=label)
    cells: list[tuple[Cell, ...]] = [
        (
            row.start,
            words.known(f"method.{row.method}", row.method),
            formats.number(row.leads),
            formats.number(row.outcomes),
            *_both(row.auc, 3, context),
            *_both(row.log_loss, 4, context),
            *_both(row.ratio, 2, context),
        )
        for row in context.report.evidence.origins
        if row.outcome == outcome
    ]
    heads = columns(
        words,
        "origins",
        "start",
        "method",
        "leads:n",
        "outcomes:n",
        "auc:n",
        "interval:n",
        "log_loss:n",
        "interval:n",
        "ratio:n",
        "interval:n",
    )
    table = make_table(words("origins.table", **named), heads, cells, name=f"{outcome}_origins")
    return Figure(words("origins.title", **named), chart, words("origins.caption"), table)


def _both(estimate: Estimate | None, digits: int, context: Context) -> tuple[str, str]:
    """Return value and interval, blanks where there is none."""
    blank, formats = context.words("common.blank"), context.formats
    if estimate is None:
        return blank, blank
    value = formats.number(estimate.value, digits)
    if estimate.low is None or estimate.high is None:
        return value, blank
    return value, formats.interval(formats.number(estimate.low, digits), formats.number(estimate.high, digits))


def _pooled(rows: Sequence[Pooled], outcome: str, context: Context) -> Table:
    words, formats, named = context.words, context.formats, context.outcome(outcome)
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        captured = words("common.blank") if row.captured is None else formats.percent(row.captured.value)
        cells.append(
            (
                words.known(f"method.{row.method}", row.method),
                *_both(row.auc, 3, context),
                *_both(row.log_loss, 4, context),
                captured,
                *_both(row.auc_gain, 3, context),
                *_both(row.log_loss_gain, 4, context),
            )
        )
    heads = columns(
        words,
        "origins",
        "method",
        "auc:n",
        "interval:n",
        "log_loss:n",
        "interval:n",
        "captured:n",
        "auc_gain:n",
        "interval:n",
        "log_loss_gain:n",
        "interval:n",
    )
    return make_table(words("origins.pooled", **named), heads, cells, name=f"{outcome}_methods")


def _backtest(run: BacktestRun | None, context: Context) -> list[Block]:
    words, formats = context.words, context.formats
    if run is None:
        return [words("origins.backtest_none")]
    said = words("origins.backtest", name=run.name, run=run.run_id, origins=run.origins)
    cells: list[tuple[Cell, ...]] = []
    for outcome, methods in run.measures.items():
        for method, found in methods.items():
            numbers = [_both(found.get(key), digits, context) for key, digits in (("auc", 3), ("log_loss", 4))]
            caught = found.get("captured_wins_share")
            share = words("common.blank") if caught is None else formats.percent(caught.value)
            name = words.known(f"method.{method}", method)
            cells.append((context.outcome(outcome)["name"], name, *numbers[0], *numbers[1], share))
    heads = columns(
        words, "origins", "outcome", "method", "auc:n", "interval:n", "log_loss:n", "interval:n", "captured_capacity:n"
    )
    return [said, make_table(words("origins.backtest_table"), heads, cells, name="backtest")] if cells else [said]
