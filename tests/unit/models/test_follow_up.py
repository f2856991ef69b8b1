"""The follow-up term: what a hand-off does, told from who was handed over."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from scipy.special import expit, logit

from models.follow_up import Arm, FollowUp, IfWorked, fit_arm, group_sums
from tests.unit.models.members import Matrix
from tests.unit.models.test_scoring import BUNDLE, FEATURES, FOLLOW_UP, MATRIX, PROPENSITY


def drawn(seed: int, count: int, slopes: tuple[float, ...], level: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    sums = rng.normal(0.0, 1.0, (count, 3))
    return sums, rng.random(count) < expit(level + sums @ np.array(slopes))


def test_the_group_sums_are_the_endpoint() -> None:
    for endpoint in (BUNDLE.sql, BUNDLE.won):
        sums = group_sums(FEATURES, endpoint, MATRIX[:50])
        np.testing.assert_allclose(sums.sum(axis=1), endpoint.g(MATRIX[:50]), rtol=0, atol=1e-9)


def test_slopes_are_found_where_hand_offs_are_many() -> None:
    sums, happened = drawn(1, 20_000, (1.2, 0.6, 0.0), -1.0)
    arm = fit_arm(sums, happened)
    np.testing.assert_allclose([arm.intercept, *arm.slopes], [-1.0, 1.2, 0.6, 0.0], atol=0.1)


def test_few_hand_offs_move_the_level_and_little_else() -> None:
    sums, happened = drawn(2, 12, (-2.0, 3.0, 0.0), 1.0)
    arm = fit_arm(sums, happened)
    assert np.abs(np.array(arm.slopes) - 1.0).max() < 1.0
    # Nobody with the outcome: a low level, not an infinite one.
    assert -20.0 < fit_arm(sums, np.zeros(12, dtype=bool)).intercept < -2.0


def test_whom_the_old_rule_worked_no_longer_counts_as_worth() -> None:
    """The rule hands over by a sign that says nothing; unworked leads do not buy. Naively the sign is what sells."""
    rng = np.random.default_rng(3)
    signs = rng.normal(0.0, 1.0, (20_000, 3))
    worked = rng.random(20_000) < expit(-1.0 + 2.5 * signs[:, 1])
    happened = worked & (rng.random(20_000) < expit(-2.0 + signs[:, 0]))
    naive = fit_arm(signs, happened)
    if_worked = fit_arm(signs[worked], happened[worked])
    assert naive.slopes[1] > 1.0
    np.testing.assert_allclose(if_worked.slopes[:2], [1.0, 0.0], atol=0.15)


def chances(term: FollowUp, matrix: Matrix) -> IfWorked:
    ends = BUNDLE.sql, BUNDLE.won
    return term.if_worked(FEATURES, ends, (ends[0].split(matrix), ends[1].split(matrix)), matrix)


def test_the_term_survives_its_file() -> None:
    for term in (FOLLOW_UP, replace(FOLLOW_UP, own=PROPENSITY)):
        again = FollowUp.from_json(json.loads(json.dumps(term.to_json())))
        one, two = (chances(found, MATRIX[:20]) for found in (term, again))
        for name in vars(one):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_what_hand_offs_tell_themselves_moves_the_worked_lead_alone() -> None:
    plain, told = (chances(term, MATRIX) for term in (FOLLOW_UP, replace(FOLLOW_UP, own=PROPENSITY)))
    np.testing.assert_array_equal(plain.p_won_if_left, told.p_won_if_left)
    np.testing.assert_array_equal(plain.p_sql_if_left, told.p_sql_if_left)
    by = PROPENSITY.logit(MATRIX)
    np.testing.assert_allclose(logit(told.p_sql) - logit(plain.p_sql), by, rtol=0, atol=1e-9)
    capped = (plain.p_won == plain.p_sql) | (told.p_won == told.p_sql)
    np.testing.assert_allclose((logit(told.p_won) - logit(plain.p_won))[~capped], by[~capped], rtol=0, atol=1e-9)


def test_an_arm_moves_by_log_odds() -> None:
    arm = Arm(-1.0, (1.0, 0.5, 0.0))
    sums = np.ones((1, 3))
    assert logit(expit(arm.moved(0.7).logit(sums)))[0] - arm.logit(sums)[0] - 0.7 < 1e-12
