"""The exact table adds up to the score: with the trees for every row, without them where there are none."""

from __future__ import annotations

import json

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from features.lead_features import AttributeNumber
from features.spec import FeatureSet
from models.amount import AmountModel
from models.amount_fit import AmountRows, fit_amount
from models.blend import Endpoint
from models.boosted import BoosterPlan, ShallowMember, StumpsMember, booster_parameters, stumps_from_booster
from models.bundle import Bundle
from models.calibration import Calibrator
from models.exact_points import ExactPoints, exact_points
from models.logistic import LogisticMember, fit_logistic
from models.scoring import points_per_logit
from models.timing import Timing
from tests.unit.models.members import ROWS, SHAPES, Matrix, rows

MATRIX, HAPPENED = rows(1500)
FEATURES = FeatureSet(tuple(AttributeNumber(f"f{number}") for number in range(len(SHAPES))))


def _grown(*, is_stumps: bool, upon: LogisticMember | None) -> lgb.Booster:
    start = None if upon is None else upon.logit(MATRIX)
    data = lgb.Dataset(MATRIX, HAPPENED.astype(float), init_score=start, params={"max_bin": 63, "verbosity": -1})
    plan = BoosterPlan("stumps" if is_stumps else "shallow", None, len(MATRIX))
    return lgb.train(booster_parameters(plan), data, num_boost_round=40)


LOGISTIC = fit_logistic(MATRIX, HAPPENED, SHAPES, penalty=0.1)
OTHER = fit_logistic(MATRIX[:700], HAPPENED[:700], SHAPES, penalty=0.01)
STUMPS = stumps_from_booster(_grown(is_stumps=True, upon=OTHER), 40, MATRIX, OTHER)
PLAIN_STUMPS = stumps_from_booster(_grown(is_stumps=True, upon=None), 40, MATRIX, None)
SHALLOW = ShallowMember(_grown(is_stumps=False, upon=OTHER).model_to_string(), len(SHAPES), 40, OTHER)


def _amount() -> AmountModel:
    nothing = AmountRows(np.zeros((0, len(SHAPES))), np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0))
    return fit_amount(nothing, SHAPES, default_amount=1.0)


def _bundle(members: tuple[LogisticMember | StumpsMember | ShallowMember, ...], weights: tuple[float, ...]) -> Bundle:
    endpoint = Endpoint("sql", 30.0, members, weights, Calibrator("platt", 1.0, 1.0, 0.2), Timing.plain(30.0), 1.3)
    return Bundle(FEATURES, endpoint, endpoint, _amount(), "sql", -1.7, "USD", "a", "b", {})


def _score(bundle: Bundle, matrix: Matrix) -> NDArray[np.float64]:
    return 50.0 + points_per_logit() * (bundle.score_endpoint.g(matrix) - bundle.g50)


ADDITIVE = _bundle((LOGISTIC, STUMPS), (0.4, 0.6))
ALL = _bundle((LOGISTIC, STUMPS, SHALLOW), (0.3, 0.3, 0.4))


@given(ROWS)
@settings(deadline=None)  # LightGBM's first call builds its tables
def test_the_exact_form_adds_up_to_the_score_of_additive_members(matrix: Matrix) -> None:
    table = exact_points(ADDITIVE, "1", MATRIX)
    again = ExactPoints.from_json(json.loads(json.dumps(table.to_json())))
    added = again.base + again.points(matrix).sum(axis=1)
    assert added == pytest.approx(_score(ADDITIVE, matrix), abs=1e-9)
    assert table.tree_weight == 0


@given(ROWS)
@settings(deadline=None)  # LightGBM's first call builds its tables
def test_what_the_trees_add_is_all_that_the_table_leaves_out(matrix: Matrix) -> None:
    table = exact_points(ALL, "1", MATRIX)
    unit = points_per_logit() * 1.3 * 0.4
    trees = np.asarray(SHALLOW.booster.predict(matrix, pred_contrib=True))[:, :-1] * unit
    added = table.base + table.points(matrix).sum(axis=1) + trees.sum(axis=1)
    assert added == pytest.approx(_score(ALL, matrix), abs=1e-6)
    assert table.tree_weight == pytest.approx(0.4)


def test_the_size_of_the_trees_is_their_mean_over_training_rows() -> None:
    table = exact_points(ALL, "1", MATRIX)
    shares = np.asarray(SHALLOW.booster.predict(MATRIX, pred_contrib=True))[:, :-1]
    expected = np.abs(shares).mean(axis=0) * points_per_logit() * 1.3 * 0.4
    assert [feature.trees for feature in table.features] == pytest.approx(expected.tolist())


@given(ROWS)
@settings(deadline=None)  # LightGBM's first call builds its tables
def test_the_rows_of_stumps_alone_add_up_to_the_score(matrix: Matrix) -> None:
    bundle = _bundle((PLAIN_STUMPS,), (1.0,))
    table = exact_points(bundle, "1", MATRIX)
    listed = table.rows(MATRIX)
    assert {row.kind for row in listed} <= {"step", "missing"}
    added = np.full(len(matrix), table.base)
    for number, name in enumerate(FEATURES.names):
        for row in listed:
            if row.feature != name:
                continue
            column = matrix[:, number]
            low = -np.inf if row.low is None else row.low
            high = np.inf if row.high is None else row.high
            here = np.isnan(column) if row.kind == "missing" else (low < column) & (column <= high)
            added[here] += row.points
    # Where no training row was missing, the table has no row for it.
    known = np.array([not np.isnan(row[~np.isnan(MATRIX).any(axis=0)]).any() for row in matrix])
    assert added[known] == pytest.approx(_score(bundle, matrix)[known], abs=1e-9)


def test_bent_lines_are_shown_at_values_of_the_training() -> None:
    table = exact_points(ADDITIVE, "1", MATRIX)
    shown = [row for row in table.rows(MATRIX) if row.kind == "at" and row.feature == "lead.f1"]
    assert 10 <= len(shown) <= 21
    values = np.array([row.low for row in shown], dtype=np.float64)
    assert np.isin(values, MATRIX[:, 1]).all()
    assert [row.points for row in shown] == pytest.approx(table.features[1].points(values).tolist())
