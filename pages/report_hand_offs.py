"""The section on hand-offs: what working a lead adds, and what leads around the old rule's cut-off say of it."""

from __future__ import annotations

from pages.estimate import Estimate
from pages.report_evidence import CutOffRow, HandOffReport
from pages.report_parts import Block, Cell, Context, Section, columns, make_table
from pages.report_readings import has_interval

__all__ = ["hand_offs_section"]


def hand_offs_section(context: Context) -> Section | None:
    """Return the section; None where hand-offs were not looked at."""
    found, words, formats = context.report.evidence.hand_offs, context.words, context.formats
    if found is None:
        return None
    blocks: list[Block] = [
        words(
            "hand_offs.lead",
            hand_offs=formats.number(found.hand_offs),
            sqls=formats.number(found.sqls),
            wins=formats.number(found.wins),
        )
    ]
    if found.slopes:
        basis = "hand_offs.decides" if found.decides else "hand_offs.beside"
        blocks += [
            words("hand_offs.overlap", share=formats.percent(found.overlap)),
            words(basis),
            _slopes(found, context),
        ]
    else:
        blocks.append(words("hand_offs.none", why=words.phrase(found.missing)))
    return Section("hand-offs", words("hand_offs.heading"), (*blocks, *_cut_off(found, context)))


def _slopes(found: HandOffReport, context: Context) -> Block:
    words, formats = context.words, context.formats
    names = ("fit", "engagement", "freshness")
    rows: list[tuple[Cell, ...]] = [
        (words(f"hand_offs.{name}"), formats.number(worked, 2), formats.number(left, 2))
        for name, worked, left in zip(names, found.slopes, found.slopes_left, strict=True)
    ]
    heads = columns(words, "hand_offs", "signs", "worked:n", "left:n")
    return make_table(words("hand_offs.slopes"), heads, rows, name="hand_off_slopes")


def _cut_off(found: HandOffReport, context: Context) -> tuple[Block, ...]:
    words, formats = context.words, context.formats
    if not found.cut_off:
        return (words("hand_offs.no_cut_off", why=words.phrase(found.cut_off_missing)),)
    first = found.cut_off[0]
    said = words("hand_offs.cut_off", points=formats.number(found.points), days=formats.number(found.days))
    if has_interval(first.effect):
        verdict = words(
            "hand_offs.effect",
            effect=formats.percentage_points(first.effect.value),
            interval=_ends(first.effect, context),
        )
    else:
        verdict = words("hand_offs.no_jump")
    steered = has_interval(first.bunching) and not (first.bunching.low or 0) <= 0 <= (first.bunching.high or 0)
    bunching = words("hand_offs.steered" if steered else "hand_offs.even")
    heads = columns(
        words,
        "hand_offs",
        "bandwidth:n",
        "below:n",
        "above:n",
        "handed:n",
        "interval:n",
        "happened:n",
        "interval:n",
        "effect_head:n",
        "interval:n",
        "density:n",
        "interval:n",
    )
    rows = [_row(row, context) for row in found.cut_off]
    return said, verdict, bunching, make_table(words("hand_offs.table"), heads, rows, name="old_cut_off")


def _row(row: CutOffRow, context: Context) -> tuple[Cell, ...]:
    formats = context.formats
    cells: list[Cell] = [formats.number(row.bandwidth, 1), formats.number(row.below), formats.number(row.above)]
    for one in (row.handed, row.happened, row.effect):
        cells += [formats.percentage_points(one.value), _ends(one, context)]
    ends = formats.interval(formats.number(row.bunching.low, 2), formats.number(row.bunching.high, 2))
    return (*cells, formats.number(row.bunching.value, 2), ends)


def _ends(one: Estimate, context: Context) -> str:
    formats = context.formats
    return formats.interval(formats.percentage_points(one.low), formats.percentage_points(one.high))
