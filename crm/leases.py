"""Leases: of several processes, one at a time does a piece of background work.

A lease ends by itself, so that a process that died keeps nobody waiting for longer than that.
"""

from __future__ import annotations

import sqlalchemy as sa

from crm.state_tables import LEASES
from crm.upserts import insert_into

__all__ = ["release_lease", "take_lease"]


def take_lease(connection: sa.Connection, name: str, holder: str, *, now_us: int, until_us: int) -> bool:
    """Take a lease, or renew one's own; False when another holder has it.

    Parameters
    ----------
    connection
        A transaction that writes.
    name
        Of the work.
    holder
        Who asks; unlike any other process' name.
    now_us, until_us
        Now, and when the lease ends by itself, in microseconds since 1970.
    """
    statement = insert_into(connection, LEASES).values(name=name, holder=holder, until_us=until_us)
    taken = connection.execute(
        statement.on_conflict_do_update(
            index_elements=[LEASES.c.name],
            set_={"holder": holder, "until_us": until_us},
            where=sa.or_(LEASES.c.holder == holder, LEASES.c.until_us <= now_us),
        )
    )
    return taken.rowcount == 1


def release_lease(connection: sa.Connection, name: str, holder: str) -> None:
    """Give a lease back before its end; somebody else's stays."""
    connection.execute(sa.delete(LEASES).where(LEASES.c.name == name, LEASES.c.holder == holder))
