"""Deleting what the service has held for long enough (``[retention]``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from crm.config_retention import RetentionConfig
from crm.known import to_micros
from crm.state import State
from crm.state_tables import AUDIT, DEAD_LETTERS, HOOK_EVENTS, LEDGER, SHADOW_SCORES, TOLD

__all__ = ["apply_retention"]


def apply_retention(state: State, config: RetentionConfig, now: datetime) -> Mapping[str, int]:
    """Delete what is older than the workspace file allows; return the rows by table.

    A webhook that is still to be worked on stays whatever its age. The newest score of a lead stays in the queue when
    its row of the ledger goes.

    Parameters
    ----------
    state
        Of the workspace.
    config
        ``[retention]``.
    now
        The clock. Timezone-aware.
    """
    done = HOOK_EVENTS.c.next_try_us.is_(None)
    touches = TOLD["touches"]
    kept: tuple[tuple[sa.Table, sa.Column[int], float | None, sa.ColumnElement[bool]], ...] = (
        (LEDGER, LEDGER.c.issued_us, config.ledger_days, sa.true()),
        (touches, touches.c.happened_us, config.touches_days, sa.true()),
        (HOOK_EVENTS, HOOK_EVENTS.c.received_us, config.hook_events_days, done),
        (DEAD_LETTERS, DEAD_LETTERS.c.failed_us, config.dead_letters_days, sa.true()),
        (AUDIT, AUDIT.c.at_us, config.audit_days, sa.true()),
    )
    counts: dict[str, int] = {}
    for table, clock, days, condition in kept:
        if days is None:
            continue
        old = sa.and_(clock < to_micros(now - timedelta(days=days)), condition)
        with state.writing() as connection:  # one table at a time, so that requests wait for none of them long
            if table is LEDGER:
                gone = sa.select(LEDGER.c.seq).where(old)
                connection.execute(sa.delete(SHADOW_SCORES).where(SHADOW_SCORES.c.seq.in_(gone)))
            counts[table.name] = int(connection.execute(sa.delete(table).where(old)).rowcount)
    return {name: count for name, count in counts.items() if count}
