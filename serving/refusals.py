"""The audit of refused keys, in few rows: whoever tries many keys must not fill the disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio.to_thread

from crm.audit import AuditRow, write_audit
from crm.state import State
from serving.watch import describe_failure

__all__ = ["Refusals"]

EVERY = timedelta(minutes=1)
MAX_KINDS = 1_000

logger = logging.getLogger("kizashi.access")


@dataclass
class _Kind:
    written_at: datetime
    held_back: int = 0


class Refusals:
    """Writes at most one row a minute for each key and status, with the number of those that it stands for.

    Parameters
    ----------
    state
        Returns where the audit is; asked only when a row is written.
    """

    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state
        self._kinds: dict[tuple[str, int], _Kind] = {}

    async def note(self, key_id: str, status: int, request_id: str, now: datetime) -> None:
        """Write a refusal down, or count it for the next row.

        Parameters
        ----------
        key_id
            Of a key that there is or was; ``unknown`` for any other.
        status
            401 or 403.
        request_id
            Of the request that was refused.
        now
            The clock. Timezone-aware.
        """
        kind = self._kinds.get((key_id, status))
        if kind is not None and now - kind.written_at < EVERY:
            kind.held_back += 1
            return
        if len(self._kinds) >= MAX_KINDS:  # tokens name as many clients as their issuer likes
            self._kinds.clear()
        count = 1 + (kind.held_back if kind else 0)
        self._kinds[key_id, status] = _Kind(now)
        row = AuditRow(now, key_id, "key_refused", str(status), request_id, detail={"count": count})
        try:
            await anyio.to_thread.run_sync(self._write, row)
        except Exception as error:  # the caller has its answer; a full disk must not become a second one
            logger.error("a refusal is not in the audit: %s", describe_failure(error))

    def _write(self, row: AuditRow) -> None:
        with self._state().writing() as connection:
            write_audit(connection, row)
