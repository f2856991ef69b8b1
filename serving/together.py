"""Requests for one held lead each that come at the same moment: scored as one, written down as one.

To score one lead costs nearly as much as to score ten, and to write one row down as much as to write ten. So there is
one group under way at a time, and whatever comes meanwhile is the next. Callers who ask again as soon as they are
answered would fall into two groups that wait for each other by turns; so after a group the next one waits a few
milliseconds for as many as were here. A lone request waits for nobody, unless it comes during or right after another.
How a request is answered does not depend on whom it was answered with, and a request that fails fails alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from crm.errors import StateError
from serving.asked import Asked
from serving.live import Live, Scored
from serving.runtime import Runtime

__all__ = ["Together"]

Row = dict[str, Any]
AT_ONCE = 16
"""Requests in one group at most: the scoring of so many holds others up for a few milliseconds."""
LINGER_SECONDS = 0.008
"""For which a group waits for callers who were here a moment ago. Eight callers who ask without a pause are answered
half as often again; of those who ask at their own times, whoever comes right after a group may wait so much longer."""


@dataclass(frozen=True)
class _Request:
    """One request that waits for its answer: None when nothing is held of its lead."""

    live: Live
    lead_id: str
    asked: Asked
    answer: asyncio.Future[Row | None]

    def joins(self, others: list[_Request]) -> bool:
        """Tell whether it can be scored with others: by the same model, in one language, each lead once."""
        first = others[0]
        return (
            self.live is first.live
            and self.asked.language == first.asked.language
            and all(self.lead_id != other.lead_id for other in others)
        )


@dataclass
class Together:
    """Scores leads that are held here for requests that come at the same time.

    Parameters
    ----------
    runtime
        What the service holds.
    """

    runtime: Runtime
    _waiting: deque[_Request] = field(default_factory=deque)
    _working: asyncio.Task[None] | None = None
    _expected: int = 0
    _are_here: asyncio.Event = field(default_factory=asyncio.Event)

    async def score(self, live: Live, lead_id: str, asked: Asked) -> Row | None:
        """Score one lead and write it down.

        Parameters
        ----------
        live
            The model that answers.
        lead_id
            The lead as it is held.
        asked
            The request.

        Returns
        -------
        dict or None
            The issued answer with its warnings; None when nothing is held of the lead.

        Raises
        ------
        StateError
            When it could not be written down; then it was not scored.
        """
        request = _Request(live, lead_id, asked, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if len(self._waiting) >= self._expected:
            self._are_here.set()
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await request.answer

    async def _work(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft()]
            while self._waiting and len(group) < AT_ONCE and self._waiting[0].joins(group):
                group.append(self._waiting.popleft())
            await self._answer(group)
            expected = min(AT_ONCE, len(group) + len(self._waiting))
            if expected > 1:
                await self._linger(expected)

    async def _linger(self, expected: int) -> None:
        if len(self._waiting) < expected:
            self._are_here.clear()
            self._expected = expected
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    await self._are_here.wait()

    async def _answer(self, group: list[_Request]) -> None:
        try:
            answers = await self._scored(group)
        except Exception as error:  # whatever it is, the request is told, or the one whose fault it is
            if len(group) > 1 and not isinstance(error, StateError):
                for one in group:
                    await self._answer([one])
                return
            for one in group:
                if not one.answer.done():
                    one.answer.set_exception(error)
            return
        for one in group:
            if not one.answer.done():  # it is, where the caller has gone
                one.answer.set_result(answers.get(one.lead_id))

    async def _scored(self, group: list[_Request]) -> dict[str, Row]:
        live, runtime = group[0].live, self.runtime
        wanted = [(one.lead_id, one.asked) for one in group]
        if live.held.has_all([one.lead_id for one in group]):
            scored = live.score_each(wanted)
        else:  # rows that are read from the disk hold nobody up
            scored = await asyncio.to_thread(live.score_each, wanted)
        if not scored.issues:
            return {}
        issued = await runtime.writer.write(partial(live.issuer.issue, issues=scored.issues))
        runtime.issued(issued)
        return _by_lead(scored, issued)


def _by_lead(scored: Scored, issued: list[Row]) -> dict[str, Row]:
    return {answer["lead_id"]: answer for answer in scored.answers(issued)}
