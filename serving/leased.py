"""Background work that one of several processes of a state does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from crm.known import to_micros
from crm.leases import release_lease, take_lease
from crm.state import State

__all__ = ["Leased"]

LEASE_US = 120_000_000
"""After so long without a word another process takes over. A longer turn is joined by it; the work bears that."""
ASK_AGAIN_US = 5_000_000


@dataclass
class Leased:
    """A piece of work that is done in the process that holds its lease.

    Parameters
    ----------
    state
        Where the lease is. A state that is a file has one process, which needs none.
    name
        Of the lease.
    holder
        Who asks (:func:`crm.leases.holder_name`).
    work
        One turn; returns whether there is more to do at once.
    """

    state: State
    name: str
    holder: str
    work: Callable[[], bool]
    _until_us: int = field(default=0, repr=False)
    _ask_at_us: int = field(default=0, repr=False)

    def turn(self) -> bool:
        """Do one turn if it is ours to do."""
        return (self.state.is_sqlite or self._is_ours(to_micros(datetime.now(UTC)))) and self.work()

    def release(self) -> None:
        """Let another process take over at once."""
        if self._until_us:
            with self.state.writing() as connection:
                release_lease(connection, self.name, self.holder)
            self._until_us = 0

    def _is_ours(self, now_us: int) -> bool:
        if now_us < self._until_us - LEASE_US // 2:
            return True
        if now_us < self._ask_at_us:
            return False
        with self.state.writing() as connection:
            is_ours = take_lease(connection, self.name, self.holder, now_us=now_us, until_us=now_us + LEASE_US)
        self._until_us = now_us + LEASE_US if is_ours else 0
        self._ask_at_us = 0 if is_ours else now_us + ASK_AGAIN_US
        return is_ours
