"""Groups that differ by chance alone come out alike, groups that differ do not; corrections hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from models.intervals import poisson_ratio
from models.shrinkage import holm, poisson_p_value, shrink_ratios


def test_shrinkage_brings_ratios_closer_to_the_truth() -> None:
    rng = np.random.default_rng(1)
    plain, pulled = [], []
    for _ in range(200):
        truth = rng.gamma(20.0, 1 / 20.0, 12)
        expected = rng.uniform(2, 40, 12)
        observed = rng.poisson(truth * expected).astype(np.float64)
        plain.append(np.mean((observed / expected - truth) ** 2))
        pulled.append(np.mean((shrink_ratios(observed, expected).value - truth) ** 2))
    assert np.mean(pulled) < 0.6 * np.mean(plain)


def test_intervals_after_shrinkage_hold_the_truth() -> None:
    rng = np.random.default_rng(2)
    held = []
    for _ in range(200):
        truth = rng.gamma(20.0, 1 / 20.0, 12)
        expected = rng.uniform(2, 40, 12)
        found = shrink_ratios(rng.poisson(truth * expected).astype(np.float64), expected)
        held.append(np.mean((found.low <= truth) & (truth <= found.high)))
    assert 0.8 < np.mean(held) < 0.97


@pytest.mark.parametrize(("observed", "expected"), [(0.0, 3.0), (0.0, 2.9), (10.0, 20.0), (31.0, 20.0), (20.0, 20.0)])
def test_the_p_value_agrees_with_the_exact_interval(observed: float, expected: float) -> None:
    low, high = poisson_ratio(observed, expected)
    assert (poisson_p_value(observed, expected) < 0.1) == (not low <= 1.0 <= high)


def test_holm_seldom_cries_wolf() -> None:
    rng = np.random.default_rng(3)
    wrong = np.mean([holm(rng.random(20)).any() for _ in range(2_000)])
    assert 0.07 < wrong < 0.13
    assert not holm(np.array([np.nan, np.nan])).any()
