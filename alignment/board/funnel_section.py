"""The funnel on the board: stages, cohorts, groups, paths."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from alignment.board.context import FEWEST_SHOWN, BoardContext, known, share_ticks
from alignment.funnel import NOTHING, OTHER, WHOLE_WAY, Breakdown, Funnel, StepResult
from pages.report_parts import (
    Block,
    Cell,
    Column,
    Figure,
    Figures,
    Folded,
    Heading,
    Panel,
    Panels,
    Rows,
    Section,
    Table,
    columns,
    make_table,
)
from pages.trend import Point, trend

__all__ = ["funnel_section", "line_section"]

CHARTS = ("mql_sql", "mql_won")
STAGE_STEPS = ("lead_mql", "mql_accepted", "accepted_sql", "sql_opportunity", "opportunity_won")


def funnel_section(funnel: Funnel, days: tuple[str, str], context: BoardContext) -> Section:
    """Return the funnel.

    Parameters
    ----------
    funnel
        What was found.
    days
        Horizons of SQL and of won, as written.
    context
        The reader's.
    """
    words = context.words
    blocks = [
        words("board.funnel.lead"),
        context.defined("cohort", "immature", "horizon", sql_days=days[0], won_days=days[1]),
        _stages(funnel, context),
        Figures(tuple(_figure(funnel, name, days, context) for name in CHARTS)),
        _cohorts(funnel, context),
        *_breakdowns(funnel, context),
        Heading(words("board.funnel.paths_heading")),
        *_recycled(funnel, context),
        Folded(words("board.funnel.paths_fold"), _paths(funnel, context)),
        Rows(words("board.rows"), ("leads.csv",)),
    ]
    return Section("funnel", words("board.funnel.heading"), tuple(blocks))


def _step(name: str, context: BoardContext) -> str:
    return context.words(f"board.step.{name}")


def _stages(funnel: Funnel, context: BoardContext) -> Table:
    """Return every step over all months shown."""
    rows: list[tuple[Cell, ...]] = []
    for name in (*STAGE_STEPS, "mql_sql", "mql_won", "lead_won"):
        if not set(name.split("_")) <= funnel.recorded:
            continue
        found = funnel.overall[name].found
        rows.append(
            (
                _step(name, context),
                context.count(float(found.entered[0])),
                context.count(float(found.reached[0])),
                context.share(float(found.share[0])),
                context.ends(float(found.low[0]), float(found.high[0])),
                context.formats.number(float(found.median_days[0]), 1)
                if np.isfinite(found.median_days[0])
                else context.blank,
            )
        )
    heads = columns(
        context.words, "board_column", "step", "entered:n", "reached:n", "rate:n", "interval:n", "median_days:n"
    )
    return make_table(context.words("board.funnel.stages"), heads, rows, name="funnel_steps")


def _figure(funnel: Funnel, name: str, days: tuple[str, str], context: BoardContext) -> Figure:
    words, result = context.words, funnel.cohorts[name]
    found = result.found
    points = [
        Point(
            context.month(start),
            known(float(found.share[at])),
            known(float(found.low[at])),
            known(float(found.high[at])),
            context.share(float(found.share[at])),
            not bool(found.is_mature[at]),
        )
        for at, start in enumerate(funnel.months.starts)
        if found.entered[at] >= FEWEST_SHOWN
    ]
    highest = max((point.high for point in points if point.high is not None), default=0.1)
    step = _step(name, context)
    horizon = days[1] if name.endswith("won") else days[0]
    chart = trend(
        points,
        share_ticks(highest, context),
        words("board.funnel.axis", days=horizon),
        goal=None,
        name=f"funnel-{name.replace('_', '-')}",
        label=words("board.funnel.alt", step=step),
    )
    return Figure(words("board.funnel.chart", step=step), chart, words("board.funnel.reading"), None)


def _cohorts(funnel: Funnel, context: BoardContext) -> Panels:
    names = (*(step.name for step in WHOLE_WAY), *STAGE_STEPS[1:])
    steps = [name for name in names if set(name.split("_")) <= funnel.recorded]
    panels = tuple(
        Panel(_step(name, context), (_cohort_table(funnel, name, context),)) for name in dict.fromkeys(steps)
    )
    return Panels("cohorts", context.words("board.funnel.choose_step"), panels)


def _cohort_table(funnel: Funnel, name: str, context: BoardContext) -> Table:
    words, result = context.words, funnel.cohorts[name]
    found = result.found
    rows: list[tuple[Cell, ...]] = []
    for at, start in enumerate(funnel.months.starts):
        is_few = found.entered[at] < FEWEST_SHOWN
        state = "few" if is_few else "mature" if found.is_mature[at] else "open"
        rows.append((context.month(start), *_numbers(result, at, context), words(f"board.state.{state}")))
    heads = columns(
        words,
        "board_column",
        "month:d",
        "entered:n",
        "reached:n",
        "rate:n",
        "interval:n",
        "median_days:n",
        "revenue:n",
        "state",
    )
    caption = words("board.funnel.cohorts", step=_step(name, context))
    return make_table(caption, heads, rows, name=f"cohorts_{name}")


def _numbers(result: StepResult, at: int, context: BoardContext, hidden: Collection[int] = ()) -> tuple[Cell, ...]:
    """Return entered, reached, rate, interval, median and revenue of a group; blanks for one of too few people."""
    found = result.found
    if found.entered[at] < FEWEST_SHOWN or at in hidden:
        return (context.words("board.few"), *(context.blank,) * 5)
    median = float(found.median_days[at])
    return (
        context.count(float(found.entered[at])),
        context.count(float(found.reached[at])),
        context.share(float(found.share[at])),
        context.ends(float(found.low[at]), float(found.high[at])),
        context.formats.number(median, 1) if np.isfinite(median) else context.blank,
        context.money(float(result.revenue[at])),
    )


def _breakdowns(funnel: Funnel, context: BoardContext) -> list[Panels]:
    panels = tuple(
        Panel(context.words(f"board.by.{found.dimension}"), _groups(found, context)) for found in funnel.breakdowns
    )
    return [Panels("groups", context.words("board.funnel.choose_group"), panels)] if panels else []


def _groups(found: Breakdown, context: BoardContext) -> tuple[Table, ...]:
    words = context.words
    heads = (
        Column(words(f"board_column.{found.dimension}"), "text", "group"),
        *columns(words, "board_column", "entered:n", "reached:n", "rate:n", "interval:n", "median_days:n", "revenue:n"),
    )
    tables: list[Table] = []
    for step in WHOLE_WAY:
        result = found.steps[step.name]
        if not result.found.entered.sum() or (found.dimension in ("owner", "team", "band") and step.start == "lead"):
            continue
        hidden = _hidden(result, found)
        rows = [
            (_group(found, name, context), *_numbers(result, at, context, hidden))
            for at, name in enumerate(found.groups)
        ]
        tables.append(make_table(_step(step.name, context), heads, rows, name=f"groups_{found.dimension}_{step.name}"))
    return tuple(tables)


def _hidden(result: StepResult, found: Breakdown) -> set[int]:
    """Return groups that are hidden because a single smaller one is: else the total less the others would tell it."""
    entered = result.found.entered
    few = [at for at, count in enumerate(entered) if 0 < count < FEWEST_SHOWN]
    if len(few) != 1 or found.dimension == "segment":
        return set()
    others = [at for at, count in enumerate(entered) if count >= FEWEST_SHOWN]
    return {min(others, key=lambda at: int(entered[at]))} if others else set()


def _group(found: Breakdown, name: str, context: BoardContext) -> str:
    if name in (OTHER, NOTHING):
        return context.words("board.other" if name == OTHER else "board.nothing")
    return context.owner(name) if found.dimension == "owner" else str(name)


def _recycled(funnel: Funnel, context: BoardContext) -> Sequence[str]:
    count, sqls, won = (context.formats.number(number) for number in funnel.recycled)
    return [
        context.words("board.funnel.without_mql", n=context.formats.number(funnel.without_mql)),
        context.words("board.funnel.recycled", n=count, sqls=sqls, won=won),
    ]


def _paths(funnel: Funnel, context: BoardContext) -> Table:
    words = context.words
    rows: list[tuple[Cell, ...]] = []
    for path, count in funnel.paths:
        stages = [words(f"board.stage.{stage}") for stage in path.split(">")] if path else [words("board.stage.none")]
        shown = context.formats.number(count) if count >= FEWEST_SHOWN else words("board.few")
        rows.append((words("board.path_arrow").join(stages), shown))
    heads = columns(words, "board_column", "path:w", "leads:n")
    return make_table(words("board.funnel.paths"), heads, rows, name="paths")


def line_section(funnel: Funnel, gain: Sequence[str], context: BoardContext) -> Section:
    """Return what the MQL line would change: MQLs of the months shown, below and above it.

    Parameters
    ----------
    funnel
        What was found.
    gain
        Sentences on the line in force and its gain over the old rule.
    context
        The reader's.
    """
    words, split = context.words, funnel.old_and_new
    blocks: list[Block] = [words("board.line.lead"), context.defined("line", "below_line"), *gain]
    if split is None:
        blocks.append(words("board.line.none"))
        return Section("line", words("board.line.heading"), tuple(blocks))
    rows: list[tuple[Cell, ...]] = []
    for at, name in enumerate(split.groups):
        sql, won = split.steps["mql_sql"], split.steps["mql_won"]
        rows.append(
            (
                words(f"board.line.{name}"),
                *_numbers(sql, at, context)[:4],
                *_numbers(won, at, context)[2:4],
                _numbers(won, at, context)[5],
            )
        )
    heads = columns(
        words,
        "board_column",
        "line_side",
        "entered:n",
        "sqls:n",
        "sql_rate:n",
        "interval:n",
        "won_rate:n",
        "interval:n",
        "revenue:n",
    )
    blocks.append(make_table(words("board.line.table"), heads, rows, name="mqls_by_line"))
    return Section("line", words("board.line.heading"), tuple(blocks))
