"""From a request to its answer: read, score or store, write down, and only then answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from typing import Any

import sqlalchemy as sa

from crm.known import to_micros
from crm.rescore_queue import queue_rescoring
from crm.told_storing import Told
from serving.asked import Asked
from serving.bodies import BodyError, HeldBatchBody, HeldBody, ScoreBody
from serving.flat import flat, read_flat
from serving.live import Live, Scored
from serving.posted import read_posted
from serving.problems import FieldError, Problem, ProblemError, invalid_request
from serving.runtime import Runtime
from serving.strict_json import parse_json
from serving.together import Together

__all__ = ["Answering"]

Row = dict[str, Any]
INLINE = 8
"""Leads that are scored between two other requests; more are scored beside them, so that nobody waits for a batch."""


@dataclass(frozen=True)
class Answering:
    """Answers requests that score or tell.

    Parameters
    ----------
    runtime
        What the service holds.
    """

    runtime: Runtime

    @cached_property
    def together(self) -> Together:
        """How leads that are held here are scored one a request."""
        return Together(self.runtime)

    async def score(self, data: bytes, asked: Asked, *, may_replay: bool) -> Row:
        """Answer /v1/score.

        Parameters
        ----------
        data
            The body.
        asked
            The request.
        may_replay
            Whether the caller may ask for an earlier moment.

        Raises
        ------
        ProblemError
            With everything that is wrong in the body, or when the lead is not held here.
        """
        live = self.runtime.live
        body = live.scorer.read_score(data, asked.now)
        _check_replay(body.as_of, may_replay=may_replay)
        if isinstance(body, ScoreBody):
            return (await self._given(live, [body], asked))[0]
        return await self.score_lead(body, asked)

    async def score_lead(self, body: HeldBody, asked: Asked) -> Row:
        """Score one lead that is held here, and write it down."""
        runtime = self.runtime
        held_id = runtime.teller.held_id(body.lead_id)
        if runtime.left_out([held_id]):
            raise ProblemError(_left_out())
        asked = asked if body.as_of is None else replace(asked, as_of=body.as_of)
        answer = await self.together.score(runtime.live, held_id, asked)
        if answer is None:
            raise ProblemError(_unknown_lead())
        return {**answer, "lead_id": body.lead_id}

    async def score_flat(self, data: bytes, asked: Asked) -> Row:
        """Answer /v1/score/flat."""
        return flat(await self.score_lead(HeldBody(lead_id=read_flat(data), as_of=None), asked))

    async def score_batch(self, data: bytes, asked: Asked, *, may_replay: bool) -> Row:
        """Answer /v1/score/batch; parameters and errors as for :meth:`score`."""
        live = self.runtime.live
        body = await asyncio.to_thread(live.scorer.read_batch, data, asked.now)
        if isinstance(body, HeldBatchBody):
            _check_replay(body.as_of, may_replay=may_replay)
            answers, unknown = await self._held(live, body.lead_ids, replace(asked, as_of=body.as_of))
            return {"answers": answers, "unknown": unknown}
        for one in body:
            _check_replay(one.as_of, may_replay=may_replay)
        return {"answers": await self._given(live, body, asked), "unknown": []}

    async def tell(self, table: str, data: bytes, asked: Asked) -> Row:
        """Answer a post of rows: they are stored, then leads that did something are scored.

        Parameters
        ----------
        table
            One of :data:`serving.posted.POSTED`.
        data
            The body.
        asked
            The request.

        Raises
        ------
        ProblemError
            When any row cannot be read; then none was stored.
        """
        try:
            rows = read_posted(table, parse_json(data), self.runtime.settings.workspace.config.serve.max_batch)
        except BodyError as error:
            raise ProblemError(invalid_request(error.errors)) from None
        told = await self.store(table, rows, "posted", asked.now)
        scores: list[Row] = []
        if table == "touches" and told.named:
            asked_for = [one for one in _ids(rows) if self.runtime.teller.held_id(one) in told.named]
            scores, _ = await self._held(self.runtime.live, asked_for, asked)
        return _reply(told, scores)

    async def store(self, table: str, rows: Sequence[Mapping[str, Any]], origin: str, now: datetime) -> Told:
        """Store rows, and see to it that whatever they change is scored anew."""
        runtime, now_us = self.runtime, to_micros(now)
        told = await runtime.writer.write(partial(_tell, runtime, table, rows, (origin, now_us)))
        if told.lead_ids:
            if table == "lead_merges":
                runtime.rows.forget_merges()
            runtime.forget(told.lead_ids)
        return told

    async def _held(self, live: Live, lead_ids: Sequence[str], asked: Asked) -> tuple[list[Row], list[str]]:
        """Score leads that are held here and write it down; return the answers in order, and the ids not held."""
        names = {self.runtime.teller.held_id(one): one for one in lead_ids}
        left_out = self.runtime.left_out(names)
        wanted = [one for one in names if one not in left_out]
        if len(wanted) > INLINE:
            scored = await asyncio.to_thread(live.score_held, wanted, asked)
        else:
            scored = live.score_held(wanted, asked)
        issued = {answer["lead_id"]: answer for answer in await self._issue(live, scored)}
        by_name = {names[held]: {**answer, "lead_id": names[held]} for held, answer in issued.items()}
        unknown = [names[one] for one in (*scored.unknown, *sorted(left_out))]
        return [by_name[one] for one in lead_ids if one in by_name], unknown

    async def _given(self, live: Live, bodies: Sequence[ScoreBody], asked: Asked) -> list[Row]:
        if self.runtime.left_out([self.runtime.teller.held_id(body.lead.lead_id) for body in bodies]):
            raise ProblemError(_left_out())
        if len(bodies) > INLINE:
            scored = await asyncio.to_thread(live.score_given, bodies, asked)
        else:
            scored = live.score_given(bodies, asked)
        if self.runtime.settings.workspace.config.workspace.hash_ids:
            scored = _hashed(scored, self.runtime)
        answers = await self._issue(live, scored, is_rehearsal=asked.is_rehearsal)
        if len(answers) < len(bodies):  # one was erased, or objected, meanwhile
            raise ProblemError(_left_out())
        return [{**answer, "lead_id": body.lead.lead_id} for answer, body in zip(answers, bodies, strict=True)]

    async def _issue(self, live: Live, scored: Scored, *, is_rehearsal: bool = False) -> list[Row]:
        if not scored.issues:
            return []
        if is_rehearsal:
            return scored.answers(await self.runtime.writer.write(partial(_rehearse, live, scored)))
        issued = await self.runtime.writer.write(partial(live.issuer.issue, issues=scored.issues))
        self.runtime.issued(issued)
        return scored.answers(issued)


def _rehearse(live: Live, scored: Scored, connection: sa.Connection) -> list[Row]:
    with connection.begin_nested() as savepoint:
        issued = live.issuer.issue(connection, scored.issues)
        savepoint.rollback()
    return issued


def _tell(
    runtime: Runtime, table: str, rows: Sequence[Mapping[str, Any]], way: tuple[str, int], connection: sa.Connection
) -> Told:
    told = runtime.teller.tell(connection, table, rows, way[0], way[1])
    if told.lead_ids:
        accounts = runtime.rows.accounts_of(connection, told.lead_ids)
        queue_rescoring(connection, way[1], leads=() if table == "touches" else told.lead_ids, accounts=accounts)
    return told


def _ids(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(str(row["lead_id"]) for row in rows))


def _hashed(scored: Scored, runtime: Runtime) -> Scored:
    """Give leads of request bodies the ids under which they would be held: the ledger knows no others."""
    issues = tuple(
        replace(one, answer={**one.answer, "lead_id": runtime.teller.held_id(one.answer["lead_id"])})
        for one in scored.issues
    )
    return replace(scored, issues=issues)


def _reply(told: Told, scores: list[Row]) -> Row:
    return {
        "stored": told.stored,
        "repeated": told.repeated,
        "conflicting": list(told.conflicting),
        "quarantined": [{"row": row, "reason": reason} for row, reason in told.quarantined],
        "erased": list(told.erased),
        "personal": sorted(told.personal),
        "scores": scores,
    }


def _check_replay(as_of: datetime | None, *, may_replay: bool) -> None:
    if as_of is not None and not may_replay:
        detail = "Leave as_of out to score as of now, or ask for a key with the scope replay."
        raise ProblemError(
            Problem("forbidden", "The key may not do this", 403, detail, (FieldError("/as_of", "needs replay"),))
        )


def _left_out() -> Problem:
    detail = "A lead that objected, or that was erased, is not scored again."
    return Problem("not-to-be-scored", "The lead is not to be scored", 409, detail)


def _unknown_lead() -> Problem:
    detail = "Post it to /v1/leads first, or send the lead itself with its touches."
    return Problem("unknown-lead", "The lead is not held here", 404, detail, (FieldError("/lead_id", "is not held"),))
