"""Records of HubSpot as rows of the contract."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from crm.clients.deal_versions import DealChange, deal_versions
from crm.clients.hubspot_api import moment_of, record_id
from crm.clients.lead_rows import LeadRecord, Moments, lead_rows, stage_rows
from crm.clients.reading import Row
from crm.config_crm import CrmConfig

__all__ = ["ACCOUNT", "MERGED", "SOURCE", "STATES", "TOUCH_PROPERTIES", "contact_rows", "deal_rows", "touch_rows"]

Record = Mapping[str, Any]
ACCOUNT, SOURCE, MERGED = "associatedcompanyid", "hs_analytics_source", "hs_merged_object_ids"
STATES = ("lifecyclestage", "hs_lead_status")

TOUCH_PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "calls": ("hs_timestamp", "hs_createdate", "hs_call_direction"),
    "emails": ("hs_timestamp", "hs_createdate", "hs_email_direction"),
    "meetings": ("hs_timestamp", "hs_createdate", "hs_meeting_outcome"),
}
"""What is read of engagements: when, and by whom; no subject, no text, no address."""
_FROM_LEAD = frozenset({"INBOUND", "INCOMING_EMAIL"})
_NOT_HELD = frozenset({"CANCELED", "CANCELLED", "NO_SHOW", "RESCHEDULED"})


def contact_rows(record: Record, config: CrmConfig, known_at_creation: Collection[str]) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a contact: the lead, the history of its attributes, its stages, and merges into it."""
    lead_id, values = record_id(record), record.get("properties") or {}
    history = {name: _moments(record, name) for name in (*config.pulled, *STATES, MERGED)}
    yield from lead_rows(
        LeadRecord(
            lead_id,
            moment_of(record["createdAt"]),
            moment_of(record["updatedAt"]),
            values.get(ACCOUNT) or None,
            values.get(SOURCE) or None,
            {attribute: values.get(name) for name, attribute in config.pulled.items()},
            {attribute: moments for name, attribute in config.pulled.items() if (moments := history[name])},
        ),
        known_at_creation,
    )
    for name in STATES:
        yield from stage_rows(lead_id, history[name], config.stages)
    gone: set[str] = set()
    for at, value in history[MERGED]:
        for one in str(value or "").split(";"):
            if one.strip() and one.strip() not in {*gone, lead_id}:
                gone.add(one.strip())
                yield "lead_merges", {"from_lead_id": one.strip(), "into_lead_id": lead_id, "recorded_at": at}


def deal_rows(
    record: Record, contacts: list[str], companies: list[str], closed: Mapping[str, bool]
) -> Iterator[tuple[str, Row]]:
    """Yield the versions of a deal.

    It belongs to its contact where it has one, and to its company where several contacts share it: then every lead of
    the company has a part in it. A deal of nobody is none of a lead.
    """
    if not contacts and not companies:
        return
    values = record.get("properties") or {}
    is_shared = len(contacts) > 1 and bool(companies)
    deal: Row = {
        "opportunity_id": record_id(record),
        "lead_id": None if is_shared or not contacts else min(contacts, key=int),
        "account_id": companies[0] if companies else None,
        "created_at": moment_of(record["createdAt"]),
        "currency": values.get("deal_currency_code") or None,
    }
    changed = [
        DealChange(at, {what: value})
        for name, what in (("dealstage", "stage"), ("amount", "amount"))
        for at, value in _moments(record, name)
    ]
    yield from (("opportunities", row) for row in deal_versions(deal, changed, closed))


def touch_rows(kind: str, record: Record, contacts: list[str], until: datetime) -> Iterator[tuple[str, Row]]:
    """Yield the touches of an engagement, one for each contact.

    A meeting is a touch when it is booked, and another when it is held: its record may not change any more by then.
    """
    values = record["properties"]
    if not values.get("hs_timestamp"):
        return
    at = moment_of(values["hs_timestamp"])
    written = moment_of(values.get("hs_createdate") or record.get("createdAt") or values["hs_timestamp"])
    direction = values.get("hs_call_direction") or values.get("hs_email_direction") or ""
    actor = "lead" if direction in _FROM_LEAD else "sales"
    single = kind.removesuffix("s")
    for contact in contacts:
        touch: Row = {"lead_id": contact, "actor": actor}
        name = f"hubspot-{single}-{record_id(record)}-{contact}"
        if single == "meeting" and written < at:
            booked = {"touch_id": f"{name}-booked", "kind": "meeting_booked"}
            yield "touches", {**touch, **booked, "happened_at": written, "recorded_at": written}
        if at < until and values.get("hs_meeting_outcome") not in _NOT_HELD:
            yield (
                "touches",
                {
                    **touch,
                    "touch_id": name,
                    "kind": single,
                    "happened_at": at,
                    "recorded_at": max(at, written),
                },
            )


def _moments(record: Record, name: str) -> Moments:
    """Return the values of a property so far, the oldest first; HubSpot tells the newest first."""
    versions = (record.get("propertiesWithHistory") or {}).get(name) or ()
    return sorted(((moment_of(one["timestamp"]), one.get("value") or None) for one in versions), key=lambda m: m[0])
