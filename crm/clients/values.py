"""A queued score as the values that go into a CRM's fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from crm.outbox import Queued

__all__ = ["field_values"]

DECIMALS = {"score": 2, "p_sql": 4, "p_won": 4, "expected_value": 2, "percentile": 2}
MOST_REASONS = 2_000


def field_values(entry: Queued, written: Mapping[str, str]) -> dict[str, Any]:
    """Return what each field of the CRM becomes.

    Parameters
    ----------
    entry
        The score.
    written
        What goes into which field (``CrmConfig.written``).

    Returns
    -------
    dict
        Field to a text, a number, a truth or a UTC datetime.
    """
    return {field: _value(entry.payload, what) for what, field in written.items()}


def _value(payload: Mapping[str, Any], what: str) -> Any:
    if what == "scored_at":
        return datetime.fromisoformat(payload["as_of"]).astimezone(UTC)
    value = payload[what]
    if what == "reasons":
        return "\n".join(value)[:MOST_REASONS]
    return round(float(value), DECIMALS[what]) if what in DECIMALS else value
