"""What a request may hold: the columns of the contract, typed, and nothing else.

The models describe the bodies in ``/docs.json`` and check them. Pydantic's own messages are replaced: they
are for programmers, and some quote the input, which may be personal data.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.fields import EXAMPLE, Actor, Closed, Id, Moment, OptionalId, OptionalMoment, OptionalText, Stage
from serving.problems import MAX_ERRORS, FieldError, json_pointer

__all__ = [
    "MAX_TOUCHES",
    "AccountLeadBody",
    "BatchBody",
    "BodyError",
    "HeldBatchBody",
    "HeldBody",
    "LeadBody",
    "ScoreBody",
    "StageBody",
    "TouchBody",
    "read_batch",
    "read_body",
    "read_score",
]

MAX_TOUCHES = 20_000
MAX_STAGES = 1_000
MAX_ACCOUNT_LEADS = 10_000


class LeadBody(BaseModel):
    """A lead: the contract's columns and any attributes besides.

    The attributes that the model reads are listed here by name; others are ignored and named in ``warnings``.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    lead_id: Id = Field(description="An id that names nobody.")
    created_at: Moment = Field(description="When the lead was created.")
    recorded_at: OptionalMoment = Field(None, description="When the CRM knew of it.")
    account_id: OptionalId = Field(None, description="Null says that the lead belongs to no account.")
    source: OptionalText = Field(None, description="Where the lead came from.")


class TouchBody(Closed):
    """One dated interaction, as in the table ``touches``."""

    happened_at: Moment = Field(description="What happens after as_of is not known yet.")
    recorded_at: OptionalMoment = Field(None, description="By default happened_at and the lag of [source].")
    kind: Id = Field(description="visit, form_submit, download, email_click, event_attend, ...")
    actor: Actor = Field(None, description="Who did it; only what leads do is scored.")
    content_id: OptionalText = Field(None, description="Which content; a query string is cut off.")
    value: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        None, description="Minutes, pages, searches, ..."
    )
    lead_id: OptionalId = Field(None, description="Another lead of the account; by default the lead itself.")
    touch_id: OptionalId = Field(None, description="The same id twice counts once.")
    campaign_id: OptionalText = None
    channel: OptionalText = None


class StageBody(Closed):
    """One entry into a stage, as in the table ``stages``; mql and recycled are read, the others ignored."""

    stage: Stage
    entered_at: Moment
    recorded_at: OptionalMoment = None
    lead_id: OptionalId = Field(None, description="The lead itself.")
    reason: OptionalText = None


class AccountLeadBody(Closed):
    """Another lead of the account."""

    lead_id: Id
    created_at: Moment


class ScoreBody(Closed):
    """One lead to score, with everything that is known of it."""

    lead: LeadBody
    touches: Annotated[list[TouchBody], Field(max_length=MAX_TOUCHES, fail_fast=True)] = Field(
        description="Every touch of the lead, in any order; an empty list says that there is none."
    )
    stages: Annotated[list[StageBody], Field(max_length=MAX_STAGES, fail_fast=True)] | None = Field(
        None, description="Left out, the lead was never MQL by the old rule and never recycled."
    )
    account_leads: Annotated[list[AccountLeadBody], Field(max_length=MAX_ACCOUNT_LEADS, fail_fast=True)] | None = Field(
        None, description="The account's other leads; an empty list says that there is none."
    )
    as_of: OptionalMoment = Field(None, description="Score as known then; by default now, never later.")


class BatchBody(Closed):
    """Several leads, each as in /v1/score. One that cannot be understood fails them all."""

    leads: Annotated[list[ScoreBody], Field(min_length=1)]


class HeldBody(Closed):
    """A lead that the service holds."""

    lead_id: Id = Field(description="As it was posted or pulled.")
    as_of: OptionalMoment = Field(None, description="Score as known then; needs the scope replay.")


class HeldBatchBody(Closed):
    """Leads that the service holds; ids that it does not hold are named in the answer."""

    lead_ids: Annotated[list[Id], Field(min_length=1)]
    as_of: OptionalMoment = Field(None, description="Score as known then; needs the scope replay.")


class BodyError(ValueError):
    """A body that does not follow its model; ``errors`` has every field."""

    def __init__(self, errors: list[FieldError]) -> None:
        self.errors = errors
        super().__init__(f"{len(errors)} fields are wrong")


Body = TypeVar("Body", bound=BaseModel)


def read_score(content: object) -> ScoreBody | HeldBody:
    """Read the body of /v1/score.

    Raises
    ------
    BodyError
        With every field that is wrong.

    Examples
    --------
    >>> try:
    ...     read_score({"lead": {"lead_id": "L1", "created_at": "2026-11-05T09:30:00"}})
    ... except BodyError as error:
    ...     for one in error.errors:
    ...         print(one.field, one.message)
    /lead/created_at has no offset from UTC; end it with Z, or with one such as +09:00
    /touches is required
    """
    if isinstance(content, dict) and "lead_id" in content and "lead" not in content:
        return read_body(HeldBody, content)
    return read_body(ScoreBody, content)


def read_batch(content: object, max_batch: int) -> BatchBody | HeldBatchBody:
    """Read the body of /v1/score/batch; the number of leads is looked at before any of them.

    Raises
    ------
    BodyError
        With every field that is wrong, up to as many as an answer lists: a body of nothing but mistakes is not gone
        through to its end.
    """
    if isinstance(content, dict) and "lead_ids" in content and "leads" not in content:
        return _read_ids(content, max_batch)
    leads = content.get("leads") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(leads, list) or not leads:
        return read_body(BatchBody, content)
    if len(leads) > max_batch:
        raise BodyError([FieldError("/leads", f"has {len(leads):,} leads; at most {max_batch:,} are scored at once")])
    wrong = [FieldError(json_pointer(key), _MESSAGES["extra_forbidden"]) for key in content if key != "leads"]
    bodies: list[ScoreBody] = []
    for number, lead in enumerate(leads):
        try:
            bodies.append(read_body(ScoreBody, lead))
        except BodyError as error:
            wrong += [FieldError(f"/leads/{number}{one.field}", one.message) for one in error.errors]
            if len(wrong) > MAX_ERRORS:
                break
    if wrong:
        raise BodyError(wrong)
    return BatchBody.model_construct(leads=bodies)


def _read_ids(content: object, max_batch: int) -> HeldBatchBody:
    body = read_body(HeldBatchBody, content)
    if len(body.lead_ids) > max_batch:
        message = f"has {len(body.lead_ids):,} ids; at most {max_batch:,} are scored at once"
        raise BodyError([FieldError("/lead_ids", message)])
    return body


def read_body(model: type[Body], content: object) -> Body:
    """Read a body by its model; ``BodyError`` with every field that is wrong."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        items = error.errors(include_url=False, include_input=False)
        raise BodyError([_field_error(dict(item)) for item in items]) from None


_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a key that is known here",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "datetime_type": f"must be a text such as {EXAMPLE}",
}


def _field_error(item: dict[str, Any]) -> FieldError:
    place, kind, context = tuple(item["loc"]), str(item["type"]), item.get("ctx", {})
    field = json_pointer(*place)
    if kind == "value_error":
        return FieldError(field, str(context["error"]))
    if kind == "string_too_long":
        return FieldError(field, f"must have at most {context['max_length']:,} characters")
    if kind == "too_long":
        return FieldError(field, f"must have at most {context['max_length']:,} entries")
    if kind == "too_short":
        return FieldError(field, "must not be empty")
    return FieldError(field, _MESSAGES.get(kind, "cannot be understood"))
