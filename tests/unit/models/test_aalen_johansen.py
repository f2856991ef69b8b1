"""Cumulative incidence: held to hand computation, to plain shares, and to its promise of coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.aalen_johansen import cumulative_incidence
from models.intervals import jeffreys

Matrix = NDArray[np.float64]
Events = NDArray[np.int64]
QUICK = settings(max_examples=80, deadline=None, derandomize=True)


@st.composite
def followed(draw: st.DrawFn) -> tuple[Matrix, Events, Matrix]:
    """Days with many ties, all three kinds of end, and whole weights; one row is followed to day 30."""
    rows = draw(st.integers(2, 30))
    days = np.array(draw(st.lists(st.sampled_from((0.0, 1.0, 2.5, 7.0, 14.0, 30.0)), min_size=rows, max_size=rows)))
    event = np.array(draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows)))
    w = np.array(draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)), dtype=np.float64)
    days[0], event[0], w[0] = 30.0, 0, 1.0
    return days, event, w


def test_by_hand() -> None:
    """Six leads. Day 1 win (6 at risk), day 2 lost (5), day 3 follow-up ends, day 4 win (3), day 6 win (2), day 9 end.

    S: 1, 5/6, 4/6, then 4/6 * 2/3 = 4/9, then 2/9. Incidence: 1/6, + 4/6 * 1/3 = 7/18, + 4/9 * 1/2 = 11/18.
    """
    days = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 9.0])
    event = np.array([1, 2, 0, 1, 1, 0])
    found = cumulative_incidence(days, event, None, np.array([0.0, 1.0, 1.5, 5.0, 9.0, 9.5]))
    assert found.value[:5] == pytest.approx([0, 0, 1 / 6, 7 / 18, 11 / 18])
    assert np.isnan([found.value[5], found.low[5], found.high[5]]).all()
    assert found.at_risk.tolist() == [6, 6, 5, 2, 1, 0]


def test_follow_up_that_ends_on_a_day_did_not_see_that_day() -> None:
    days, event = np.array([5.0, 5.0, 8.0]), np.array([0, 1, 0])
    assert cumulative_incidence(days, event, None, np.array([5.0, 6.0])).value.tolist() == [0.0, 0.5]


@QUICK
@given(followed())
def test_outcome_competing_event_and_neither_add_up(case: tuple[Matrix, Events, Matrix]) -> None:
    days, event, w = case
    at = np.array([0.5, 2.0, 7.0, 14.1, 30.0])
    won, lost, ended = (
        cumulative_incidence(days, coded, w, at).value
        for coded in (event, np.choose(event, [0, 2, 1]), (event > 0).astype(np.int64))
    )
    assert won + lost == pytest.approx(ended)
    assert (np.diff(won) >= -1e-12).all()


@QUICK
@given(followed())
def test_a_weight_is_a_repeated_row_for_the_value(case: tuple[Matrix, Events, Matrix]) -> None:
    days, event, w = case
    times, at = w.astype(int), np.array([0.5, 7.0, 30.0])
    weighted = cumulative_incidence(days, event, w, at)
    repeated = cumulative_incidence(np.repeat(days, times), np.repeat(event, times), None, at)
    assert weighted.value == pytest.approx(repeated.value)
    scaled = cumulative_incidence(days, event, 10 * w, at)
    for part in ("value", "low", "high"):
        assert getattr(scaled, part) == pytest.approx(getattr(weighted, part))
    assert (weighted.low <= weighted.value).all()
    assert (weighted.value <= weighted.high).all()


@pytest.mark.parametrize("lost_share", [0.0, 0.4])
def test_without_censoring_it_is_the_plain_share_with_its_binomial_spread(lost_share: float) -> None:
    rng = np.random.default_rng(1)
    days, event = rng.exponential(60, 400), 1 + (rng.random(400) < lost_share).astype(np.int64)
    found = cumulative_incidence(days, event, None, np.array([30.0]))
    share = float(((days < 30) & (event == 1)).mean())
    assert found.value[0] == pytest.approx(share)
    z, log = 1.6448536269514722, np.log1p(-share)
    spread = np.exp(z * np.sqrt(share * (1 - share) / 400) / ((1 - share) * -log))
    assert found.low[0] == pytest.approx(-np.expm1(log / spread))
    assert found.high[0] == pytest.approx(-np.expm1(log * spread))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Wins and losses at constant rates, follow-up uniform: the truth has a closed form."""
    rng = np.random.default_rng(2)
    truth = 0.004 / 0.014 * (1 - np.exp(-0.014 * 60))
    held = 0
    for _ in range(600):
        ends, follow_up = rng.exponential(1 / 0.014, 150), rng.uniform(0, 120, 150)
        event = np.where(ends < follow_up, np.where(rng.random(150) < 4 / 14, 1, 2), 0)
        found = cumulative_incidence(np.minimum(ends, follow_up), event, None, np.array([60.0]))
        held += bool(found.low[0] <= truth <= found.high[0])
    assert 0.87 <= held / 600 <= 0.93


def test_where_nothing_happened_the_rows_followed_say_how_little_is_known() -> None:
    days = np.array([90.0] * 40 + [10.0] * 60)
    found = cumulative_incidence(days, np.zeros(100, dtype=np.int64), None, np.array([60.0]))
    assert (found.value[0], found.low[0], found.high[0]) == (0.0, 0.0, pytest.approx(jeffreys(0, 40)[1]))


def test_where_all_have_it_the_upper_end_is_one() -> None:
    found = cumulative_incidence(np.arange(20.0), np.ones(20, dtype=np.int64), None, np.array([50.0]))
    assert (found.value[0], found.low[0], found.high[0]) == (
        pytest.approx(1.0),
        pytest.approx(jeffreys(20, 20)[0]),
        1.0,
    )


def test_unequal_weights_count_as_fewer_rows() -> None:
    rng = np.random.default_rng(3)
    days, event = rng.exponential(60, 300), rng.integers(0, 2, 300)
    at = np.array([30.0])
    even = cumulative_incidence(days, event, None, at)
    uneven = cumulative_incidence(days, event, np.where(np.arange(300) % 3 == 0, 20.0, 1.0), at)
    assert uneven.high[0] - uneven.low[0] > 1.3 * (even.high[0] - even.low[0])


@pytest.mark.parametrize("bad", [-1.0, float("nan")])
def test_impossible_days_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="days"):
        cumulative_incidence(np.array([1.0, bad]), np.array([0, 1]), None, np.array([1.0]))
