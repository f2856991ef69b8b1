"""The weekly meeting on one page: what changed, what is due, who owes what, and which leads to talk about."""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from datetime import timedelta

import numpy as np

from alignment.board.context import BoardContext
from alignment.board.feedback_section import rejected_table, won_table
from alignment.board.page import Findings
from alignment.board.signs_tiles import TONES, measure_sentence
from alignment.board.sla_section import delivered_table
from alignment.campaigns import TEAMS, starts_in
from alignment.owed import marketing_delivered
from alignment.periods import DAY_US
from alignment.sla import CLOCKS
from crm.known import from_micros
from pages.document import Document
from pages.report_parts import Badge, Block, Cell, Items, Section, Table, columns, make_table

__all__ = ["DAYS", "digest_document"]

DAYS = 7
SOON_DAYS = 14
MOST_OWNERS = 15
COUNTED = ("created", "mql", "handed_off", "accepted", "sql", "won")


def digest_document(now: Findings, before: Findings, context: BoardContext) -> Document:
    """Return the digest of a week.

    Parameters
    ----------
    now, before
        What was found at its end and, by what was known then, at its beginning.
    context
        The reader's.
    """
    words, until = context.words, float(now.reports.people.until_us)
    facts = (
        words("digest.week", start=context.day(until - DAYS * DAY_US), end=context.day(until - 1)),
        words("digest.known"),
    )
    sections = (
        Section("changed", words("digest.changed_heading"), _changed(now, before, context)),
        Section("due", words("digest.due_heading"), _due(now, context)),
        Section("owes", words("digest.owes_heading"), _owes(now, context)),
        Section("leads", words("digest.leads_heading"), _leads(now, context)),
    )
    return Document(words("digest.kind"), now.reports.people.config.workspace.name, facts, sections)


def _changed(now: Findings, before: Findings, context: BoardContext) -> tuple[Block, ...]:
    words = context.words
    signs: list[tuple[Cell, ...]] = []
    for sign, old in zip(now.signs, before.signs, strict=True):
        worst = sign.worst
        said = measure_sentence(worst, context) if worst is not None else words("digest.unknown")
        levels = [Badge(words(f"board.level.{one.level}"), TONES[one.level]) for one in (old, sign)]
        signs.append((words(f"board.sign.{sign.key}"), *levels, said))
    heads = columns(words, "digest_column", "sign", "before", "now", "why:w")
    return (make_table(words("digest.signs"), heads, signs), _counts(now, context), *_shares(now, before, context))


def _counts(now: Findings, context: BoardContext) -> Table:
    words, people = context.words, now.reports.people
    until, frame = float(people.until_us), people.frame
    rows: list[tuple[Cell, ...]] = []
    for name in COUNTED:
        age = (until - frame[f"{name}_us"]) / DAY_US
        counts = [float(((age > start * DAYS) & (age <= (start + 1) * DAYS)).sum()) for start in range(5)]
        usual = float(np.mean(counts[1:]))
        rows.append((words(f"digest.count_{name}"), context.count(counts[0]), context.formats.number(usual, 1)))
    heads = columns(words, "digest_column", "count", "this_week:n", "usual:n")
    return make_table(words("digest.counts"), heads, rows)


def _shares(now: Findings, before: Findings, context: BoardContext) -> list[Block]:
    words = context.words
    rows: list[tuple[Cell, ...]] = []
    for clock in CLOCKS:
        pair = [_kept(found, clock) for found in (before, now)]
        if any(np.isfinite(share) for share in pair):
            rows.append((words(f"board.clock.{clock}"), *(context.share(share) for share in pair)))
    heads = columns(words, "digest_column", "term", "before:n", "now:n")
    return [make_table(words("digest.kept"), heads, rows)] if rows else []


def _kept(found: Findings, clock: str) -> float:
    sla = found.reports.sla
    rows = [] if sla is None else [row for row in sla.kept if row.clock == clock and row.dimension == "all"]
    return rows[0].share if rows else float("nan")


def _due(now: Findings, context: BoardContext) -> tuple[Block, ...]:
    words, people = context.words, now.reports.people
    until = float(people.until_us)
    sentences: list[str] = []
    sla = now.reports.sla
    if sla is not None:
        for name, clock in sla.clocks.items():
            soon = int((clock.is_owed & (clock.due_us >= until) & (clock.due_us < until + DAYS * DAY_US)).sum())
            if soon:
                sentences.append(words(f"digest.due_{name}", n=context.formats.number(soon)))
    campaigns = now.reports.campaigns
    for one in campaigns.campaigns if campaigns is not None else ():
        left = starts_in(one, from_micros(people.now_us), people.config.workspace.timezone)
        missing = [team for team in TEAMS if one.locked(team) is None]
        if left is not None and left <= timedelta(days=SOON_DAYS) and missing:
            teams = words("board.and").join(words(f"board.team.{team}") for team in missing)
            when = context.formats.moment(one.starts_on.isoformat() if one.starts_on else None)
            sentences.append(words("digest.due_expectation", campaign=one.name, when=when, teams=teams))
    line = people.line
    if line is not None and line.review_on is not None:
        days = (line.review_on - people.seen.observed_until.date()).days
        if days <= SOON_DAYS:
            sentences.append(words("digest.due_review", when=context.formats.moment(line.review_on.isoformat())))
    return (Items(tuple(sentences)),) if sentences else (words("digest.nothing_due"),)


def _owes(now: Findings, context: BoardContext) -> tuple[Block, ...]:
    words = context.words
    blocks: list[Block] = []
    sla = now.reports.sla
    if sla is not None and len(sla.breaches):
        table = sla.breaches.groupby(["owner", "clock"]).size().unstack(fill_value=0)
        table = table.reindex(columns=list(CLOCKS), fill_value=0)
        order = table.sum(axis=1).sort_values(ascending=False, kind="stable").index[:MOST_OWNERS]
        rows = [
            (context.owner(str(owner)) or context.blank, *(context.count(float(table.loc[owner, c])) for c in CLOCKS))
            for owner in order
        ]
        heads = columns(words, "digest_column", "owner", "accept:n", "contact:n", "disposition:n")
        blocks += [words("digest.sales_owes"), make_table(words("digest.overdue"), heads, rows)]
    else:
        blocks.append(words("board.sla.no_breaches" if sla is not None else "board.lacks.hand_offs"))
    owed = [one for one in marketing_delivered(now.reports.people) if one.owed is not None]
    if owed:
        blocks += [words("digest.marketing_owes"), delivered_table(owed, context)]
    return tuple(blocks)


def _leads(now: Findings, context: BoardContext) -> tuple[Block, ...]:
    found = now.disagreement
    if found is None:
        return (context.words("board.lacks.hand_offs"),)
    if not found.has_scores:
        return (context.words("board.lacks.scores"),)
    blocks: list[Block] = []
    blocks += [rejected_table(found, context)] if len(found.rejected) else []
    blocks += [won_table(found, context)] if len(found.won) else []
    return tuple(blocks) or (context.words("digest.no_leads" if found.answered else "digest.no_answers"),)
