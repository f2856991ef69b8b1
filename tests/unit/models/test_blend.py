"""Weights of members, and endpoints that split exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from models.blend import Endpoint, best_weights, log_loss_of_logit, pull_to_equal
from models.calibration import Calibrator
from models.logistic import fit_logistic
from models.timing import Timing
from tests.unit.models.members import ROWS, SHAPES, Matrix, rows

QUICK = settings(max_examples=25, deadline=None, derandomize=True)
MATRIX, HAPPENED = rows(800)
MEMBERS = (
    fit_logistic(MATRIX, HAPPENED, SHAPES, penalty=1.0),
    fit_logistic(MATRIX, HAPPENED, SHAPES, penalty=0.01, only=np.array([0, 3])),
)
ENDPOINT = Endpoint("sql", 30.0, MEMBERS, (0.7, 0.3), Calibrator("platt", 1.2, 1.2, -0.4), Timing.plain(30.0))


def pulled_weights(logits: NDArray[np.float64], happened: NDArray[np.bool_]) -> tuple[float, ...]:
    return pull_to_equal(best_weights(logits, happened), float(min(happened.sum(), (~happened).sum())))


@QUICK
@given(st.integers(1, 4), st.integers(2, 300), st.integers(0, 99))
def test_weights_are_shares(members: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = pulled_weights(rng.normal(-1, 2, (count, members)), np.arange(count) % 3 == 0)
    assert len(found) == members
    assert sum(found) == pytest.approx(1.0, abs=1e-12)
    assert min(found) >= 0


def test_one_outcome_leaves_the_weights_equal() -> None:
    rng = np.random.default_rng(1)
    for happened in (np.arange(500) == 7, np.arange(500) != 7):
        found = pulled_weights(rng.normal(-1, 2, (500, 3)), happened)
        assert found == pytest.approx((1 / 3,) * 3, abs=1e-3)


def test_one_kind_of_label_leaves_the_weights_equal() -> None:
    rng = np.random.default_rng(1)
    assert pulled_weights(rng.normal(size=(50, 2)), np.zeros(50, dtype=bool)) == pytest.approx((0.5, 0.5))


def test_more_outcomes_trust_the_better_member_more() -> None:
    found: list[float] = []
    for count in (200, 3000, 40_000):
        rng = np.random.default_rng(2)
        z = rng.normal(0, 2, count)
        noise = rng.normal(0, 2, count)
        found.append(pulled_weights(np.stack([noise, z], axis=1), rng.random(count) < expit(z))[1])
    assert 0.5 < found[0] < found[1] < found[2]
    assert found[2] > 0.85


def test_log_loss_of_logits_stays_finite_far_out() -> None:
    assert log_loss_of_logit(np.array([800.0, -800.0]), np.array([True, False])) == 0.0
    assert log_loss_of_logit(np.array([800.0]), np.array([False])) == pytest.approx(800.0)


@QUICK
@given(ROWS)
def test_parts_and_base_sum_to_the_blended_logit(matrix: Matrix) -> None:
    parts, base = ENDPOINT.split(matrix)
    g = ENDPOINT.g(matrix)
    np.testing.assert_allclose(parts.sum(axis=1) + base, g, rtol=0, atol=1e-9)
    np.testing.assert_allclose(g, 0.7 * MEMBERS[0].logit(matrix) + 0.3 * MEMBERS[1].logit(matrix), rtol=0, atol=1e-9)
    np.testing.assert_allclose(ENDPOINT.probability(matrix), expit(1.2 * g - 0.4), atol=1e-12)
