"""When outcomes come: the curve is that of the data, open rows included, and the model's level at the horizon."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit

from models.timing import Timing, TimingByAge, fit_timing, fit_timing_by_age, learn_timing, timing_from_json

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
HORIZON = 30.0


def drawn(seed: int, count: int = 20_000, spread: float = 0.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return logits for the horizon, and days to the outcome whose odds grow with the square root of time."""
    rng = np.random.default_rng(seed)
    g = rng.normal(-1.5, spread, count) if spread else np.full(count, -1.5)
    # P(T <= d) = expit(g + 0.5 log(d / 30)), so d = 30 exp(2 (logit u - g)).
    return g, HORIZON * np.exp(2.0 * (logit(rng.random(count)) - g))


def true_offset(days: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 * np.log(days / HORIZON)


@QUICK
@given(st.integers(0, 9999), st.integers(2, 400), st.floats(1.0, 200.0))
def test_a_curve_never_falls_and_is_nought_at_the_horizon(seed: int, count: int, longest: float) -> None:
    rng = np.random.default_rng(seed)
    days = np.where(rng.random(count) < 0.4, rng.exponential(20.0, count), np.inf)
    follow_up = rng.uniform(0.1, longest, count)
    for timing in (
        learn_timing(days, follow_up, HORIZON),
        fit_timing(rng.normal(-2.0, 1.0, count), days, follow_up, HORIZON),
    ):
        assert timing.at(np.array([HORIZON]))[0] == pytest.approx(0.0, abs=1e-9)
        grid = timing.at(np.linspace(0.01, timing.longest_days, 50))
        assert np.isfinite(grid).all()
        assert (np.diff(grid) >= -1e-9).all()
        assert np.isnan(timing.at(np.array([timing.longest_days * 1.01])))[0]
        assert Timing.from_json(timing.to_json()).at(np.array([3.0])) == timing.at(np.array([3.0]))


def test_open_rows_count_while_they_were_watched() -> None:
    """Half of the rows were watched for a few days only; without them the curve is the same."""
    _, days = drawn(1)
    follow_up = np.where(np.arange(len(days)) % 2 == 0, 90.0, np.random.default_rng(2).uniform(0.5, 30.0, len(days)))
    asked = np.array([2.0, 7.0, 15.0])
    open_too = learn_timing(days, follow_up, HORIZON).at(asked)
    np.testing.assert_allclose(open_too, true_offset(asked), atol=0.08)


def test_the_fitted_curve_gives_the_share_of_every_day_and_of_longer_horizons() -> None:
    g, days = drawn(3, spread=1.2)
    follow_up = np.random.default_rng(4).uniform(20.0, 120.0, len(days))
    timing = fit_timing(g, days, follow_up, HORIZON)
    for asked in (3.0, 10.0, 60.0, 90.0):
        watched = follow_up >= asked
        said = expit(g[watched] + timing.at(np.array([asked]))[0]).mean()
        assert said == pytest.approx((days[watched] < asked).mean(), rel=0.05)
        assert timing.at(np.array([asked]))[0] == pytest.approx(true_offset(np.array([asked]))[0], abs=0.12)


def test_another_level_of_old_leads_is_no_growth_in_time() -> None:
    """Only old leads were watched for long, and twice as many of them have the outcome as the model says."""
    g, days = drawn(5)
    old = np.arange(len(days)) % 2 == 0
    many = drawn(6)[1]
    earlier = HORIZON * np.exp(2.0 * (0.5 * np.log(many / HORIZON) - np.log(2.0)))  # odds twice as high
    timing = fit_timing(g, np.where(old, earlier, days), np.where(old, 120.0, 40.0), HORIZON)
    asked = np.array([5.0, 15.0, 60.0, 110.0])
    np.testing.assert_allclose(timing.at(asked), true_offset(asked), atol=0.1)


def test_without_any_outcome_the_curve_knows_the_horizon_alone() -> None:
    timing = learn_timing(np.full(10, np.inf), np.full(10, 5.0), HORIZON)
    assert timing.at(np.array([15.0, 30.0])).tolist() == pytest.approx([np.log(0.5), 0.0])


@pytest.mark.parametrize("power", [-0.2, 0.0, 0.15])
def test_the_power_of_age_is_found_and_the_horizon_knows_no_age(power: float) -> None:
    """New leads take long, those that have looked around for long decide soon; one curve for all is wrong for both."""
    rng = np.random.default_rng(7)
    age = np.expm1(rng.uniform(0.0, 6.0, 60_000))
    times = ((1.0 + age) / 20.0) ** power
    g = rng.normal(-1.5, 0.7, len(age))
    days = HORIZON * np.exp((logit(rng.random(len(age))) - g) / (0.9 * times))  # s(d) = 0.9 log(d / 30) * times
    watched = rng.uniform(25.0, 90.0, len(age))
    timing = fit_timing_by_age(g, days, watched, HORIZON, (1, age))
    assert isinstance(timing, TimingByAge)
    assert timing.power == pytest.approx(power, abs=0.02)
    matrix = np.column_stack([np.zeros(4), [0.0, 19.0, 400.0, np.nan]])
    for asked in (3.0, 10.0, 30.0, 60.0):
        expected = 0.9 * np.log(asked / HORIZON) * ((1.0 + matrix[:3, 1]) / 20.0) ** power
        found = timing.of_rows(np.array([asked]), matrix)
        np.testing.assert_allclose(found[:3], expected, atol=0.15)
        assert found[3] == pytest.approx(timing.curve.at(np.array([asked]))[0])
    again = timing_from_json(timing.to_json())
    np.testing.assert_array_equal(again.of_rows(np.array([3.0]), matrix), timing.of_rows(np.array([3.0]), matrix))


@QUICK
@given(st.integers(0, 9999), st.floats(-0.3, 0.3), st.floats(0.0, 3000.0))
def test_whatever_the_age_later_is_never_less_likely(seed: int, power: float, age: float) -> None:
    g, days = drawn(seed, count=400)
    by_age = TimingByAge(fit_timing(g, days, np.full(len(g), 90.0), HORIZON), power, 4.0, 0)
    grid = np.append(np.linspace(0.01, by_age.curve.longest_days, 80), HORIZON)
    grid.sort()
    offsets = by_age.of_rows(grid, np.full((len(grid), 1), age))
    assert (np.diff(offsets) >= -1e-9).all()
    assert offsets[np.searchsorted(grid, HORIZON)] == pytest.approx(0.0, abs=1e-9)


def test_before_the_first_knot_the_curve_goes_on_as_it_began() -> None:
    """Deals take three weeks at least: within one hardly any is won, not a third of those of three weeks."""
    steep = Timing(np.array([20.0, 22.0, 30.0]), np.array([-2.0, -1.5, 0.0]))
    assert steep.at(np.array([10.0]))[0] == pytest.approx(-2.0 - 0.5 * np.log(2.0) / np.log(1.1))
    flat = Timing(np.array([1.0, 10.0, 30.0]), np.array([-2.0, -1.0, 0.0]))
    assert flat.at(np.array([0.5]))[0] == pytest.approx(-2.0 - np.log(2.0))


def test_few_outcomes_have_one_curve_for_all_ages() -> None:
    g, days = drawn(10, count=300)
    age = np.random.default_rng(11).uniform(0.0, 60.0, len(g))
    one = fit_timing_by_age(g, days, np.full(len(g), 90.0), HORIZON, (0, age))
    assert isinstance(one, Timing)
    np.testing.assert_array_equal(one.offsets, fit_timing(g, days, np.full(len(g), 90.0), HORIZON).offsets)
