"""Merged leads are one person from the moment at which the merge was recorded."""

from __future__ import annotations

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.known import to_micros
from crm.persons import merged_persons, person_numbers, shared_by_persons
from tests.histories import DAY, START, Row, tables_of

QUICK = settings(max_examples=20, deadline=None, derandomize=True)
NAMES = "abcdef"
MERGES = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(1, 9)).filter(lambda one: one[0] != one[1]),
    max_size=6,
)


def rows_of(merges: list[tuple[str, str, int]]) -> dict[str, list[Row]]:
    leads: list[Row] = [{"lead_id": name, "created_at": START} for name in NAMES]
    joined: list[Row] = [
        {"from_lead_id": one, "into_lead_id": two, "recorded_at": START + day * DAY} for one, two, day in merges
    ]
    return {"leads": leads, "lead_merges": joined} if joined else {"leads": leads}


@QUICK
@given(MERGES, st.integers(0, 10))
def test_leads_are_one_person_where_recorded_merges_join_them(merges: list[tuple[str, str, int]], day: int) -> None:
    group = {name: {name} for name in NAMES}
    for one, two, when in merges:
        if when <= day:
            together = group[one] | group[two]
            group.update(dict.fromkeys(together, together))
    with tables_of(rows_of(merges)) as tables:
        numbers = dict(zip(NAMES, person_numbers(tables, list(NAMES), to_micros(START + day * DAY)), strict=True))
    assert {(a, b) for a in NAMES for b in NAMES if numbers[a] == numbers[b]} == {
        (a, b) for a in NAMES for b in group[a]
    }


def test_a_merge_that_is_not_recorded_yet_joins_nobody() -> None:
    with tables_of(rows_of([("a", "b", 5)])) as tables:
        assert merged_persons(tables, to_micros(START + 4 * DAY)) == {}
        assert set(merged_persons(tables, to_micros(START + 5 * DAY))) == {"a", "b"}


@QUICK
@given(MERGES, st.integers(0, 10), st.lists(st.sampled_from(NAMES), max_size=4))
def test_every_lead_of_a_person_has_the_rows_of_each(
    merges: list[tuple[str, str, int]], day: int, owners: list[str]
) -> None:
    rows = pd.DataFrame({"lead_id": pd.Series(owners, dtype=object), "number": range(len(owners))})
    known = to_micros(START + day * DAY)
    with tables_of(rows_of(merges)) as tables:
        found = shared_by_persons(rows, tables, known)
        numbers = dict(zip(NAMES, person_numbers(tables, list(NAMES), known), strict=True))
    expected = sorted(
        (lead, number) for number, owner in enumerate(owners) for lead in NAMES if numbers[lead] == numbers[owner]
    )
    assert sorted(zip(found["lead_id"], found["number"], strict=True)) == expected
    assert found.head(len(owners))["lead_id"].tolist() == owners
