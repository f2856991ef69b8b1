"""The SLA on the board: terms kept, by whom and when, what is overdue, and what waiting costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alignment.board.context import FEWEST_SHOWN, BoardContext, known, share_ticks
from alignment.delay_effect import AT_DAYS, DelayEffect
from alignment.owed import Delivered
from alignment.people import NO_BAND
from alignment.sla import CLOCKS, Kept, SlaReport
from pages.formats import Shown
from pages.report_parts import (
    Badge,
    Block,
    Cell,
    Column,
    Figure,
    Figures,
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

__all__ = ["sla_section"]

SHOWN_BREACHES = 20
DAY_KEYS = ("hour", "day", "days", "days", "days")


def sla_section(
    sla: SlaReport | None, delay: DelayEffect | None, delivered: Sequence[Delivered], context: BoardContext
) -> Section:
    """Return the SLA.

    Parameters
    ----------
    sla
        What was found; None without hand-offs.
    delay
        What waiting costs; None where too few hand-offs tell.
    delivered
        What marketing handed over, beside what it owes.
    context
        The reader's.
    """
    words = context.words
    heading = words("board.sla.heading")
    if sla is None:
        return Section("sla", heading, (words("board.lacks.hand_offs"),))
    terms = sla.sla.terms_of(NO_BAND)
    hours = {
        "accept": context.count(terms.accept_hours),
        "contact": context.count(terms.first_contact_hours),
        "disposition": context.count(terms.disposition_hours),
    }
    agreed = words("board.sla.agreed" if sla.is_agreed else "board.sla.not_agreed", **hours)
    blocks = [
        agreed,
        *([words("board.sla.acceptance_stands")] if sla.contact_is_acceptance else []),
        context.defined("business_hours", "clock", "censored", "delays"),
        _overall(sla, context),
        Figures(tuple(_figure(sla, name, context) for name in ("accept", "contact"))),
        *_delays(sla, context),
        delivered_table(delivered, context),
        _by_whom(sla, context),
        Heading(words("board.sla.breaches_heading")),
        *_breaches(sla, context),
        Heading(words("board.sla.cost_heading")),
        *_cost(delay, context),
        Rows(words("board.rows"), ("hand_offs.csv",)),
    ]
    return Section("sla", heading, tuple(blocks))


def delivered_table(delivered: Sequence[Delivered], context: BoardContext) -> Table:
    """Return what marketing handed over a week, beside what it owes."""
    words = context.words
    rows: list[tuple[Cell, ...]] = []
    for one in delivered:
        kept = {True: "kept", False: "missed", None: "unknown"}[one.is_kept]
        state = context.blank if one.owed is None else Badge(words(f"board.owed.{kept}"), TONES[kept])
        low, high = (_owed(one.key, end, context) for end in (one.low, one.high))
        ends = context.formats.interval(low, high) if np.isfinite(one.low) else Shown(context.blank, None, None)
        owed = Shown(context.blank, None) if one.owed is None else _owed(one.key, one.owed, context)
        rows.append((words(f"board.owed.{one.key}"), owed, _owed(one.key, one.value, context), ends, state))
    heads = columns(words, "digest_column", "owed_what", "owed:n", "came:n", "interval:n", "is_kept")
    return make_table(words("digest.delivered"), heads, rows, name="marketing_delivered")


def _owed(key: str, value: float, context: BoardContext) -> str:
    if key == "above_line_share":
        return context.share(value)
    return context.money(value) if key == "value_per_week" else context.count(value)


TONES = {"kept": "good", "missed": "bad", "unknown": "plain"}
HEADS = ("hand_offs:n", "stopped:n", "kept:n", "interval:n", "p50:n", "p80:n", "p90:n")


def _cells(row: Kept, context: BoardContext) -> tuple[Cell, ...]:
    if row.hand_offs < FEWEST_SHOWN:
        return (context.words("board.few"), *(context.blank,) * 6)
    return (
        context.count(row.hand_offs),
        context.count(row.stopped),
        context.share(row.share),
        context.ends(row.low, row.high),
        *(context.hours(hours) for hours in row.percentile_hours),
    )


def _overall(sla: SlaReport, context: BoardContext) -> Table:
    rows = [
        (context.words(f"board.clock.{row.clock}"), *_cells(row, context)) for row in sla.kept if row.dimension == "all"
    ]
    heads = columns(context.words, "board_column", "term", *HEADS)
    return make_table(context.words("board.sla.overall"), heads, rows, name="sla")


def _figure(sla: SlaReport, name: str, context: BoardContext) -> Figure:
    words = context.words
    rows = [row for row in sla.kept if row.clock == name and row.dimension == "week"]
    open_from = {row.group for row in rows if row.stopped < row.hand_offs}
    points = [
        Point(
            context.formats.short_date(row.group),
            known(row.share),
            known(row.low),
            known(row.high),
            context.share(row.share),
            row.group in open_from and row is rows[-1],
        )
        for row in rows
        if row.hand_offs >= FEWEST_SHOWN
    ]
    chart = trend(
        points,
        share_ticks(1.0, context),
        words("board.sla.axis"),
        goal=sla.sla.target_share,
        name=f"sla-{name}",
        label=words("board.sla.alt", term=words(f"board.clock.{name}")),
    )
    title = words("board.sla.chart", term=words(f"board.clock.{name}"))
    goal = context.formats.round_percent(sla.sla.target_share)
    return Figure(title, chart, words("board.sla.reading", goal=goal), None)


def _delays(sla: SlaReport, context: BoardContext) -> list[str]:
    system, human = ([context.hours(hours) for hours in found] for found in (sla.system_hours, sla.human_hours))
    found = [context.words("board.sla.system", p50=system[0], p90=system[2])]
    found.append(context.words("board.sla.human", p50=human[0], p80=human[1]))
    if np.isfinite(sla.attempts_share):
        share = context.share(sla.attempts_share)
        found.append(context.words("board.sla.attempts", share=share, n=str(sla.sla.attempts)))
    return found


def _by_whom(sla: SlaReport, context: BoardContext) -> Panels:
    words = context.words
    panels: list[Panel] = []
    for dimension in ("team", "owner", "band", "week"):
        tables: list[Table] = []
        for clock in CLOCKS:
            rows = [row for row in sla.kept if row.clock == clock and row.dimension == dimension and row.hand_offs]
            cells = [(_group(row, context), *_cells(row, context)) for row in rows]
            heads = (
                Column(words(f"board_column.{dimension}"), "date" if dimension == "week" else "text", "group"),
                *columns(words, "board_column", *HEADS),
            )
            if cells:
                tables.append(make_table(words(f"board.clock.{clock}"), heads, cells, name=f"sla_{dimension}_{clock}"))
        if tables:
            panels.append(Panel(words(f"board.by.{dimension}"), tuple(tables)))
    return Panels("sla", words("board.sla.choose"), tuple(panels))


def _group(row: Kept, context: BoardContext) -> str:
    if row.dimension == "owner":
        return context.owner(row.group)
    return context.formats.moment(row.group) if row.dimension == "week" else row.group


def _breaches(sla: SlaReport, context: BoardContext) -> list[Block]:
    words, breaches = context.words, sla.breaches
    if breaches.empty:
        return [words("board.sla.no_breaches")]
    counts = breaches["clock"].value_counts()
    sentence = words(
        "board.sla.breaches",
        **{name: context.formats.number(int(counts.get(name, 0))) for name in CLOCKS},
    )
    rows = [
        (
            str(row["person_id"]),
            words(f"board.clock.{row['clock']}"),
            context.owner(str(row["owner"])),
            str(row["band"]) if row["band"] != NO_BAND else context.blank,
            context.day(float(row["due_us"])),
            context.hours(float(row["overdue_hours"])),
        )
        for row in breaches.head(SHOWN_BREACHES).to_dict("records")
    ]
    heads = columns(words, "board_column", "lead", "term", "owner", "band", "due:d", "overdue:n")
    return [sentence, make_table(words("board.sla.breaches_table"), heads, rows)]


def _cost(delay: DelayEffect | None, context: BoardContext) -> list[Block]:
    words = context.words
    if delay is None:
        return [words("board.sla.cost_none")]
    rows: list[tuple[Cell, ...]] = []
    for key, days, share, low, high in zip(DAY_KEYS, AT_DAYS, delay.share, delay.low, delay.high, strict=True):
        when = words(f"board.sla.after_{key}", n=context.formats.number(days))
        rows.append((when, context.share(share), context.ends(low, high)))
    heads = columns(words, "board_column", "first_contact", "sql_rate:n", "interval:n")
    table = make_table(words("board.sla.cost_table"), heads, rows, name="delay_effect")
    basis = {"n": context.formats.number(delay.hand_offs), "sqls": context.formats.number(delay.sqls)}
    caveat = words("board.sla.cost_caveat" if delay.is_score_adjusted else "board.sla.cost_caveat_plain")
    return [words("board.sla.cost", **basis), table, caveat]
