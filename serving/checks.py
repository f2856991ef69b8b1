"""What a well-formed body can still get wrong: impossible times, contradictions, wrongly typed attributes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from crm.expressions import ColumnKind
from crm.personal import looks_personal
from serving.bodies import LeadBody, ScoreBody
from serving.problems import FieldError, json_pointer
from serving.reading import Reading

__all__ = ["CLOCK_SKEW", "given_attributes", "wrong_as_of", "wrong_fields"]

TOLERANCE = timedelta(days=1)
"""What a recording may lie before the event itself: skew of servers and zones, as in :mod:`crm.intake`."""
CLOCK_SKEW = timedelta(minutes=5)
"""What the caller's clock may run ahead of ours when no as_of is given."""
_OWN_COLUMNS = ("lead_id", "created_at", "recorded_at", "account_id")


def wrong_fields(body: ScoreBody, reading: Reading, now: datetime) -> list[FieldError]:
    """List what is wrong with a lead, pointers relative to it.

    Parameters
    ----------
    body
        The lead, its touches and stages.
    reading
        What the model reads.
    now
        The clock. Timezone-aware.
    """
    return [
        *_wrong_moments(body, now),
        *_wrong_recordings(body),
        *_wrong_ids(body, reading),
        *_wrong_account(body),
        *_wrong_attributes(body.lead, reading),
    ]


def given_attributes(lead: LeadBody) -> dict[str, object]:
    """Return the attributes that a body gives, the contract's own columns left out."""
    given: dict[str, object] = dict(lead.model_extra or {})
    if "source" in lead.model_fields_set:
        given["source"] = lead.source
    return given


def wrong_as_of(as_of: datetime | None, now: datetime) -> list[FieldError]:
    """List what is wrong with the moment of a held lead's score."""
    if as_of is not None and as_of > now:
        return [FieldError("/as_of", "lies in the future; leave it out to score as of now")]
    return []


def _wrong_moments(body: ScoreBody, now: datetime) -> Iterator[FieldError]:
    if body.as_of is not None and body.as_of > now:
        yield FieldError("/as_of", "lies in the future; leave it out to score as of now")
    elif body.as_of is not None and body.lead.created_at > body.as_of:
        yield FieldError("/lead/created_at", "lies after as_of: the lead did not exist then")
    elif body.lead.created_at > now + CLOCK_SKEW:
        yield FieldError("/lead/created_at", "lies in the future")


def _wrong_recordings(body: ScoreBody) -> Iterator[FieldError]:
    def is_early(recorded_at: datetime | None, clock: datetime) -> bool:
        return recorded_at is not None and recorded_at < clock - TOLERANCE

    if is_early(body.lead.recorded_at, body.lead.created_at):
        yield FieldError("/lead/recorded_at", "lies over a day before created_at")
    for number, touch in enumerate(body.touches):
        if is_early(touch.recorded_at, touch.happened_at):
            yield FieldError(json_pointer("touches", number, "recorded_at"), "lies over a day before happened_at")
    for number, stage in enumerate(body.stages or ()):
        if is_early(stage.recorded_at, stage.entered_at):
            yield FieldError(json_pointer("stages", number, "recorded_at"), "lies over a day before entered_at")


def _wrong_ids(body: ScoreBody, reading: Reading) -> Iterator[FieldError]:
    for number, stage in enumerate(body.stages or ()):
        if stage.lead_id not in (None, body.lead.lead_id):
            yield FieldError(json_pointer("stages", number, "lead_id"), "must be the lead itself")
    if reading.takes_any_id:
        return
    ids = [("/lead/lead_id", body.lead.lead_id), ("/lead/account_id", body.lead.account_id or "")]
    ids += [(json_pointer("touches", n, "lead_id"), touch.lead_id or "") for n, touch in enumerate(body.touches)]
    ids += [
        (json_pointer("account_leads", n, "lead_id"), lead.lead_id) for n, lead in enumerate(body.account_leads or ())
    ]
    for field, value in ids:
        if ("@" in value or value.startswith("+")) and looks_personal([value]):
            what = "an e-mail address" if "@" in value else "a phone number"
            yield FieldError(field, f"looks like {what}; send an id that names nobody")


def _wrong_account(body: ScoreBody) -> Iterator[FieldError]:
    own = body.lead.lead_id
    has_none = "account_id" in body.lead.model_fields_set and body.lead.account_id is None
    known = {own, *(lead.lead_id for lead in body.account_leads or ())}
    if has_none and known != {own}:
        yield FieldError("/account_leads", "must be empty: lead.account_id says that the lead has no account")
    for number, touch in enumerate(body.touches):
        if touch.lead_id in (None, own):
            continue
        field = json_pointer("touches", number, "lead_id")
        if has_none:
            yield FieldError(field, "is another lead, and lead.account_id says that the lead has no account")
        elif body.account_leads is not None and touch.lead_id not in known:
            yield FieldError(field, "is neither the lead itself nor one of account_leads")


def _wrong_attributes(lead: LeadBody, reading: Reading) -> Iterator[FieldError]:
    given = given_attributes(lead)
    # A rule of [exclude] that cannot be tried would let the lead through.
    readers: tuple[tuple[Mapping[str, ColumnKind], str], ...] = (
        (reading.attributes, ""),
        (reading.rule_columns, ", as [exclude] reads it"),
    )
    told: set[str] = set()
    for kinds, why in readers:
        for name, kind in kinds.items():
            if name in given and name not in told and not _fits(given[name], kind):
                told.add(name)
                yield FieldError(json_pointer("lead", name), f"must be {_TYPES[kind]}{why}")


_TYPES: Mapping[ColumnKind, str] = {
    "text": "text or null",
    "number": "a finite number, true or false, or null",
    "boolean": "true or false, 1 or 0, or null",
    "any": "text, a finite number, true or false, or null",
}


def _fits(value: object, kind: ColumnKind) -> bool:
    if value is None:
        return True
    if kind == "boolean":
        return isinstance(value, int | float) and value in (0, 1)
    if kind == "text" or (kind == "any" and isinstance(value, str)):
        return isinstance(value, str)
    try:
        return isinstance(value, int | float) and math.isfinite(float(value))
    except OverflowError:
        return False
