"""The score of an account."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.accounts import AccountRow, best_of_accounts

ROWS = st.lists(
    st.builds(
        AccountRow,
        st.sampled_from((None, "A", "B", "L1")),
        st.sampled_from(("L1", "L2", "L3", "L4")),
        st.sampled_from(("monday", "friday")),
        st.sampled_from((0.0, 50.0, 50.5, 100.0)),
        st.booleans(),
    ),
    max_size=12,
)


@given(ROWS)
def test_it_is_the_maximum_over_its_leads_at_that_moment(rows: list[AccountRow]) -> None:
    for row, best in zip(rows, best_of_accounts(rows), strict=True):
        alike = [
            other
            for other in rows
            if other.counts
            and (other.account_id, other.as_of) == (row.account_id, row.as_of)
            and (row.account_id is not None or other.lead_id == row.lead_id)
        ]
        if best is None:
            assert alike == []
        else:
            assert best in alike
            assert best.score == max(other.score for other in alike)
            assert best.lead_id == min(other.lead_id for other in alike if other.score == best.score)


def test_a_lead_without_an_account_is_its_own() -> None:
    rows = [AccountRow(None, "L1", "now", 10.0), AccountRow(None, "L2", "now", 20.0)]
    assert [best.lead_id for best in best_of_accounts(rows) if best] == ["L1", "L2"]


def test_excluded_leads_speak_for_nobody() -> None:
    rows = [AccountRow("A", "L1", "now", 90.0, counts=False), AccountRow("A", "L2", "now", 20.0)]
    assert [best.lead_id for best in best_of_accounts(rows) if best] == ["L2", "L2"]
    assert best_of_accounts(rows[:1]) == [None]
