"""The Brier score taken apart: the parts add up, mean what they say, and chance has its band."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss

from models.corp import Corp, Reliability, corp

Matrix = NDArray[np.float64]
QUICK = settings(max_examples=80, deadline=None, derandomize=True)


@st.composite
def judged(draw: st.DrawFn) -> tuple[Matrix, NDArray[np.bool_], Matrix]:
    """Predictions with many ties, labels, and weights some of which are 0."""
    rows = draw(st.integers(1, 40))
    levels = st.sampled_from((0.0, 0.02, 0.1, 0.11, 0.5, 0.73, 1.0))
    p = np.array(draw(st.lists(levels, min_size=rows, max_size=rows)))
    y = np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    w = np.array(draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)), dtype=np.float64)
    w[0] = max(w[0], 1.0)
    return p, y, w


def drawn(seed: int, rows: int) -> tuple[Matrix, NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    p = expit(rng.normal(-2.5, 1.0, rows))
    return p, rng.random(rows) < p


@QUICK
@given(judged())
def test_the_parts_add_up_and_are_those_of_isotonic_regression(case: tuple[Matrix, NDArray[np.bool_], Matrix]) -> None:
    p, y, w = case
    found = corp(p, y, w)
    assert found.brier == pytest.approx(found.miscalibration - found.discrimination + found.uncertainty, abs=1e-12)
    assert found.brier == pytest.approx(brier_score_loss(y, p, sample_weight=w, labels=[0, 1]), abs=1e-12)
    recalibrated = IsotonicRegression().fit(p[w > 0], y[w > 0], sample_weight=w[w > 0]).predict(p[w > 0])
    best = brier_score_loss(y[w > 0], recalibrated, sample_weight=w[w > 0], labels=[0, 1])
    assert found.brier - found.miscalibration == pytest.approx(best, abs=1e-9)
    assert min(astuple(found)) >= 0


@QUICK
@given(judged())
def test_a_weight_is_a_repeated_row(case: tuple[Matrix, NDArray[np.bool_], Matrix]) -> None:
    p, y, w = case
    times = w.astype(int)
    again = corp(np.repeat(p, times), np.repeat(y, times))
    assert astuple(corp(p, y, w)) == pytest.approx(astuple(again), abs=1e-12)
    assert Reliability(p, y).measure(w) == vars(corp(p, y, w))


@QUICK
@given(judged())
def test_a_rising_function_of_the_predictions_changes_miscalibration_alone(
    case: tuple[Matrix, NDArray[np.bool_], Matrix],
) -> None:
    p, y, w = case
    one, two = corp(p, y, w), corp(0.2 + 0.3 * p, y, w)
    assert one.discrimination == pytest.approx(two.discrimination, abs=1e-12)
    assert one.uncertainty == two.uncertainty


def test_the_base_rate_has_uncertainty_alone_and_the_truth_has_neither() -> None:
    y = np.arange(200) < 30
    assert astuple(corp(np.full(200, 0.15), y)) == pytest.approx((0.1275, 0.0, 0.0, 0.1275), abs=1e-12)
    assert astuple(corp(y.astype(np.float64), y)) == pytest.approx((0.0, 0.0, 0.1275, 0.1275), abs=1e-12)


def test_calibrated_predictions_have_little_miscalibration_and_doubled_ones_what_doubling_costs() -> None:
    p, y = drawn(1, 40_000)
    right, wrong = corp(p, y), corp(np.minimum(2 * p, 1.0), y)
    assert right.miscalibration < 5e-4
    cost = float((np.minimum(2 * p, 1.0) ** 2 - p**2 - 2 * p * (np.minimum(2 * p, 1.0) - p)).mean())
    assert wrong.miscalibration - right.miscalibration == pytest.approx(cost, rel=0.15)


def test_without_weight_there_is_nothing_to_say() -> None:
    assert np.isnan(astuple(corp(np.array([0.1, 0.2]), np.array([True, False]), np.zeros(2)))).all()


def test_miscalibration_by_chance_holds_right_predictions_and_not_doubled_ones() -> None:
    found = [corp(*drawn(seed, 2000)).miscalibration for seed in range(40)]
    p, y = drawn(1, 2000)
    mean, high = Reliability(p, y).miscalibration_null(seed=1)
    assert (mean, high) == Reliability(p, y).miscalibration_null(seed=1)
    assert np.mean(found) == pytest.approx(mean, rel=0.15)
    assert np.mean(np.array(found) > high) < 0.15
    doubled = Reliability(np.minimum(2 * p, 1.0), y)
    assert doubled.corp().miscalibration > doubled.miscalibration_null(seed=1)[1]


def test_the_band_holds_calibrated_predictions_and_not_doubled_ones() -> None:
    inside = []
    for seed in range(20):
        p, y = drawn(seed, 3000)
        curve = Reliability(p, y).curve(seed=1, draws=100)
        inside.append(np.mean((curve.low <= curve.recalibrated) & (curve.recalibrated <= curve.high)))
    assert 0.82 < np.mean(inside) < 0.97
    p, y = drawn(1, 3000)
    wrong = Reliability(np.minimum(2 * p, 1.0), y).curve(seed=1)
    assert np.mean((wrong.low <= wrong.recalibrated) & (wrong.recalibrated <= wrong.high)) < 0.3


def test_the_curve_rises_spans_the_predictions_and_keeps_to_its_seed() -> None:
    p, y = drawn(3, 2000)
    w = np.random.default_rng(4).integers(0, 3, 2000).astype(np.float64)
    one, two, other = (Reliability(p, y).curve(seed=seed, weights=w, draws=30) for seed in (1, 1, 2))
    assert one.predicted.shape == one.recalibrated.shape == one.low.shape == one.high.shape == (100,)
    assert one.low.tolist() == two.low.tolist() != other.low.tolist()
    assert (one.predicted[0], one.predicted[-1]) == (p[w > 0].min(), p[w > 0].max())
    for part in (one.predicted, one.recalibrated, one.low, one.high):
        assert (np.diff(part) >= -1e-12).all()
        assert (part >= 0).all()
        assert (part <= 1).all()
    plain = IsotonicRegression(out_of_bounds="clip").fit(p, y, sample_weight=w).predict(one.predicted)
    assert one.recalibrated == pytest.approx(plain, abs=1e-9)


def test_one_prediction_has_a_curve_of_one_point() -> None:
    curve = Reliability(np.full(50, 0.2), np.arange(50) < 10).curve(seed=1)
    assert (curve.predicted.tolist(), curve.recalibrated.tolist()) == ([0.2], [pytest.approx(0.2)])
    assert curve.low[0] < 0.2 < curve.high[0]


def test_parts_are_values() -> None:
    assert corp(np.array([0.5]), np.array([True])) == Corp(0.25, 0.25, 0.0, 0.0)
