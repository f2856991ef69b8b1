"""Scoring leads that nobody asked for, because something that their score reads has changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from time import perf_counter

import sqlalchemy as sa

from crm.rescore_queue import Queued, done_rescoring, next_to_rescore
from serving.asked import Asked
from serving.issuing import Issue
from serving.live import Live
from serving.runtime import Runtime

__all__ = ["rescore_queued"]

ENTRIES = 50
LEADS_AT_ONCE = 25
"""Leads between two looks at what else is to be done: whoever asks meanwhile waits some milliseconds at most."""


def rescore_queued(runtime: Runtime, now: datetime) -> bool:
    """Score the leads that have waited longest, and issue what moved.

    Returns
    -------
    bool
        Whether more may wait.
    """
    with runtime.state.reading() as connection:
        entries = next_to_rescore(connection, ENTRIES)
    if not entries:
        return False
    runtime.refresh_pulled()  # what waits may have been queued by a pull
    live = runtime.live
    leads = sorted({one.lead_id for one in entries} - {""})
    accounts = sorted({one.account_id for one in entries} - {""})
    runtime.forget(leads)  # who queued them may be another process, that of a pull
    if accounts:
        runtime.forget(live.held.others_of(accounts, ()))
    found = {*leads, *(live.held.others_of(accounts, ()) if accounts else ())}
    wanted = sorted(found - runtime.left_out(found))
    language = runtime.settings.workspace.config.workspace.language
    for start in range(0, len(wanted), LEADS_AT_ONCE):
        asked = Asked(now, language, request_id="rescore", started=perf_counter())
        scored = live.score_held(wanted[start : start + LEADS_AT_ONCE], asked, "batch")
        if scored.issues:
            issued = runtime.writer.submit(partial(_issue_moved, live, scored.issues)).result()
            runtime.issued(issued)
    runtime.writer.submit(partial(_done, entries)).result()
    return len(entries) == ENTRIES


def _issue_moved(live: Live, issues: Sequence[Issue], connection: sa.Connection) -> list[dict[str, object]]:
    return live.issuer.issue(connection, issues, only_moved=True)


def _done(entries: Sequence[Queued], connection: sa.Connection) -> None:
    done_rescoring(connection, entries)
