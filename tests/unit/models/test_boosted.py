"""Boosted members: stumps as lookups equal their trees, the shallow member's parts sum to its logit."""

from __future__ import annotations

import json
from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings

from models.blend import Endpoint
from models.boosted import (
    BoosterPlan,
    ShallowMember,
    StumpsMember,
    booster_parameters,
    stumps_from_booster,
)
from models.calibration import Calibrator
from models.logistic import LogisticMember, fit_logistic
from models.step_functions import StepFunction
from models.timing import Timing
from tests.unit.models.members import ROWS, SHAPES, Matrix, rows

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
MATRIX, HAPPENED = rows(1500)
AGES = np.array([1])
OFFSET = fit_logistic(MATRIX, HAPPENED, SHAPES, penalty=1.0, only=AGES, free=AGES)
ROUNDS = 60


def grow(matrix: Matrix, *, is_stumps: bool, offset: LogisticMember | None = None, signs: bool = False) -> lgb.Booster:
    plan = BoosterPlan("stumps" if is_stumps else "shallow", (1, -1, 0, 1, 0) if signs else None, len(matrix))
    start = None if offset is None else offset.logit(matrix)
    data = lgb.Dataset(matrix, HAPPENED[: len(matrix)].astype(float), init_score=start)
    return lgb.train(booster_parameters(plan), data, num_boost_round=ROUNDS)


STUMPS_TREES = grow(MATRIX, is_stumps=True)
STUMPS = stumps_from_booster(STUMPS_TREES, ROUNDS, MATRIX, None)
# Without missing values in training LightGBM treats NaN otherwise: as zero.
FULL = np.nan_to_num(MATRIX, nan=-0.5)
FULL_TREES = grow(FULL, is_stumps=True)
FULL_STUMPS = stumps_from_booster(FULL_TREES, ROUNDS, FULL, None)
UPON = stumps_from_booster(grow(MATRIX, is_stumps=True, offset=OFFSET), ROUNDS, MATRIX, OFFSET)
SHALLOW = ShallowMember(grow(MATRIX, is_stumps=False).model_to_string(), 5, ROUNDS)
SHALLOW_UPON = ShallowMember(grow(MATRIX, is_stumps=False, offset=OFFSET).model_to_string(), 5, ROUNDS, OFFSET)
MEMBERS = (STUMPS, FULL_STUMPS, UPON, SHALLOW, SHALLOW_UPON)


def raw(booster: lgb.Booster, matrix: Matrix, rounds: int = ROUNDS) -> Matrix:
    return np.asarray(booster.predict(matrix, raw_score=True, num_iteration=rounds, num_threads=1))


@QUICK
@given(ROWS)
def test_lookups_equal_the_trees(matrix: Matrix) -> None:
    np.testing.assert_allclose(STUMPS.logit(matrix), raw(STUMPS_TREES, matrix), rtol=0, atol=1e-9)
    np.testing.assert_allclose(FULL_STUMPS.logit(matrix), raw(FULL_TREES, matrix), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("member", "trees"), [(STUMPS, STUMPS_TREES), (FULL_STUMPS, FULL_TREES)])
def test_lookups_equal_the_trees_at_and_beside_every_threshold(member: StumpsMember, trees: lgb.Booster) -> None:
    assert len(member.steps) == 5
    for number, step in member.steps.items():
        points = np.concatenate(
            [step.thresholds, np.nextafter(step.thresholds, -np.inf), np.nextafter(step.thresholds, np.inf)]
        )
        matrix = np.repeat(FULL[:1], len(points), axis=0)
        matrix[:, number] = points
        np.testing.assert_allclose(member.logit(matrix), raw(trees, matrix), rtol=0, atol=1e-9)


@pytest.mark.parametrize("rounds", [1, 7, ROUNDS])
def test_lookups_use_the_chosen_rounds_alone(rounds: int) -> None:
    member = stumps_from_booster(STUMPS_TREES, rounds, MATRIX, None)
    np.testing.assert_allclose(member.logit(MATRIX), raw(STUMPS_TREES, MATRIX, rounds), rtol=0, atol=1e-9)


def test_lookups_are_centred_on_their_training_rows() -> None:
    parts, base = STUMPS.split(MATRIX)
    np.testing.assert_allclose(parts.mean(axis=0), 0.0, atol=1e-9)
    assert (base == STUMPS.constant).all()


