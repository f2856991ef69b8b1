"""The old rule: crossings and points against a slow computation by hand, stage and expression besides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.known import to_micros
from crm.old_rule import first_crossings, has_old_rule, old_points, old_rule_notes
from crm.store import Tables
from tests.histories import (
    COLUMNS,
    DAY,
    MICROSECOND,
    NOW,
    START,
    History,
    Row,
    config_of,
    histories,
    moments_of,
    tables_of,
)

SLOW = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
DAY_US = 86_400_000_000
TYPED: Row = {"lead_id": "typed", "created_at": START, "industry": "Retail", "newsletter": True, "region": "west"}
TYPED_CHANGES = [{"lead_id": "typed", "field": "plan", "value": "silver", "recorded_at": START - DAY}]
RULE = {
    "threshold": 2.5,
    "touches": {"visit": 1, "download": 2.1, "email_open": 0.1, "webinar": -3},
    "attributes": {
        "industry": {"Software": 1.5, "日本語": 1, "Farming": -2},
        "newsletter": {"true": 0.4},
        "plan": {"gold": 3, "silver": -1},
    },
}


class ByHand:
    """One moment at a time, over plain rows."""

    def __init__(self, tables: Tables, rule: dict[str, Any]) -> None:
        self.rule = rule
        names = ("leads", "lead_changes", "lead_merges", "touches")
        self.rows = {name: tables.table(name).to_pyarrow().to_pylist() if tables.has(name) else [] for name in names}
        self.leads = {row["lead_id"]: row for row in self.rows["leads"]}

    def points(self, lead_id: str, as_of: int) -> float:
        total = 0
        window = self.rule.get("window_days")
        for touch in self.rows["touches"]:
            is_known = touch["happened_us"] < as_of and touch["recorded_us"] <= as_of and touch["actor"] == "lead"
            is_inside = window is None or as_of - touch["happened_us"] <= window * DAY_US
            if is_known and is_inside and touch["lead_id"] in self.same_person(lead_id, as_of):
                total += round(self.rule["touches"].get(touch["kind"], 0) * 1_000_000)
        for name, given_points in self.rule["attributes"].items():
            value = self.attribute(lead_id, name, as_of)
            if value is not None:
                total += round(
                    given_points.get(str(value).lower() if isinstance(value, bool) else value, 0) * 1_000_000
                )
        return total / 1_000_000

    def same_person(self, lead_id: str, as_of: int) -> set[str]:
        found = {lead_id}
        for _ in range(10):
            links = [row for row in self.rows["lead_merges"] if row["recorded_us"] <= as_of]
            found |= {row["from_lead_id"] for row in links if row["into_lead_id"] in found}
        return found

    def attribute(self, lead_id: str, name: str, as_of: int) -> Any:
        changes = [
            row
            for row in self.rows["lead_changes"]
            if (row["lead_id"], row["field"]) == (lead_id, name) and row["recorded_us"] <= as_of
        ]
        if not changes:
            return self.leads[lead_id].get(name)
        value = max(changes, key=lambda row: row["recorded_us"])["value"]
        return {"true": True, "false": False}.get(value) if name == "newsletter" else value

    def moments(self, lead_id: str) -> list[int]:
        """List every moment at which something could change, and those beside it."""
        window = round((self.rule.get("window_days") or 0) * DAY_US)
        clocks = [row[name] for row in self.rows["touches"] for name in ("happened_us", "recorded_us")]
        clocks += [row["happened_us"] + window for row in self.rows["touches"]]
        clocks += [row["recorded_us"] for name in ("lead_changes", "lead_merges") for row in self.rows[name]]
        created = self.leads[lead_id]["created_us"]
        return sorted({max(clock + step, created) for clock in (*clocks, created) for step in (-1, 0, 1, 2)})

    def first(self, lead_id: str) -> int | None:
        meets = (at for at in self.moments(lead_id) if self.points(lead_id, at) >= self.rule["threshold"])
        return next(meets, None)


def rows_of(history: History) -> dict[str, list[Row]]:
    rows = {name: list(table) for name, table in history.rows.items()}
    rows["leads"].append(TYPED)
    rows["lead_changes"] += TYPED_CHANGES
    return rows


@SLOW
@given(histories(), st.sampled_from((None, 7.0, 30.0)))
def test_points_and_first_crossings_are_those_by_hand(history: History, window: float | None) -> None:
    rule = RULE if window is None else {**RULE, "window_days": window}
    config = config_of(**COLUMNS, old_rule=rule)
    with tables_of(rows_of(history), **COLUMNS, old_rule=rule) as tables:
        slow = ByHand(tables, rule)
        asked = [
            (lead, to_micros(moment)) for lead in history.ids for moment in history.as_of
            if to_micros(moment) >= slow.leads[lead]["created_us"]
        ]  # fmt: skip
        found = old_points(tables, config, moments_of(asked))
        assert found.tolist() == [slow.points(*pair) for pair in asked]
        crossings = first_crossings(tables, config, START - DAY, NOW)
        by_hand = {lead: at for lead in slow.leads if (at := slow.first(lead)) is not None}
    assert dict(zip(crossings["lead_id"], crossings["at_us"].tolist(), strict=True)) == by_hand


@SLOW
@given(histories(), st.integers(0, 3))
def test_what_is_recorded_later_moves_no_crossing(history: History, number: int) -> None:
    cut = history.as_of[min(number, len(history.as_of) - 1)]
    config = config_of(**COLUMNS, old_rule=RULE)
    rows = rows_of(history)
    clocks = {"lead_changes": "recorded_at", "lead_merges": "recorded_at", "touches": "happened_at"}
    past = {n: [r for r in t if n not in clocks or r[clocks[n]] < cut] for n, t in rows.items()}
    found: list[list[Any]] = []
    for one in (rows, past):
        with tables_of(one, **COLUMNS, old_rule=RULE) as tables:
            crossings = first_crossings(tables, config, START - DAY, cut)
            # A drawn recording may lie before the event by hours: what happens after the cut may be "recorded" before.
            found.append(crossings.to_numpy().tolist())
    assert found[0] == found[1]


LEADS: list[Row] = [
    {"lead_id": name, "created_at": START, "level": "staff", "flag": name == "b"} for name in ("a", "b", "c")
]
CHANGES: list[Row] = [
    {"lead_id": "a", "field": "level", "value": "vp", "recorded_at": START + 3 * DAY},
    {"lead_id": "a", "field": "level", "value": "staff", "recorded_at": START + 5 * DAY},
    {"lead_id": "b", "field": "level", "value": "vp", "recorded_at": START + 6 * DAY},
]
STAGES: list[Row] = [
    {"lead_id": "a", "stage": "mql", "entered_at": START + 4 * DAY, "recorded_at": START + 9 * DAY},
    {"lead_id": "a", "stage": "mql", "entered_at": START + 5 * DAY, "recorded_at": START + 6 * DAY},
    {"lead_id": "b", "stage": "sql", "entered_at": START + 2 * DAY},
    {"lead_id": "c", "stage": "mql", "entered_at": START - DAY},
]
KNOWN = {"columns": {"known_at_creation": ["level"]}}


def crossings(rule: dict[str, Any], since: float = 0, until: float = 100, **sections: Any) -> list[tuple[str, float]]:
    rows = {"leads": LEADS, "lead_changes": CHANGES, "stages": STAGES}
    sections = {**KNOWN, "old_rule": rule, **sections}
    with tables_of(rows, **sections) as tables:
        found = first_crossings(
            tables, config_of(**sections), START + timedelta(days=since), START + timedelta(days=until)
        )
    at = [(moment - to_micros(START)) / DAY_US for moment in found["at_us"]]
    return list(zip(found["lead_id"], at, strict=True))


class TestStage:
    def test_it_counts_once_it_is_recorded_and_the_lead_is_there(self) -> None:
        assert crossings({}) == [("c", 0.0), ("a", 6.0)]

    def test_another_stage_may_be_meant(self) -> None:
        assert crossings({"stage": "sql"}) == [("b", 2.0 + 1 / DAY_US)]

    def test_it_has_no_points(self) -> None:
        with tables_of({"leads": LEADS, "stages": STAGES}) as tables:
            points = old_points(tables, config_of(), moments_of([("a", to_micros(NOW))]))
        assert np.isnan(points).all()

    def test_without_its_stage_there_is_no_old_rule(self) -> None:
        for stages, there in ((STAGES, True), ([row for row in STAGES if row["stage"] == "sql"], False)):
            with tables_of({"leads": LEADS, "stages": stages}) as tables:
                assert has_old_rule(tables, config_of()) is there
                assert has_old_rule(tables, config_of(old_rule={"sql": "level = 'vp'"}))
        with tables_of({"leads": LEADS}) as tables:
            assert not has_old_rule(tables, config_of())
            assert first_crossings(tables, config_of(), START, NOW).empty


class TestExpression:
    def test_true_is_an_mql(self) -> None:
        assert crossings({"sql": "level = 'vp'"}) == [("a", 3.0), ("b", 6.0)]

    def test_a_number_is_compared_with_the_threshold(self) -> None:
        rule = {"sql": "CASE level WHEN 'vp' THEN 15 WHEN 'staff' THEN 2 END", "threshold": 15}
        assert crossings(rule) == [("a", 3.0), ("b", 6.0)]
        with tables_of({"leads": LEADS, "lead_changes": CHANGES}, **KNOWN, old_rule=rule) as tables:
            at = [("a", to_micros(START + days * DAY)) for days in (-1, 0, 3, 4, 5)]
            points = old_points(tables, config_of(old_rule=rule), moments_of(at))
        assert np.isnan(points[0])
        assert points[1:].tolist() == [2.0, 15.0, 15.0, 2.0]


class TestSpan:
    def test_its_start_is_in_and_its_end_is_out(self) -> None:
        rule = {"sql": "level = 'vp'"}
        assert crossings(rule, 3, 6) == [("a", 3.0)]
        assert crossings(rule, 3 + 1e-6, 6.001) == [("b", 6.0)]

    def test_leads_that_were_excluded_then_are_not_listed(self) -> None:
        rule = {"sql": "level = 'vp'"}
        assert crossings(rule, exclude={"flagged": "flag"}) == [("a", 3.0)]
        assert crossings(rule, exclude={"vps": "level = 'vp'"}) == []


class TestPoints:
    def touch(self, days: float, kind: str = "visit", **more: Any) -> Row:
        return {"lead_id": "a", "happened_at": START + timedelta(days=days), "kind": kind, **more}

    def points(self, touches: list[Row], days: list[float], **rule: Any) -> list[float]:
        rule = {"threshold": 1, "touches": {"visit": 0.1}, **rule}
        with tables_of({"leads": LEADS, "touches": touches}, old_rule=rule) as tables:
            asked = moments_of(("a", to_micros(START + timedelta(days=day))) for day in days)
            return old_points(tables, config_of(old_rule=rule), asked).tolist()

    def test_ten_tenths_are_one(self) -> None:
        assert self.points([self.touch(n / 10) for n in range(10)], [5]) == [1.0]

    def test_a_touch_counts_as_long_as_its_window(self) -> None:
        late = self.touch(1, recorded_at=START + 20 * DAY)
        assert self.points([self.touch(1), late], [1, 1 + 1e-6, 8, 8 + 1e-6, 21], window_days=7) == [0, 0.1, 0.1, 0, 0]

    def test_only_what_the_lead_did_counts(self) -> None:
        assert self.points([self.touch(1, actor="bot"), self.touch(1, actor="sales")], [5]) == [0.0]

    def test_before_its_creation_a_lead_has_no_points(self) -> None:
        assert np.isnan(self.points([self.touch(-2)], [-1, 0])[0])
        assert self.points([self.touch(-2)], [0]) == [0.1]

    def test_points_that_nobody_can_get_are_named(self) -> None:
        rule = {"threshold": 1, "touches": {"visit": 1, "vist": 1}, "attributes": {"level": {"VP": 1, "vp": 1}}}
        rows = {"leads": LEADS, "lead_changes": CHANGES, "touches": [self.touch(1)]}
        with tables_of(rows, **KNOWN, old_rule=rule) as tables:
            notes = old_rule_notes(tables, config_of(**KNOWN, old_rule=rule))
            assert set(notes) <= set(tables.notes)
        assert notes == (
            "[old_rule.touches] names 'vist', a kind that no touch of a lead has.",
            "[old_rule.attributes.level] names 'VP', a value that no lead has had.",
        )


@pytest.mark.parametrize("step", [timedelta(0), MICROSECOND])
def test_a_touch_is_known_after_it_happened(step: timedelta) -> None:
    rule = {"threshold": 1, "touches": {"visit": 1}}
    touch = {"lead_id": "a", "happened_at": START + DAY, "kind": "visit"}
    with tables_of({"leads": LEADS, "touches": [touch]}, old_rule=rule) as tables:
        points = old_points(tables, config_of(old_rule=rule), moments_of([("a", to_micros(START + DAY + step))]))
    assert points.tolist() == [1.0 if step else 0.0]
