"""Leads, and accounts with all of their leads, that are to be scored again without anybody asking."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from crm.state_tables import RESCORE_QUEUE
from crm.upserts import insert_into

__all__ = ["Queued", "done_rescoring", "next_to_rescore", "queue_rescoring"]


@dataclass(frozen=True)
class Queued:
    """An entry: a lead, or an account.

    Parameters
    ----------
    lead_id, account_id
        One of the two is empty.
    queued_us
        Microseconds since 1970 UTC.
    """

    lead_id: str
    account_id: str
    queued_us: int


def queue_rescoring(
    connection: sa.Connection, now_us: int, *, leads: Collection[str] = (), accounts: Collection[str] = ()
) -> None:
    """Queue leads and accounts; what waits already is queued from now on.

    Whoever works on it at this moment does not take it off the queue then, as it read less than there is.
    """
    rows = [{"lead_id": one, "account_id": "", "queued_us": now_us} for one in sorted(leads)]
    rows += [{"lead_id": "", "account_id": one, "queued_us": now_us} for one in sorted(accounts)]
    if rows:
        statement = insert_into(connection, RESCORE_QUEUE)
        statement = statement.on_conflict_do_update(
            index_elements=["lead_id", "account_id"], set_={"queued_us": statement.excluded.queued_us}
        )
        connection.execute(statement, rows)


def next_to_rescore(connection: sa.Connection, limit: int) -> list[Queued]:
    """Return what has waited longest."""
    rows = connection.execute(sa.select(RESCORE_QUEUE).order_by(RESCORE_QUEUE.c.queued_us).limit(limit))
    return [Queued(row.lead_id, row.account_id, row.queued_us) for row in rows]


def done_rescoring(connection: sa.Connection, queued: Sequence[Queued]) -> None:
    """Take entries off the queue, but for those that were queued again meanwhile."""
    columns = RESCORE_QUEUE.c
    for one in queued:
        is_it = sa.and_(columns.lead_id == one.lead_id, columns.account_id == one.account_id)
        connection.execute(sa.delete(RESCORE_QUEUE).where(is_it, columns.queued_us == one.queued_us))
