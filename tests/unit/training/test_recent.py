"""The level follows the newest leads where that has worked before, and stays where it has not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit

from training.recent import Recent, Seen, decide_update

QUICK = settings(max_examples=100, deadline=None, derandomize=True)
Period = tuple[int, Recent, NDArray[np.bool_], NDArray[np.float64], int]


def period(number: int, *, seen: float, comes: float, size: int = 4000) -> Period:
    """Return a period in which the newest leads had ``seen`` times, and the next ones ``comes`` times the expected."""
    rng = np.random.default_rng(number)
    p = np.full(size, 0.1)
    recent = Recent(Seen(200 * seen, 200.0, round(200 * seen)), 1.0)
    happened = rng.random(size) < p * comes
    return number, recent, happened, logit(p), int(happened.sum())


@QUICK
@given(st.integers(0, 500), st.floats(0.1, 500.0), st.floats(0.3, 3.0))
def test_few_leads_are_pulled_to_the_prior_and_nothing_moves_without_evidence(
    leads: int, expected: float, prior: float
) -> None:
    recent = Recent(Seen(float(leads), expected, leads), prior)
    low, high = recent.interval
    assert low <= recent.ratio <= high
    assert min(recent.ratio, prior) - 1e-9 <= recent.factor <= max(recent.ratio, prior) + 1e-9
    if low <= 1.0 <= high:
        assert Recent(recent.seen, 1.0).factor == 1.0


def test_rows_of_one_lead_are_no_further_evidence() -> None:
    alone = Recent(Seen(30.0, 45.0, 30), 1.0)
    repeated = Recent(Seen(300.0, 450.0, 30), 1.0)
    assert repeated.ratio == alone.ratio
    assert repeated.interval == pytest.approx(alone.interval, rel=0.01)


def test_a_drift_that_lasts_moves_the_level() -> None:
    origins = [period(n, seen=0.7, comes=0.7) for n in range(4)]
    update = decide_update(Recent(Seen(140.0, 200.0, 140), 1.0), origins)
    assert update.has_earned
    assert 0.68 < update.factor < 0.78
    assert update.factor_at(2) == update.origins[2].recent.factor
    assert update.factor_at(-1) == 1.0


def test_one_cohort_that_misled_keeps_the_update_shut() -> None:
    """The newest leads said 1.36 before, and what came next was as expected (Olist; ../shared/reference/peers.md)."""
    origins = [period(n, seen=1.36, comes=1.0) for n in range(4)]
    update = decide_update(Recent(Seen(272.0, 200.0, 272), 1.0), origins)
    assert update.error_updated > update.error_plain
    assert update.factor == 1.0


def test_two_origins_are_too_few() -> None:
    update = decide_update(Recent(Seen(140.0, 200.0, 140), 1.0), [period(n, seen=0.7, comes=0.7) for n in range(2)])
    assert update.error_updated < update.error_plain
    assert not update.has_earned


@pytest.mark.parametrize("by", [0.7, 1.4])
def test_the_first_drift_of_a_history_is_followed_when_two_cohorts_show_it(by: float) -> None:
    """Nothing called for an update before; then the newest settled period and the leads after it are off alike."""
    origins = [*(period(n, seen=1.0, comes=1.0) for n in range(3)), period(3, seen=1.0, comes=by)]
    update = decide_update(Recent(Seen(200 * by, 200.0, round(200 * by)), 1.0), origins)
    assert not update.has_earned
    assert update.is_confirmed
    assert update.factor == pytest.approx(by, abs=0.06)
    assert update.to_json()["reason"] == "confirmed"
    assert f"{200 * by:,.0f} outcomes so far where 200 were expected" in update.sentences[0]
    assert f"multiplied by {update.factor:.2f}" in update.sentences[0]
    assert update.factor_at(3) == 1.0


@pytest.mark.parametrize(("harm", "follows"), [(1.15, True), (1.6, False)])
def test_a_clear_drift_is_followed_in_spite_of_a_little_harm_of_the_past(harm: float, follows: bool) -> None:
    """An update was called for once and what came was as expected; now two cohorts show a drift by a third."""
    origins = [period(0, seen=harm, comes=1.0), *(period(n, seen=1.0, comes=1.0) for n in (1, 2))]
    update = decide_update(Recent(Seen(140.0, 200.0, 140), 1.0), [*origins, period(3, seen=1.0, comes=0.7)])
    assert update.error_updated > update.error_plain
    assert (update.reason is not None) == follows


@pytest.mark.parametrize(("settled", "newest"), [(1.0, 0.7), (0.7, 1.0), (1.4, 0.7)])
def test_one_cohort_or_two_that_disagree_move_nothing(settled: float, newest: float) -> None:
    origins = [*(period(n, seen=1.0, comes=1.0) for n in range(3)), period(3, seen=1.0, comes=settled)]
    update = decide_update(Recent(Seen(200 * newest, 200.0, round(200 * newest)), 1.0), origins)
    assert update.factor == 1.0
    assert update.to_json()["reason"] is None
    assert update.sentences == ()


def test_wins_follow_where_sqls_have_moved_unless_many_of_them_say_otherwise() -> None:
    origins = [period(n, seen=1.0, comes=1.0) for n in range(4)]
    few = decide_update(Recent(Seen(9.0, 10.0, 9), 0.7), origins)
    assert few.reason == "follows_sql"
    assert 0.7 < few.factor < 0.8
    assert decide_update(Recent(Seen(400.0, 400.0, 400), 0.7), origins).factor == pytest.approx(1.0, abs=0.02)
    assert decide_update(Recent(Seen(9.0, 10.0, 9), 1.0), origins).factor == 1.0


def test_what_was_expected_is_that_of_the_logits() -> None:
    update = decide_update(Recent(Seen(0.0, 0.0, 0), 1.0), [period(1, seen=1.0, comes=1.0)])
    assert update.origins[0].plain == pytest.approx(expit(logit(0.1)) * 4000)


def test_without_any_origin_the_level_stays() -> None:
    update = decide_update(Recent(Seen(140.0, 200.0, 140), 1.0), [])
    assert not update.has_earned
    assert update.factor == update.factor_at(0) == 1.0
