"""What every client answers: the outcome of each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from crm.outbox import Queued

__all__ = ["CrmClient", "Outcome", "delivered", "refused", "retry"]


@dataclass(frozen=True)
class Outcome:
    """What became of one row: ``ok``, ``retry`` (it may work later) or ``refused`` (for good), with the CRM's words."""

    verdict: Literal["ok", "retry", "refused"]
    message: str = ""


delivered = Outcome("ok")


def retry(message: str) -> Outcome:
    """Return the outcome of a row that may be taken later."""
    return Outcome("retry", message)


def refused(message: str) -> Outcome:
    """Return the outcome of a row that will never be taken as it is."""
    return Outcome("refused", message)


class CrmClient(Protocol):
    """A CRM that can be told scores. Not for use by two threads at once."""

    def batch_size(self, waiting: int) -> int:
        """Return how many rows to give :meth:`push` at once while so many wait."""
        ...

    def push(self, rows: Sequence[Queued]) -> Sequence[Outcome]:
        """Tell the CRM; one outcome a row, in order, and at least one. Rows beyond the last were not reached.

        Raises
        ------
        CrmRefusedError
            When it refused the rows as a whole: smaller calls will find the one that it means.
        CrmUnavailableError
            When it cannot be told now; some of the rows may have arrived.
        CrmAccessError, CrmSetupError
            When no row could arrive.
        """
        ...

    def on_call(self, action: Callable[[], None]) -> None:
        """Let ``action`` run before each call and each wait."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
