"""Feedback on the board: where sales and the score disagree, and which leads to talk about."""

from __future__ import annotations

from alignment.board.context import FEWEST_SHOWN, BoardContext
from alignment.disagreement import DAYS, Disagreement
from pages.report_parts import Block, Cell, Section, Table, columns, make_table

__all__ = ["feedback_section", "rejected_table", "won_table"]

MOST_LEADS = 10


def feedback_section(found: Disagreement | None, context: BoardContext) -> Section:
    """Return the disagreement of sales and score; None of it without hand-offs."""
    words = context.words
    heading = words("board.feedback.heading")
    if found is None:
        return Section("feedback", heading, (words("board.lacks.hand_offs"),))
    counts = {
        "days": context.formats.number(DAYS),
        "rejected": context.formats.number(len(found.rejected)),
        "answered": context.formats.number(found.answered),
        "won": context.formats.number(len(found.won)),
        "wins": context.formats.number(found.wins),
    }
    blocks: list[Block] = [words("board.feedback.lead")]
    blocks.append(words("board.feedback.counts", **counts) if found.has_scores else words("board.lacks.scores"))
    if found.unlisted:
        often = [name for name, count in found.unlisted if count >= FEWEST_SHOWN]
        names = words("board.comma").join(often[:MOST_LEADS]) or words("board.feedback.other_reasons")
        blocks.append(words("board.feedback.unlisted", names=names))
    blocks += [rejected_table(found, context)] if len(found.rejected) else []
    blocks += [won_table(found, context)] if len(found.won) else []
    if found.reasons:
        rows = [
            (_reason(reason, found, context), context.count(count), context.count(high))
            for reason, count, high in found.reasons
            if reason in _shown_reasons(found)
        ]
        others = [(count, high) for reason, count, high in found.reasons if reason not in _shown_reasons(found)]
        if others:
            count, high = (sum(pair) for pair in zip(*others, strict=True))
            rows.append((words("board.feedback.other_reasons"), context.count(count), context.count(high)))
        heads = columns(words, "board_column", "reason", "rejections:n", "of_them_high:n")
        blocks.append(make_table(words("board.feedback.reasons"), heads, rows, name="rejection_reasons"))
    return Section("feedback", heading, (*blocks[:1], context.defined("disagreement"), *blocks[1:]))


def _shown_reasons(found: Disagreement) -> set[str]:
    """Return the reasons that several people wrote down alike: what is written once may name somebody."""
    return {reason for reason, count, _ in found.reasons if count >= FEWEST_SHOWN}


def _reason(reason: object, found: Disagreement, context: BoardContext) -> str:
    if not isinstance(reason, str) or not reason:
        return context.words("board.feedback.no_reason")
    return reason if reason in _shown_reasons(found) else context.words("board.feedback.other_reasons")


def rejected_table(found: Disagreement, context: BoardContext) -> Table:
    """Return the leads with high scores that sales rejected, highest value first."""
    rows: list[tuple[Cell, ...]] = [
        (
            str(row["person_id"]),
            str(row["band"]),
            context.money(float(row["value"])),
            context.owner(str(row["owner"])),
            str(row["disposition"]),
            _reason(row["reason"], found, context),
            context.day(float(row["disposed_us"])),
        )
        for row in found.rejected.head(MOST_LEADS).to_dict("records")
    ]
    heads = columns(
        context.words, "board_column", "lead", "band", "value:n", "owner", "disposition", "reason", "answered_on:d"
    )
    return make_table(context.words("board.feedback.rejected"), heads, rows)


def won_table(found: Disagreement, context: BoardContext) -> Table:
    """Return the leads below the line that were won, highest revenue first."""
    rows: list[tuple[Cell, ...]] = [
        (
            str(row["person_id"]),
            context.money(float(row["value"])),
            context.money(float(row["revenue"])),
            str(row["source"]) if isinstance(row["source"], str) else context.blank,
            context.day(float(row["won_us"])),
        )
        for row in found.won.head(MOST_LEADS).to_dict("records")
    ]
    heads = columns(context.words, "board_column", "lead", "value:n", "revenue:n", "source", "won_on:d")
    return make_table(context.words("board.feedback.won"), heads, rows)
