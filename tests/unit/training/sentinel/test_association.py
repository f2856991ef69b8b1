"""Odds, bounds and counts: they convict what is strong, and hardly ever chance."""

from __future__ import annotations

import numpy as np
import pytest

from training.sentinel.association import Counted, auc_of, bound, count_levels, is_telling, stratified_odds


def test_chance_is_hardly_ever_taken_for_a_link() -> None:
    """Of 400 idle flags, tried one family of 40 after the other, about one in a hundred families may be wrong."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(10):
        happened, strata = rng.random(2_000) < 0.08, rng.integers(0, 6, 2_000)
        for share in np.linspace(0.05, 0.95, 40):
            found += stratified_odds(rng.random(2_000) < share, happened, strata, tests=40).strength > 1
    assert found <= 1


@pytest.mark.parametrize("true", [1 / 8.0, 1 / 3.0, 3.0, 8.0])
def test_true_odds_lie_inside_the_bounds(true: float) -> None:
    rng = np.random.default_rng(1)
    size = 20_000
    strata = rng.integers(0, 5, size)
    flag = rng.random(size) < 0.1 + 0.15 * strata
    logit = -3.0 + 0.4 * strata + np.log(true) * flag
    found = stratified_odds(flag, rng.random(size) < 1 / (1 + np.exp(-logit)), strata)
    assert found.low < true < found.high
    assert found.ratio == pytest.approx(true, rel=0.25)
    assert found.strength > 1


def test_what_a_stratum_explains_is_no_link() -> None:
    """Bought lists lack a field and convert less: inside a source the two have nothing to do with each other."""
    rng = np.random.default_rng(2)
    is_bought = rng.random(20_000) < 0.5
    filled = rng.random(20_000) < np.where(is_bought, 0.05, 0.95)
    happened = rng.random(20_000) < np.where(is_bought, 0.01, 0.2)
    assert stratified_odds(filled, happened, np.zeros(20_000, dtype=np.int64)).strength > 5
    assert stratified_odds(filled, happened, is_bought.astype(np.int64)).strength == 1


def test_an_empty_cell_gives_a_finite_ratio() -> None:
    happened = np.arange(1_000) < 100
    found = stratified_odds(happened, happened, np.zeros(1_000, dtype=np.int64))
    assert np.isfinite([found.ratio, found.low, found.high]).all()
    assert found.low > 15


@pytest.mark.parametrize(
    ("leads", "wins", "base", "tells"),
    [
        (20, 20, 0.05, True),
        (19, 19, 0.05, False),
        (100, 80, 0.05, False),
        (200, 195, 0.05, True),
        (200, 195, 0.30, False),
    ],
)
def test_few_leads_and_common_outcomes_convict_nobody(leads: int, wins: int, base: float, tells: bool) -> None:
    assert is_telling(Counted(leads, wins, base)) == tells


def test_a_lead_counts_once_a_level() -> None:
    happened = np.array([True, False, True])
    leads, wins = count_levels(np.array([0, 0, 1, 2, 2]), np.array([0, 0, 0, 1, 0]), happened)
    assert leads.tolist() == [3, 1]
    assert wins.tolist() == [2, 1]


def test_bound_and_auc_know_their_edges() -> None:
    assert bound(0, 0) == 0.0
    assert np.isnan(auc_of(np.arange(3.0), np.ones(3, dtype=bool)))
    assert auc_of(np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True])) == pytest.approx(0.875)
