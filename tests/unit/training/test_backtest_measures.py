"""Measures of a backtest: those of a training run, what a list at capacity catches, and paired differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from models.metrics import Judgement
from training.backtest_measures import Captured, JudgedRows, Probabilities, Ranking, compare
from training.baselines import Said

Matrix = NDArray[np.float64]
QUICK = settings(max_examples=40, deadline=None, derandomize=True)


def drawn(seed: int, rows: int, slope: float = 1.0) -> tuple[Matrix, NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    z = rng.normal(-1.5, 1.2, rows)
    return expit(z), rng.random(rows) < expit(slope * z)


def made_of(
    wins: list[float],
    revenue: list[float] | None = None,
    *,
    origin: list[int] | None = None,
    person: list[int] | None = None,
    worked: tuple[float, ...] = (0.5,),
) -> JudgedRows:
    count = len(wins)
    numbers = np.arange(count)
    return JudgedRows(
        np.array(wins) > 0,
        numbers,
        np.zeros(count, dtype=np.int64) if origin is None else np.array(origin),
        numbers if person is None else np.array(person),
        np.array(wins, dtype=float),
        np.array(wins if revenue is None else revenue, dtype=float),
        worked,
    )


@QUICK
@given(st.integers(0, 999), st.integers(5, 60), st.booleans())
def test_measures_are_those_of_a_training_run(seed: int, rows: int, tied: bool) -> None:
    p, y = drawn(seed, rows)
    p = np.round(p, 1).clip(0.05, 0.95) if tied else p
    y[:2] = True, False
    w = np.random.default_rng(seed).integers(0, 3, rows).astype(float)
    w[:2] = 1.0
    expected = Judgement(p, y).measure(w)
    found = Ranking(p, y).measure(w) | Probabilities(p, y).measure(w)
    assert expected.keys() <= found.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name


def test_many_rows_are_joined_for_the_slope_and_change_it_by_nothing_that_matters() -> None:
    p, y = drawn(1, 20_000, slope=0.7)
    w = np.random.default_rng(1).integers(0, 3, len(p)).astype(float)
    exact = Judgement(p, y).measure(w)
    found = Probabilities(p, y).measure(w)
    assert found["calibration_slope"] == pytest.approx(exact["calibration_slope"], abs=2e-3)
    for name in ("log_loss", "brier", "observed_over_expected"):
        assert found[name] == pytest.approx(exact[name], abs=1e-9)


def test_lifts_of_a_perfect_order() -> None:
    y = np.arange(100) < 10
    found = Ranking(-np.arange(100.0), y).measure(np.ones(100))
    assert (found["lift_at_5"], found["lift_at_10"], found["lift_at_20"]) == pytest.approx((10, 10, 5))


def test_scores_of_any_scale_are_ranked() -> None:
    y = np.array([True, False, False, True])
    assert Ranking(np.array([1e9, -1e9, -3.0, 4.0]), y).measure(np.ones(4))["auc"] == 1.0


def test_a_list_catches_what_stands_at_its_top() -> None:
    tested = made_of([1, 0, 0, 1], [10, 0, 0, 30])
    found = Captured(np.array([4.0, 3.0, 2.0, 1.0]), tested).measure(np.ones(4))
    assert found == {
        "captured_wins": 1.0,
        "captured_wins_share": 0.5,
        "captured_revenue": 10.0,
        "captured_revenue_share": 0.25,
    }


def test_ties_at_the_end_of_a_list_count_in_proportion() -> None:
    """Half of four rows: the first, and one of three that are alike."""
    tested = made_of([0, 0, 0, 3])
    assert Captured(np.array([9.0, 1.0, 1.0, 1.0]), tested).measure(np.ones(4))["captured_wins"] == pytest.approx(1.0)


def test_a_person_with_two_leads_on_the_list_is_bought_from_once() -> None:
    tested = made_of([1, 1, 0, 1], [70, 70, 0, 30], person=[0, 0, 1, 2])
    found = Captured(np.array([4.0, 3.0, 2.0, 1.0]), tested).measure(np.ones(4))
    assert (found["captured_wins"], found["captured_wins_share"]) == (1.0, 0.5)
    assert (found["captured_revenue"], found["captured_revenue_share"]) == (70.0, 0.7)


def test_each_origin_has_its_own_list_and_wins_are_those_of_a_window() -> None:
    """One lead a window; the scores of the second origin are all higher, and take no place from the first."""
    tested = made_of([1, 0, 0, 1], origin=[0, 0, 1, 1], worked=(0.5, 0.5))
    found = Captured(np.array([2.0, 1.0, 9.0, 8.0]), tested).measure(np.ones(4))
    assert (found["captured_wins"], found["captured_wins_share"]) == (0.5, 0.5)


@QUICK
@given(st.integers(0, 999))
def test_drawing_an_account_twice_is_having_it_twice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wins, rank = rng.integers(0, 2, 12).astype(float), rng.integers(0, 5, 12).astype(float)
    w = rng.integers(0, 3, 12)
    if w.sum() == 0:
        return
    times = np.repeat(np.arange(12), w)
    one = Captured(rank, made_of(wins.tolist())).measure(w.astype(float))
    two = Captured(rank[times], made_of(wins[times].tolist())).measure(np.ones(len(times)))
    assert one == pytest.approx(two, nan_ok=True)


class TestCompare:
    def said(self, rows: int = 400) -> tuple[JudgedRows, dict[str, Said]]:
        p, y = drawn(3, rows)
        p = np.round(p, 2).clip(0.01, 0.99)
        rng = np.random.default_rng(9)  # not that of the data, whose noise this would be
        worse = expit(np.log(p / (1 - p)) + rng.normal(0, 1.5, rows))
        tested = JudgedRows(
            y, np.arange(rows) // 2, np.arange(rows) % 3, np.arange(rows), y * 1.0, y * 10.0, (0.1, 0.1, 0.1)
        )
        return tested, {"kizashi": Said(p, p), "same": Said(p, p), "worse": Said(worse, worse), "order": Said(p)}

    def test_differences_are_paired(self) -> None:
        tested, said = self.said()
        ranks = {name: answer.score for name, answer in said.items()}
        found = compare(tested, said, ranks, seed=1, draws=60)
        for interval in found.gains["same"].values():
            assert (interval.value, interval.low, interval.high) == (0.0, 0.0, 0.0)
        for name, interval in found.gains["worse"].items():
            assert interval.value == found.measures["kizashi"][name].value - found.measures["worse"][name].value
        assert found.gains["worse"]["auc"].low > 0
        assert found.gains["worse"]["log_loss"].high < 0
        wide = found.measures["kizashi"]["auc"].high - found.measures["kizashi"]["auc"].low
        assert found.gains["worse"]["auc"].high - found.gains["worse"]["auc"].low < 2 * wide

    def test_a_method_without_probabilities_is_judged_on_its_order_alone(self) -> None:
        tested, said = self.said()
        found = compare(tested, said, None, seed=1, draws=20)
        assert {"auc", "average_precision", "lift_at_5", "lift_at_10", "lift_at_20"} == set(found.measures["order"])
        assert "log_loss" not in found.gains["order"]
        assert "captured_wins" not in found.measures["kizashi"]

    def test_the_calibration_error_stands_beside_chance(self) -> None:
        tested, said = self.said()
        found = compare(tested, said, None, seed=1, draws=20).measures
        one, two = found["kizashi"], found["worse"]
        assert one["ece_excess"].value == one["ece"].value - one["ece_null"].value
        assert one["ece"].value < one["ece_null_95"].value
        assert two["ece"].value > two["ece_null_95"].value
        assert np.isnan(one["ece"].low)

    def test_the_parts_of_the_brier_score_sum_to_it(self) -> None:
        tested, said = self.said()
        found = compare(tested, said, None, seed=1, draws=20).measures["kizashi"]
        total = found["miscalibration"].value - found["discrimination"].value + found["uncertainty"].value
        assert total == pytest.approx(found["brier"].value, abs=1e-9)
        assert np.isnan(found["miscalibration"].low)  # drawing rows again would only add to a distance
