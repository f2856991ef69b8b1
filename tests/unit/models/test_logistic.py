"""The logistic member: exact parts, bounded values, flags for what is missing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.special import logit

from models.logistic import LogisticMember, fit_logistic
from models.transform import Transform
from tests.unit.models.members import ROWS, SHAPES, Matrix, rows

QUICK = settings(max_examples=80, deadline=None, derandomize=True)
MATRIX, HAPPENED = rows(1500)
MEMBER = fit_logistic(MATRIX, HAPPENED, SHAPES, penalty=0.3)


@QUICK
@given(ROWS)
def test_parts_and_base_sum_to_the_logit(matrix: Matrix) -> None:
    parts, base = MEMBER.split(matrix)
    assert parts.shape == matrix.shape
    assert np.isfinite(parts).all()
    np.testing.assert_allclose(parts.sum(axis=1) + base, MEMBER.logit(matrix), rtol=0, atol=1e-9)


@QUICK
@given(ROWS)
def test_a_row_alone_scores_as_among_others(matrix: Matrix) -> None:
    alone = np.concatenate([MEMBER.logit(row[None]) for row in matrix])
    np.testing.assert_allclose(alone, MEMBER.logit(matrix), rtol=0, atol=1e-12)


@QUICK
@given(ROWS)
def test_json_keeps_every_bit(matrix: Matrix) -> None:
    again = LogisticMember.from_json(json.loads(json.dumps(MEMBER.to_json(), allow_nan=False)))
    assert again.logit(matrix).tobytes() == MEMBER.logit(matrix).tobytes()
    assert again.to_json() == MEMBER.to_json()


@QUICK
@given(ROWS)
def test_parts_are_the_columns_times_their_weights(matrix: Matrix) -> None:
    for member in (MEMBER, fit_logistic(MATRIX, HAPPENED, SHAPES, penalty=1.0, only=np.array([2, 3]))):
        standard, flags, hinges = member.transform.columns(matrix)
        expected = standard * member.weights + flags * member.missing_weights
        np.add.at(expected.T, member.transform.hinge_feature, (hinges * member.hinge_weights).T)
        np.testing.assert_allclose(member.contributions(matrix), expected, rtol=1e-12, atol=1e-12)


def test_values_are_kept_inside_the_range_of_training() -> None:
    far, edge = MATRIX[:1].copy(), MATRIX[:1].copy()
    far[0, :3], edge[0, :3] = (1e9, 1e9, 1e12), np.nanmax(MATRIX[:, :3], axis=0)
    far[0, 4], edge[0, 4] = -1e9, np.nanmin(MATRIX[:, 4])
    np.testing.assert_allclose(MEMBER.contributions(far), MEMBER.contributions(edge), atol=1e-12)


def test_what_is_missing_takes_the_mean_and_a_weight_of_its_own() -> None:
    assert (MEMBER.missing_weights != 0).tolist() == [False, False, True, False, True]
    assert MEMBER.missing_weights[2] < 0  # in truth, leads without employees are worth less
    row = MATRIX[:1].copy()
    row[0, 2] = np.nan
    assert MEMBER.transform.standard(row)[0, 2] == 0.0
    assert MEMBER.transform.flags(row)[0, 2] == pytest.approx(1 - np.isnan(MATRIX[:, 2]).mean())


def test_columns_have_mean_zero_and_parts_are_centred() -> None:
    transform = MEMBER.transform
    for columns in (transform.standard(MATRIX), transform.flags(MATRIX), transform.hinges(MATRIX)):
        np.testing.assert_allclose(columns.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(MEMBER.contributions(MATRIX).mean(axis=0), 0.0, atol=1e-9)


def test_counts_ages_and_skewed_numbers_are_logged_and_flags_are_not() -> None:
    assert MEMBER.transform.is_log.tolist() == [True, True, True, False, False]
    assert set(MEMBER.transform.hinge_feature.tolist()) == {1}


def test_truth_is_recovered_where_there_are_many_rows() -> None:
    matrix, happened = rows(20_000, seed=2)
    member = fit_logistic(matrix, happened, SHAPES, penalty=10.0)
    weights = member.weights / member.transform.scale
    assert weights[0] == pytest.approx(0.8, abs=0.1)
    assert weights[3] == pytest.approx(1.2, abs=0.12)
    assert weights[4] == pytest.approx(1.0, abs=0.1)
    assert member.missing_weights[2] == pytest.approx(-0.8, abs=0.2)


def test_only_the_named_features_have_weights() -> None:
    member = fit_logistic(MATRIX, HAPPENED, SHAPES, penalty=1.0, only=np.array([1, 3]))
    assert (member.weights != 0).tolist() == [False, True, False, True, False]
    assert not member.missing_weights.any()
    assert np.flatnonzero(np.abs(member.contributions(MATRIX)).max(axis=0)).tolist() == [1, 3]
    hinge_less = fit_logistic(MATRIX, HAPPENED, SHAPES, penalty=1.0, only=np.array([3]))
    assert not hinge_less.hinge_weights.any()


def test_free_features_are_not_shrunk_by_a_strong_penalty() -> None:
    strong = fit_logistic(MATRIX, HAPPENED, SHAPES, penalty=1e-3)
    freed = fit_logistic(MATRIX, HAPPENED, SHAPES, penalty=1e-3, free=np.array([0]))
    loose = fit_logistic(MATRIX, HAPPENED, SHAPES, penalty=10.0)
    assert abs(freed.weights[0]) > 3 * abs(strong.weights[0])
    assert freed.weights[0] == pytest.approx(loose.weights[0], rel=0.4)
    assert abs(freed.weights[3]) < 0.5 * abs(loose.weights[3])


def test_columns_without_values_or_variation_change_nothing() -> None:
    matrix = np.stack([np.full(200, np.nan), np.full(200, 3.0), np.arange(200.0)], axis=1)
    happened = np.arange(200) % 4 == 0
    member = fit_logistic(matrix, happened, ("number", "count", "number"), penalty=0.003)
    assert np.isfinite(member.logit(matrix)).all()
    assert member.logit(matrix).mean() == pytest.approx(logit(0.25), abs=0.05)
    assert np.isfinite(Transform.learn(matrix[:1], ("number", "count", "number")).standard(matrix)).all()
