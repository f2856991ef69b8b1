"""The amount of a win: a known truth comes back, and little data asks for little."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from models.amount import AmountModel
from models.amount_fit import AmountRows, fit_amount
from models.metrics import normalised_gini
from tests.unit.models.members import SHAPES, Matrix, rows


def wins(count: int, *, zero_share: float = 0.0, noise: float = 0.5, seed: int = 1) -> tuple[AmountRows, Matrix]:
    """Won rows whose log amount is linear in a flag and a number, and their true means."""
    rng = np.random.default_rng(seed)
    matrix = np.nan_to_num(rows(count, seed)[0], nan=1.0)
    mu = 8.0 + 0.9 * matrix[:, 3] + 0.6 * matrix[:, 4]
    amount = np.exp(mu + rng.normal(0, noise, count)) * (rng.random(count) >= zero_share)
    truth = np.exp(mu + noise**2 / 2) * (1 - zero_share)
    return AmountRows(matrix, amount, np.arange(count), np.ones(count)), truth


def first(data: AmountRows, count: int) -> AmountRows:
    return AmountRows(data.matrix[:count], data.amount[:count], data.groups[:count], data.weights[:count])


@pytest.mark.parametrize("zero_share", [0.0, 0.3])
def test_a_lognormal_truth_is_recovered(zero_share: float) -> None:
    data, truth = wins(2000, zero_share=zero_share)
    model = fit_amount(data, SHAPES, default_amount=None)
    assert model.method == "two_part"
    assert model.positive_share == pytest.approx(1 - zero_share, abs=0.04)
    assert model.residual_variance == pytest.approx(0.25, abs=0.05)
    found = model.expected(data.matrix)
    assert found.mean() == pytest.approx(truth.mean(), rel=0.08)
    assert np.corrcoef(np.log(found), np.log(truth))[0, 1] > 0.98
    middle = np.abs(data.matrix[:, 4]) < 1.5
    assert np.median(np.abs(np.log(found / truth)[middle])) < 0.1


def test_out_of_fold_predictions_cover_every_row_and_the_level() -> None:
    data, truth = wins(1500, zero_share=0.2)
    model = fit_amount(data, SHAPES, default_amount=None)
    assert model.out_of_fold is not None
    assert np.isfinite(model.out_of_fold).all()
    paid = data.amount > 0
    assert model.out_of_fold[paid].mean() == pytest.approx(truth[paid].mean(), rel=0.1)


def test_predictions_stay_inside_the_amounts_of_training() -> None:
    data, _ = wins(500)
    model = fit_amount(data, SHAPES, default_amount=None)
    far = np.full((2, 5), np.nan)
    far[0], far[1] = 1e9, -1e9
    top = model.positive_share * model.scale * np.exp(model.residual_variance / 2)
    assert (model.expected(far) <= top * np.exp(model.log_range[1]) + 1e-6).all()
    assert (model.expected(far) >= top * np.exp(model.log_range[0]) - 1e-6).all()


def test_one_giant_win_does_not_set_the_level() -> None:
    data, truth = wins(1000)
    data.amount[3] = 1e12
    assert fit_amount(data, SHAPES, default_amount=None).expected(data.matrix).mean() < 1.5 * truth.mean()


def test_few_wins_give_their_mean() -> None:
    data = first(wins(29)[0], 29)
    model = fit_amount(data, SHAPES, default_amount=5.0)
    assert model.method == "mean"
    assert data.amount.min() < model.mean <= data.amount.mean()
    assert (model.expected(data.matrix) == model.mean).all()


def test_wins_are_counted_by_account() -> None:
    data = wins(300)[0]
    few = AmountRows(data.matrix, data.amount, data.groups % 29, data.weights)
    assert fit_amount(few, SHAPES, default_amount=None).method == "mean"
    enough = AmountRows(data.matrix, data.amount, data.groups % 30, data.weights)
    assert fit_amount(enough, SHAPES, default_amount=None).method == "two_part"


def test_rows_of_one_lead_count_once() -> None:
    data = wins(20)[0]
    twice = np.repeat(np.arange(20), np.where(np.arange(20) == 0, 10, 1))
    each = np.bincount(twice)[twice]
    repeated = AmountRows(data.matrix[twice], data.amount[twice], data.groups[twice], 1.0 / each)
    plain = fit_amount(data, SHAPES, default_amount=None).mean
    assert fit_amount(repeated, SHAPES, default_amount=None).mean == pytest.approx(plain, rel=0.1)


@pytest.mark.parametrize("count", [0, 5])
def test_without_amounts_the_workspace_must_say_what_a_win_is_worth(count: int) -> None:
    data = first(wins(50)[0], count)
    data.amount[:] = 0.0
    model = fit_amount(data, SHAPES, default_amount=1234.0)
    assert (model.method, model.mean) == ("configured", 1234.0)
    assert model.expected(np.zeros((3, 5))).tolist() == [1234.0] * 3
    with pytest.raises(ValueError, match="default_amount"):
        fit_amount(data, SHAPES, default_amount=None)


@pytest.mark.parametrize("count", [0, 12, 400])
def test_json_keeps_every_bit(count: int) -> None:
    data = first(wins(400)[0], count)
    model = fit_amount(data, SHAPES, default_amount=99.0)
    again = AmountModel.from_json(json.loads(json.dumps(model.to_json(), allow_nan=False)))
    matrix = rows(100, seed=5)[0]
    assert again.method == model.method
    assert again.expected(matrix).tobytes() == model.expected(matrix).tobytes()
    assert np.array(again.interval(matrix)).tobytes() == np.array(model.interval(matrix)).tobytes()
    assert again.to_json() == model.to_json()


@pytest.mark.parametrize("missing", ["quantiles", "log_range"])
def test_a_document_without_a_part_is_refused(missing: str) -> None:
    item = AmountModel("configured", 1.0).to_json()
    del item[missing]
    with pytest.raises(KeyError, match=missing):
        AmountModel.from_json(item)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("zero_share", [0.0, 0.05, 0.3])
def test_the_interval_holds_as_many_unseen_wins_as_it_says(zero_share: float, level: float) -> None:
    data, _ = wins(4000, zero_share=zero_share)
    model = fit_amount(first(data, 1500), SHAPES, default_amount=None)
    low, high = model.interval(data.matrix[1500:], level)
    unseen = data.amount[1500:]
    assert np.mean((low <= unseen) & (unseen <= high)) == pytest.approx(level, abs=0.04)
    if (1 - level) / 2 < zero_share:
        assert (low == 0).all()
    else:
        assert np.mean(unseen < low) == pytest.approx((1 - level) / 2, abs=0.03)
    expected = model.expected(data.matrix[1500:])
    assert (low < expected).all()
    assert (expected < high).all() or level < 0.8  # half of skewed amounts may well lie below their mean


def test_rescaling_is_kept_and_moves_the_interval_with_the_mean() -> None:
    """Amounts that are spread unlike a lognormal: half of them tiny, so that its mean would be far too high."""
    data, _ = wins(1500, noise=0.1)
    odd = replace(data, amount=np.where(np.arange(1500) % 2 == 0, data.amount, data.amount / 1000))
    model = fit_amount(odd, SHAPES, default_amount=None)
    assert model.scale == model.rescaling < 0.9
    assert model.expected(odd.matrix).mean() == pytest.approx(odd.amount.mean(), rel=0.1)
    plain = replace(model, scale=1.0)
    assert model.interval(odd.matrix)[1] == pytest.approx(model.scale * plain.interval(odd.matrix)[1])
    fine = fit_amount(data, SHAPES, default_amount=None)
    assert fine.scale == 1.0
    assert fine.rescaling == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("count", "known"), [(9, True), (8, False), (29, True)])
def test_few_wins_have_the_interval_that_their_number_allows(count: int, known: bool) -> None:
    model = fit_amount(first(wins(29)[0], count), SHAPES, default_amount=None)
    low, high = model.interval(np.zeros((3, 5)))
    assert low.shape == high.shape == (3,)
    assert np.isfinite(low).all() == np.isfinite(high).all() == known
    assert np.isnan(model.interval(np.zeros((1, 5)), 0.99)[1]).all()


def test_the_next_win_after_few_lies_inside_as_often_as_it_should() -> None:
    held = []
    for seed in range(400):
        amount = np.random.default_rng(seed).lognormal(8, 1, 21)
        rows_ = AmountRows(np.zeros((20, 5)), amount[:20], np.arange(20), np.ones(20))
        low, high = fit_amount(rows_, SHAPES, default_amount=None).interval(np.zeros((1, 5)))
        held.append(low[0] <= amount[20] <= high[0])
    assert np.mean(held) == pytest.approx(0.8, abs=0.05)


def test_rows_of_one_lead_count_once_in_the_interval() -> None:
    data = wins(20)[0]
    twice = np.repeat(np.arange(20), np.where(np.arange(20) == 0, 10, 1))
    each = np.bincount(twice)[twice]
    repeated = AmountRows(data.matrix[twice], data.amount[twice], data.groups[twice], 1.0 / each)
    one = fit_amount(data, SHAPES, default_amount=None).interval(np.zeros((1, 5)))
    two = fit_amount(repeated, SHAPES, default_amount=None).interval(np.zeros((1, 5)))
    assert np.array(one).ravel() == pytest.approx(np.array(two).ravel(), rel=0.1)


def test_a_configured_amount_has_no_interval() -> None:
    low, high = AmountModel("configured", 1234.0).interval(np.zeros((2, 5)))
    assert np.isnan([low, high]).all()


def test_wins_that_brought_nothing_are_predicted_out_of_fold_like_the_others() -> None:
    data, truth = wins(1500, zero_share=0.4)
    model = fit_amount(data, SHAPES, default_amount=None)
    assert model.out_of_fold is not None
    unpaid = data.amount == 0
    assert np.corrcoef(np.log(model.out_of_fold[unpaid]), np.log(truth[unpaid]))[0, 1] > 0.95


def test_without_a_signal_the_ranking_out_of_fold_is_random_and_not_worse() -> None:
    """A block of large amounts is left out of its own level: ranked by amounts it would come last."""
    by_rank, by_amount = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        amount = rng.lognormal(8, 1.4, 150) * (rng.random(150) < 0.6)
        data = AmountRows(rng.normal(size=(150, 5)), amount, np.arange(150), np.ones(150))
        model = fit_amount(data, SHAPES, default_amount=None)
        assert model.out_of_fold is not None
        assert model.out_of_fold_rank is not None
        by_rank.append(normalised_gini(model.out_of_fold_rank, amount, data.weights))
        by_amount.append(normalised_gini(model.out_of_fold, amount, data.weights))
    error = float(np.std(by_rank) / np.sqrt(30))
    assert abs(np.mean(by_rank)) < 2.5 * error
    assert np.mean(by_amount) < np.mean(by_rank) - 0.03


FIT = [3, 4]
"""The two features that the amounts of :func:`wins` hang on."""


def deals(count: int, *, level: float, slope: float, seed: int = 9) -> AmountRows:
    """Lost deals: ``slope`` times the slopes of the wins, at ``level`` times their amounts; accounts of their own."""
    matrix = np.nan_to_num(rows(count, seed)[0], nan=1.0)
    rng = np.random.default_rng(seed)
    mu = 8.0 + slope * (0.9 * matrix[:, 3] + 0.6 * matrix[:, 4])
    amount = level * np.exp(mu + rng.normal(0, 0.5, count))
    return AmountRows(matrix, amount, 100_000 + np.arange(count), np.ones(count))


def spread_of(model: AmountModel, truth: Matrix, matrix: Matrix) -> float:
    """Return the standard deviation of the log of expected over true amounts: what is wrong beside the level."""
    return float(np.log(model.expected(matrix) / truth).std())


@pytest.mark.parametrize("level", [0.3, 3.0])
def test_lost_deals_teach_what_amounts_hang_on_and_wins_their_level(level: float) -> None:
    data, truth = wins(2000, noise=1.0)
    few, unseen = first(data, 60), slice(1000, None)
    alone = fit_amount(few, SHAPES, default_amount=None, fit=FIT)
    more = fit_amount(few, SHAPES, default_amount=None, fit=FIT, lost=deals(800, level=level, slope=1.0))
    assert (alone.lost_deals, more.lost_deals) == (0, 800)
    apart, together = (spread_of(model, truth[unseen], data.matrix[unseen]) for model in (alone, more))
    assert together < 0.8 * apart
    assert more.mean == alone.mean, "what a win brings on average is what wins brought"
    assert more.expected(data.matrix).mean() == pytest.approx(truth.mean(), rel=0.35)
    assert more.out_of_fold is not None
    assert more.out_of_fold.shape == few.amount.shape


def test_lost_deals_that_hang_on_other_things_are_not_read() -> None:
    data, _ = wins(600)
    model = fit_amount(data, SHAPES, default_amount=None, lost=deals(2000, level=1.0, slope=-1.0))
    assert model.lost_deals == 0
    alone = fit_amount(data, SHAPES, default_amount=None)
    np.testing.assert_array_equal(model.expected(data.matrix), alone.expected(data.matrix))


def test_behaviour_is_read_only_where_amounts_hang_on_it() -> None:
    data, _ = wins(400)
    by_fit = fit_amount(data, SHAPES, default_amount=None, fit=FIT)
    assert not by_fit.reads_engagement
    assert by_fit.weights is not None
    assert (by_fit.weights[[0, 1, 2]] == 0.0).all()
    assert (by_fit.weights[FIT] != 0.0).all()
    by_all = fit_amount(data, SHAPES, default_amount=None, fit=[0, 1, 3])
    assert by_all.reads_engagement, "feature 4 is missing among those of fit"


def test_what_was_read_outlives_the_file() -> None:
    data, _ = wins(60)
    model = fit_amount(data, SHAPES, default_amount=None, fit=FIT, lost=deals(500, level=1.0, slope=1.0))
    again = AmountModel.from_json(json.loads(json.dumps(model.to_json())))
    assert (again.lost_deals, again.reads_engagement) == (model.lost_deals, model.reads_engagement) == (500, False)
    np.testing.assert_array_equal(again.expected(data.matrix), model.expected(data.matrix))
