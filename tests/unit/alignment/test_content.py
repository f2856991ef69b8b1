"""Content: uses by stage, credits that add up, effects that are not told where nothing tells them, gaps, doubles."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alignment.content import ContentReport
from alignment.content_use import MODELS
from alignment.findings import find_alignment
from alignment.item_effects import Uses, item_effects
from alignment.reading_profile import reading_profile
from crm.progress import Silent
from tests.histories import START, Row, config_of, tables_of
from tests.scenes import Scene, alignment_of, line_of, scores_of

DAY = timedelta(days=1)
NOW = START + 400 * DAY
LEAD = {"lead_id": "a", "created_at": START + DAY}
DEAL = {"opportunity_id": "d", "lead_id": "a", "created_at": START + 20 * DAY, "closed_at": START + 30 * DAY}
WON = {**DEAL, "is_won": True, "amount": 100.0, "currency": "USD", "recorded_at": START + 30 * DAY}


def use(content: str, day: float, lead: str = "a", **values: Any) -> Row:
    at = START + day * DAY
    row = {"touch_id": f"{lead}{content}{day}{values}", "lead_id": lead, "kind": "visit", "actor": "lead"}
    return {**row, "content_id": content, "happened_at": at, "recorded_at": at, **values}


def report(touches: list[Row], **more: list[Row]) -> ContentReport | None:
    rows: dict[str, list[Row]] = {"leads": [LEAD], "touches": touches, "opportunities": [WON], **more}
    seen = {"outcome": {"observed_until": NOW}}
    with tables_of(rows, now=NOW + 2 * DAY, **seen) as tables:
        found = find_alignment(tables, config_of(**seen), NOW, scores_of(rows, None), line_of(), Silent())
    return found.reports.content


def credit_of(found: ContentReport | None) -> dict[str, dict[str, float]]:
    assert found is not None
    return {item.content_id: dict(item.credit) for item in found.items}


def test_each_model_credits_as_it_says() -> None:
    credit = credit_of(report([use("x", 2), use("y", 16), use("z", 23), use("y", 29)]))
    assert {name: one["first"] for name, one in credit.items()} == {"x": 100, "y": 0, "z": 0}
    assert {name: one["last"] for name, one in credit.items()} == {"x": 0, "y": 100, "z": 0}
    assert {name: one["linear"] for name, one in credit.items()} == {"x": 25, "y": 50, "z": 25}
    assert {name: one["u_shaped"] for name, one in credit.items()} == pytest.approx({"x": 40, "y": 50, "z": 10})
    halves = np.array([2.0 ** (-28 / 7), 2.0 ** (-14 / 7), 2.0 ** (-7 / 7), 2.0 ** (-1 / 7)])
    shares = 100 * halves / halves.sum()
    expected = {"x": shares[0], "y": shares[1] + shares[3], "z": shares[2]}
    assert {name: one["time_decay"] for name, one in credit.items()} == pytest.approx(expected)


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from("xyz"), st.floats(1, 29)), min_size=1, max_size=7, unique_by=lambda u: u[1]))
def test_credits_of_a_win_add_up_to_it_in_every_model(uses: list[tuple[str, float]]) -> None:
    credit = credit_of(report([use(name, day) for name, day in uses]))
    for model in MODELS:
        assert sum(one[model] for one in credit.values()) == pytest.approx(100.0)


def test_what_is_used_after_the_win_or_by_a_program_or_only_opened_earns_nothing() -> None:
    touches = [use("x", 3), use("late", 31), use("bot", 4, actor="bot"), use("mail", 5, kind="email_open")]
    found = report(touches)
    assert credit_of(found) == {"x": dict.fromkeys(MODELS, 100.0), "late": dict.fromkeys(MODELS, 0.0)}


def test_what_was_recorded_after_the_board_does_not_exist() -> None:
    assert report([use("x", 3, recorded_at=NOW + DAY)]) is None


def test_uses_are_counted_by_the_stage_of_the_person_at_the_time() -> None:
    stages = [{"lead_id": "a", "stage": "mql", "entered_at": START + 5 * DAY, "recorded_at": START + 5 * DAY}]
    off = {"hand_off_id": "h", "lead_id": "a", "handed_off_at": START + 10 * DAY, "recorded_at": START + 10 * DAY}
    touches = [use("x", day) for day in (2, 6, 7, 12, 22, 35)] + [use("x", 13, actor="sales")]
    found = report(touches, stages=stages, hand_offs=[off])
    assert found is not None
    item = found.items[0]
    assert item.uses == (1, 2, 1, 1, 1)
    assert (item.sales_uses, item.uses_after) == (1, 3)


def test_what_sales_shows_counts_for_the_deal_and_only_between_hand_off_and_win() -> None:
    off = {"hand_off_id": "h", "lead_id": "a", "handed_off_at": START + 10 * DAY, "recorded_at": START + 10 * DAY}
    shown = [use(name, day, actor="sales") for name, day in (("early", 5), ("deal", 15), ("late", 35))]
    found = report([use("x", 3), *shown], hand_offs=[off])
    assert found is not None
    told = {item.content_id: (item.won_users, item.uses_after, item.sales_uses) for item in found.items}
    assert told == {"x": (1, 0, 0), "early": (1, 0, 1), "deal": (1, 1, 1), "late": (0, 0, 1)}


def test_each_deal_is_credited_to_what_was_used_before_it_closed() -> None:
    second = {
        **WON,
        "opportunity_id": "d2",
        "created_at": START + 40 * DAY,
        "closed_at": START + 60 * DAY,
        "amount": 900.0,
    }
    deals = [WON, {**second, "recorded_at": START + 60 * DAY}]
    credit = credit_of(report([use("a", 3), use("b", 50)], opportunities=deals))
    assert {name: one["last"] for name, one in credit.items()} == {"a": 100.0, "b": 900.0}
    assert {name: one["linear"] for name, one in credit.items()} == {"a": 550.0, "b": 450.0}


def test_without_amounts_revenue_is_unknown_and_not_nothing() -> None:
    won = [{"lead_id": "a", "stage": "closed_won", "entered_at": START + 30 * DAY, "recorded_at": START + 30 * DAY}]
    rows: dict[str, list[Row]] = {"leads": [LEAD], "touches": [use("x", 3)], "stages": won}
    seen = {"outcome": {"observed_until": NOW}}
    with tables_of(rows, now=NOW + 2 * DAY, **seen) as tables:
        found = find_alignment(tables, config_of(**seen), NOW, scores_of(rows, None), line_of(), Silent()).reports
    assert found.content is not None
    assert np.isnan(found.content.won_revenue)
    assert np.isnan(found.content.items[0].credit["linear"])
    assert found.content.items[0].won_users == 1
    assert np.isnan(found.funnel.overall["lead_won"].revenue[0])


def test_items_that_nobody_used_are_in_the_list_with_their_cost() -> None:
    content = [{"content_id": "x"}, {"content_id": "idle", "title": "Idle", "made_by": "marketing", "cost": 900.0}]
    found = report([use("x", 3)], content=content)
    assert found is not None
    idle = next(item for item in found.items if item.content_id == "idle")
    assert (idle.title, idle.persons, idle.won_users, idle.cost, idle.sql) == ("Idle", 0, 0, 900.0, None)


def test_an_item_published_after_the_board_does_not_exist() -> None:
    content = [{"content_id": "x"}, {"content_id": "new", "published_at": NOW + DAY}]
    found = report([use("x", 3)], content=content)
    assert found is not None
    assert [item.content_id for item in found.items] == ["x"]


def test_topics_made_twice_and_stages_without_help_are_named() -> None:
    found = alignment_of(replace(Scene(), doubled_topics=2, unused_items=2)).reports.content
    assert found is not None
    assert [(one.topic, one.stage) for one in found.duplicates] == [("c-case", "decision")]
    assert len(found.duplicates[0].sales) == 2
    gaps = {(gap.stage, gap.segment): gap for gap in found.gaps}
    assert set(gaps) == {("awareness", ""), ("decision", "")}
    assert gaps["awareness", ""].won_users == 0
    assert gaps["decision", ""].won_users == gaps["decision", ""].won > 0


# --- the estimator at its edges --------------------------------------------------------------------------------------


def effects(uses: np.ndarray, outcome: np.ndarray, covariates: np.ndarray | None = None) -> pd.DataFrame:
    lead, column = np.nonzero(uses)
    names = tuple(f"i{number}" for number in range(uses.shape[1]))
    table = Uses(lead, column, uses[lead, column].astype(float), len(uses), names, np.ones(len(names), bool))
    known = np.zeros((len(uses), 0)) if covariates is None else covariates
    return item_effects(table, known, outcome, np.full(len(uses), -1))


def test_too_few_users_or_outcomes_are_said_to_be_too_few() -> None:
    rng = np.random.default_rng(0)
    uses = (rng.random((1_000, 12)) < np.array([0.3] * 9 + [0.004, 0.0, 1.0])).astype(int)
    outcome = rng.random(1_000) < 0.2
    found = effects(uses, outcome)
    assert found["reason"].tolist() == [""] * 9 + ["few"] * 3
    assert found.loc[found["reason"] != "", ["effect", "low", "high", "q_value"]].isna().all(axis=None)
    assert set(effects(uses[:, :5], outcome)["reason"]) == {"library"}
    for nothing in (np.zeros(1_000, bool), np.ones(1_000, bool)):
        assert (effects(uses, nothing)["reason"] == "few").all()


def test_items_that_are_always_used_together_cannot_be_told_apart() -> None:
    rng = np.random.default_rng(1)
    one = (rng.random(2_000) < 0.3).astype(int)
    others = rng.random((2_000, 10)) < 0.3
    found = effects(np.column_stack([one, one, others]).astype(int), rng.random(2_000) < 0.1 + 0.1 * one)
    assert not found["is_found"].any()


def test_a_randomised_effect_is_recovered_and_an_idle_item_is_not_found() -> None:
    rng = np.random.default_rng(2)
    uses = (rng.random((30_000, 12)) < 0.25).astype(int)
    outcome = rng.random(30_000) < 0.10 + 0.05 * uses[:, 0]
    found = effects(uses, outcome)
    assert found.loc[0, "low"] <= 0.05 <= found.loc[0, "high"]
    assert found["is_found"].tolist() == [True] + [False] * 11


def test_the_profile_looks_at_no_outcome_and_bears_empty_libraries() -> None:
    empty = Uses(np.zeros(0, int), np.zeros(0, int), np.zeros(0), 5, (), np.zeros(0, bool))
    assert reading_profile(empty.matrix()).shape == (5, 1)
    assert item_effects(empty, np.zeros((5, 0)), np.array([True, False, True, False, True]), np.full(5, -1)).empty
