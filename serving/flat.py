"""Scores as one level of names and values, for callers that cannot walk through lists: Salesforce and Marketo."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import Field

from serving.asked import Asked
from serving.bodies import BodyError, Closed, HeldBody, Id, read_body
from serving.problems import ProblemError, invalid_request
from serving.replies import FLAT_REASONS, FlatReply
from serving.strict_json import parse_json

__all__ = ["FlatBody", "ScoreLead", "flat", "score_flat"]

_RENAMED = {"currency_code": "currency"}  # "currency" is a reserved word in Apex

ScoreLead = Callable[[HeldBody, Asked], Awaitable[Mapping[str, Any]]]
"""Scores a lead that is held, and writes it down."""


class FlatBody(Closed):
    """A lead of which the service holds everything."""

    lead_id: Id = Field(description="As it was posted or pulled; a number is taken as well.")


def flat(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer of ``/v1/score`` as one level.

    Parameters
    ----------
    answer
        With ``reasons`` as a list.

    Returns
    -------
    dict
        The fields of :class:`serving.replies.FlatReply`; reasons that there are not, are null.
    """
    reasons = list(answer["reasons"])[:FLAT_REASONS]
    reasons += [None] * (FLAT_REASONS - len(reasons))
    found = {f"reason_{number}": reason for number, reason in enumerate(reasons, start=1)}
    return {name: found[name] if name in found else answer[_RENAMED.get(name, name)] for name in FlatReply.model_fields}


async def score_flat(score_lead: ScoreLead, data: bytes, asked: Asked) -> dict[str, Any]:
    """Answer the body of /v1/score/flat, ``{"lead_id": ...}``.

    Parameters
    ----------
    score_lead
        Scores a lead that is held.
    data
        The body. A number is taken for an id: Marketo writes its ids so.
    asked
        The request.

    Raises
    ------
    ProblemError
        With everything that is wrong in the body, or 404 for a lead that is not held.
    """
    content = parse_json(data)
    if isinstance(content, dict):
        lead_id = content.get("lead_id")
        if isinstance(lead_id, int) and not isinstance(lead_id, bool) and abs(lead_id) < 10**18:
            content = {**content, "lead_id": str(lead_id)}
    try:
        body = read_body(FlatBody, content)
    except BodyError as error:
        raise ProblemError(invalid_request(error.errors)) from None
    return flat(await score_lead(HeldBody(lead_id=body.lead_id, as_of=None), asked))
