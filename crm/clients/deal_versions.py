"""A deal's history as versions of the contract's ``opportunities``: one row for each moment at which it changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm.clients.reading import Row

__all__ = ["DealChange", "deal_versions"]


@dataclass(frozen=True)
class DealChange:
    """What changed in a deal at a moment; ``values`` has ``stage``, ``amount`` or both. Timezone-aware."""

    at: datetime
    values: Mapping[str, Any]


def deal_versions(
    deal: Row, changed: Sequence[DealChange], is_won_by_stage: Mapping[str, bool | None]
) -> Iterator[Row]:
    """Yield the versions of a deal, the oldest first.

    Parameters
    ----------
    deal
        What stays: ``opportunity_id``, ``created_at``, ``lead_id`` or ``account_id``, ``currency``.
    changed
        What changed, in any order, the values at creation among them.
    is_won_by_stage
        True for a stage of won deals, False of lost ones, None or no entry for open ones.

    Examples
    --------
    >>> from datetime import UTC
    >>> first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    >>> told = [DealChange(first, {"stage": "new", "amount": 5.0}), DealChange(second, {"stage": "done"})]
    >>> rows = list(deal_versions({"opportunity_id": "1", "created_at": first}, told, {"done": True}))
    >>> [(row["is_won"], row["amount"], row["closed_at"] == second) for row in rows]
    [(None, 5.0, False), (True, 5.0, True)]
    """
    values: dict[str, Any] = {}
    closed_at: datetime | None = None
    before: Row | None = None
    for moment in sorted({one.at for one in changed}):
        for one in changed:
            if one.at == moment:
                values |= one.values
        is_won = is_won_by_stage.get(str(values.get("stage")))
        was_won = None if before is None else before["is_won"]
        if is_won is None:
            closed_at = None
        elif is_won != was_won:
            closed_at = moment
        row = {**deal, "closed_at": closed_at, "is_won": is_won, "amount": _number(values.get("amount"))}
        if row != before:
            yield {**row, "recorded_at": moment}
        before = row


def _number(value: Any) -> float | None:
    try:
        return None if value in (None, "", False) else float(value)
    except (TypeError, ValueError):
        return None
