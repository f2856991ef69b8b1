"""Records of Salesforce as rows of the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from crm.clients.deal_versions import DealChange, deal_versions
from crm.clients.lead_rows import LeadRecord, Moments, lead_rows, stage_rows
from crm.clients.reading import ReadTerms, Row
from crm.gone import GONE_DEALS, GONE_LEADS
from crm.seen_stages import SEEN_STAGES

__all__ = ["call_rows", "meeting_rows", "moment_of", "opportunity_rows", "response_rows", "salesforce_lead_rows"]

Record = Mapping[str, Any]
CONVERTED = "leadConverted"
"""What the history of a lead calls its conversion."""
_KINDS = {"Call": "call", "Email": "email", "ListEmail": "email"}


def moment_of(text: str) -> datetime:
    """Read a time as Salesforce writes it.

    Examples
    --------
    >>> moment_of("2026-03-01T09:00:00.000+0000").isoformat()
    '2026-03-01T09:00:00+00:00'
    """
    return datetime.fromisoformat(text)


def salesforce_lead_rows(record: Record, history: Sequence[Record], terms: ReadTerms) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a lead: itself, the history of its attributes, its stages, its conversion, its end.

    The account is left out: a lead gets one by being converted, so that to have one would tell the outcome.
    """
    if record.get("IsDeleted"):
        yield from _ended(record)
        return
    created, changed = moment_of(record["CreatedDate"]), moment_of(record["SystemModstamp"])
    pulled = terms.config.pulled
    moments = {name: found for name in pulled if (found := _moments(history, name, created))}
    lead = LeadRecord(
        record["Id"],
        created,
        changed,
        source=record.get("LeadSource"),
        attributes={attribute: record.get(name) for name, attribute in pulled.items()},
        history={attribute: moments[name] for name, attribute in pulled.items() if name in moments},
    )
    yield from lead_rows(lead, terms.known_at_creation)
    stages = terms.config.stages
    status = _moments(history, "Status", created)
    yield from stage_rows(record["Id"], status, stages)
    if not status and not record.get("IsConverted") and (stage := stages.get(str(record.get("Status")))):
        yield SEEN_STAGES, {"lead_id": record["Id"], "stage": stage, "at": changed}
    if record.get("IsConverted"):
        at = _converted_at(record, history, terms)
        stage = "opportunity" if record.get("ConvertedOpportunityId") else "sql"
        yield "stages", {"lead_id": record["Id"], "stage": stage, "entered_at": at, "recorded_at": at}


def opportunity_rows(
    record: Record, lead_id: str | None, history: Sequence[Record], closed: Mapping[str, bool]
) -> Iterator[tuple[str, Row]]:
    """Yield the versions of an opportunity.

    Parameters
    ----------
    record
        The opportunity.
    lead_id
        The lead that became it; None for one that is the account's alone.
    history
        Its rows of ``OpportunityHistory``, which every org keeps: a snapshot at each change of stage or amount.
    closed
        Stages that end an opportunity, and whether by a win.
    """
    if record.get("IsDeleted"):
        yield GONE_DEALS, {"id": record["Id"], "at": moment_of(record["SystemModstamp"])}
        return
    if lead_id is None and record.get("AccountId") is None:
        return
    created, changed = moment_of(record["CreatedDate"]), moment_of(record["SystemModstamp"])
    deal: Row = {
        "opportunity_id": record["Id"],
        "lead_id": lead_id,
        "account_id": record.get("AccountId"),
        "created_at": created,
        "currency": record.get("CurrencyIsoCode"),
    }
    told = [
        DealChange(moment_of(one["CreatedDate"]), {"stage": one["StageName"], "amount": one["Amount"]})
        for one in history
    ] or [DealChange(changed, {"stage": record["StageName"], "amount": record["Amount"]})]
    yield from (("opportunities", row) for row in deal_versions(deal, told, closed))


def call_rows(record: Record, lead_id: str, until: datetime) -> Iterator[tuple[str, Row]]:
    """Yield the touch of a finished task that was a call or a mail."""
    kind = _KINDS.get(str(record.get("TaskSubtype")))
    if kind is None or not record.get("IsClosed") or record.get("IsDeleted"):
        return
    written = moment_of(record["CreatedDate"])
    at = moment_of(record["CompletedDateTime"]) if record.get("CompletedDateTime") else written
    if at < until:
        actor = "lead" if record.get("CallType") == "Inbound" else "sales"
        yield "touches", _touch(record, lead_id, kind, at, max(at, written), actor)


def meeting_rows(record: Record, lead_id: str, until: datetime) -> Iterator[tuple[str, Row]]:
    """Yield the touches of a meeting: that it was booked, and that it was held."""
    if record.get("IsDeleted") or not record.get("StartDateTime"):
        return
    at, written = moment_of(record["StartDateTime"]), moment_of(record["CreatedDate"])
    if written < at:
        booked = _touch(record, lead_id, "meeting_booked", written, written, "sales")
        yield "touches", {**booked, "touch_id": f"{booked['touch_id']}-booked"}
    if at < until:
        yield "touches", _touch(record, lead_id, "meeting", at, max(at, written), "sales")


def response_rows(record: Record, terms: ReadTerms) -> Iterator[tuple[str, Row]]:
    """Yield the touch of a lead that responded to a campaign; Salesforce tells the day alone."""
    if not record.get("HasResponded") or not record.get("LeadId") or record.get("IsDeleted"):
        return
    written = moment_of(record["CreatedDate"])
    day = record.get("FirstRespondedDate")
    at = max(_midnight(day, terms, days=0), written) if day else written
    known = max(_midnight(day, terms, days=1), at) if day else at
    touch = _touch(record, record["LeadId"], "campaign_response", at, known, "lead")
    yield "touches", {**touch, "campaign_id": record.get("CampaignId")}


def _touch(record: Record, lead_id: str, kind: str, at: datetime, known: datetime, actor: str) -> Row:
    return {
        "touch_id": f"salesforce-{record['Id']}",
        "lead_id": lead_id,
        "kind": kind,
        "actor": actor,
        "happened_at": at,
        "recorded_at": known,
    }


def _ended(record: Record) -> Iterator[tuple[str, Row]]:
    """Yield what became of a deleted lead: it went into another, or is gone; a converted one lives on as its deal."""
    at = moment_of(record["SystemModstamp"])
    if record.get("MasterRecordId"):
        merge = {"from_lead_id": record["Id"], "into_lead_id": record["MasterRecordId"], "recorded_at": at}
        yield "lead_merges", merge
    elif not record.get("IsConverted"):
        yield GONE_LEADS, {"id": record["Id"], "at": at}


def _moments(history: Sequence[Record], name: str, created: datetime) -> Moments:
    """Return a field's values so far; the first change tells what it was before, from the creation on."""
    changes = [one for one in history if one["Field"] == name]
    if not changes:
        return ()
    first = (created, changes[0]["OldValue"])
    return [first, *((moment_of(one["CreatedDate"]), one["NewValue"]) for one in changes)]


def _converted_at(record: Record, history: Sequence[Record], terms: ReadTerms) -> datetime:
    """Return when a lead was converted: by its history, else the end of the day, which is all that its record tells."""
    for one in history:
        if one["Field"] == CONVERTED:
            return moment_of(one["CreatedDate"])
    return _midnight(record["ConvertedDate"], terms, days=1)


def _midnight(day: str, terms: ReadTerms, *, days: int) -> datetime:
    local = date.fromisoformat(day[:10]) + timedelta(days=days)
    return datetime.combine(local, time(), ZoneInfo(terms.timezone)).astimezone(UTC)
