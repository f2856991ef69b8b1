"""Finding everything that the board shows, in order, with progress."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false

from __future__ import annotations

from datetime import datetime

import pyarrow as pa

from alignment.board.page import Findings
from alignment.campaigns import campaigns_report
from alignment.content import content_report
from alignment.delay_effect import delay_effect
from alignment.disagreement import disagreement
from alignment.funnel import funnel
from alignment.hand_offs import hand_offs_of
from alignment.people import gather_people, settle_span
from alignment.signs import Reports, three_signs
from alignment.sla import sla_report
from crm.config import WorkspaceConfig
from crm.progress import Progress
from crm.store import Tables
from models.line import Line

__all__ = ["find_alignment"]


def find_alignment(  # noqa: PLR0913 - the clock is a fact of its own
    tables: Tables,
    config: WorkspaceConfig,
    as_of: datetime | None,
    scores: pa.Table,
    line: Line | None,
    progress: Progress,
    *,
    now: datetime | None = None,
) -> Findings:
    """Find out how the two teams are aligned.

    Parameters
    ----------
    tables
        The workspace's tables.
    config
        The workspace file.
    as_of
        What was recorded later does not exist. None for the end of what the data knows.
    scores
        Every score issued (:func:`crm.issued.issued_scores`).
    line
        The MQL line in force; None where no model was trained.
    progress
        Where to report each step.
    now
        The clock, by which expectations have been registered; None where an earlier moment is asked for.
    """
    with progress.step("Following everyone") as step:
        people = gather_people(tables, config, settle_span(tables, config, as_of), scores, line, now=now)
        step.note(f"{len(people.frame):,} people until {people.seen.observed_until:%Y-%m-%d}")
    with progress.step("Funnel by cohort"):
        found = funnel(people)
    with progress.step("Hand-offs and their clocks") as step:
        offs = hand_offs_of(people)
        sla = sla_report(people, offs)
        delay = delay_effect(people, offs)
        step.note(f"{len(offs):,} hand-offs")
    with progress.step("Content and deals") as step:
        content = content_report(people)
        step.note("no touch names content" if content is None else f"{len(content.items):,} items")
    with progress.step("Campaigns") as step:
        campaigns = campaigns_report(people)
        step.note("none" if campaigns is None else f"{len(campaigns.campaigns):,} campaigns")
    reports = Reports(people, found, sla, content, campaigns)
    return Findings(
        reports,
        three_signs(reports),
        offs,
        delay,
        disagreement(people, offs) if tables.has("hand_offs") else None,
    )
