"""The sections on segments where the model is weak, and on evaluation with open leads."""

from __future__ import annotations

from pages.plot import Dot, forest
from pages.report_calibration import group_words
from pages.report_evidence import SegmentRow
from pages.report_parts import Badge, Block, Cell, Context, Figure, Figures, Section, columns, make_table

__all__ = ["censored_section", "weak_section"]

AUC_TICKS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
FEW = 10


def weak_section(context: Context) -> Section | None:
    """Return ranking, log-loss and captured outcomes by segment; None where no group is large enough."""
    words, rows = context.words, context.report.evidence.segments
    if not rows:
        return None
    figures = tuple(
        _figure([row for row in rows if row.outcome == outcome], outcome, context)
        for outcome in dict.fromkeys(row.outcome for row in rows)
    )
    weak = tuple(
        words("weak.is_weak", group=group_words(row.kind, row.group, context), **context.outcome(row.outcome))
        for row in rows
        if row.is_weak
    )
    said = weak or (words("weak.none"),)
    blocks: tuple[Block, ...] = (words("weak.lead"), *said, Figures(figures), words("weak.many", n=str(len(rows))))
    return Section("weak", words("weak.heading"), blocks)


def _figure(rows: list[SegmentRow], outcome: str, context: Context) -> Figure:
    words, formats, named = context.words, context.formats, context.outcome(outcome)
    dots = [
        Dot(
            group_words(row.kind, row.group, context),
            formats.number(row.auc.value, 2),
            row.auc.value,
            row.auc.low,
            row.auc.high,
            row.is_weak,
            row.outcomes >= FEW,
        )
        for row in rows
    ]
    ticks = [(tick, formats.number(tick, 1)) for tick in AUC_TICKS]
    label = words("weak.alt", groups=str(len(rows)), weak=str(sum(row.is_weak for row in rows)), **named)
    chart = forest(dots, ticks, words("weak.axis"), reference=0.5, name=f"{outcome}-weak", label=label)
    cells: list[tuple[Cell, ...]] = [
        (
            group_words(row.kind, row.group, context),
            formats.number(row.leads),
            formats.number(row.outcomes),
            formats.number(row.auc.value, 3),
            formats.interval(formats.number(row.auc.low, 3), formats.number(row.auc.high, 3)),
            formats.number(row.log_loss, 4),
            formats.number(row.base_log_loss, 4),
            formats.percent(row.captured.value),
            formats.interval(formats.percent(row.captured.low), formats.percent(row.captured.high)),
            _verdict(row, context),
        )
        for row in rows
    ]
    heads = columns(
        words,
        "weak",
        "group",
        "leads:n",
        "outcomes:n",
        "auc:n",
        "interval:n",
        "log_loss:n",
        "base:n",
        "captured:n",
        "interval:n",
        "verdict",
    )
    table = make_table(words("weak.table", **named), heads, cells, name=f"{outcome}_segments")
    return Figure(words("weak.title", **named), chart, words("weak.caption"), table)


def _verdict(row: SegmentRow, context: Context) -> Badge:
    if row.outcomes < FEW:
        return Badge(context.words("weak.few"), "plain")
    return Badge(context.words("weak.flag"), "care") if row.is_weak else Badge("", "plain")


def censored_section(context: Context) -> Section | None:
    """Return the newest period judged with its open leads; None where none was open."""
    words, formats, rows = context.words, context.formats, context.report.evidence.censored
    if not rows:
        return None
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        for key, digits in (("auc", 3), ("brier", 5), ("observed_over_expected", 2)):
            pairs = [
                (
                    formats.number(found[key].value, digits),
                    formats.interval(formats.number(found[key].low, digits), formats.number(found[key].high, digits)),
                )
                for found in (row.mature, row.weighted)
            ]
            title = f"{context.outcome(row.outcome)['name']}: {words(f'metric.{key}.name')}"
            cells.append((title, *pairs[0], *pairs[1]))
    heads = columns(words, "censored", "measure", "mature:n", "interval:n", "weighted:n", "interval:n")
    said = tuple(
        words(
            "censored.row",
            leads=formats.number(row.leads),
            open=formats.number(row.leads_open),
            followed=formats.percent(row.followed),
            **context.outcome(row.outcome),
        )
        for row in rows
    )
    table = make_table(words("censored.table"), heads, cells, stacks=True, name="censored")
    blocks: tuple[Block, ...] = (words("censored.lead"), *said, table, words("censored.assumes"))
    return Section("censored", words("censored.heading"), blocks)
