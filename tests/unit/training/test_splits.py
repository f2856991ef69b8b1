"""Folds: the past teaches, the future tests, and no account is on both sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.splits import MIN_TRAIN_OUTCOMES, Fold, time_forward_folds

QUICK = settings(max_examples=80, deadline=None, derandomize=True)
DAY_US = 86_400_000_000
Labels = NDArray[np.bool_]
Numbers = NDArray[np.int64]


def drawn(seed: int, count: int, accounts: int, rate: float = 0.2, days: int = 400) -> tuple[Numbers, Labels, Numbers]:
    rng = np.random.default_rng(seed)
    as_of = np.sort(rng.integers(0, days * DAY_US, count))
    return as_of, rng.random(count) < rate, rng.integers(0, accounts, count)


def settled(as_of: Numbers) -> Labels:
    return np.ones(len(as_of), dtype=bool)


def check(folds: tuple[Fold, ...], rows: tuple[Numbers, Labels, Numbers], horizon_us: int) -> None:
    as_of, happened, groups = rows
    for fold in folds:
        assert not np.isin(groups[fold.train], groups[fold.test]).any()
        assert len(np.unique(fold.train)) == len(fold.train)
        assert len(np.unique(fold.test)) == len(fold.test)
        gap = horizon_us if fold.has_gap else 1
        assert as_of[fold.train].max() + gap <= as_of[fold.test].min()
        assert MIN_TRAIN_OUTCOMES <= happened[fold.train].sum() < len(fold.train)
        assert 0 < happened[fold.test].sum() < len(fold.test)
        assert (as_of[fold.open] < fold.start_us).all()
        assert (as_of[fold.open] + horizon_us > fold.start_us).all()
        assert not np.isin(groups[fold.open], groups[fold.test]).any()
        assert not np.isin(fold.open, fold.train).any()
    tested = np.concatenate([fold.test for fold in folds]) if folds else np.zeros(0)
    assert len(np.unique(tested)) == len(tested)  # no row is tested twice
    assert len(folds) <= 8


@QUICK
@given(
    st.integers(0, 999),
    st.integers(60, 1500),
    st.integers(1, 600),
    st.sampled_from((0.02, 0.2, 0.9)),
    st.sampled_from((1, 30, 90, 500)),
    st.booleans(),
)
def test_every_fold_keeps_its_promises(
    seed: int, count: int, accounts: int, rate: float, horizon: int, is_once: bool
) -> None:
    rows = drawn(seed, count, accounts, rate)
    check(
        time_forward_folds(*rows, settled(rows[0]), horizon_us=horizon * DAY_US, is_once=is_once),
        rows,
        horizon * DAY_US,
    )


def test_a_long_history_is_cut_into_four_periods_with_gaps() -> None:
    as_of, happened, _ = drawn(1, 3000, 1)
    folds = time_forward_folds(as_of, happened, np.arange(3000), settled(as_of), horizon_us=30 * DAY_US, is_once=True)
    assert len(folds) == 4
    assert all(fold.has_gap for fold in folds)
    assert sum(len(fold.test) for fold in folds) == pytest.approx(0.64 * 3000, abs=2)
    assert [len(fold.train) for fold in folds] == sorted(len(fold.train) for fold in folds)
    assert "gap" not in folds[0].sentence


def test_the_newest_rows_are_tested() -> None:
    as_of, happened, _ = drawn(2, 1000, 1)
    folds = time_forward_folds(as_of, happened, np.arange(1000), settled(as_of), horizon_us=30 * DAY_US, is_once=True)
    assert 999 in folds[-1].test
    several = np.arange(1000) % 250
    halves = time_forward_folds(as_of, happened, several, settled(as_of), horizon_us=30 * DAY_US, is_once=False)
    newest = np.concatenate([fold.test for fold in halves])
    assert 999 in newest


def test_where_leads_have_several_rows_both_halves_of_the_accounts_are_tested() -> None:
    as_of, happened, groups = drawn(3, 4000, 500)
    folds = time_forward_folds(as_of, happened, groups, settled(as_of), horizon_us=30 * DAY_US, is_once=False)
    assert len(folds) == 8
    tested = np.sort(np.concatenate([fold.test for fold in folds]))
    late = np.flatnonzero(as_of >= as_of[tested].min())
    assert tested.tolist() == late.tolist()
    # A period's account is trained on where it is not tested, so that older leads are seen as well.
    assert len(folds[0].train) > 0.3 * (as_of < as_of[folds[0].test].min()).sum()


def test_with_many_rows_settings_are_chosen_on_one_half_and_both_are_tested() -> None:
    rows = drawn(4, 30_000, 3000)
    folds = time_forward_folds(*rows, settled(rows[0]), horizon_us=30 * DAY_US, is_once=False)
    assert [fold.is_searched for fold in folds] == [True, False] * 4
    assert [fold.start_us for fold in folds[::2]] == [fold.start_us for fold in folds[1::2]]
    check(folds, rows, 30 * DAY_US)


def test_a_short_history_does_without_a_gap_and_says_so() -> None:
    as_of, happened, _ = drawn(5, 800, 1, days=60)
    folds = time_forward_folds(as_of, happened, np.arange(800), settled(as_of), horizon_us=90 * DAY_US, is_once=True)
    assert folds
    assert not any(fold.has_gap for fold in folds)
    assert all("too short for a gap" in fold.sentence for fold in folds)


def test_accounts_seen_before_are_not_tested_again() -> None:
    as_of, happened, groups = drawn(6, 2000, 900)
    for fold in time_forward_folds(as_of, happened, groups, settled(as_of), horizon_us=10 * DAY_US, is_once=True):
        before = groups[as_of + 10 * DAY_US <= as_of[fold.test].min()]
        assert not np.isin(groups[fold.test], before).any()


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_one_kind_of_label_gives_no_fold(rate: float) -> None:
    as_of, happened, groups = drawn(7, 300, 300, rate)
    assert time_forward_folds(as_of, happened, groups, settled(as_of), horizon_us=DAY_US, is_once=True) == ()


def test_rows_of_one_moment_give_no_fold() -> None:
    happened, once = np.arange(300) % 3 == 0, np.zeros(300, dtype=np.int64)
    assert time_forward_folds(once, happened, np.arange(300), settled(once), horizon_us=1, is_once=True) == ()


def test_a_past_of_outcomes_alone_teaches_nothing() -> None:
    as_of = np.arange(300, dtype=np.int64) * DAY_US
    happened = (np.arange(300) < 108) | (np.arange(300) % 2 == 0)
    folds = time_forward_folds(as_of, happened, np.arange(300), settled(as_of), horizon_us=DAY_US, is_once=True)
    assert folds
    assert all(not happened[fold.train].all() for fold in folds)


def test_rows_that_are_not_settled_are_neither_trained_on_nor_tested_but_may_be_open() -> None:
    as_of, happened, groups = drawn(5, 3000, 900)
    until, horizon = int(as_of.max()), 60 * DAY_US
    is_mature = as_of + horizon <= until
    folds = time_forward_folds(as_of, happened, groups, is_mature, horizon_us=horizon, is_once=False)
    assert all(is_mature[fold.train].all() and is_mature[fold.test].all() for fold in folds)
    assert any(len(fold.open) for fold in folds)
