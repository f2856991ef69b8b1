"""Work beside answering: each piece on a thread of its own, again and again, until it is told to end.

A piece that fails is tried again at its next turn, and the log says what failed; it never ends the service.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from serving.watch import describe_failure

__all__ = ["Periodic"]

logger = logging.getLogger("kizashi.background")


@dataclass
class Periodic:
    """One piece of work.

    Parameters
    ----------
    name
        In the log.
    every_s
        Seconds between the end of one turn and the next.
    work
        One turn; returns whether there is more to do at once.
    """

    name: str
    every_s: float
    work: Callable[[], bool]
    failures: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name=f"kizashi-{self.name}", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End after the turn that is under way, or leave it behind once the time is over."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.wait(self.every_s if not self._turn() else 0.0):
            pass

    def _turn(self) -> bool:
        try:
            return self.work()
        except Exception as error:  # it is tried again at the next turn
            self.failures += 1
            logger.error("%s failed: %s", self.name, describe_failure(error))
            return False