def test_trees_that_found_nothing_to_split_are_a_constant() -> None:
    matrix, happened = np.zeros((100, 2)), np.arange(100) % 2 == 0
    data = lgb.Dataset(matrix, happened.astype(float), params={"feature_pre_filter": False})
    booster = lgb.train(booster_parameters(BoosterPlan("stumps", None, 100)), data, num_boost_round=3)
    member = stumps_from_booster(booster, 3, matrix, None)
    assert not member.steps
    np.testing.assert_allclose(member.logit(matrix), raw(booster, matrix, 3), rtol=0, atol=1e-9)


@QUICK
@given(ROWS)
def test_parts_and_base_sum_to_the_logit(matrix: Matrix) -> None:
    for member in MEMBERS:
        parts, base = member.split(matrix)
        assert parts.shape == matrix.shape
        np.testing.assert_allclose(parts.sum(axis=1) + base, member.logit(matrix), rtol=0, atol=1e-9)


def test_what_trees_were_grown_upon_is_added_to_them() -> None:
    bare = ShallowMember(SHALLOW_UPON.text, 5, ROUNDS)
    np.testing.assert_allclose(SHALLOW_UPON.logit(MATRIX), bare.logit(MATRIX) + OFFSET.logit(MATRIX), atol=1e-9)
    assert SHALLOW_UPON.split(MATRIX)[1][0] == pytest.approx(bare.split(MATRIX)[1][0] + OFFSET.base)


@QUICK
@given(ROWS)
def test_a_blend_weighs_what_its_trees_stand_upon_as_often_as_they_do(matrix: Matrix) -> None:
    alike = LogisticMember.from_json(OFFSET.to_json())
    members, weights = (OFFSET, UPON, replace(SHALLOW_UPON, offset=alike), STUMPS), (0.1, 0.2, 0.3, 0.4)
    blend = Endpoint("sql", 30.0, members, weights, Calibrator("intercept", 1.0, 1.0, 0.0), Timing.plain(30.0))
    expected = sum(weight * member.logit(matrix) for member, weight in zip(members, weights, strict=True))
    np.testing.assert_allclose(blend.g(matrix), expected, rtol=0, atol=1e-9)
    parts, base = blend.split(matrix)
    np.testing.assert_allclose(parts.sum(axis=1) + base, expected, rtol=0, atol=1e-9)


@QUICK
@given(ROWS)
def test_json_and_text_keep_every_bit(matrix: Matrix) -> None:
    for member in (STUMPS, UPON):
        again = StumpsMember.from_json(json.loads(json.dumps(member.to_json(), allow_nan=False)))
        assert again.logit(matrix).tobytes() == member.logit(matrix).tobytes()
        assert again.to_json() == member.to_json()
    text = SHALLOW.text.encode().decode()
    assert ShallowMember(text, 5, ROUNDS).logit(matrix).tobytes() == SHALLOW.logit(matrix).tobytes()


def test_signs_hold_everywhere() -> None:
    member = stumps_from_booster(grow(MATRIX, is_stumps=True, signs=True), ROUNDS, MATRIX, None)
    shallow = ShallowMember(grow(MATRIX, is_stumps=False, signs=True).model_to_string(), 5, ROUNDS)
    for number, sign in ((0, 1), (1, -1), (3, 1)):
        for model in (member, shallow):
            for row in MATRIX[:20]:
                matrix = np.repeat(row[None], 50, axis=0)
                matrix[:, number] = np.linspace(0, np.nanmax(MATRIX[:, number]), 50)
                assert (sign * np.diff(model.logit(matrix)) >= -1e-12).all()


def test_growing_twice_gives_the_same_trees() -> None:
    assert grow(MATRIX, is_stumps=False).model_to_string() == SHALLOW.text


def test_a_step_holds_its_upper_end() -> None:
    step = StepFunction(np.array([1.0, 2.0]), np.array([10.0, 20.0, 30.0]), -1.0)
    found = step(np.array([0.5, 1.0, 1.5, 2.0, 2.5, np.inf, -np.inf, np.nan]))
    assert found.tolist() == [10.0, 10.0, 20.0, 20.0, 30.0, 30.0, 10.0, -1.0]
