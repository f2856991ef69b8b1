"""Cumulative incidence against plain shares, a product written out, and drawn cohorts of known truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.incidence import Entries, cumulative_incidence

NEVER = np.inf


def entries(days: list[float], observed: list[float], group: list[int] | None = None) -> Entries:
    return Entries(np.array(group or [0] * len(days), int), np.array(days, float), np.array(observed, float))


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 2), st.one_of(st.floats(0, 60), st.just(NEVER))), min_size=1, max_size=40))
def test_whoever_was_observed_in_full_is_counted_to_the_digit(rows: list[tuple[int, float]]) -> None:
    group = [row[0] for row in rows]
    found = cumulative_incidence(entries([row[1] for row in rows], [30.0] * len(rows), group), 3, 30)
    for number in range(3):
        mine = [day for one, day in rows if one == number]
        if not mine:
            assert np.isnan(found.low[number])
            continue
        assert found.share[number] == pytest.approx(np.mean([day < 30 for day in mine]))
        assert found.reached[number] == sum(day < 30 for day in mine)
        assert found.is_mature[number]
        assert found.low[number] <= found.share[number] <= found.high[number]


def _by_hand(days: list[float], observed: list[float], horizon: int) -> float:
    """Write the product over whole days out: at risk are those whose day was observed to its end."""
    left = 1.0
    for day in range(horizon):
        at_risk = [d for d, seen in zip(days, observed, strict=True) if d >= day and seen >= day + 1]
        if at_risk:
            left *= 1 - sum(d < day + 1 for d in at_risk) / len(at_risk)
    return 1 - left


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.one_of(st.floats(0, 20), st.just(NEVER)), st.floats(1, 20)), min_size=1, max_size=30),
)
def test_the_product_is_that_over_days_observed_to_their_end(rows: list[tuple[float, float]]) -> None:
    # One that was watched to the end keeps every day identified.
    days, observed = [*(d for d, _ in rows), NEVER], [*(o for _, o in rows), 20.0]
    seen = [day if day < watched else NEVER for day, watched in zip(days, observed, strict=True)]
    found = cumulative_incidence(entries(seen, observed), 1, 15)
    assert found.share[0] == pytest.approx(_by_hand(seen, observed, 15))


def test_the_horizon_is_half_open() -> None:
    found = cumulative_incidence(entries([30.0, 29.999], [40.0, 40.0]), 1, 30)
    assert found.share[0] == 0.5


def test_open_is_unknown_and_not_negative() -> None:
    """Young entries that have not come yet must not pull the share down."""
    old = entries([5.0] * 30 + [NEVER] * 70, [30.0] * 100)
    young = entries([5.0] * 30 + [NEVER] * 70 + [NEVER] * 400, [30.0] * 100 + [3.0] * 400)
    assert cumulative_incidence(young, 1, 30).share[0] == pytest.approx(cumulative_incidence(old, 1, 30).share[0])


def test_early_outcomes_of_young_entries_do_not_push_it_up() -> None:
    rng = np.random.default_rng(1)
    n = 20_000
    reaches, wait, age = rng.random(n) < 0.3, rng.exponential(10.0, n), rng.uniform(0.0, 60.0, n)
    days = np.where(reaches & (wait < age), wait, NEVER)
    found = cumulative_incidence(Entries(np.zeros(n, int), days, age), 1, 30)
    truth = 0.3 * (1 - np.exp(-3))
    assert found.share[0] == pytest.approx(truth, abs=0.012)
    assert (days < 30).mean() < 0.9 * truth  # what a plain ratio would have said


def _cohorts(seed: int, share: float, size: int) -> tuple[Entries, int]:
    """Draw seven months of a steady business, the last ones open."""
    rng = np.random.default_rng(seed)
    n = 7 * size
    month = np.repeat(np.arange(7), size)
    age = (7 - month) * 30.0 - rng.uniform(0.0, 30.0, n)
    wait = rng.gamma(2.0, 15.0, n)
    days = np.where((rng.random(n) < share) & (wait < age), wait, NEVER)
    return Entries(month, days, age), 7


@pytest.mark.parametrize(("share", "size"), [(0.3, 150), (0.06, 250)])
def test_the_interval_holds_the_truth_of_immature_cohorts_too(share: float, size: int) -> None:
    drawn = np.random.default_rng(0).gamma(2.0, 15.0, 400_000)
    truth = share * (drawn < 90).mean()
    inside = np.zeros(7)
    for seed in range(200):
        found = cumulative_incidence(*_cohorts(seed, share, size), 90, are_cohorts=True)
        assert np.isfinite(found.share).all()
        inside += (found.low <= truth) & (truth <= found.high)
    coverage = inside / 200
    assert (coverage >= 0.84).all(), coverage
    assert 0.86 <= coverage.mean() <= 0.95, coverage


def test_an_age_that_nobody_has_reached_is_taken_from_the_cohorts_before() -> None:
    found = cumulative_incidence(*_cohorts(3, 0.3, 400), 90, are_cohorts=True)
    assert found.borrowed[:4].tolist() == [0.0] * 4
    assert found.borrowed[-1] > 0.6
    alone = cumulative_incidence(*_cohorts(3, 0.3, 400), 90)
    assert np.isnan(alone.share[-1])


def test_the_median_is_that_of_those_who_reach_it() -> None:
    found = cumulative_incidence(entries([1.0, 5.5, 9.0, *[NEVER] * 7], [30.0] * 10), 1, 30)
    assert 5 <= found.median_days[0] <= 6
    assert np.isnan(cumulative_incidence(entries([NEVER], [30.0]), 1, 30).median_days[0])


def test_nothing_at_all_is_no_error() -> None:
    found = cumulative_incidence(entries([], []), 2, 30)
    assert found.entered.tolist() == [0, 0]
    assert np.isnan(found.share).all()
    assert not found.is_mature.any()


def test_a_share_of_one_is_as_sure_as_its_entries_are_many() -> None:
    found = cumulative_incidence(entries([0.1] * 420, [40.0] * 420), 1, 30)
    assert found.share[0] == 1.0
    assert 0.99 < found.low[0] < found.high[0] == 1.0


def test_one_newcomer_does_not_make_a_rate_unknown() -> None:
    found = cumulative_incidence(entries([0.5] * 399 + [NEVER] * 1, [40.0] * 399 + [0.2]), 1, 30)
    assert found.share[0] == 1.0
    waiting = cumulative_incidence(entries([0.5] * 395 + [NEVER] * 5, [40.0] * 395 + [10.0] * 5), 1, 30)
    assert waiting.share[0] == pytest.approx(395 / 400)
    unknown = cumulative_incidence(entries([0.5] * 5 + [NEVER] * 395, [40.0] * 5 + [10.0] * 395), 1, 30)
    assert np.isnan(unknown.share[0])
