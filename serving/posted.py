"""What may be posted: rows of the contract, one table a route, up to a batch at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field

from crm.parsing import is_plain
from crm.state_tables import micros_name
from crm.tables import TABLES
from serving.bodies import BodyError, LeadBody, read_body
from serving.fields import Actor, Closed, Id, Moment, OptionalId, OptionalMoment, OptionalText, Stage
from serving.problems import FieldError, json_pointer

__all__ = [
    "MAX_NAME",
    "POSTED",
    "HandOffsBody",
    "LeadsBody",
    "OpportunitiesBody",
    "PostedHandOff",
    "PostedLead",
    "PostedOpportunity",
    "PostedStage",
    "PostedTouch",
    "StagesBody",
    "TouchesBody",
    "read_posted",
]

MAX_NAME = 200
_INTERNAL = frozenset(micros_name(column.name) for column in TABLES["leads"].columns if column.type == "time")
"""Under these names the moments of a lead go on from here, as microseconds."""

Number = Annotated[float, Field(allow_inf_nan=False)]
_RECORDED = Field(None, description="When the CRM knew of it; by default when it arrives here.")


class PostedLead(LeadBody):
    """A lead, as in the table ``leads``, with any attributes; another post of it tells what has changed since."""


class PostedTouch(Closed):
    """One dated interaction, as in the table ``touches``."""

    touch_id: OptionalId = Field(None, description="The same id twice is one touch; by default made of the content.")
    lead_id: Id
    happened_at: Moment
    recorded_at: OptionalMoment = _RECORDED
    kind: Id = Field(description="visit, form_submit, download, email_click, event_attend, ...")
    actor: Actor = Field(None, description="Who did it; only what leads do is scored.")
    content_id: OptionalText = Field(None, description="Which content; a query string is cut off.")
    campaign_id: OptionalText = None
    channel: OptionalText = None
    value: Number | None = Field(None, description="Minutes, pages, searches, ...")


class PostedStage(Closed):
    """One entry into a stage, as in the table ``stages``."""

    lead_id: Id
    stage: Stage
    entered_at: Moment
    recorded_at: OptionalMoment = _RECORDED
    reason: OptionalText = None


class PostedHandOff(Closed):
    """A hand-off as it is known now, as in the table ``hand_offs``; another post of it is another version."""

    hand_off_id: Id
    lead_id: Id
    handed_off_at: Moment
    owner: OptionalId = Field(None, description="An id that names nobody.")
    team: OptionalText = None
    accepted_at: OptionalMoment = None
    disposition: OptionalText = None
    disposition_reason: OptionalText = None
    recorded_at: OptionalMoment = _RECORDED


class PostedOpportunity(Closed):
    """An opportunity as it is known now, as in the table ``opportunities``; another post is another version."""

    opportunity_id: Id
    lead_id: OptionalId = None
    account_id: OptionalId = None
    created_at: Moment
    closed_at: OptionalMoment = Field(None, description="Only when it is closed.")
    is_won: bool | None = None
    amount: Annotated[float, Field(allow_inf_nan=False, ge=0)] | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Za-z]{3}$")] | None = None
    recorded_at: OptionalMoment = _RECORDED


class LeadsBody(Closed):
    """Leads, or one lead by itself."""

    leads: Annotated[list[PostedLead], Field(min_length=1)]


class TouchesBody(Closed):
    """Touches, or one touch by itself."""

    touches: Annotated[list[PostedTouch], Field(min_length=1)]


class StagesBody(Closed):
    """Entries into stages, or one by itself."""

    stages: Annotated[list[PostedStage], Field(min_length=1)]


class HandOffsBody(Closed):
    """Hand-offs, or one by itself."""

    hand_offs: Annotated[list[PostedHandOff], Field(min_length=1)]


class OpportunitiesBody(Closed):
    """Opportunities, or one by itself."""

    opportunities: Annotated[list[PostedOpportunity], Field(min_length=1)]


POSTED: dict[str, type[LeadBody] | type[Closed]] = {
    "leads": PostedLead,
    "touches": PostedTouch,
    "stages": PostedStage,
    "hand_offs": PostedHandOff,
    "opportunities": PostedOpportunity,
}
"""Body of one row, by table; a request has a list of them under the table's name."""


def read_posted(table: str, content: object, max_rows: int) -> list[dict[str, Any]]:
    """Read the rows of a request.

    Parameters
    ----------
    table
        Which route was asked.
    content
        The body: ``{"touches": [...]}``, or one row by itself.
    max_rows
        How many rows a request may have.

    Raises
    ------
    BodyError
        With every field that is wrong.

    Examples
    --------
    >>> row = {"lead_id": "L1", "kind": "visit", "happened_at": "2026-11-05T09:30:00Z"}
    >>> len(read_posted("touches", {"touches": [row, row]}, 10)), len(read_posted("touches", row, 10))
    (2, 1)
    """
    model = POSTED[table]
    places = [("", content)]
    if isinstance(content, dict) and table in content:
        places = [(f"/{table}/{number}", row) for number, row in enumerate(_rows(table, content, max_rows))]
    found: list[dict[str, Any]] = []
    errors: list[FieldError] = []
    for place, row in places:
        try:
            body = read_body(model, row)
        except BodyError as error:
            errors += [FieldError(place + one.field, one.message) for one in error.errors]
        else:
            found.append(body.model_dump())
            errors += [FieldError(place + one.field, one.message) for one in _wrong_names(body)]
    if errors:
        raise BodyError(errors)
    return found


def _rows(table: str, content: Mapping[str, Any], max_rows: int) -> list[Any]:
    rows = content[table]
    wrong = [FieldError(json_pointer(key), "is not a key that is known here") for key in content if key != table]
    if not isinstance(rows, list) or not rows:
        wrong.append(FieldError(f"/{table}", "must be a list of at least one row"))
    elif len(rows) > max_rows:
        wrong.append(FieldError(f"/{table}", f"has {len(rows):,} rows; at most {max_rows:,} are taken at once"))
    if wrong:
        raise BodyError(wrong)
    return rows


def _wrong_names(body: BaseModel) -> Iterator[FieldError]:
    """Name attributes that no table can have."""
    for name, value in (body.model_extra or {}).items():
        if name in _INTERNAL:
            yield FieldError(json_pointer(name), "is a name that is used here for something else")
        elif not 0 < len(name) <= MAX_NAME or not is_plain(name):
            yield FieldError(json_pointer(name[:MAX_NAME]), "must have 1 to 200 characters and none of control")
        elif isinstance(value, str) and "\0" in value:  # PostgreSQL takes none
            yield FieldError(json_pointer(name), "must not hold the character U+0000")
