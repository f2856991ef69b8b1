"""The amount of a win: a known truth comes back, and little data asks for little."""

from __future__ import annotations

import json

import numpy as np
import pytest

from models.amount import AmountModel, AmountRows, fit_amount
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
    assert again.to_json() == model.to_json()
