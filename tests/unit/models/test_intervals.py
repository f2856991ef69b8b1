"""The bootstrap over accounts: the same for a seed, accounts whole, and as wide as the truth is; exact ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta, chi2, poisson

from models.intervals import cluster_bootstrap, jeffreys, poisson_ratio

Matrix = NDArray[np.float64]


def mean_of(x: Matrix) -> Callable[[Matrix], Mapping[str, float]]:
    return lambda weights: {"mean": float(np.average(x, weights=weights))}


def test_same_seed_same_interval_and_another_seed_another() -> None:
    x = np.random.default_rng(1).normal(size=50)
    groups = np.arange(50)
    one, two, other = (cluster_bootstrap(mean_of(x), groups, seed=seed)["mean"] for seed in (1, 1, 2))
    assert one == two
    assert one != other
    assert one.value == other.value == float(np.average(x))
    assert one.low_95 <= one.low <= one.value <= one.high


def test_rows_of_one_account_are_drawn_together() -> None:
    groups = np.array([7, 7, 3, 9, 9, 9, -1])
    seen: list[Matrix] = []

    def look(weights: Matrix) -> Mapping[str, float]:
        seen.append(weights)
        return {"rows": float(weights.sum())}

    cluster_bootstrap(look, groups, seed=3, draws=100)
    assert len(seen) == 101
    assert (seen[0] == 1).all()
    for weights in seen:
        assert weights[0] == weights[1]
        assert weights[3] == weights[4] == weights[5]
        assert weights[[0, 2, 3, 6]].sum() == 4  # as many accounts as there are
    assert len({tuple(weights) for weights in seen}) > 20


def test_rows_that_repeat_their_account_add_no_certainty() -> None:
    x = np.random.default_rng(4).normal(size=60)
    few = cluster_bootstrap(mean_of(x), np.arange(60), seed=5)["mean"]
    many = cluster_bootstrap(mean_of(np.repeat(x, 20)), np.repeat(np.arange(60), 20), seed=5)["mean"]
    assert np.isclose(few.low, many.low)
    assert np.isclose(few.high, many.high)


def test_nine_of_ten_intervals_cover_the_truth() -> None:
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        accounts = np.repeat(np.arange(60), 4)
        x = rng.normal(size=60)[accounts] + rng.normal(0, 0.5, 240)
        found = cluster_bootstrap(mean_of(x), accounts, seed=seed, draws=150)["mean"]
        covered += found.low <= 0.0 <= found.high
    assert 80 <= covered <= 98


def test_draws_that_cannot_be_measured_are_left_out() -> None:
    def odd(weights: Matrix) -> Mapping[str, float]:
        return {"first": float(weights[0]) if weights[0] > 0 else float("nan"), "never": float("nan")}

    found = cluster_bootstrap(odd, np.arange(5), seed=1)
    assert found["first"].low >= 1.0
    assert np.isnan([found["never"].low, found["never"].high, found["never"].low_95]).all()


@pytest.mark.parametrize("observed", [0, 1, 7, 250])
@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_poisson_ratio_is_the_chi_square_interval(observed: int, level: float) -> None:
    low, high = poisson_ratio(observed, 12.5, level)
    tail = (1 - level) / 2
    assert low == pytest.approx(chi2.ppf(tail, 2 * observed) / 2 / 12.5 if observed else 0.0)
    assert high == pytest.approx(chi2.ppf(1 - tail, 2 * observed + 2) / 2 / 12.5)


@pytest.mark.parametrize("mean", [0.7, 4.0, 30.0])
def test_poisson_ratio_holds_the_truth_at_least_as_often_as_it_says(mean: float) -> None:
    counts = range(120)
    held = [low <= 1.0 <= high for low, high in (poisson_ratio(count, mean) for count in counts)]
    assert float(poisson(mean).pmf(counts)[held].sum()) >= 0.9


@pytest.mark.parametrize(("wins", "trials"), [(0, 20), (1, 20), (10, 20), (20, 20), (2.5, 33.3)])
def test_jeffreys_is_the_beta_quantile_and_holds_the_rate(wins: float, trials: float) -> None:
    low, high = jeffreys(wins, trials)
    expected = beta.ppf([0.05, 0.95], wins + 0.5, trials - wins + 0.5)
    assert low == pytest.approx(expected[0] if wins else 0.0)
    assert high == pytest.approx(expected[1] if wins < trials else 1.0)
    assert low <= wins / trials <= high
    assert jeffreys(wins, trials, 0.5)[1] <= high
