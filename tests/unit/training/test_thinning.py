"""Folds of very many rows: every outcome is kept, the others are drawn and weigh more, and little changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from models.logistic import LogisticFitter
from training import endpoint_data
from training.drawing import even_draw
from training.endpoint_data import SETTLED, EndpointData, Reading, Sample
from training.splits import Fold

DAY_US = 86_400_000_000
ROWS, HORIZON, TEST_DAY = 90_000, 30.0, 500


@pytest.fixture(scope="module")
def many() -> EndpointData:
    """Two rows a lead, an outcome in about one of twenty."""
    rng = np.random.default_rng(4)
    day = np.sort(rng.uniform(0, 600, ROWS))
    matrix = rng.normal(0, 1, (ROWS, 4))
    happened = rng.random(ROWS) < expit(-3.6 + 1.0 * matrix[:, 0] - 0.6 * matrix[:, 1])
    days = np.where(happened, rng.uniform(0, HORIZON, ROWS), np.inf)
    train = np.flatnonzero(day < TEST_DAY - HORIZON)
    open_ = np.flatnonzero((day >= TEST_DAY - HORIZON) & (day < TEST_DAY))
    fold = Fold(train, np.flatnonzero(day >= TEST_DAY), open_, TEST_DAY * DAY_US, has_gap=True, sentence="")
    return EndpointData(
        "sql", HORIZON, matrix, happened, days, np.ones(ROWS, dtype=bool), (day * DAY_US).astype(np.int64),
        700 * DAY_US, np.arange(ROWS) // 2, even_draw(moments(day)), ("number",) * 4, (0,) * 4, (fold,),
        np.zeros(0, dtype=np.int64),
    )  # fmt: skip


def moments(day: NDArray[np.float64]) -> pa.Table:
    return pa.table({"lead_id": [f"L{row // 2}" for row in range(ROWS)], "as_of_us": (day * DAY_US).astype(np.int64)})


def whole(data: EndpointData, reading: Reading, monkeypatch: pytest.MonkeyPatch) -> Sample:
    with monkeypatch.context() as patch:
        patch.setattr(endpoint_data, "FEWEST_WITHOUT", ROWS)
        return data.sample(reading, data.folds[0])


@pytest.mark.parametrize("reading", [SETTLED, Reading(True, None), Reading(True, 180.0)], ids=str)
def test_every_outcome_is_kept_and_the_others_stand_for_all(
    many: EndpointData, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    every, found = whole(many, reading, monkeypatch), many.sample(reading, many.folds[0])
    assert every.kept == 1.0
    assert found.population == every.population == len(every.rows)
    assert len(found.rows) < 0.4 * len(every.rows)
    assert set(every.rows[every.happened]) == set(found.rows[found.happened])
    by_row = dict(zip(every.rows.tolist(), every.offset.tolist(), strict=True))
    assert found.offset.tolist() == [by_row[row] for row in found.rows.tolist()]
    weights = np.ones(len(every.rows)) if every.weights is None else every.weights
    assert found.weights is not None
    assert found.weights.sum() == pytest.approx(weights.sum(), rel=0.03)  # five standard errors of the draw
    assert found.weights[found.happened].sum() == pytest.approx(weights[every.happened].sum())


def test_the_model_that_scores_learns_from_every_row(many: EndpointData) -> None:
    assert many.sample(SETTLED).kept == 1.0


def test_a_row_is_drawn_whichever_others_there_are(many: EndpointData) -> None:
    some, every = np.arange(0, ROWS, 7), moments(many.as_of_us / DAY_US)
    drawn = even_draw(every)
    np.testing.assert_array_equal(even_draw(every.take(pa.array(some))), drawn[some])
    np.testing.assert_allclose(np.quantile(drawn, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.01)
    same_lead = drawn.reshape(-1, 2)
    assert abs(np.corrcoef(same_lead.T)[0, 1]) < 0.02


def test_the_thinned_fit_says_what_the_full_one_says(many: EndpointData, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    for sample in (whole(many, SETTLED, monkeypatch), many.sample(SETTLED, many.folds[0])):
        rows = many.matrix[sample.rows]
        fitter = LogisticFitter(rows, sample.happened, many.shapes, weights=sample.weights)
        said.append(fitter.fit(0.003)[0].logit(many.matrix[many.folds[0].test]))
    assert float(np.sqrt(np.mean((said[0] - said[1]) ** 2))) < 0.06
    assert expit(said[1]).mean() == pytest.approx(expit(said[0]).mean(), rel=0.02)


def test_few_rows_are_all_kept(many: EndpointData) -> None:
    fold = replace(many.folds[0], train=many.folds[0].train[:15_000])
    assert many.sample(SETTLED, fold).weights is None
