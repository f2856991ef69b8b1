"""Measures, held to scikit-learn's and to cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from models.metrics import Judgement, calibration_bins, calibration_error, deciles, ece_null, gains, normalised_gini

Matrix = NDArray[np.float64]
QUICK = settings(max_examples=60, deadline=None, derandomize=True)
TOLERANCE = 1e-9


def drawn(seed: int, rows: int, slope: float = 1.0, level: float = -1.0) -> tuple[Matrix, NDArray[np.bool_]]:
    """Predictions, and labels whose true logit is ``slope`` times theirs."""
    rng = np.random.default_rng(seed)
    z = rng.normal(level, 1.2, rows)
    return expit(z), rng.random(rows) < expit(slope * z)


@st.composite
def judged(draw: st.DrawFn) -> tuple[Matrix, NDArray[np.bool_], Matrix]:
    """Predictions with many ties, labels of both kinds, and how often each row stands there."""
    rows = draw(st.integers(2, 40))
    levels = st.sampled_from((0.02, 0.1, 0.11, 0.5, 0.73, 0.98))
    p = np.array(draw(st.lists(levels, min_size=rows, max_size=rows)))
    y = np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    y[0], y[1] = True, False
    w = np.array(draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)), dtype=np.float64)
    w[:2] = np.maximum(w[:2], 1.0)
    return p, y, w


@QUICK
@given(judged())
def test_ranking_and_losses_equal_those_of_scikit_learn(case: tuple[Matrix, NDArray[np.bool_], Matrix]) -> None:
    p, y, w = case
    times = w.astype(int)
    p_rows, y_rows = np.repeat(p, times), np.repeat(y, times)
    found = Judgement(p, y).measure(w)
    assert found["auc"] == pytest.approx(roc_auc_score(y_rows, p_rows), abs=TOLERANCE)
    assert found["average_precision"] == pytest.approx(average_precision_score(y_rows, p_rows), abs=TOLERANCE)
    assert found["log_loss"] == pytest.approx(log_loss(y_rows, p_rows), abs=TOLERANCE)
    assert found["brier"] == pytest.approx(brier_score_loss(y_rows, p_rows), abs=TOLERANCE)
    assert found["observed_over_expected"] == pytest.approx(y_rows.sum() / p_rows.sum(), abs=TOLERANCE)


def test_a_weight_is_a_repeated_row_for_every_measure() -> None:
    p, y = drawn(1, 400)
    w = np.random.default_rng(2).integers(0, 4, 400)
    weighted = Judgement(p, y).measure(w.astype(np.float64))
    repeated = Judgement(np.repeat(p, w), np.repeat(y, w)).measure(np.ones(w.sum()))
    for name in repeated:
        assert weighted[name] == pytest.approx(repeated[name], abs=1e-7), name
    # A row on the border of two bins may be cut when it is repeated.
    again = Judgement(np.repeat(p, w), np.repeat(y, w)).ece(np.ones(w.sum()))
    judged = Judgement(p, y)
    assert judged.ece(w[judged.order].astype(np.float64)) == pytest.approx(again, abs=0.02)


def test_the_auc_among_one_stratum_compares_no_others() -> None:
    """Age alone ranks the strata; inside them these predictions are no better than a coin."""
    rng = np.random.default_rng(3)
    stratum = rng.integers(0, 4, 6000)
    y = rng.random(6000) < 0.02 + 0.1 * stratum
    p = 0.1 + 0.2 * stratum + 0.01 * rng.random(6000)
    found = Judgement(p, y, stratum).measure(np.ones(6000))
    assert found["auc"] > 0.65
    assert found["auc_same_age"] == pytest.approx(0.5, abs=0.03)


def test_with_one_stratum_both_aucs_are_one() -> None:
    p, y = drawn(1, 400)
    found = Judgement(p, y, np.zeros(400, dtype=np.int64)).measure(np.ones(400))
    assert found["auc_same_age"] == pytest.approx(found["auc"], abs=1e-12)


def test_strata_without_a_pair_say_nothing() -> None:
    p, y = drawn(1, 400)
    assert np.isnan(Judgement(p, y, np.arange(400)).measure(np.ones(400))["auc_same_age"])


def test_order_of_rows_changes_nothing() -> None:
    p, y = drawn(3, 300)
    p = np.round(p, 1).clip(0.05, 0.95)
    back = np.arange(300)[::-1]
    one, two = Judgement(p, y).measure(np.ones(300)), Judgement(p[back], y[back]).measure(np.ones(300))
    for name in ("auc", "average_precision", "lift_at_10", "log_loss", "brier", "calibration_slope"):
        assert one[name] == pytest.approx(two[name], abs=TOLERANCE), name


@pytest.mark.parametrize("label", [True, False])
def test_with_one_kind_of_label_nothing_can_be_measured(label: bool) -> None:
    found = Judgement(np.array([0.2, 0.4]), np.full(2, label)).measure(np.ones(2))
    assert all(np.isnan(value) for value in found.values())


def test_certain_predictions_cost_much_but_not_infinitely_much() -> None:
    found = Judgement(np.array([0.0, 1.0, 0.5]), np.array([True, False, True])).measure(np.ones(3))
    assert 10 < found["log_loss"] < 20


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
def test_slope_recovers_a_known_distortion(slope: float) -> None:
    p, y = drawn(4, 40_000, slope=slope)
    found = Judgement(p, y).measure(np.ones(len(p)))["calibration_slope"]
    assert found == pytest.approx(slope, abs=0.06 * slope)


def test_lift_of_a_perfect_order_is_ten_where_a_tenth_has_the_outcome() -> None:
    y = np.arange(200) < 20
    assert Judgement(np.linspace(0.9, 0.1, 200), y).measure(np.ones(200))["lift_at_10"] == pytest.approx(10.0)
    # Ties have no order: their outcomes are spread over them evenly.
    assert Judgement(np.full(200, 0.1), y).measure(np.ones(200))["lift_at_10"] == pytest.approx(1.0)


def test_ece_of_a_perfect_constant_is_nothing() -> None:
    y = np.tile([True, False, False, False], 100)
    assert Judgement(np.full(400, 0.25), y).ece(np.ones(400)) == pytest.approx(0.0, abs=1e-12)


def test_ece_of_a_constant_that_is_wrong_is_by_how_much() -> None:
    y = np.tile([True, False], 100)
    assert Judgement(np.full(200, 0.8), y).ece(np.ones(200)) == pytest.approx(0.3)


def test_ece_null_holds_what_calibrated_predictions_show_and_not_what_others_do() -> None:
    p, y = drawn(5, 2000)
    mean, high = ece_null(p, seed=1)
    assert 0 < mean < high < 0.05
    assert (mean, high) == ece_null(p, seed=1)
    shown = [Judgement(p, drawn(5, 2000)[1]).ece(np.ones(2000))]
    rng = np.random.default_rng(6)
    shown += [Judgement(p, rng.random(2000) < p).ece(np.ones(2000)) for _ in range(60)]
    assert np.mean(np.array(shown) > high) < 0.15
    assert Judgement(np.minimum(p * 2, 0.99), y).ece(np.ones(2000)) > high


def test_calibration_error_takes_chance_off() -> None:
    found = [calibration_error(*drawn(seed, 600), seed=1, draws=99) for seed in range(60)]
    assert np.mean([f.ece for f in found]) > 0.02
    assert abs(np.mean([f.excess for f in found])) < 0.004
    assert abs(np.mean([f.p_value for f in found]) - 0.5) < 0.12
    assert np.mean([f.p_value <= 0.05 for f in found]) < 0.15
    p, y = drawn(5, 2000)
    assert calibration_error(np.minimum(p * 2, 0.99), y, seed=1).p_value < 0.01
    one = calibration_error(p, y, seed=1)
    assert (one.null, one.null_95) == ece_null(p, seed=1)
    assert one.ece == Judgement(p, y).ece(np.ones(2000))


@pytest.mark.parametrize("rows", [7, 10, 103])
def test_bins_and_deciles_hold_every_lead_and_outcome_once(rows: int) -> None:
    p, y = drawn(7, rows)
    y[0] = True
    bins, tenths = calibration_bins(p, y), deciles(p, y)
    assert sum(b.leads for b in bins) == sum(d.leads for d in tenths) == rows
    assert sum(b.observed * b.leads for b in bins) == pytest.approx(y.sum())
    assert sum(d.outcomes for d in tenths) == y.sum()
    assert sum(d.lift * d.leads for d in tenths) == pytest.approx(rows)
    assert [b.predicted for b in bins] == sorted(b.predicted for b in bins)
    assert all(0 <= b.low < b.high <= 1 for b in bins)
    assert all(b.low <= b.observed <= b.high for b in bins if 0 < b.observed < 1)
    assert max(b.leads for b in bins) - min(b.leads for b in bins) <= 1


def test_deciles_start_with_the_best() -> None:
    y = np.arange(100) >= 90
    found = deciles(np.arange(100) / 100, y)
    assert [d.decile for d in found] == list(range(1, 11))
    assert (found[0].outcomes, found[0].rate, found[0].lift) == (10, 1.0, pytest.approx(10.0))


def test_gains_rise_from_nothing_to_everything() -> None:
    p, y = drawn(8, 500)
    found = np.array(gains(p, y))
    assert found.shape == (51, 2)
    assert tuple(found[0]) == (0.0, 0.0)
    assert tuple(found[-1]) == (1.0, 1.0)
    assert (np.diff(found, axis=0) >= 0).all()
    assert (found[:, 1] >= found[:, 0] - 0.1).all()


def test_normalised_gini_of_a_perfect_order_is_one_and_of_its_reverse_minus_one() -> None:
    amount = np.random.default_rng(9).lognormal(0, 1, 300)
    w = np.ones(300)
    assert normalised_gini(amount, amount, w) == pytest.approx(1.0)
    assert normalised_gini(np.sqrt(amount), amount, w) == pytest.approx(1.0)
    assert normalised_gini(-amount, amount, w) == pytest.approx(-1.0)
    assert abs(normalised_gini(np.random.default_rng(1).random(300), amount, w)) < 0.2
    assert np.isnan(normalised_gini(amount, np.zeros(300), w))
    assert np.isnan(normalised_gini(amount, np.ones(300), w))


def test_the_slope_is_found_however_far_off_predictions_are() -> None:
    """Extreme log-odds at a rare outcome: a full Newton step would swing from side to side for ever."""
    rng = np.random.default_rng(5)
    z = np.clip(rng.normal(-5, 5, 3000), -9.2, 9.2)
    happened = rng.random(3000) < expit(-6 + 0.25 * z)
    found = Judgement(expit(z), happened).measure(np.ones(3000))["calibration_slope"]
    peer = LogisticRegression(C=np.inf, tol=1e-10).fit(z[:, None], happened)
    assert found == pytest.approx(peer.coef_[0, 0], abs=1e-3)
