"""Excluded leads are in no moment that is trained on or replayed, and are counted by rule."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crm.config import SnapshotsConfig
from crm.known import to_micros
from crm.outcomes import Observation, leads_at_risk
from pages.words import load_words
from tests.histories import DAY, START, Row, tables_of
from training.exclusions import ExcludedLeads, count_excluded, exclusion_notes
from training.snapshots import Snapshots, moments_at_end, scoring_moments, take_snapshots

UNTIL = START + 60 * DAY
SEEN = Observation(None, UNTIL, UNTIL)
EVERY = SnapshotsConfig(creation=True, after_days=(5.0, 30.0), touch_kinds=("visit",), weekly=True, random_per_lead=2)
LEADS: list[Row] = [
    {"lead_id": f"L{number}", "created_at": START, "account_id": "A", "is_customer": number == 0, "kind": "buyer"}
    for number in range(4)
]
CHANGES: list[Row] = [
    {"lead_id": "L1", "field": "kind", "value": "student", "recorded_at": START + 10 * DAY},
    {"lead_id": "L1", "field": "kind", "value": "buyer", "recorded_at": START + 40 * DAY},
]
TOUCHES: list[Row] = [
    {"lead_id": row["lead_id"], "happened_at": START + timedelta(days=day), "kind": "visit"}
    for row in LEADS
    for day in (2, 20, 50)
]
ROWS = {"leads": LEADS, "lead_changes": CHANGES, "touches": TOUCHES}
RULES = {"customers": "is_customer", "students": "kind = 'student'"}
SECTIONS: dict[str, Any] = {"exclude": RULES, "columns": {"known_at_creation": ["kind"]}}


def moments(found: Snapshots) -> set[tuple[str, int]]:
    return set(zip(found.moments.column("lead_id").to_pylist(), found.as_of_us.tolist(), strict=True))


@pytest.mark.parametrize("name", ["training", "replay", "now"])
def test_no_moment_of_an_excluded_lead_is_left(name: str) -> None:
    found: list[Snapshots] = []
    for sections in ({**SECTIONS, "exclude": {}}, SECTIONS):
        with tables_of(ROWS, **sections) as tables:
            if name == "training":
                found.append(take_snapshots(tables, EVERY, SEEN))
            elif name == "replay":
                found.append(scoring_moments(tables, EVERY, SEEN, since_us=to_micros(START + 5 * DAY)))
            else:
                found.append(moments_at_end(tables, SEEN))
    student = range(to_micros(START + 10 * DAY), to_micros(START + 40 * DAY))
    every, left = (moments(one) for one in found)
    expected = {(lead, at) for lead, at in every if lead != "L0" and not (lead == "L1" and at in student)}
    assert left == expected
    assert len(left) < len(every)
    assert found[1].moments.column("row_id").to_pylist() == list(range(len(left)))
    assert len(found[1].lead) == len(found[1].group) == len(found[1].is_judged) == len(left)


def test_excluded_leads_are_still_at_risk_so_that_they_are_scored() -> None:
    with tables_of(ROWS, **SECTIONS) as tables:
        assert set(leads_at_risk(tables, UNTIL)["lead_id"]) == {"L0", "L1", "L2", "L3"}


def test_leads_are_counted_by_the_first_rule_as_known_at_the_end() -> None:
    sqls = [{"lead_id": lead, "stage": "sql", "entered_at": START + 15 * DAY} for lead in ("L0", "L2")]
    with tables_of({**ROWS, "stages": sqls}, **SECTIONS) as tables:
        for days, students in ((9, 0), (20, 1), (60, 0)):
            at = START + days * DAY
            found = count_excluded(tables, Observation(None, at, at))
            assert [(one.rule, one.leads) for one in found] == [("customers", 1), ("students", students)]
            assert found[0].columns_of_today == ("is_customer",)
            assert found[1].columns_of_today == ()
        assert (found[0].sql, found[0].other_leads, found[0].other_sql) == (1, 3, 1)


def test_without_rules_there_is_nothing_to_count() -> None:
    with tables_of(ROWS) as tables:
        assert count_excluded(tables, SEEN) == ()


class TestNotes:
    """A flag that buying sets takes the buyers away from the model."""

    @pytest.mark.parametrize(
        ("leads", "sql", "columns", "is_told"),
        [(100, 60, ("is_customer",), True), (100, 60, (), False), (100, 10, ("x",), False), (4, 4, ("x",), False)],
    )
    def test_a_rule_that_picks_buyers_is_told(
        self, leads: int, sql: int, columns: tuple[str, ...], is_told: bool
    ) -> None:
        one = ExcludedLeads("customers", leads, sql, columns, 1_000, 100)
        assert one.knows_outcome is is_told
        assert len(exclusion_notes((one,))) == int(is_told)

    def test_it_is_told_in_japanese_too(self) -> None:
        (note,) = exclusion_notes((ExcludedLeads("customers", 100, 60, ("is_customer",), 1_000, 100),))
        assert note.startswith(
            "Rule 'customers' of [exclude] leaves out 60 of 160 leads with an SQL, by what is_customer"
        )
        assert load_words("ja").phrase(note) != note
