"""From a checked body to the lead in memory that features read, with what the caller should know of it.

The rules are those by which tables are taken in for training (:mod:`crm.intake`, :mod:`crm.known`): the same
spaces and query strings are cut off, the same lag stands for a missing recording time, and only what leads
did counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm.known import to_micros
from features.known import NOTHING, Arrivals, KnownLead
from serving.bodies import LeadBody, ScoreBody, StageBody, TouchBody
from serving.checks import given_attributes
from serving.fields import trimmed
from serving.problems import FieldError
from serving.reading import Reading

__all__ = ["LeadToScore", "lead_from_body", "listed"]

_QUERY = re.compile(r"[?#].*\Z", re.DOTALL)
MAX_NAMED = 20


@dataclass(frozen=True)
class LeadToScore:
    """One lead of a request.

    Parameters
    ----------
    lead_id
        As the caller gave it.
    as_of_us
        Moment of scoring, microseconds since 1970 UTC.
    known
        What features read.
    columns
        What the rules of ``[exclude]`` read.
    warnings
        What was ignored or is missing.
    """

    lead_id: str
    as_of_us: int
    known: KnownLead
    columns: Mapping[str, str | float | bool | None]
    warnings: tuple[FieldError, ...]


def lead_from_body(body: ScoreBody, reading: Reading, now: datetime) -> LeadToScore:
    """Turn a body in which :func:`serving.checks.wrong_fields` found nothing into a lead.

    Parameters
    ----------
    body
        The lead, its touches and stages.
    reading
        What the model reads.
    now
        The clock, for bodies without ``as_of``. Timezone-aware.
    """
    as_of_us, created_us = to_micros(body.as_of or now), to_micros(body.lead.created_at)
    account_touches, account_leads_us = _account(body, reading)
    known = KnownLead(
        min(created_us, as_of_us),
        _attributes(body.lead, reading),
        touches=_touches([t for t in body.touches if t.lead_id in (None, body.lead.lead_id)], reading),
        account_touches=account_touches,
        account_leads_us=account_leads_us,
        mql=_entries(body.stages or (), "mql", reading),
        recycled=_entries(body.stages or (), "recycled", reading),
    )
    warnings = [*_attribute_warnings(body.lead, reading), *_other_warnings(body, known, reading, as_of_us)]
    if created_us > as_of_us:
        warnings.append(
            FieldError("/lead/created_at", "lies ahead of the service's clock; the lead is taken as created now")
        )
    columns = {name: value for name, value in _columns(body.lead).items() if name in reading.rule_columns}
    return LeadToScore(body.lead.lead_id, as_of_us, known, columns, tuple(warnings))


def _columns(lead: LeadBody) -> dict[str, Any]:
    return {**given_attributes(lead), "lead_id": lead.lead_id, "account_id": lead.account_id}


def _attributes(lead: LeadBody, reading: Reading) -> dict[str, str | float | bool | None]:
    given = given_attributes(lead)
    found: dict[str, str | float | bool | None] = {}
    for name in reading.attributes:
        value = given.get(name)
        if isinstance(value, str):
            found[name] = trimmed(value) or None
        else:
            found[name] = float(value) if isinstance(value, int | float) else None
    return found


def _touches(touches: Iterable[TouchBody], reading: Reading, known_from_us: dict[str, int] | None = None) -> Arrivals:
    """Return what leads did themselves; a touch of another lead is known once that lead is."""
    rows: list[tuple[int, int, TouchBody]] = []
    seen: set[str] = set()
    for touch in touches:
        if touch.actor not in (None, "lead") or touch.touch_id in seen:
            continue
        if touch.touch_id is not None:
            seen.add(touch.touch_id)
        happened_us = to_micros(touch.happened_at)
        recorded_us = happened_us + reading.touch_lag_us if touch.recorded_at is None else to_micros(touch.recorded_at)
        lead_known_us = (known_from_us or {}).get(touch.lead_id or "", recorded_us)
        rows.append((happened_us, max(recorded_us, lead_known_us), touch))
    if not rows:
        return NOTHING
    return Arrivals.of(
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2].kind for row in rows],
        [trimmed(_QUERY.sub("", row[2].content_id or "")) for row in rows],
        [row[2].value for row in rows],
    )


def _account(body: ScoreBody, reading: Reading) -> tuple[Arrivals | None, tuple[int, ...] | None]:
    """Return the touches of the account's other leads and when these were created; None where not told."""
    own = body.lead.lead_id
    touches = [touch for touch in body.touches if touch.lead_id not in (None, own)]
    if body.account_leads is not None:
        created = {lead.lead_id: to_micros(lead.created_at) for lead in body.account_leads if lead.lead_id != own}
        return _touches(touches, reading, created), tuple(created.values())
    if "account_id" in body.lead.model_fields_set and body.lead.account_id is None:
        return NOTHING, ()
    return (_touches(touches, reading), None) if touches else (None, None)


