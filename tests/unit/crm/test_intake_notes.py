"""What a person is told of tables whose outcomes reach no lead, or speak against each other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crm.intake_notes import gap_notes
from tests.histories import DAY, NOW, START, Row, tables_of

LEADS: list[Row] = [
    {"lead_id": "a", "created_at": START + 10 * DAY, "account_id": "A"},
    {"lead_id": "b", "created_at": START + 10 * DAY, "account_id": "B"},
]


def notes(**tables: list[Row]) -> str:
    with tables_of({"leads": LEADS, **tables}) as taken:
        return " ".join(taken.notes)


def deal(**changes: object) -> Row:
    return {"opportunity_id": "o", "created_at": START + 20 * DAY, **changes}


def test_tables_that_agree_are_no_news() -> None:
    won = deal(lead_id="a", is_won=True, closed_at=START + 30 * DAY)
    stage = {"lead_id": "a", "stage": "closed_won", "entered_at": START + 30 * DAY}
    assert notes(opportunities=[won], stages=[stage]) == ""


def test_a_deal_of_an_account_without_an_earlier_lead_is_counted() -> None:
    assert "1 opportunities belong to an account that had no lead" in notes(opportunities=[deal(account_id="Z")])
    early = deal(account_id="A", created_at=START + 5 * DAY)
    assert "1 opportunities belong to an account that had no lead" in notes(opportunities=[early])
    assert notes(opportunities=[deal(account_id="A")]) == ""


def test_a_won_stage_without_a_won_deal_is_counted() -> None:
    stage = {"lead_id": "b", "stage": "closed_won", "entered_at": START + 30 * DAY}
    found = notes(opportunities=[deal(lead_id="a", is_won=True, closed_at=START + 30 * DAY)], stages=[stage])
    assert "1 leads are closed_won in stages without a won opportunity" in found


def test_a_decision_before_creation_is_counted() -> None:
    stage = {"lead_id": "b", "stage": "disqualified", "entered_at": START}
    assert "1 leads were decided before their own creation" in notes(stages=[stage])


@pytest.mark.parametrize(("days", "said"), [(14, False), (15, True)])
def test_a_long_time_without_any_outcome_is_said(days: int, said: bool) -> None:
    assert bool(gap_notes(NOW, NOW - timedelta(days=days))) is said


def test_no_configured_end_or_no_outcome_is_no_gap() -> None:
    assert gap_notes(None, NOW) == gap_notes(NOW, None) == []
