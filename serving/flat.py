"""Scores as one level of names and values, for callers that cannot walk through lists: Salesforce and Marketo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from serving.fields import is_id
from serving.problems import FieldError, ProblemError, invalid_request, json_pointer
from serving.replies import FLAT_REASONS, FlatReply
from serving.strict_json import parse_json

__all__ = ["FlatBody", "flat", "read_flat"]

_RENAMED = {"currency_code": "currency"}  # "currency" is a reserved word in Apex


class FlatBody(BaseModel):
    """A lead of which the service holds everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lead_id: str = Field(description="The id under which the lead was told to the service.", max_length=200)


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


def read_flat(data: bytes) -> str:
    """Read the body of /v1/score/flat, ``{"lead_id": ...}``.

    Parameters
    ----------
    data
        The body. A number is taken for an id: Marketo writes its ids so.

    Raises
    ------
    ProblemError
        With everything that is wrong in the body.
    """
    content = parse_json(data)
    if not isinstance(content, dict):
        raise ProblemError(invalid_request([FieldError("", 'must be an object {"lead_id": ...}')]))
    wrong = [FieldError(json_pointer(key), "is not a key that is known here") for key in content if key != "lead_id"]
    lead_id = content.get("lead_id")
    if isinstance(lead_id, int) and not isinstance(lead_id, bool) and abs(lead_id) < 10**18:
        lead_id = str(lead_id)
    if not isinstance(lead_id, str) or not is_id(lead_id):
        wrong.append(FieldError("/lead_id", "must be the id of a lead, 1 to 200 characters"))
    if wrong:
        raise ProblemError(invalid_request(wrong))
    return str(lead_id)
