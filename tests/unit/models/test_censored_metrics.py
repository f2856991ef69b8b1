"""Measures under censoring: plain without it, the uncensored ones on average with it, fast and slow formula alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit

from models.aalen_johansen import cumulative_incidence
from models.censored_metrics import CensoredJudgement, censored_bins
from models.intervals import cluster_bootstrap
from models.metrics import Judgement, calibration_bins

Matrix = NDArray[np.float64]
Events = NDArray[np.int64]
Case = tuple[Matrix, Matrix, Events, Matrix]
QUICK = settings(max_examples=80, deadline=None, derandomize=True)
H = 14.0


@st.composite
def followed(draw: st.DrawFn) -> Case:
    """Predictions and days with many ties, some on the horizon, all kinds of end, whole weights."""
    rows = draw(st.integers(3, 30))
    p = np.array(draw(st.lists(st.sampled_from((0.02, 0.1, 0.11, 0.5, 0.98)), min_size=rows, max_size=rows)))
    days = np.array(draw(st.lists(st.sampled_from((0.0, 1.0, 2.5, 7.0, 14.0, 30.0)), min_size=rows, max_size=rows)))
    event = np.array(draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows)))
    w = np.array(draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)), dtype=np.float64)
    days[:2], event[:2], w[:2] = (7.0, 30.0), (1, 0), 1.0
    return p, days, event, w


def slow(p: Matrix, days: Matrix, event: Events, w: Matrix) -> dict[str, float]:
    """The same from the definition: follow-up by Kaplan-Meier day by day, every pair compared."""

    def longer_than(day: float, *, inclusive: bool) -> float:
        share = 1.0
        for end in np.unique(days[event == 0]):
            if end < day or (inclusive and end == day):
                share *= 1 - w[(days == end) & (event == 0)].sum() / max(w[days >= end].sum(), 1e-300)
        return share

    cases: list[tuple[float, float]] = []
    controls: list[tuple[float, float]] = []
    for row in np.flatnonzero(w):
        if days[row] >= H:
            controls.append((p[row], w[row] / longer_than(H, inclusive=False)))
        elif event[row]:
            weight = w[row] / longer_than(days[row], inclusive=True)
            (cases if event[row] == 1 else controls).append((p[row], weight))
    brier = sum(a * (1 - f) ** 2 for f, a in cases) + sum(a * f**2 for f, a in controls)
    right = sum(a * b * ((f > g) + (f == g) / 2) for f, a in cases for g, b in controls)
    case, control = (sum(a for _, a in rows) for rows in (cases, controls))
    return {"auc": right / (case * control), "brier": brier / w.sum(), "observed": case / w.sum()}


def world(
    seed: int, rows: int, *, lost: bool = False, follow_up: float = 28.0
) -> tuple[Matrix, Matrix, Events, Matrix, Events]:
    """True probabilities of a win before H with days and events, whole and as far as follow-up saw them."""
    rng = np.random.default_rng(seed)
    p = expit(rng.normal(-1.5, 1.2, rows))
    hazard = -np.log1p(-p) / H
    win = rng.exponential(1 / hazard)
    loss = rng.exponential(40.0, rows) if lost else np.full(rows, np.inf)
    days, event = np.minimum(win, loss), np.where(win < loss, 1, 2)
    seen_for = rng.uniform(0, follow_up, rows)
    return p, days, event, np.minimum(days, seen_for), np.where(days < seen_for, event, 0)


@QUICK
@given(followed())
def test_equals_the_slow_formula(case: Case) -> None:
    p, days, event, w = case
    found, expected = CensoredJudgement(p, days, event, H).measure(w), slow(p, days, event, w)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


@QUICK
@given(followed())
def test_the_observed_share_is_aalen_johansens(case: Case) -> None:
    p, days, event, w = case
    found = CensoredJudgement(p, days, event, H).measure(w)["observed"]
    assert found == pytest.approx(float(cumulative_incidence(days, event, w, np.array([H])).value[0]), abs=1e-12)


@QUICK
@given(followed())
def test_a_weight_is_a_repeated_row_and_order_is_nothing(case: Case) -> None:
    p, days, event, w = case
    row = np.repeat(np.arange(len(p)), w.astype(int))[::-1]
    weighted = CensoredJudgement(p, days, event, H).measure(w)
    repeated = CensoredJudgement(p[row], days[row], event[row], H).measure(np.ones(len(row)))
    assert dict(weighted) == pytest.approx(dict(repeated), abs=1e-12)


@QUICK
@given(followed())
def test_without_censoring_every_measure_is_the_plain_one(case: Case) -> None:
    """Followed exactly to the horizon is known: outcomes on it do not count, as for every label."""
    p, days, event, w = case
    event = np.where((event == 0) & (days < H), 2, event)
    happened = (days < H) & (event == 1)
    found, plain = CensoredJudgement(p, days, event, H).measure(w), Judgement(p, happened).measure(w)
    for name in ("auc", "brier", "observed_over_expected"):
        assert found[name] == pytest.approx(plain[name], abs=1e-12), name
    assert found["followed"] == 1.0


@pytest.mark.parametrize("lost", [False, True])
def test_independent_censoring_changes_nothing_on_average(lost: bool) -> None:
    """What is lost to censoring comes back, and leaving the unknown out, or calling them negative, does not do it."""
    names = ("auc", "brier", "observed")
    gaps: list[list[float]] = []
    naive: list[float] = []
    for seed in range(40):
        p, days, event, seen_days, seen_event = world(seed, 1500, lost=lost)
        whole = CensoredJudgement(p, days, event, H).measure(np.ones(1500))
        seen = CensoredJudgement(p, seen_days, seen_event, H).measure(np.ones(1500))
        assert seen["followed"] == pytest.approx(0.5, abs=0.06)
        gaps.append([seen[name] - whole[name] for name in names])
        naive.append(float(((seen_days < H) & (seen_event == 1)).mean()) - whole["observed"])
    mean, error = np.mean(gaps, axis=0), np.std(gaps, axis=0) / np.sqrt(40)
    assert (np.abs(mean) < 3 * error + 1e-3).all(), mean
    assert (error < 0.003).all()
    assert np.mean(naive) < -0.03


def test_follow_up_that_never_reaches_the_horizon_says_nothing() -> None:
    p, _, _, days, event = world(1, 200, follow_up=10.0)
    assert np.isnan(list(CensoredJudgement(p, days, event, H).measure(np.ones(200)).values())).all()
    assert np.isnan([b.observed for b in censored_bins(p, days, event, H)]).all()


def test_with_one_kind_of_label_there_is_a_brier_score_and_no_auc() -> None:
    found = CensoredJudgement(np.array([0.1, 0.4]), np.array([20.0, 20.0]), np.zeros(2, dtype=int), H).measure(
        np.ones(2)
    )
    assert np.isnan(found["auc"])
    assert found["brier"] == pytest.approx(0.085)


def test_draws_of_accounts_hold_the_value() -> None:
    p, _, _, days, event = world(2, 600)
    found = cluster_bootstrap(CensoredJudgement(p, days, event, H).measure, np.arange(600) // 2, seed=1, draws=100)
    for name in ("auc", "brier", "observed", "observed_over_expected", "followed"):
        assert found[name].low < found[name].value < found[name].high, name


def test_bins_hold_calibrated_predictions_and_not_others() -> None:
    held, wrong = [], []
    for seed in range(20):
        p, _, _, days, event = world(seed, 2000)
        held += [b.low <= b.predicted <= b.high for b in censored_bins(p, days, event, H)]
        wrong += [b.low <= b.predicted <= b.high for b in censored_bins(expit(logit(p) + 0.7), days, event, H)]
    assert 0.84 < np.mean(held) < 0.96
    assert np.mean(wrong) < 0.3


def test_without_censoring_bins_are_the_plain_ones() -> None:
    p, days, event, _, _ = world(3, 1000)
    plain = calibration_bins(p, days < H)
    found = censored_bins(p, days, event, H)
    for one, two in zip(found, plain, strict=True):
        assert (one.predicted, one.observed, one.leads) == (
            pytest.approx(two.predicted),
            pytest.approx(two.observed),
            two.leads,
        )
        assert (one.low, one.high) == (pytest.approx(two.low, abs=0.03), pytest.approx(two.high, abs=0.03))
    kept = np.arange(1000) % 2 == 0
    assert censored_bins(p, days, event, H, weights=kept.astype(np.float64)) == censored_bins(
        p[kept], days[kept], event[kept], H
    )


@pytest.mark.parametrize(("days", "horizon"), [(-1.0, H), (float("nan"), H), (1.0, 0.0), (1.0, float("nan"))])
def test_impossible_times_are_refused(days: float, horizon: float) -> None:
    with pytest.raises(ValueError, match="days"):
        CensoredJudgement(np.array([0.1]), np.array([days]), np.array([0]), horizon)
