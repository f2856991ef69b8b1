"""One thread that writes: what many requests have to store is committed together, and each waits for its own.

A commit costs as much for one row as for a hundred, and SQLite lets one writer in at a time anyway. What is submitted
runs in order. A piece of work that fails takes nothing of the others with it: everything is undone and run once more,
each piece in a savepoint of its own. Savepoints from the start would cost every score two statements more.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from crm.errors import StateError
from crm.state import State

__all__ = ["Writer"]

Result = TypeVar("Result")
AT_ONCE = 64
"""Pieces of work in one commit at most."""
WAITING = 4_096
"""Pieces of work that may wait; more are refused, which is better than to answer later and later."""

_Work = tuple[Callable[[sa.Connection], Any], "Future[Any]"]
logger = logging.getLogger("kizashi.state")


class Writer:
    """Runs work in transactions of the state, one after the other.

    Parameters
    ----------
    state
        Where to write.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._waiting: queue.Queue[_Work | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="kizashi-writer", daemon=True)
        self._is_closed = False
        self._thread.start()

    def submit(self, work: Callable[[sa.Connection], Result]) -> Future[Result]:
        """Have work run in the next transaction; the future is done once that is committed.

        Work may be run twice, the first time undone: it must leave nothing behind but what it writes.

        Raises
        ------
        StateError
            When too much waits already, or the writer was closed.
        """
        future: Future[Result] = Future()
        if self._is_closed:
            raise _unavailable("a state that is being closed")
        try:
            self._waiting.put_nowait((work, future))
        except queue.Full:
            raise _unavailable(f"{WAITING:,} writes that wait") from None
        return future

    async def write(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Wait, without holding others up, until work is committed, and return what it returned."""
        return await asyncio.wrap_future(self.submit(work))

    def close(self) -> None:
        """Finish what waits, then stop."""
        if not self._is_closed:
            self._is_closed = True
            self._waiting.put(None)
            self._thread.join(timeout=60)

    def _run(self) -> None:
        while True:
            batch, is_last = self._next()
            if batch:
                self._commit(batch)
            if is_last:
                return

    def _next(self) -> tuple[list[_Work], bool]:
        batch: list[_Work] = []
        one = self._waiting.get()
        while one is not None:
            batch.append(one)
            if len(batch) == AT_ONCE:
                return batch, False
            try:
                one = self._waiting.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _commit(self, batch: list[_Work]) -> None:
        batch = [one for one in batch if one[1].set_running_or_notify_cancel()]  # those whose callers still wait
        try:
            results = self._run_as_one(batch)
        except Exception:  # whose fault it is shows when each runs by itself
            self._commit_apart(batch)
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)

    def _run_as_one(self, batch: list[_Work]) -> list[Any]:
        with self._state.writing() as connection:
            return [work(connection) for work, _ in batch]

    def _commit_apart(self, batch: list[_Work]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        failed: list[tuple[Future[Any], BaseException]] = []
        try:
            with self._state.writing() as connection:
                for work, future in batch:
                    try:
                        with connection.begin_nested():
                            result = work(connection)
                    except Exception as error:  # its own request is told, the others go on
                        failed.append((future, _as_unavailable(error)))
                    else:
                        done.append((future, result))
        except Exception as error:  # nothing of the batch was kept
            logger.error("a commit failed: %s", type(error).__name__)
            for _, future in batch:
                future.set_exception(_as_unavailable(error))
            return
        for future, result in done:
            future.set_result(result)
        for future, error in failed:
            future.set_exception(error)


def _as_unavailable(error: Exception) -> Exception:
    """Return an error of the database as one that a caller can be told: a full disk, a read-only one, a lock."""
    if isinstance(error, DBAPIError):
        return _unavailable(f"a database that did not take the rows ({type(error.orig).__name__})")
    return error


def _unavailable(found: str) -> StateError:
    return StateError(
        found=found,
        expected="a state that takes rows; nothing of this request was kept",
        fix="send it again later, and look at the free space and the permissions of .kizashi/",
    )
