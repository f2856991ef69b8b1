"""Leases: of several processes, one at a time does a piece of background work.

A lease ends by itself, so that a process that died keeps nobody waiting for longer than that, and one of the same
machine not at all.
"""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from crm.state_tables import LEASES
from crm.upserts import insert_into

__all__ = ["has_ended", "holder_name", "pid_space", "release_lease", "take_lease"]


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
    taken = statement.on_conflict_do_update(
        index_elements=[LEASES.c.name],
        set_={"holder": holder, "until_us": until_us},
        where=sa.or_(LEASES.c.holder == holder, LEASES.c.until_us <= now_us),
    )
    if _is_written(connection, taken):
        return True
    other = connection.execute(sa.select(LEASES.c.holder).where(LEASES.c.name == name)).scalar_one_or_none()
    if other is None or not _is_gone(other):
        return False
    release_lease(connection, name, other)
    return _is_written(connection, statement.on_conflict_do_nothing())


def _is_written(connection: sa.Connection, insert: Any) -> bool:
    """Run an insert and tell by what it returns: psycopg's driver does not count the rows of one."""
    return connection.execute(insert.returning(LEASES.c.name)).one_or_none() is not None


def holder_name() -> str:
    """Return a name for this process that no other has, and that tells who it is."""
    return f"{socket.gethostname()}:{pid_space()}:{os.getpid()}:{secrets.token_hex(4)}"


def _is_gone(holder: str) -> bool:
    """Tell whether a holder is a process of this machine that runs no more; False when nobody can say."""
    host, space, pid = [*holder.split(":"), "", "", ""][:3]
    if (host, space) != (socket.gethostname(), pid_space()) or not pid.isdecimal():
        return False
    return has_ended(int(pid))


def has_ended(pid: int) -> bool:
    """Tell whether a process of this machine, or of this container, runs no more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's
        return False
    return False


def pid_space() -> str:
    """Return a name of what process ids are counted in: two containers of one name each have a process 1."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())[5:-1]
    except OSError:
        return ""


def release_lease(connection: sa.Connection, name: str, holder: str) -> None:
    """Give a lease back before its end; somebody else's stays."""
    connection.execute(sa.delete(LEASES).where(LEASES.c.name == name, LEASES.c.holder == holder))
