"""Exclusion and segments: as known at the moment, the same in tables and in memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.errors import ConfigError
from crm.known import to_micros
from crm.rules import LeadRules, columns_of_today, excluded_at, segments_of
from crm.store import Tables
from tests.histories import COLUMNS, DAY, NOW, START, History, Row, config_of, histories, moments_of, tables_of

SLOW = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
RULES = {
    "none told": "plan IS NULL AND seats IS NULL AND industry IS NULL",
    "farm": "industry = 'Farming' OR upper(industry) LIKE '%日%'",
    "small": "employees <= 10 AND NOT coalesce(newsletter, false)",
    "gold": "plan = 'gold' AND seats * 2 > 100",
    "hidden": "hidden = 'history' AND region IN ('east')",
    "ids": "ends_with(lead_id, '1') AND account_id = 'A' AND source IS NULL",
    "case": "CASE WHEN newsletter THEN employees > 0 ELSE length(region) = 4 END",
}
# A lead that gives every attribute its type, whatever is drawn.
TYPED: Row = {
    "lead_id": "typed",
    "created_at": START,
    "source": "web",
    "industry": "Retail",
    "employees": 3.5,
    "newsletter": True,
    "region": "west",
    "hidden": "no",
}
TYPED_CHANGES = [
    {"lead_id": "typed", "field": "plan", "value": "silver", "recorded_at": START},
    {"lead_id": "typed", "field": "seats", "value": "1", "recorded_at": START},
]


def rows_of(history: History) -> dict[str, list[Row]]:
    rows = {name: list(table) for name, table in history.rows.items()}
    rows["leads"].append(TYPED)
    rows["lead_changes"] += TYPED_CHANGES
    return rows


ALONE = {name: LeadRules({name: text}) for name, text in RULES.items() if name != "hidden"}


class ByHand:
    """Values as known at a moment: the newest change recorded by then, else what the column may say."""

    def __init__(self, tables: Tables) -> None:
        self.leads = {row["lead_id"]: row for row in tables.table("leads").to_pyarrow().to_pylist()}
        self.changes = tables.table("lead_changes").to_pyarrow().to_pylist()

    def values(self, lead_id: str, names: Iterable[str], as_of_us: int) -> dict[str, Any]:
        return {name: self.value(lead_id, name, as_of_us) for name in names}

    def value(self, lead_id: str, name: str, as_of_us: int) -> Any:
        changes = [
            row
            for row in self.changes
            if (row["lead_id"], row["field"]) == (lead_id, name) and row["recorded_us"] <= as_of_us
        ]
        if not changes:  # each column of these leads is known at creation, or has no history at all
            return self.leads[lead_id].get(name)
        text = max(changes, key=lambda row: row["recorded_us"])["value"]
        if name in ("employees", "seats"):
            try:
                return float(text) if text is not None and math.isfinite(float(text)) else None
            except ValueError:
                return None
        if name == "newsletter":
            return {"true": True, "false": False}.get(text)
        return text


@SLOW
@given(histories())
def test_tables_and_memory_agree(history: History) -> None:
    rules = LeadRules(RULES)
    with tables_of(rows_of(history), **COLUMNS, exclude=RULES) as tables:
        asked = [(lead, to_micros(moment)) for lead in (*history.ids, "typed") for moment in history.as_of]
        batch = excluded_at(tables, moments_of(asked)).tolist()
        by_hand = ByHand(tables)
    leads = [by_hand.values(lead, rules.columns, moment) for lead, moment in asked]
    assert rules.excluded(leads) == batch
    assert [rules.excluded([lead])[0] for lead in leads[:5]] == batch[:5]


@SLOW
@given(histories())
def test_segments_are_the_same_expressions_without_an_order(history: History) -> None:
    sections = {**COLUMNS, "segments": {name: RULES[name] for name in ALONE}}
    with tables_of(rows_of(history), **sections) as tables:
        asked = moments_of((lead, to_micros(moment)) for lead in history.ids for moment in history.as_of)
        found = segments_of(tables, config_of(**sections), asked)
        by_hand = ByHand(tables)
    for number, name in enumerate(found.names):
        columns = ALONE[name].columns
        leads = [by_hand.values(row["lead_id"], columns, row["as_of_us"]) for row in asked.to_pylist()]
        assert found.member[:, number].tolist() == [rule == name for rule in ALONE[name].excluded(leads)]
    for row in range(asked.num_rows):
        assert found.of_row(row) == tuple(
            name for name, is_in in zip(found.names, found.member[row], strict=True) if is_in
        )


@SLOW
@given(histories(), st.integers(0, 3))
def test_changes_recorded_later_do_not_matter(history: History, number: int) -> None:
    rows = rows_of(history)
    cut = history.as_of[min(number, len(history.as_of) - 1)]
    past = {**rows, "lead_changes": [row for row in rows["lead_changes"] if row["recorded_at"] <= cut]}
    asked = moments_of((lead, to_micros(moment)) for lead in history.ids for moment in history.as_of if moment <= cut)
    found: list[tuple[list[Any], list[Any]]] = []
    sections = {**COLUMNS, "exclude": RULES, "segments": {"small": RULES["small"]}}
    for one in (rows, past):
        with tables_of(one, **sections) as tables:
            found.append(
                (excluded_at(tables, asked).tolist(), segments_of(tables, config_of(**sections), asked).member.tolist())
            )
    assert found[0] == found[1]


LEADS: list[Row] = [
    {
        "lead_id": "a",
        "created_at": START,
        "is_customer": True,
        "kind": "student",
        "work_email": "x@own.example",
        "size": 1,
    },
    {
        "lead_id": "b",
        "created_at": START,
        "is_customer": False,
        "kind": "buyer",
        "work_email": "y@other.example",
        "size": 0,
    },
    {"lead_id": "c", "created_at": START, "is_customer": None, "kind": None, "work_email": None, "size": None},
]
CHANGES: list[Row] = [
    {"lead_id": "b", "field": "kind", "value": "student", "recorded_at": START + 10 * DAY},
    {"lead_id": "b", "field": "kind", "value": "buyer", "recorded_at": START + 20 * DAY},
]


def every_table(tables: Tables) -> set[str]:
    return {str(row[0]) for row in tables.backend.con.execute("SHOW ALL TABLES").fetchnumpy()["name"].reshape(-1, 1)}


def excluded(exclude: dict[str, str], days: float = 5.0, **sections: Any) -> list[str | None]:
    with tables_of({"leads": LEADS, "lead_changes": CHANGES}, exclude=exclude, **sections) as tables:
        at = to_micros(START + timedelta(days=days))
        return excluded_at(tables, moments_of((lead, at) for lead in "abc")).tolist()


class TestExclusion:
    def test_the_first_rule_in_the_file_gives_the_name(self) -> None:
        assert excluded({"customers": "is_customer", "students": "kind = 'student'"}) == ["customers", None, None]

    def test_a_history_counts_from_its_recording_on(self) -> None:
        rule, known = {"students": "kind = 'student'"}, {"columns": {"known_at_creation": ["kind"]}}
        student = ["students", "students", None]
        assert excluded(rule, 9.9, **known) == ["students", None, None]
        assert excluded(rule, 10, **known) == student
        assert excluded(rule, 19.9, **known) == student
        assert excluded(rule, 20, **known) == ["students", None, None]

    def test_a_column_without_history_counts_at_every_moment_and_is_named(self) -> None:
        rule = {"customers": "is_customer"}
        assert excluded(rule, 0) == excluded(rule, 400) == ["customers", None, None]
        with tables_of({"leads": LEADS, "lead_changes": CHANGES}, exclude=rule) as tables:
            assert columns_of_today(tables, "is_customer AND kind = 'x' AND lead_id = 'a'") == ("is_customer",)

    def test_personal_and_ignored_columns_may_be_read_and_are_gone_afterwards(self) -> None:
        rule = {"staff": "split_part(work_email, '@', 2) = 'own.example'", "one": "size = 0"}
        sections = {"columns": {"ignore": ["size"]}}
        assert excluded(rule, **sections) == ["staff", "one", None]
        with tables_of({"leads": LEADS}, exclude=rule, **sections) as tables:
            before = every_table(tables)
            excluded_at(tables, moments_of([("a", to_micros(NOW))]))
            assert every_table(tables) == before
            assert "work_email" not in {attribute.name for attribute in tables.used_attributes}

    def test_without_rules_nobody_is_excluded(self) -> None:
        assert excluded({}) == [None, None, None]
        assert LeadRules({}).excluded([{"a": 1.0}]) == [None]

    def test_blanks_around_a_text_do_not_hide_a_lead(self) -> None:
        assert LeadRules({"s": "kind = 'student'"}).excluded([{"kind": " student　"}]) == ["s"]

    def test_a_value_that_is_missing_excludes_nobody(self) -> None:
        rules = LeadRules({"not buyers": "kind <> 'buyer'"})
        assert rules.excluded([{}, {"kind": None}, {"kind": ""}, {"kind": "x"}]) == [None, None, None, "not buyers"]


class TestProblems:
    def problems(self, **sections: Any) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            tables_of({"leads": LEADS, "lead_changes": CHANGES}, **sections)
        return list(caught.value.problems)

    def test_an_unknown_column_names_those_there_are(self) -> None:
        assert self.problems(exclude={"customers": "is_custmer"}, segments={"x": "plan = 'y'"}) == [
            "exclude.customers: no column 'is_custmer'; did you mean 'is_customer'? leads have lead_id, account_id, "
            "source, is_customer, kind, work_email, size",
            "segments.x: no column 'plan'; leads have lead_id, account_id, source, is_customer, kind, work_email, size",
        ]

    def test_another_kind_of_value_is_named(self) -> None:
        assert self.problems(exclude={"a": "size", "b": "kind > 3"}) == [
            "exclude.a: column 'size' holds numbers, and is taken for true and false; write size = 1",
            "exclude.b: column 'kind' holds text, and is taken for numbers",
        ]

    def test_a_segment_needs_what_was_known_then(self) -> None:
        (problem,) = self.problems(segments={"customers": "is_customer"})
        assert problem.startswith("segments.customers: what 'is_customer' was at an earlier moment is not known")

    def test_the_old_rule_is_held_to_the_same(self) -> None:
        found = self.problems(
            columns={"known_at_creation": ["kind", "size"]},
            old_rule={"threshold": 1, "attributes": {"kind": {"x": 1}, "size": {"1": 2}, "is_customer": {"true": 3}}},
        )
        assert [problem.split(":")[0] for problem in found] == [
            "old_rule.attributes.size",
            "old_rule.attributes.is_customer",
        ]

    def test_an_empty_column_is_of_any_kind(self) -> None:
        leads = [{"lead_id": "a", "created_at": START, "flag": None}]
        with tables_of({"leads": leads}, exclude={"flagged": "flag", "large": "flag IS NULL"}) as tables:
            assert excluded_at(tables, moments_of([("a", to_micros(NOW))])).tolist() == ["large"]
