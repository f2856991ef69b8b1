"""The bootstrap over accounts: the same for a seed, accounts whole, and as wide as the truth is uncertain."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from models.intervals import cluster_bootstrap

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
