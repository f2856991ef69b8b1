"""What the leak sentinel said while training, and which of its checks only ``kizashi check`` asks."""

from __future__ import annotations

from collections.abc import Sequence

from pages.report_evidence import LeakRow
from training.sentinel.verdict import LeakVerdict

__all__ = ["CHECKS", "leak_rows"]

CHECKS = tuple(f"L{number}" for number in range(3, 17))


def leak_rows(verdicts: Sequence[LeakVerdict]) -> tuple[LeakRow, ...]:
    """Return one row for each check of the sentinel, in order; those that were not asked say so."""
    asked = {verdict.check: verdict for verdict in verdicts}
    return tuple(
        LeakRow(check, asked[check].status, asked[check].found) if check in asked else LeakRow(check, "not_run", "")
        for check in CHECKS
    )
