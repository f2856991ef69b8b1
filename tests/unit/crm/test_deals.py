"""What lost deals would have brought: which deals count, from when on, and for whom."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pytest

from crm.deals import amounts_lost
from crm.known import to_micros
from tests.histories import DAY, MICROSECOND, NOW, START, Row, moments_of, tables_of

LEAD = {"lead_id": "a", "created_at": START, "account_id": "A"}
LOST: dict[str, Any] = {
    "opportunity_id": "o",
    "lead_id": "a",
    "created_at": START + DAY,
    "closed_at": START + 5 * DAY,
    "is_won": False,
    "amount": 10.0,
    "recorded_at": START + 5 * DAY,
}


def lost(
    *deals: Row, at: list[datetime] | None = None, leads: str = "a", as_of: datetime = NOW, **rows: list[Row]
) -> list[float]:
    """Return the amounts lost within ten days of each moment, by lead."""
    asked = moments_of((lead, to_micros(moment)) for lead in leads for moment in at or [START])
    with tables_of({"leads": [*rows.pop("others", []), LEAD], "opportunities": list(deals), **rows}) as tables:
        return amounts_lost(tables, asked, to_micros(as_of), horizon_days=10).tolist()


def test_a_loss_counts_from_its_moment_back_to_a_horizon_before_it() -> None:
    closed, horizon = START + 5 * DAY, 10 * DAY
    moments = [closed - horizon, closed - horizon + MICROSECOND, closed, closed + MICROSECOND]
    np.testing.assert_equal(lost(LOST, at=moments), [np.nan, 10.0, 10.0, np.nan])


@pytest.mark.parametrize(
    "other",
    [
        {"is_won": True},
        {"is_won": None},
        {"closed_at": None},
        {"amount": None},
        {"amount": 0.0},
        {"recorded_at": NOW + MICROSECOND},
    ],
    ids=str,
)
def test_won_open_and_unpriced_deals_and_what_was_recorded_later_tell_nothing(other: Row) -> None:
    np.testing.assert_equal(lost({**LOST, **other}), [np.nan])


def test_the_newest_version_rules_and_losses_add_up() -> None:
    later = {**LOST, "amount": 7.0, "recorded_at": START + 6 * DAY}
    assert lost(LOST, later) == [7.0]
    assert lost(LOST, later, as_of=START + 6 * DAY - MICROSECOND) == [10.0]
    assert lost(LOST, {**LOST, "opportunity_id": "p", "amount": 4.0}) == [14.0]


def test_an_accounts_loss_is_shared_by_its_leads() -> None:
    deal = {**LOST, "lead_id": None, "account_id": "A"}
    assert lost(deal, leads="ab", others=[{**LEAD, "lead_id": "b"}]) == [5.0, 5.0]


def test_a_merged_persons_loss_is_that_of_each_of_its_leads() -> None:
    merges = [{"from_lead_id": "b", "into_lead_id": "a", "recorded_at": START + DAY}]
    assert lost(LOST, leads="ab", others=[{**LEAD, "lead_id": "b"}], lead_merges=merges) == [10.0, 10.0]


def test_without_opportunities_nothing_is_lost() -> None:
    with tables_of({"leads": [LEAD]}) as tables:
        found = amounts_lost(tables, moments_of([("a", to_micros(START))]), to_micros(NOW), horizon_days=10)
    np.testing.assert_equal(found, [np.nan])
