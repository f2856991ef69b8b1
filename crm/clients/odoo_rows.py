"""Records of Odoo as rows of the contract: in Odoo a lead and its deal are one record of ``crm.lead``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from crm.clients.deal_versions import DealChange, deal_versions
from crm.clients.lead_rows import LeadRecord, Moments, lead_rows, stage_rows
from crm.clients.reading import ReadTerms, Row

__all__ = ["LEAD_FIELDS", "OdooStages", "Tracking", "moment_of", "odoo_lead_rows", "plain"]

Record = Mapping[str, Any]
LEAD_FIELDS = (
    *("create_date", "write_date", "active", "probability", "type", "stage_id", "partner_id", "lost_reason_id"),
    *("date_closed", "date_conversion", "date_last_stage_update", "expected_revenue", "company_currency", "source_id"),
)
LOST = "lost"


@dataclass(frozen=True)
class Tracking:
    """One change that Odoo noted of a lead; values as :func:`plain` gives them, for a related record its id.

    Parameters
    ----------
    at
        Timezone-aware.
    field
        Which changed.
    old, new
        Texts, numbers or ids.
    old_name, new_name
        Names of related records.
    """

    at: datetime
    field: str
    old: Any
    new: Any
    old_name: str | None = None
    new_name: str | None = None


@dataclass(frozen=True)
class OdooStages:
    """Stages of the pipeline: which of the contract's each means, by id, and which of them are won."""

    meaning: Mapping[str, str] = field(default_factory=dict)
    won: frozenset[str] = frozenset()


def moment_of(text: str) -> datetime:
    """Read a time as Odoo writes it, which is UTC.

    Examples
    --------
    >>> moment_of("2026-03-01 09:00:00").isoformat()
    '2026-03-01T09:00:00+00:00'
    """
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def plain(value: Any) -> Any:
    """Return a value without Odoo's ways: False for none, an id with a name for a related record, which is the name.

    Examples
    --------
    >>> plain(False), plain([3, "Newsletter"]), plain("x")
    (None, 'Newsletter', 'x')
    """
    if value is False:
        return None
    return value[1] if isinstance(value, list) and len(value) == 2 else value


def odoo_lead_rows(
    record: Record, tracked: Sequence[Tracking] | None, stages: OdooStages, terms: ReadTerms
) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a record of ``crm.lead``.

    Parameters
    ----------
    record
        With :data:`LEAD_FIELDS` and what is pulled.
    tracked
        What Odoo noted of it, the oldest first; None where the key may not read that.
    stages
        The pipeline.
    terms
        What the workspace says.
    """
    lead_id, created = str(record["id"]), moment_of(record["create_date"])
    noted = tracked or ()
    pulled = terms.config.pulled
    history = {name: _named(noted, name, created) for name in pulled}
    yield from lead_rows(
        LeadRecord(
            lead_id,
            created,
            moment_of(record["write_date"]),
            _account(record, tracked),
            plain(record.get("source_id")),
            {attribute: plain(record.get(name)) for name, attribute in pulled.items()},
            {attribute: history[name] for name, attribute in pulled.items() if history[name]},
        ),
        terms.known_at_creation,
    )
    entered = _stages_entered(record, noted, created)
    yield from stage_rows(lead_id, entered, stages.meaning)
    if record["date_conversion"]:
        at = moment_of(record["date_conversion"])
        yield "stages", {"lead_id": lead_id, "stage": "opportunity", "entered_at": at, "recorded_at": at}
    lost_at = _lost_at(record, noted)
    if lost_at is not None:
        row = {"lead_id": lead_id, "stage": "closed_lost", "entered_at": lost_at, "recorded_at": lost_at}
        yield "stages", {**row, "reason": plain(record["lost_reason_id"])}
    yield from _deal(record, noted, entered, stages, lost_at)


def _stages_entered(record: Record, noted: Sequence[Tracking], created: datetime) -> Moments:
    """Return ids of the stages so far and since when; without history only the last change of stage is known."""
    moves = [one for one in noted if one.field == "stage_id"]
    if moves:
        return [(created, str(moves[0].old)), *((one.at, str(one.new)) for one in moves)]
    if not record["stage_id"]:
        return ()
    since = record.get("date_last_stage_update")
    return [(moment_of(since) if since else created, str(record["stage_id"][0]))]


def _lost_at(record: Record, noted: Sequence[Tracking]) -> datetime | None:
    """Return when a lead was lost: archived with a probability of 0. One that is only archived is not lost."""
    if record["active"] or record["probability"]:
        return None
    for one in reversed(noted):
        if one.field == "active" and not one.new:
            return one.at
    return moment_of(record["date_closed"] or record["write_date"])


def _deal(
    record: Record, noted: Sequence[Tracking], entered: Moments, stages: OdooStages, lost_at: datetime | None
) -> Iterator[tuple[str, Row]]:
    """Yield the versions of the deal, which begins where the lead became more than a lead."""
    reached = [at for at, stage in entered if stages.meaning.get(stage) in ("sql", "opportunity", "closed_won")]
    if record["date_conversion"]:
        reached.append(moment_of(record["date_conversion"]))
    if not reached:
        return
    opened = min(reached)
    deal: Row = {
        "opportunity_id": str(record["id"]),
        "lead_id": str(record["id"]),
        "created_at": opened,
        "currency": plain(record["company_currency"]),
    }
    amounts = [one for one in noted if one.field == "expected_revenue"]
    first = amounts[0].old if amounts else record["expected_revenue"]
    before = [stage for at, stage in entered if at <= opened]
    changed = [
        DealChange(opened, {"amount": first, "stage": before[-1] if before else None}),
        *(DealChange(max(one.at, opened), {"amount": one.new}) for one in amounts),
        *(DealChange(at, {"stage": stage}) for at, stage in entered if at > opened),
    ]
    if lost_at is not None and lost_at > opened:
        changed.append(DealChange(lost_at, {"stage": LOST}))
    yield from (
        ("opportunities", row) for row in deal_versions(deal, changed, {**dict.fromkeys(stages.won, True), LOST: False})
    )


def _account(record: Record, tracked: Sequence[Tracking] | None) -> str | None:
    """Return the partner that the lead was created with: a conversion makes one, and so would tell the outcome."""
    if tracked is None:
        return None
    moves = [one for one in tracked if one.field == "partner_id"]
    found = moves[0].old if moves else (record["partner_id"] or [None])[0]
    return str(found) if found else None


def _named(noted: Sequence[Tracking], name: str, created: datetime) -> Moments:
    moves = [one for one in noted if one.field == name]
    if not moves:
        return ()
    shown = [(one.old_name or one.old, one.new_name or one.new) for one in moves]
    return [(created, shown[0][0]), *((one.at, new) for one, (_, new) in zip(moves, shown, strict=True))]
