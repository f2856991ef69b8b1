"""Odoo's naive Bayes: counts worked out by hand, and what becomes of what was never seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.odoo_bayes import Categories, Field, encode, fit_odoo_bayes

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
UNSET = -1


def percent_of(values: list[list[int]], won: list[bool], asked: list[list[int]], fields: list[Field]) -> list[float]:
    """Fit leads without teams in a pipeline of one stage, and ask."""
    model = fit_odoo_bayes(Categories.in_first_stage(np.array(values)), np.array(won), fields, stages=1, won_stages=())
    return model.percent(Categories.in_first_stage(np.array(asked))).tolist()


def rounded(odds: float) -> float:
    return round(100 * odds / (1 + odds), 2)


def test_smoothing_is_added_once_a_value() -> None:
    """Value 0: 1 won and 1 lost; value 1: 2 lost. Totals of the field: 1.2 won, 3.2 lost; of the stage: 1.1, 3.1."""
    prior = 1.1 / 3.1
    found = percent_of([[0], [0], [1], [1]], [True, False, False, False], [[0], [1]], [Field("source", 2)])
    assert found == [rounded(prior * (1.1 / 1.2) / (1.1 / 3.2)), rounded(prior * (0.1 / 1.2) / (2.1 / 3.2))]


def test_values_that_were_unset_or_never_seen_say_nothing() -> None:
    """Not even a level that the column knows: it has no row in the table, so no smoothing either."""
    found = percent_of([[0], [0], [1], [UNSET]], [True, False, False, True], [[UNSET], [2], [0]], [Field("source", 3)])
    prior = 2.1 / 2.1
    assert found == [rounded(prior), rounded(prior), rounded(prior * (1.1 / 1.2) / (1.1 / 2.2))]


def test_percent_never_reaches_the_ends() -> None:
    """Ten fields that all say the same multiply up, and are clipped."""
    sure = np.tile(np.repeat([0, 1], 50)[:, None], (1, 10))
    won = [number < 50 for number in range(100)]
    fields = [Field(f"field {number}", 2) for number in range(10)]
    assert percent_of(sure.tolist(), won, [[0] * 10, [1] * 10], fields) == [99.99, 0.01]


def test_a_hundred_fields_do_not_underflow() -> None:
    values = np.tile(np.repeat([0, 1], 50)[:, None], (1, 400))
    fields = [Field(f"field {number}", 2) for number in range(400)]
    asked = [[0] * 200 + [1] * 200]
    assert percent_of(values.tolist(), [number < 50 for number in range(100)], asked, fields) == [50.0]


def test_a_lost_lead_counts_in_the_stages_that_it_reached_and_a_won_one_in_all() -> None:
    """Three stages: lost in the first, lost in the second, won. First: 1.1 won, 2.1 lost; second: 1.1, 1.1."""
    leads = Categories(np.zeros((3, 0), dtype=np.int64), np.full(3, UNSET), np.array([0, 1, 2]))
    model = fit_odoo_bayes(leads, np.array([False, False, True]), [], stages=3, won_stages=[2])
    asked = Categories(np.zeros((4, 0), dtype=np.int64), np.full(4, UNSET), np.array([0, 1, 2, UNSET]))
    second = 1.1 / 2.1 * (1.1 / 1.1) / (1.1 / 2.1)
    assert model.percent(asked).tolist() == [rounded(1.1 / 2.1), rounded(second), 100.0, 0.0]


def test_teams_learn_apart_and_the_pool_serves_the_others() -> None:
    """Team 0: 3 won, 1 lost. Team 1: 1 won, 3 lost. No team: 1 lost, whose own smoothing goes into the pool."""
    team = np.array([0, 0, 0, 0, 1, 1, 1, 1, UNSET])
    won = np.array([True, True, True, False, True, False, False, False, False])
    none = np.zeros((9, 0), dtype=np.int64)
    model = fit_odoo_bayes(Categories(none, team, np.zeros(9, dtype=np.int64)), won, [], stages=1, won_stages=())
    asked = Categories(none[:4], np.array([0, 1, UNSET, 7]), np.zeros(4, dtype=np.int64))
    pool = rounded((4 + 0.3) / (5 + 0.3))
    assert model.percent(asked).tolist() == [rounded(3.1 / 1.1), rounded(1.1 / 3.1), pool, pool]


@pytest.mark.parametrize(("leads", "counts"), [(49, False), (50, True)])
def test_a_tag_of_few_leads_is_ignored(leads: int, counts: bool) -> None:
    values = np.full((200, 2), UNSET)
    values[:leads, 0] = 0
    values[100:, 1] = 0
    won = np.arange(200) < leads
    fields = [Field("tag", 1, is_tag=True), Field("tag", 1, is_tag=True)]
    found = percent_of(values.tolist(), won.tolist(), [[0, UNSET], [UNSET, UNSET]], fields)
    assert (found[0] > found[1]) is counts


def test_columns_of_one_name_share_their_totals() -> None:
    """Two tags, 60 won leads with the first, 60 lost with the second: totals of the field are those of both."""
    values = np.full((120, 2), UNSET)
    values[:60, 0], values[60:, 1] = 0, 0
    fields = [Field("tag", 1, is_tag=True), Field("tag", 1, is_tag=True)]
    found = percent_of(values.tolist(), [n < 60 for n in range(120)], [[0, UNSET]], fields)
    assert found == [rounded((60.1 / 60.2) / (0.1 / 60.2))]


def test_without_a_won_or_lost_lead_there_is_no_score() -> None:
    model = fit_odoo_bayes(
        Categories(np.zeros((1, 0), dtype=np.int64), np.array([UNSET]), np.array([UNSET])),
        np.array([False]),
        [],
        stages=1,
        won_stages=(),
    )
    assert np.isnan(model.percent(Categories.in_first_stage(np.zeros((2, 0), dtype=np.int64)))).all()


@QUICK
@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 1), st.booleans()), min_size=2, max_size=40))
def test_no_order_of_the_leads_matters_and_percents_stay_inside(rows: list[tuple[int, int, bool]]) -> None:
    fields = [Field("one", 3), Field("two", 2)]
    asked = [[a, b] for a in range(-1, 3) for b in range(-1, 2)]

    def ask(ordered: list[tuple[int, int, bool]]) -> list[float]:
        return percent_of([[a, b] for a, b, _ in ordered], [won for *_, won in ordered], asked, fields)

    found = ask(rows)
    assert found == ask(rows[::-1])
    assert all(0.01 <= percent <= 99.99 for percent in found)


def test_encoding_keeps_the_order_of_the_levels() -> None:
    assert encode(["b", "a", None, "c"], ["a", "b"]).tolist() == [1, 0, UNSET, UNSET]
