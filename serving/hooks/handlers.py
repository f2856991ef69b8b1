"""How webhooks hang together with the rest of the service: what answers them, and what their work is given to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from crm.rescore_queue import queue_rescoring
from crm.told import Told
from serving.answering import Answering, notice, tell_rows
from serving.asked import Asked
from serving.bodies import BodyError, HeldBody, read_body
from serving.hooks.desk import HookDesk
from serving.hooks.formats import work_of
from serving.hooks.work import HookHandlers, Reread, Row
from serving.problems import ProblemError, invalid_request
from serving.runtime import Runtime

__all__ = ["desk_of", "handlers_of"]


def desk_of(runtime: Runtime, answering: Answering) -> HookDesk:
    """Return what answers webhooks of a running service."""

    async def score_held(lead_id: str, asked: Asked) -> Mapping[str, Any]:
        try:
            body = read_body(HeldBody, {"lead_id": lead_id})
        except BodyError as error:
            raise ProblemError(invalid_request(error.errors)) from None
        return await answering.score_lead(body, asked)

    return HookDesk(runtime.state, runtime.writer, runtime.settings.workspace.config, score_held)


def handlers_of(runtime: Runtime, reread: Reread, erase: Reread) -> HookHandlers:
    """Return what the work of webhooks is given to.

    Parameters
    ----------
    runtime
        The running service.
    reread
        Reads leads of a CRM anew by its API.
    erase
        Erases leads.
    """
    crms = runtime.settings.workspace.config.crm
    return HookHandlers(crms, partial(_tell, runtime), reread, erase, work_of, partial(notice, runtime))


def _tell(
    runtime: Runtime, connection: sa.Connection, table: str, rows: Sequence[Row], origin: str, now_us: int
) -> Told:
    told = tell_rows(runtime, table, rows, (origin, now_us), connection)
    if table == "touches" and told.lead_ids:  # nobody waits for the score of a touch that came this way
        queue_rescoring(connection, now_us, leads=told.lead_ids)
    return told
