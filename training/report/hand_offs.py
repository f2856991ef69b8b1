"""What hand-offs tell, for the report: the follow-up term, and leads around the old rule's cut-off."""

from __future__ import annotations

import math

from models.discontinuity import Jump
from pages.report_evidence import CutOffRow, HandOffReport
from training.discontinuity import look_at_cut_off
from training.report.parts import ReportParts, estimate_of

__all__ = ["hand_off_report"]


def hand_off_report(parts: ReportParts) -> HandOffReport | None:
    """Return the numbers of the section; None where the run did not look at hand-offs."""
    found = parts.follow_up
    if found is None:
        return None
    cut_off = look_at_cut_off(parts.tables, parts.data, parts.workspace.config)
    term = found.term
    return HandOffReport(
        found.hand_offs,
        found.sqls,
        found.wins,
        parts.bundle.basis == "if_worked",
        found.missing,
        cut_off.missing,
        () if term is None else term.sql.slopes,
        () if term is None else term.sql_left.slopes,
        None if math.isnan(found.overlap) else found.overlap,
        None if math.isnan(cut_off.points) else cut_off.points,
        cut_off.days,
        tuple(_row(jump) for jump in cut_off.jumps),
    )


def _row(jump: Jump) -> CutOffRow:
    intervals = (jump.handed, jump.happened, jump.effect, jump.bunching)
    return CutOffRow(jump.bandwidth, jump.below, jump.above, *(estimate_of(one) for one in intervals))
