"""Calibrators: known distortions are undone, order is kept, and freedom grows with outcomes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from models.calibration import MAX_RATIO, MIN_SLOPE, Calibrator, fit_calibrator

Matrix = NDArray[np.float64]
QUICK = settings(max_examples=60, deadline=None, derandomize=True)

slopes = st.floats(0.05, 4.0)
calibrators = st.one_of(
    st.builds(lambda b: Calibrator("intercept", 1.0, 1.0, b), st.floats(-6, 6)),
    st.builds(lambda a, b: Calibrator("platt", a, a, b), slopes, st.floats(-6, 6)),
    st.builds(lambda a, r, b: Calibrator("beta", a, a * r, b), slopes, st.floats(0.5, 2.0), st.floats(-6, 6)),
)


def drawn(truth: Calibrator, rows: int, seed: int = 1, mean: float = -1.0) -> tuple[Matrix, NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    g = rng.normal(mean, 2.0, rows)
    return g, rng.random(rows) < truth.probability(g)


@QUICK
@given(calibrators, st.lists(st.floats(-12, 12), min_size=2, max_size=30, unique=True))
def test_order_is_kept_strictly(calibrator: Calibrator, g: list[float]) -> None:
    steps = np.unique(np.round(g, 3))
    assert (np.diff(calibrator.logit(steps)) > 0).all()
    p = calibrator.probability(steps)
    assert (np.diff(p[p < 1 - 1e-9]) > 0).all()  # beyond it floats run out


@QUICK
@given(calibrators, st.floats(-10, 10))
def test_inverse_undoes_probability(calibrator: Calibrator, g: float) -> None:
    p = float(calibrator.probability(np.array([g]))[0])
    if 1e-12 < p < 1 - 1e-6:
        assert calibrator.inverse(p) == pytest.approx(g, abs=1e-6)


@QUICK
@given(calibrators, st.floats(0.001, 0.9), st.integers(0, 5))
def test_shifting_hits_the_mean_and_keeps_the_shape(calibrator: Calibrator, mean: float, seed: int) -> None:
    g = np.random.default_rng(seed).normal(-1, 2, 200)
    shifted = calibrator.shifted_to(g, mean)
    assert shifted.probability(g).mean() == pytest.approx(mean, abs=1e-9)
    assert (shifted.kind, shifted.slope, shifted.slope_high) == (
        calibrator.kind,
        calibrator.slope,
        calibrator.slope_high,
    )


@QUICK
@given(calibrators)
def test_json_keeps_every_bit(calibrator: Calibrator) -> None:
    assert Calibrator.from_json(json.loads(json.dumps(calibrator.to_json()))) == calibrator


@pytest.mark.parametrize("slope", [0.4, 1.0, 1.8])
def test_a_distortion_in_slope_and_level_is_recovered(slope: float) -> None:
    truth = Calibrator("platt", slope, slope, -0.7)
    g, happened = drawn(truth, 30_000)
    found = fit_calibrator(g, happened)
    grid = np.linspace(-4, 3, 30)
    assert np.abs(found.logit(grid) - truth.logit(grid)).max() < 0.25


def test_a_distortion_of_one_end_is_recovered_by_beta() -> None:
    truth = Calibrator("beta", 0.8, 1.5, 0.3)
    g, happened = drawn(truth, 60_000, mean=0.0)
    found = fit_calibrator(g, happened)
    assert found.kind == "beta"
    assert found.slope == pytest.approx(0.8, abs=0.08)
    assert found.slope_high == pytest.approx(1.5, abs=0.12)


def test_beta_slopes_stay_within_their_ratio_and_above_nothing() -> None:
    rng = np.random.default_rng(2)
    g = rng.normal(0, 2, 5000)
    found = fit_calibrator(g, rng.random(5000) < expit(np.where(g > 0, 0.0, 2 * g)))
    assert 1 / MAX_RATIO - 1e-9 <= found.slope_high / found.slope <= MAX_RATIO + 1e-9
    against = fit_calibrator(g, rng.random(5000) < expit(-g))  # the truth falls: the map still rises
    assert against.slope >= MIN_SLOPE
    assert (np.diff(against.logit(np.linspace(-5, 5, 20))) > 0).all()


@pytest.mark.parametrize(
    ("outcomes", "kinds"), [(1, {"intercept"}), (99, {"intercept"}), (100, {"platt"}), (499, {"platt"})]
)
def test_few_outcomes_give_little_freedom(outcomes: int, kinds: set[str]) -> None:
    rng = np.random.default_rng(3)
    g = rng.normal(-2, 1, 4000)
    happened = np.zeros(4000, dtype=bool)
    happened[np.argsort(-g + rng.normal(0, 1, 4000))[:outcomes]] = True
    found = fit_calibrator(g, happened)
    assert found.kind in kinds
    assert found.probability(g).mean() == pytest.approx(happened.mean(), abs=1e-9)
    if "intercept" in kinds:
        assert found.slope == found.slope_high == 1.0


@pytest.mark.parametrize("label", [True, False])
def test_one_kind_of_label_changes_nothing(label: bool) -> None:
    g = np.linspace(-1, 1, 5)
    assert fit_calibrator(g, np.full(5, label)) == Calibrator("intercept", 1.0, 1.0, 0.0)


def test_levels_that_differ_between_periods_do_not_bend_the_slope() -> None:
    rng = np.random.default_rng(4)
    period = np.repeat([0, 1], 10_000)
    g = rng.normal(0, 1, 20_000) + 3.0 * period  # the second model's level is off by three
    happened = rng.random(20_000) < expit(g - 3.0 * period - 1.0)
    apart, pooled = (np.ptp(fit.logit(np.array([-1.0, 4.0]))) / 5.0 for fit in both(g, happened, period))
    assert apart == pytest.approx(1.0, abs=0.06)
    assert pooled < 0.6


def both(g: Matrix, happened: NDArray[np.bool_], period: NDArray[np.int64]) -> tuple[Calibrator, Calibrator]:
    return fit_calibrator(g, happened, period), fit_calibrator(g, happened)
