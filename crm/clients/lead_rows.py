"""A lead's record and its history as rows of ``leads``, ``lead_changes`` and ``stages``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from crm.clients.reading import Row, attribute_of

__all__ = ["LEAD_ATTRIBUTES", "LeadRecord", "Moments", "lead_rows", "stage_rows"]

LEAD_ATTRIBUTES = "lead_attributes"
"""Name of rows of ``leads`` that are told for today's values alone, of which only what has changed is kept."""

Moments = Sequence[tuple[datetime, Any]]
"""Values of one field and since when the CRM had each of them, the oldest first."""


@dataclass(frozen=True)
class LeadRecord:
    """A lead as a CRM has it.

    Parameters
    ----------
    lead_id, created_at, changed_at
        Timezone-aware.
    account_id, source
        As far as they are known.
    attributes
        Attribute to today's value.
    history
        Attribute to its values so far, where the CRM kept them.
    """

    lead_id: str
    created_at: datetime
    changed_at: datetime
    account_id: str | None = None
    source: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    history: Mapping[str, Moments] = field(default_factory=dict)


def lead_rows(record: LeadRecord, known_at_creation: Collection[str] = ()) -> Iterator[tuple[str, Row]]:
    """Yield the rows of ``leads`` and ``lead_changes`` that a record comes to.

    An attribute of which the CRM kept no history is known from the record's last change on, which is late rather than
    early; one of ``known_at_creation`` from the creation on.

    Parameters
    ----------
    record
        The lead.
    known_at_creation
        Attributes that hold the value at creation.
    """
    base: Row = {
        "lead_id": record.lead_id,
        "created_at": record.created_at,
        "recorded_at": record.created_at,
        "account_id": record.account_id,
        "source": record.source,
    }
    bare = {name: attribute_of(value) for name, value in record.attributes.items() if name not in record.history}
    yield "leads", {**{name: value for name, value in bare.items() if name in known_at_creation}, **base}
    if bare:
        yield LEAD_ATTRIBUTES, {**bare, **base, "recorded_at": record.changed_at}
    for name, moments in record.history.items():
        for at, value in moments:
            row = {"lead_id": record.lead_id, "field": name, "value": attribute_of(value), "recorded_at": at}
            yield "lead_changes", row


def stage_rows(lead_id: str, moments: Moments, stages: Mapping[str, str]) -> Iterator[tuple[str, Row]]:
    """Yield the entries into stages that the values of a field mean.

    Going from one value to another of the same stage is none.

    Examples
    --------
    >>> from datetime import UTC
    >>> moments = [(datetime(2026, 1, day, tzinfo=UTC), value) for day, value in ((1, "new"), (2, "good"), (3, "good"))]
    >>> [(row["stage"], row["entered_at"].day) for _, row in stage_rows("1", moments, {"good": "sql"})]
    [('sql', 2)]
    """
    before = None
    for at, value in moments:
        stage = stages.get(str(value))
        if stage is not None and stage != before:
            yield "stages", {"lead_id": lead_id, "stage": stage, "entered_at": at, "recorded_at": at}
        before = stage