def _entries(stages: Sequence[StageBody], stage: str, reading: Reading) -> Arrivals:
    rows = [row for row in stages if row.stage == stage]
    if not rows:
        return NOTHING
    entered = [to_micros(row.entered_at) for row in rows]
    recorded = [
        at + reading.stage_lag_us if row.recorded_at is None else to_micros(row.recorded_at)
        for at, row in zip(entered, rows, strict=True)
    ]
    return Arrivals.of(entered, recorded)


def _attribute_warnings(lead: LeadBody, reading: Reading) -> Iterable[FieldError]:
    given = given_attributes(lead)
    unknown = sorted(set(given) - set(reading.attributes) - set(reading.rule_columns) - {"source"})
    missing = sorted(set(reading.attributes) - set(given))
    unseen = [
        f"{name} '{value[:60]}'"
        for name, levels in reading.levels.items()
        if isinstance(value := given.get(name), str) and trimmed(value) and trimmed(value) not in levels
    ]
    if unknown:
        yield FieldError("/lead", f"attributes that the model does not read were ignored: {listed(unknown)}")
    if unseen:
        yield FieldError("/lead", f"values that the model does not know by name: {listed(unseen)}")
    if missing:
        yield FieldError("/lead", f"attributes that the model reads are missing: {listed(missing)}")
    untold = sorted(set(reading.rule_columns) - set(given) - lead.model_fields_set)
    if untold:
        yield FieldError(
            "/lead", f"columns that [exclude] reads are missing, nobody is excluded by them: {listed(untold)}"
        )


def listed(names: Sequence[str]) -> str:
    """Name what there is, shortened."""
    shown = ", ".join(name if len(name) <= 60 else f"{name[:59]}…" for name in names[:MAX_NAMED])
    return shown if len(names) <= MAX_NAMED else f"{shown} and {len(names) - MAX_NAMED:,} more"


def _other_warnings(body: ScoreBody, known: KnownLead, reading: Reading, as_of_us: int) -> Iterable[FieldError]:
    late = sum(to_micros(touch.happened_at) >= as_of_us for touch in body.touches)
    if late:
        yield FieldError(
            "/touches",
            f"{late:,} of them happened at as_of or later and are not known yet; are their times in the right zone?",
        )
    strange = sorted({touch.kind for touch in body.touches if touch.actor in (None, "lead")} - reading.kinds)
    if strange and reading.kinds:
        yield FieldError("/touches", f"kinds that the model does not know by name count as other: {listed(strange)}")
    if reading.reads_account and known.account_touches is None:
        yield FieldError(
            "/account_leads",
            "nothing tells about the account: its features are missing. Send account_leads and their touches,"
            " or lead.account_id null for a lead without an account",
        )
    elif reading.reads_account and known.account_leads_us is None:
        yield FieldError("/account_leads", "is missing: how many other leads the account has is not known")
    if reading.reads_stages and body.stages is None:
        yield FieldError("/stages", "is missing: the lead is taken as never MQL by the old rule and never recycled")
