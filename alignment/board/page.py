"""The board put together: the signs on top, then line, funnel, SLA, content, campaigns, feedback, data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alignment.board.campaigns_section import campaigns_section
from alignment.board.content_section import content_section
from alignment.board.context import BoardContext
from alignment.board.feedback_section import feedback_section
from alignment.board.funnel_section import funnel_section, line_section
from alignment.board.signs_tiles import sign_tile
from alignment.board.sla_section import sla_section
from alignment.delay_effect import DelayEffect
from alignment.disagreement import Disagreement
from alignment.owed import marketing_delivered
from alignment.signs import Reports, Sign
from crm.known import to_micros
from models.line import Line
from pages.board_parts import BoardPage
from pages.formats import Formats
from pages.report_parts import Items, Section
from pages.words import Language, load_words

__all__ = ["Findings", "board_context", "board_page"]


@dataclass(frozen=True)
class Findings:
    """Everything that was found about the alignment of the two teams, as of one moment.

    Parameters
    ----------
    reports
        Funnel, SLA, content, campaigns, and whom they speak of.
    signs
        The three signs.
    hand_offs
        All hand-offs with their clocks.
    delay
        What waiting costs; None where too few hand-offs tell.
    disagreement
        Where sales and the score disagree; None without hand-offs.
    """

    reports: Reports
    signs: tuple[Sign, Sign, Sign]
    hand_offs: pd.DataFrame
    delay: DelayEffect | None
    disagreement: Disagreement | None


def board_context(found: Findings, language: Language, *, names_owners: bool) -> BoardContext:
    """Return the context of a reader.

    Parameters
    ----------
    found
        What was found.
    language
        Of the reader.
    names_owners
        Owners are called by their names; otherwise by a number, in the order of their first hand-off, which stays.
    """
    words = load_words(language)
    config = found.reports.people.config
    owners = [str(name) for name in found.hand_offs["owner"].unique() if name] if len(found.hand_offs) else []
    called = {
        name: name if names_owners else words("board.owner", n=str(place)) for place, name in enumerate(owners, start=1)
    }
    return BoardContext(words, Formats(words, config.workspace.currency), config.workspace.timezone, called)


def board_page(found: Findings, context: BoardContext) -> BoardPage:
    """Return the board of a reader."""
    reports, config = found.reports, found.reports.people.config
    days = (
        context.formats.count(config.outcome.sql_horizon_days),
        context.formats.count(config.outcome.won_horizon_days),
    )
    sections = (
        line_section(reports.funnel, _gain(reports.people.line, context), context),
        funnel_section(reports.funnel, days, context),
        sla_section(reports.sla, found.delay, marketing_delivered(reports.people), context),
        content_section(reports.content, context),
        campaigns_section(reports.campaigns, context),
        feedback_section(found.disagreement, context),
        _data(reports, context),
    )
    return BoardPage(
        config.workspace.name,
        _facts(reports, context, days),
        tuple(sign_tile(sign, context) for sign in found.signs),
        sections,
        config.workspace.timezone,
        config.workspace.currency,
    )


def _facts(reports: Reports, context: BoardContext, days: tuple[str, str]) -> tuple[str, ...]:
    words, people = context.words, reports.people
    until = people.until_us
    mature = [
        context.day(until - horizon * 86_400_000_000)
        for horizon in (people.config.outcome.sql_horizon_days, people.config.outcome.won_horizon_days)
    ]
    facts = [
        words("board.facts.until", when=context.day(until)),
        words("board.facts.mature", sql=mature[0], won=mature[1], sql_days=days[0], won_days=days[1]),
    ]
    if people.line is not None:
        facts.append(words("board.facts.line", version=people.line.version))
    return tuple(facts)


def _gain(line: Line | None, context: BoardContext) -> tuple[str, ...]:
    words, formats = context.words, context.formats
    if line is None:
        return ()
    sentences = [
        words("board.line.in_force", price=formats.money(line.threshold), when=line.set_as_of.date().isoformat())
    ]
    if line.gain is not None:
        ends = formats.interval(formats.compact_money(line.gain.low), formats.compact_money(line.gain.high))
        values = {"gain": formats.compact_money(line.gain.value), "interval": ends}
        sentences.append(words("board.line.gain", since=line.gain.since, until=line.gain.until, **values))
    return tuple(sentences)


def _data(reports: Reports, context: BoardContext) -> Section:
    """Say who is counted, and what is missing, each with the table that would tell."""
    words, people = context.words, reports.people
    frame = people.frame
    sentences = [
        words(
            "board.data.people",
            n=context.formats.number(len(frame)),
            leads=context.formats.number(frame["leads"].sum()),
        )
    ]
    missing = [key for key, lacks in _missing(reports).items() if lacks]
    sentences += [words(f"board.lacks.{key}") for key in missing]
    if people.seen.observed_from is not None:
        when = context.day(float(to_micros(people.seen.observed_from)))
        early = int((frame["created_us"] < people.from_us).sum())
        sentences.append(words("board.data.truncated", when=when, n=context.formats.number(early)))
    elif (first := _silent_start(frame, people.until_us)) is not None:
        sentences.append(words("board.data.silent_start", when=context.day(first)))
    return Section("data", words("board.data.heading"), (words("board.data.lead"), Items(tuple(sentences))))


def _missing(reports: Reports) -> dict[str, bool]:
    people, tables = reports.people, reports.people.tables
    frame = people.frame
    return {
        "mqls": not frame["mql_entered_us"].notna().any(),
        "accepted": "accepted" not in reports.funnel.recorded,
        "hand_offs": not tables.has("hand_offs"),
        "opportunities": not tables.has("opportunities"),
        "content_touches": reports.content is None,
        "content": reports.content is not None and not reports.content.has_makers,
        "campaigns": reports.campaigns is None,
        "expectations": reports.campaigns is not None and not reports.campaigns.has_expectations,
        "scores": not np.isfinite(frame["value"].to_numpy(dtype="float64")).any(),
        "segments": not people.segments,
        "sla": people.config.sla is None,
    }


def _silent_start(frame: pd.DataFrame, until_us: int) -> float | None:
    """Return the first win where it came too late to be chance: leads of a month and more before it won nobody.

    Outcomes seem not to have been recorded before: left truncation, which makes early cohorts look bad.
    """
    created, won = frame["created_us"], frame["won_us"]
    if not won.notna().any():
        return None
    first = float(won.min())
    early = created < first - 30 * 86_400_000_000
    expected = int(early.sum()) * float(won[~early].notna().mean())
    # So many wins missing by chance alone: less than one in a thousand (Poisson).
    return first if expected > 7.0 and first < until_us else None
