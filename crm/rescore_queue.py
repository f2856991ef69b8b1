"""Leads and accounts that are to be scored again without anybody asking."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import sqlalchemy as sa

from crm.state_tables import RESCORE_QUEUE
from crm.upserts import insert_into

__all__ = ["Queued", "done_rescoring", "next_to_rescore", "queue_rescoring"]

Kind = Literal["lead", "account"]
Queued = tuple[Kind, str, int]
"""Kind, id, and when it was queued, microseconds since 1970 UTC."""


def queue_rescoring(connection: sa.Connection, kind: Kind, subject_ids: Collection[str], now_us: int) -> None:
    """Queue leads, or accounts with all of their leads; one that waits already is queued from now on.

    Whoever works on it at this moment does not take it off the queue then, as it read less than there is.
    """
    if subject_ids:
        statement = insert_into(connection, RESCORE_QUEUE)
        statement = statement.on_conflict_do_update(
            index_elements=["kind", "subject_id"], set_={"queued_us": statement.excluded.queued_us}
        )
        rows = [{"kind": kind, "subject_id": one, "queued_us": now_us} for one in sorted(subject_ids)]
        connection.execute(statement, rows)


def next_to_rescore(connection: sa.Connection, limit: int) -> list[Queued]:
    """Return what has waited longest."""
    query = sa.select(RESCORE_QUEUE.c.kind, RESCORE_QUEUE.c.subject_id, RESCORE_QUEUE.c.queued_us)
    rows = connection.execute(query.order_by(RESCORE_QUEUE.c.queued_us).limit(limit))
    return [(row.kind, row.subject_id, row.queued_us) for row in rows]


def done_rescoring(connection: sa.Connection, queued: Sequence[Queued]) -> None:
    """Take entries off the queue, but for those that were queued again meanwhile."""
    for kind, subject_id, queued_us in queued:
        connection.execute(
            sa.delete(RESCORE_QUEUE).where(
                RESCORE_QUEUE.c.kind == kind,
                RESCORE_QUEUE.c.subject_id == subject_id,
                RESCORE_QUEUE.c.queued_us == queued_us,
            )
        )
