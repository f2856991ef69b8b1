"""Baselines: what each goes by, that each scores every row, and that none looks at the test rows to learn."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import log_loss

from tests.histories import DAY, START, Row, tables_of
from training.baselines import Asked, Past, baselines_of, quantile_codes

Matrix = NDArray[np.float64]
NAN = float("nan")


def rows(stage: str) -> dict[str, list[Row]]:
    return {
        "leads": [{"lead_id": "L1", "created_at": START}],
        "stages": [{"lead_id": "L1", "stage": stage, "entered_at": START + DAY}],
    }


@pytest.fixture(scope="module")
def every() -> dict[str, object]:
    with tables_of(rows("mql")) as tables:
        return dict(baselines_of(tables))


def drawn(seed: int, count: int = 3000) -> tuple[Matrix, NDArray[np.bool_], Matrix]:
    """Three columns, one with holes; labels, and the true probability."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(count, 3))
    true = expit(1.2 * matrix[:, 0] - 0.8 * matrix[:, 1] - 2)
    matrix[rng.random(count) < 0.1, 2] = np.nan
    return matrix, rng.random(count) < true, true


def asked_of(matrix: Matrix) -> Asked:
    count = len(matrix)
    return Asked(matrix, np.arange(count, dtype=float), np.full(count, np.nan), np.full(count, np.nan))


def of_ages(age: list[float], silence: list[float], mql: list[float]) -> Asked:
    return Asked(np.zeros((len(age), 1)), np.array(age), np.array(silence), np.array(mql))


PAST = Past(*drawn(1)[:2], seed=5)


def test_names_in_order_and_the_old_rule_only_where_there_is_one(every: dict[str, object]) -> None:
    names = [name for name in every if name != "flaml"]
    assert names == ["random", "recency", "old_rule", "odoo", "logistic", "lightgbm"]
    with tables_of(rows("sql")) as tables:
        assert "old_rule" not in baselines_of(tables)


@pytest.mark.parametrize("name", ["random", "recency", "old_rule", "odoo", "logistic", "lightgbm"])
def test_every_row_has_a_score_and_the_same_one_twice(every: dict, name: str) -> None:
    asked = asked_of(drawn(2, 400)[0])
    one, two = every[name](PAST, asked), every[name](PAST, asked)
    assert one.score.shape == (400,)
    assert np.isfinite(one.score).all()
    assert one.score.tobytes() == two.score.tobytes()
    if one.probability is None:
        assert name in ("random", "recency", "old_rule")
    else:
        assert ((one.probability > 0) & (one.probability < 1)).all()


@pytest.mark.parametrize("name", ["odoo", "logistic", "lightgbm"])
def test_a_rows_score_does_not_depend_on_the_other_test_rows(every: dict, name: str) -> None:
    asked = drawn(3, 200)[0]
    whole, part = every[name](PAST, asked_of(asked)), every[name](PAST, asked_of(asked[:50]))
    np.testing.assert_allclose(whole.score[:50], part.score, rtol=1e-12)


def test_chance_is_another_at_another_origin(every: dict) -> None:
    asked = asked_of(drawn(2, 50)[0])
    other = Past(PAST.matrix, PAST.happened, seed=6)
    assert not np.array_equal(every["random"](PAST, asked).score, every["random"](other, asked).score)


def test_recency_calls_the_newest_touch_first_and_the_silent_last_by_age(every: dict) -> None:
    asked = of_ages([9, 5, 30, 2, 4], [3, 0.5, 29, NAN, NAN], [NAN] * 5)
    assert np.argsort(-every["recency"](PAST, asked).score).tolist() == [1, 0, 2, 3, 4]


def test_the_old_rule_calls_new_mqls_first_and_has_no_order_among_the_others(every: dict) -> None:
    score = every["old_rule"](PAST, of_ages([1] * 4, [1] * 4, [NAN, 7, 2, NAN])).score
    assert np.argsort(-score, kind="stable").tolist() == [2, 1, 0, 3]
    assert score[0] == score[3]


def test_logistic_regression_finds_the_truth_and_odoo_exaggerates(every: dict) -> None:
    matrix, happened, true = drawn(4, 4000)
    said = {name: every[name](PAST, asked_of(matrix)).probability for name in ("logistic", "odoo", "lightgbm")}
    oracle = log_loss(happened, true)
    assert log_loss(happened, said["logistic"]) < oracle + 0.005
    base = log_loss(happened, np.full(len(happened), happened.mean()))
    assert log_loss(happened, said["odoo"]) < base
    assert log_loss(happened, said["lightgbm"]) > log_loss(happened, said["logistic"])


def test_logistic_regression_of_a_handful_of_rows_still_answers(every: dict) -> None:
    few = Past(np.arange(6.0)[:, None], np.arange(6) > 3, seed=1)
    probability = every["logistic"](few, asked_of(np.array([[0.0], [5.0]]))).probability
    assert 0 < probability[0] < probability[1] < 1


def test_bins_are_learned_on_the_training_rows_alone() -> None:
    past = np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [0.0, 4.0], [9.0, NAN]])
    one = quantile_codes(past, np.array([[5.0, 2.5], [-1.0, NAN]]))
    two = quantile_codes(past, np.array([[5.0, 2.5], [1e9, 1e9]]))
    assert one[0].tolist() == two[0].tolist()
    assert one[2] == two[2]
    assert one[1][0].tolist() == two[1][0].tolist()
    assert one[0][:, 0].tolist() == [0, 0, 0, 0, 1]
    assert (one[0][4, 1], one[1][1, 1]) == (-1, -1)
    assert one[2][0] == 2
    assert all(one[0][:, number].max() < count for number, count in enumerate(one[2]))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("flaml") is None, reason="the extra flaml is not installed")
def test_flaml_answers_where_it_is_installed(every: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.baselines.FLAML_SECONDS", 5.0)
    matrix, happened, _ = drawn(4, 500)
    probability = every["flaml"](PAST, asked_of(matrix)).probability
    assert log_loss(happened, probability) < log_loss(happened, np.full(500, happened.mean()))
