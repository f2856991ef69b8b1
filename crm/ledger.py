"""The ledger: every score that was issued, appended; the newest of each lead; and the queue made of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, Literal

import sqlalchemy as sa

from crm.state_tables import CURRENT_SCORES, LEDGER
from crm.upserts import Insert, insert_for, insert_plain

__all__ = ["append_ledger", "current_scores", "ledger_of_lead", "ledger_row", "put_current", "queue_of"]

Row = dict[str, Any]
LOOKED_UP = 500
# Statements that every score runs are made once: to make one takes SQLAlchemy longer than to run it.
_APPEND = sa.insert(LEDGER)
_APPEND_RETURNING = _APPEND.returning(LEDGER.c.seq, sort_by_parameter_order=True)
_NEWEST = sa.select(CURRENT_SCORES).where(CURRENT_SCORES.c.lead_id.in_(sa.bindparam("wanted", expanding=True)))
_NEWEST_COLUMNS = tuple(column.name for column in CURRENT_SCORES.columns)


def append_ledger(connection: sa.Connection, rows: Sequence[Row]) -> list[int]:
    """Append rows and return their numbers, in order.

    Parameters
    ----------
    connection
        In a transaction.
    rows
        Every column of the ledger but ``seq``.
    """
    if not rows:
        return []
    if len(rows) == 1 or connection.dialect.name != "sqlite":
        return [int(row[0]) for row in connection.execute(_APPEND_RETURNING, list(rows))]
    # With RETURNING, SQLAlchemy would insert row by row there. This transaction alone writes: its numbers follow on.
    insert_plain(connection, _APPEND, rows)
    last = int(connection.exec_driver_sql("SELECT last_insert_rowid()").scalar_one())
    return list(range(last - len(rows) + 1, last + 1))


def current_scores(connection: sa.Connection, lead_ids: Collection[str]) -> dict[str, Row]:
    """Return the newest scores of some leads, by lead; nothing for leads that were never scored."""
    found: dict[str, Row] = {}
    wanted = list(lead_ids)
    for start in range(0, len(wanted), LOOKED_UP):
        for values in connection.execute(_NEWEST, {"wanted": wanted[start : start + LOOKED_UP]}):
            row = dict(zip(_NEWEST_COLUMNS, values, strict=True))
            found[row["lead_id"]] = row
    return found


def put_current(connection: sa.Connection, rows: Sequence[Row]) -> None:
    """Make scores the newest of their leads; one that is older than what is there changes nothing."""
    if rows:
        insert_plain(connection, _put(connection.dialect.name), rows)


@cache
def _put(database: str) -> Insert:
    statement = insert_for(database, CURRENT_SCORES)
    taken = {name: statement.excluded[name] for name in _NEWEST_COLUMNS if name != "lead_id"}
    return statement.on_conflict_do_update(
        index_elements=["lead_id"], set_=taken, where=CURRENT_SCORES.c.as_of_us <= statement.excluded.as_of_us
    )


def ledger_row(connection: sa.Connection, seq: int) -> Row | None:
    """Return one row of the ledger; None when there is none."""
    row = connection.execute(sa.select(LEDGER).where(LEDGER.c.seq == seq)).mappings().first()
    return None if row is None else dict(row)


def ledger_of_lead(connection: sa.Connection, lead_id: str, *, limit: int, before: int | None = None) -> list[Row]:
    """Return a lead's rows, newest first.

    Parameters
    ----------
    connection
        A transaction.
    lead_id
        The lead as it is held.
    limit
        At most so many.
    before
        Only rows with a lower number: the next page.
    """
    query = sa.select(LEDGER).where(LEDGER.c.lead_id == lead_id).order_by(LEDGER.c.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(LEDGER.c.seq < before)
    return [dict(row) for row in connection.execute(query).mappings()]


Order = Literal["expected_value", "score"]


def queue_of(
    connection: sa.Connection,
    *,
    decision: str | None,
    order: Order,
    limit: int,
    after: tuple[float, str] | None = None,
) -> list[Row]:
    """Return newest scores, highest first: with ``decision="hand_off"``, the leads that sales should work next.

    Parameters
    ----------
    connection
        A transaction.
    decision
        Only leads with this decision; None for all.
    order
        By which column.
    limit
        At most so many.
    after
        Value and lead of the last row of the page before.
    """
    by = CURRENT_SCORES.c[order]
    query = sa.select(CURRENT_SCORES).order_by(by.desc(), CURRENT_SCORES.c.lead_id).limit(limit)
    if decision is not None:
        query = query.where(CURRENT_SCORES.c.decision == decision)
    if after is not None:
        query = query.where(sa.or_(by < after[0], sa.and_(by == after[0], CURRENT_SCORES.c.lead_id > after[1])))
    return [dict(row) for row in connection.execute(query).mappings()]
