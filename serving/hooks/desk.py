"""What each kind of webhook is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from crm.config import WorkspaceConfig
from crm.config_crm import CrmConfig
from crm.hook_events import Arrived, HookAnswer, HookHint, first_answer, take, take_hint
from crm.known import to_micros
from crm.lead_hashes import lead_hash, not_scored
from crm.parsing import BLANKS
from crm.state import State
from serving.asked import Asked
from serving.fields import is_id
from serving.hooks.formats import GENERIC, crm_source, leads_named, pack, pack_rows, read_generic, read_odoo
from serving.hooks.hubspot import action_answer, action_failed, asked_lead, check_workflow, event_key, read_events
from serving.hooks.signatures import (
    SignatureError,
    SignedRequest,
    check_hubspot_v2,
    check_hubspot_v3,
    check_standard,
    hubspot_v2_signature,
    names_token,
)
from serving.problems import FieldError, ProblemError, invalid_request, problem_of_status
from serving.strict_json import parse_json
from serving.writer import Writer

__all__ = ["ACCEPTED", "HookDesk", "ScoreHeld"]

ACCEPTED = HookAnswer(202, json.dumps({"status": "accepted"}))
ODOO_WAIT_US = 5_000_000
"""Odoo calls before it commits: read at once, a record would be as it was."""

_FAILED = {404: "LEAD_UNKNOWN", 409: "NOT_SCORED", 422: "LEAD_UNKNOWN"}
"""What a workflow is told of a lead that is not held, that objected or was erased, or whose id is none."""

ScoreHeld = Callable[[str, Asked], Awaitable[Mapping[str, Any]]]
"""Scores a lead of which the service holds everything, now; a ``ProblemError`` when it does not hold it."""


@dataclass(frozen=True)
class HookDesk:
    """Answers webhooks.

    Parameters
    ----------
    state
        Where they are kept.
    writer
        What writes there.
    config
        The workspace file, with the secrets.
    score_held
        Scores a lead by its id.
    held_id
        Tells under which id a lead is held.
    secret
        Key of the hashes by which an erasure finds what is kept of its lead.
    """

    state: State
    writer: Writer
    config: WorkspaceConfig
    score_held: ScoreHeld
    held_id: Callable[[str], str]
    secret: bytes

    async def hubspot(self, request: SignedRequest, token: str, asked: Asked) -> HookAnswer:
        """Answer what HubSpot sends: a list of events, a call of our action, or a workflow's webhook.

        Raises
        ------
        SignatureError
            When no app whose secret is in the workspace file signed it.
        ProblemError
            When there is no such app, or the body cannot be understood.
        """
        del token
        sender = self._hubspot_sender(request, asked.now)
        content = parse_json(request.body)
        if isinstance(content, list):
            if sender.version != 3:  # HubSpot sends both: an old request could be cut down to the one without a time
                raise SignatureError("events signed with version 2", expected="version 3", fix="send both its headers")
            return await self._take_events(sender.name, content, asked.now)
        if not isinstance(content, dict):
            raise ProblemError(invalid_request([FieldError("", "must be an object or a list of events")]))
        if "callbackId" in content:
            return await self._act(sender.name, content, asked)
        check_workflow(content)
        body, leads = pack("workflow", content), self._hashes("workflow", content)
        arrived = [Arrived(crm_source(sender.name), one, body, leads) for one in sender.event_ids]
        return await self._take(arrived, asked.now)

    async def odoo(self, request: SignedRequest, token: str, asked: Asked) -> HookAnswer:
        """Note that a lead has changed in the CRM whose token the address ends with.

        Raises
        ------
        ProblemError
            404 for a token that nobody has; 422 when the body names no lead.
        """
        name = self._token_holder(token)
        record = read_odoo(parse_json(request.body))
        leads = self._hashes("record", record)
        hint = HookHint(crm_source(name), f"record:{leads}", pack("record", record), ODOO_WAIT_US, leads)
        await self.writer.write(partial(take_hint, hint=hint, answer=ACCEPTED, now_us=to_micros(asked.now)))
        return ACCEPTED

    async def generic(self, request: SignedRequest, token: str, asked: Asked) -> HookAnswer:
        """Take rows of the contract that were sent as a Standard Webhook.

        Raises
        ------
        SignatureError
            When it was not signed with ``[serve] hook_secret``.
        ProblemError
            404 without such a secret; 422 with everything that is wrong in the body.
        """
        del token
        secret = self.config.serve.hook_secret
        if not secret:
            raise ProblemError(problem_of_status(404))
        message_id = check_standard(request, secret, asked.now)
        before = await self._answered(GENERIC, message_id)
        if before is not None:
            return before
        content = parse_json(request.body)
        table, rows = read_generic(content, self.config)
        leads = self._hashes("rows", {"rows": rows})
        return await self._take([Arrived(GENERIC, message_id, pack_rows(table, rows), leads)], asked.now)

    def _hashes(self, kind: str, content: object) -> str:
        named = {self.held_id(one.strip(BLANKS)) for one in leads_named(kind, content)}
        return " ".join(sorted(lead_hash(self.secret, one) for one in named))

    def _hubspot_sender(self, request: SignedRequest, now: datetime) -> _Sender:
        url = self.config.serve.public_url or ""
        secrets = {name: crm.hook_secret or "" for name, crm in self.config.crm.items() if _is_hubspot(crm)}
        if not secrets or not url:
            raise ProblemError(problem_of_status(404))
        is_new = request.has("x-hubspot-signature-v3")  # who sends version 3 is held to it
        failed: list[SignatureError] = []
        for name, secret in secrets.items():
            try:
                plain = hubspot_v2_signature(request, secret, url)
                if is_new:
                    return _Sender(name, 3, [check_hubspot_v3(request, secret, url, now), plain])
                return _Sender(name, 2, [check_hubspot_v2(request, secret, url)])
            except SignatureError as error:
                failed.append(error)
        raise failed[-1]

    def _token_holder(self, token: str) -> str:
        kept = {name: crm.hook_token_sha256 for name, crm in self.config.crm.items() if crm.hook_token_sha256}
        holders = [name for name, sha256 in kept.items() if names_token(token, sha256)]
        if not holders:
            raise ProblemError(problem_of_status(404))
        return holders[0]

    async def _take_events(self, name: str, content: list[Any], now: datetime) -> HookAnswer:
        events = read_events(content)

        def take_all(connection: sa.Connection) -> None:
            for event in events:
                body, leads = pack("event", event), self._hashes("event", event)
                arrived = Arrived(crm_source(name), event_key(event), body, leads)
                take(connection, arrived, ACCEPTED, to_micros(now))

        await self.writer.write(take_all)
        return ACCEPTED

    async def _act(self, name: str, content: Mapping[str, Any], asked: Asked) -> HookAnswer:
        """Answer a call of our action with a score, the same for every repeat of it."""
        callback = content["callbackId"]
        if not isinstance(callback, str) or not is_id(callback):
            raise ProblemError(invalid_request([FieldError("/callbackId", "must be 1 to 200 characters")]))
        source, event_id = crm_source(name), f"callback:{callback}"
        before = await self._answered(source, event_id)
        if before is not None:
            return before
        lead_id = asked_lead(content)
        if lead_id is None:
            return action_failed("NO_LEAD")
        try:
            answer = action_answer(await self.score_held(lead_id, asked))
        except ProblemError as error:
            if error.problem.status not in _FAILED:
                raise
            return action_failed(_FAILED[error.problem.status])  # not kept: it may be known when HubSpot asks again
        held_id = self.held_id(lead_id.strip(BLANKS))

        def take_answer(connection: sa.Connection) -> HookAnswer | None:
            if not_scored(connection, self.secret, [held_id]):  # erased, or objected, after it was scored
                return action_failed("LEAD_UNKNOWN")
            leads = lead_hash(self.secret, held_id)
            return take(connection, Arrived(source, event_id, None, leads), answer, to_micros(asked.now))

        return await self.writer.write(take_answer) or answer

    async def _answered(self, source: str, event_id: str) -> HookAnswer | None:
        def read() -> HookAnswer | None:
            with self.state.reading() as connection:
                return first_answer(connection, source, event_id)

        return await asyncio.to_thread(read)

    async def _take(self, arrived: Sequence[Arrived], now: datetime) -> HookAnswer:
        """Take an event under the first of its ids; the others mark it as taken, should it come again under those."""

        def take_all(connection: sa.Connection) -> HookAnswer | None:
            before = take(connection, arrived[0], ACCEPTED, to_micros(now))
            for other in arrived[1:]:
                take(connection, Arrived(other.source, other.event_id, None), ACCEPTED, to_micros(now))
            return before

        return await self.writer.write(take_all) or ACCEPTED


@dataclass(frozen=True)
class _Sender:
    """Who signed a request of HubSpot.

    Parameters
    ----------
    name
        Of the CRM in the workspace file.
    version
        Of the signature.
    signatures
        That which was checked, and that of version 2: without its newer one, the same request could be sent again.
    """

    name: str
    version: int
    signatures: Sequence[str]

    @property
    def event_ids(self) -> list[str]:
        """What its request is known again by."""
        return [f"signature:{one}" for one in self.signatures]


def _is_hubspot(crm: CrmConfig) -> bool:
    return crm.kind == "hubspot" and bool(crm.hook_secret)
