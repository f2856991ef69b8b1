"""Tables of small trees: the same parts as LightGBM's TreeSHAP."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings

from models.boosted import BoosterPlan, TreeKind, booster_parameters
from models.tree_tables import PIECE, tabulate
from tests.unit.models.members import ROWS, Matrix, rows

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
MATRIX, HAPPENED = rows(1500)
FULL = np.nan_to_num(MATRIX, nan=-0.5)


def grow(kind: TreeKind, matrix: Matrix, rounds: int = 40) -> lgb.Booster:
    data = lgb.Dataset(matrix, HAPPENED.astype(float))
    return lgb.train(booster_parameters(BoosterPlan(kind, None, len(matrix))), data, num_boost_round=rounds)


# Without missing values in training LightGBM treats NaN otherwise: as zero.
BOOSTERS = [grow("stumps", MATRIX), grow("shallow", MATRIX), grow("shallow", FULL)]


def held_to_lightgbm(booster: lgb.Booster, matrix: Matrix) -> None:
    tables = tabulate(booster)
    assert tables is not None
    expected = np.asarray(booster.predict(matrix, pred_contrib=True, num_threads=1))
    np.testing.assert_allclose(tables.split(matrix), expected[:, :-1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(tables.base, expected[:, -1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("booster", BOOSTERS)
@QUICK
@given(ROWS)
def test_tables_split_as_lightgbm_does(booster: lgb.Booster, matrix: Matrix) -> None:
    held_to_lightgbm(booster, matrix)


def test_many_rows_are_taken_in_pieces() -> None:
    held_to_lightgbm(BOOSTERS[1], np.tile(MATRIX, (2, 1))[: PIECE + 5])


def test_a_tree_without_a_question_is_all_base() -> None:
    booster = lgb.train(
        booster_parameters(BoosterPlan("shallow", None, 1500)) | {"min_data_in_leaf": 2_000},
        lgb.Dataset(MATRIX, HAPPENED.astype(float)),
        num_boost_round=1,
    )
    held_to_lightgbm(booster, MATRIX[:3])


def test_trees_that_ask_more_have_no_tables() -> None:
    assert tabulate(grow("free", MATRIX, 5)) is None
