"""What leads will bring: variances and sums are those of draws from the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.amount import AmountModel
from models.amount_fit import fit_amount
from models.revenue import revenue_sum, revenue_variance
from tests.unit.models.members import SHAPES
from tests.unit.models.test_amount import first, wins

Matrix = NDArray[np.float64]


def two_part(zero_share: float, scale: float) -> tuple[AmountModel, Matrix]:
    data, _ = wins(800, zero_share=zero_share)
    return replace(fit_amount(data, SHAPES, default_amount=None), scale=scale), data.matrix[:4]


@pytest.mark.parametrize("zero_share", [0.0, 0.3])
@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_the_variance_is_that_of_the_formula_and_of_draws(zero_share: float, scale: float) -> None:
    model, matrix = two_part(zero_share, scale)
    p = np.array([0.05, 0.3, 0.9, 0.0])
    found = revenue_variance(model, p, matrix)
    expected = model.expected(matrix)
    mu = np.log(expected / (model.positive_share * scale)) - model.residual_variance / 2
    share, s2 = model.positive_share, model.residual_variance
    formula = p * share * scale**2 * np.exp(2 * mu + 2 * s2) - (p * share * scale * np.exp(mu + s2 / 2)) ** 2
    assert found == pytest.approx(formula)
    rng = np.random.default_rng(1)
    won = (rng.random((200_000, 4)) < p) & (rng.random((200_000, 4)) < share)
    revenue = won * scale * np.exp(mu + np.sqrt(s2) * rng.standard_normal((200_000, 4)))
    assert found == pytest.approx(revenue.var(axis=0), rel=0.06)
    assert p * expected == pytest.approx(revenue.mean(axis=0), rel=0.03)


@pytest.mark.parametrize("count", [20, 0])
def test_without_a_model_the_variance_is_that_of_the_wins_or_of_winning(count: int) -> None:
    data = first(wins(20)[0], count)
    model = fit_amount(data, SHAPES, default_amount=500.0)
    p = np.array([0.2])
    capped = np.minimum(data.amount, np.percentile(data.amount, 98.5)) if count else np.array([500.0])
    square = float((capped**2).mean())
    expected = 0.2 * square - (0.2 * capped.mean()) ** 2
    assert revenue_variance(model, p, np.zeros((1, 5))) == pytest.approx([expected])


@pytest.mark.parametrize("method", ["two_part", "mean", "configured"])
def test_the_sum_of_many_is_as_wide_as_its_variance_says(method: str) -> None:
    data = wins(800, zero_share=0.2)[0]
    model = fit_amount(first(data, {"two_part": 800, "mean": 25, "configured": 0}[method]), SHAPES, default_amount=5e3)
    assert model.method == method
    p = np.random.default_rng(2).beta(1, 9, 800)
    found = revenue_sum(model, p, data.matrix, seed=1)
    deviation = float(np.sqrt(revenue_variance(model, p, data.matrix).sum()))
    assert found.value == pytest.approx(float((p * model.expected(data.matrix)).sum()))
    assert (found.high - found.low) / (2 * 1.645) == pytest.approx(deviation, rel=0.1)
    assert found.low_95 < found.low < found.value < found.high
    assert found == revenue_sum(model, p, data.matrix, seed=1)
    assert found != revenue_sum(model, p, data.matrix, seed=2)


def test_the_interval_holds_nine_sums_in_ten_even_where_few_leads_make_it() -> None:
    """Twelve leads: far from normal, with one chance in four or so that nobody is won."""
    data, _ = wins(1000)
    model = fit_amount(data, SHAPES, default_amount=None)
    rng = np.random.default_rng(3)
    p, matrix = np.full(12, 0.11), data.matrix[:12]
    found = revenue_sum(model, p, matrix, seed=1)
    mu = 8.0 + 0.9 * matrix[:, 3] + 0.6 * matrix[:, 4]
    sums = ((rng.random((4000, 12)) < p) * np.exp(mu + rng.normal(0, 0.5, (4000, 12)))).sum(axis=1)
    assert found.low == 0.0
    assert np.mean((found.low <= sums) & (sums <= found.high)) == pytest.approx(0.95, abs=0.015)


def test_no_leads_bring_nothing() -> None:
    found = revenue_sum(AmountModel("mean", 10.0, deviation=3.0), np.zeros(0), np.zeros((0, 5)), seed=1)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
