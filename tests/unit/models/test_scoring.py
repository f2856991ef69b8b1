"""The scorer: points that add up, one scale, one answer alone or in a batch."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.special import expit, logit

from features.lead_features import AttributeNumber, LeadAge
from features.spec import FeatureSet
from features.touch_features import CountIn
from features.touch_times import Recency
from models.amount import AmountModel
from models.answers import answers
from models.blend import Endpoint
from models.boosted import BoosterPlan, ShallowMember, booster_parameters, stumps_from_booster
from models.bundle import Bundle
from models.calibration import Calibrator
from models.follow_up import Arm, FollowUp
from models.line import Line
from models.logistic import fit_logistic
from models.scoring import LoadedModel, Scores, score_matrix
from models.timing import Timing
from tests.unit.models.members import ROWS, SHAPES, Matrix, rows

QUICK = settings(max_examples=50, deadline=None, derandomize=True)
MATRIX, HAPPENED = rows(1200)
FEATURES = FeatureSet(
    (
        CountIn("visit", ("visit",), window_days=7),
        LeadAge(),
        AttributeNumber("employees"),
        CountIn("visit", ("visit",), window_days=30),
        Recency("any"),
    )
)


def endpoint(outcome: str, horizon: float, calibrator: Calibrator) -> Endpoint:
    logistic = fit_logistic(MATRIX, HAPPENED, SHAPES, penalty=0.3)
    label = HAPPENED.astype(float)
    stumps, shallow = (
        lgb.train(
            booster_parameters(BoosterPlan("stumps" if flat else "shallow", None, 1200)),
            lgb.Dataset(MATRIX, label),
            num_boost_round=20,
        )
        for flat in (True, False)
    )
    members = (
        logistic,
        stumps_from_booster(stumps, 20, MATRIX, None),
        ShallowMember(shallow.model_to_string(), 5, 20, logistic),
    )
    return Endpoint(
        outcome, horizon, members, (0.5, 0.3, 0.2), calibrator, Timing(np.array([1.0, horizon]), np.array([-2.0, 0.0]))
    )


SQL = endpoint("sql", 30.0, Calibrator("platt", 1.0, 1.0, -2.0))
WON = endpoint("won", 90.0, Calibrator("platt", 1.0, 1.0, -3.5))
LINE = Line(
    price=10.0,
    margin=0.5,
    touch_cost=3.0,
    capacity_per_week=5.0,
    currency="EUR",
    quantiles=tuple(np.linspace(0, 100, 101)),
    median_mql_value=40.0,
    equivalent_p_won=None,
    crossings_per_week=5.0,
    weeks=8,
    leads_at_risk=100,
    set_as_of=datetime(2026, 1, 1, tzinfo=UTC),
)


def bundle_of(sql: Endpoint = SQL, won: Endpoint = WON, outcome: str = "won") -> Bundle:
    g50 = (won if outcome == "won" else sql).calibrator.inverse(0.01)
    amount = AmountModel("mean", 1000.0)
    return Bundle(FEATURES, sql, won, amount, outcome, g50, "EUR", "2025-01-01Z", "2026-01-01Z", {"kizashi": "0"})


BUNDLE = bundle_of()
PROPENSITY = fit_logistic(MATRIX, np.arange(len(MATRIX)) % 40 == 0, SHAPES, penalty=1.0)
FOLLOW_UP = FollowUp(
    Arm(0.5, (1.0, 0.8, 0.1)),
    Arm(-0.5, (1.0, 1.1, 1.0)),
    (Arm(0.4, (1.0, 0.9, 0.2)), Arm(1.0, (1.2, 0.7, 0.4))),
    (Arm(-2.0, (1.0, 1.0, 1.0)), Arm(-0.3, (0.9, 1.1, 1.0))),
    PROPENSITY,
    hand_offs=500,
    sqls=80,
    wins=60,
    decides=False,
)


@QUICK
@given(ROWS)
def test_points_and_base_sum_to_the_score(matrix: Matrix) -> None:
    for bundle in (BUNDLE, bundle_of(outcome="sql")):
        found = score_matrix(bundle, LINE, matrix)
        np.testing.assert_allclose(found.points.sum(axis=1) + found.base, found.score_unclipped, rtol=0, atol=1e-9)
        np.testing.assert_allclose(found.parts.sum(axis=1) + found.base, found.score_unclipped, rtol=0, atol=1e-9)
        expected = 50 + 5 / np.log(2) * (bundle.score_endpoint.g(matrix) - bundle.g50)
        np.testing.assert_allclose(found.score_unclipped, expected, rtol=0, atol=1e-9)
        assert (found.score == np.clip(found.score_unclipped, 0, 100)).all()


@QUICK
@given(ROWS)
def test_points_if_worked_lead_from_the_chance_as_run_to_the_chance_if_worked(matrix: Matrix) -> None:
    for outcome in ("won", "sql"):
        found = score_matrix(replace(bundle_of(outcome=outcome), follow_up=FOLLOW_UP), LINE, matrix)
        as_run, worked = (
            (found.p_won, found.p_won_if_worked) if outcome == "won" else (found.p_sql, found.p_sql_if_worked)
        )
        points = found.if_worked_points * np.log(2) / 5
        np.testing.assert_allclose(expit(logit(as_run) + points), worked, rtol=1e-9)


@QUICK
@given(ROWS)
def test_the_value_is_that_of_working_where_it_decides(matrix: Matrix) -> None:
    plain = score_matrix(BUNDLE, LINE, matrix)
    silent = score_matrix(replace(BUNDLE, follow_up=FOLLOW_UP), LINE, matrix)
    decided = score_matrix(replace(BUNDLE, follow_up=replace(FOLLOW_UP, decides=True)), LINE, matrix)
    for name in ("score", "p_sql", "p_won", "expected_revenue", "points"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(decided, name))
    np.testing.assert_array_equal(plain.expected_value, silent.expected_value)
    assert not plain.is_if_worked.any()
    assert np.isnan(plain.p_won_if_worked).all()
    assert decided.is_if_worked.all()
    gain = np.maximum(decided.p_won_if_worked - decided.p_won_if_left, 0.0) * 1000.0
    np.testing.assert_allclose(decided.expected_value, LINE.expected_value(gain), rtol=0, atol=1e-9)


@QUICK
@given(ROWS)
def test_a_lead_alone_scores_as_in_a_batch(matrix: Matrix) -> None:
    batch = score_matrix(replace(BUNDLE, follow_up=FOLLOW_UP), LINE, matrix)
    for number in range(len(matrix)):
        alone = score_matrix(replace(BUNDLE, follow_up=FOLLOW_UP), LINE, matrix[number : number + 1])
        for field in fields(Scores):
            one, many = getattr(alone, field.name)[0], getattr(batch, field.name)[number]
            if field.name in ("is_mql", "grade", "is_if_worked"):
                assert one == many
            else:
                np.testing.assert_allclose(one, many, rtol=1e-12, atol=1e-12)


def test_points_of_one_signal_are_summed() -> None:
    found = score_matrix(BUNDLE, LINE, MATRIX[:20])
    assert FEATURES.signals == ("visit", "freshness", "employees")
    np.testing.assert_allclose(found.points[:, 0], found.parts[:, 0] + found.parts[:, 3], atol=1e-12)


@pytest.mark.parametrize("slope", [0.7, 1.0])
@pytest.mark.parametrize("outcome", ["won", "sql"])
def test_fifty_points_stand_for_one_percent(outcome: str, slope: float) -> None:
    calibrator = Calibrator("platt", slope, slope, -3.0)
    bundle = bundle_of(replace(SQL, calibrator=calibrator), replace(WON, calibrator=calibrator), outcome)
    found = score_matrix(bundle, LINE, MATRIX)
    p = found.p_won if outcome == "won" else found.p_sql
    order = np.argsort(p)
    assert np.interp(0.01, p[order], found.score_unclipped[order]) == pytest.approx(50.0, abs=0.3)
    assert ((found.score_unclipped > 50) == (p > 0.01)).all()


def test_five_points_double_the_odds_where_the_slope_is_one() -> None:
    found = score_matrix(BUNDLE, LINE, MATRIX)
    doublings = (logit(found.p_won) - logit(0.01)) / np.log(2)
    np.testing.assert_allclose(found.score_unclipped, 50 + 5 * doublings, atol=1e-6)


def test_p_won_never_exceeds_p_sql_over_the_same_days() -> None:
    eager = replace(WON, calibrator=Calibrator("platt", 1.0, 1.0, 1.0))
    same = score_matrix(bundle_of(won=replace(eager, horizon_days=30.0)), LINE, MATRIX)
    assert (same.p_won <= same.p_sql).all()
    longer = score_matrix(bundle_of(won=eager), LINE, MATRIX)
    assert (longer.p_won > longer.p_sql).all()  # ninety days may well hold more than thirty


@QUICK
@given(ROWS)
def test_chances_grow_with_the_days_and_a_win_never_leads_its_sql(matrix: Matrix) -> None:
    low = bundle_of(SQL, replace(WON, calibrator=Calibrator("platt", 1.0, 1.0, -1.0)))
    found = score_matrix(low, LINE, matrix)
    sql, won = found.p_sql_within, found.p_won_within
    known = ~np.isnan(sql)
    assert known[:, 0].all()  # the horizon itself is 30 days
    np.testing.assert_array_equal(sql[:, 0], found.p_sql)
    np.testing.assert_array_equal(won[:, 1], found.p_won)
    assert (won[known] <= sql[known]).all()
    assert (np.isnan(won[:, 2:])).all()  # nobody was watched for longer than ninety days
    assert (won[:, 1] >= won[:, 0]).all()


def test_value_and_line_follow_from_the_probability() -> None:
    found = score_matrix(BUNDLE, LINE, MATRIX)
    np.testing.assert_allclose(found.expected_revenue, found.p_won * 1000.0)
    np.testing.assert_allclose(found.expected_value, found.expected_revenue * 0.5 - 3.0)
    assert (found.is_mql == (found.expected_value > 10.0)).all()
    assert (np.isin(found.grade, ["A", "B"]) == found.is_mql).all()
    assert 0 < found.is_mql.mean() < 1


def test_records_hold_what_the_arrays_hold() -> None:
    found = score_matrix(BUNDLE, LINE, MATRIX[:5])
    ids = [f"L{number}" for number in range(5)]
    for language in ("en", "ja"):
        records = answers(LoadedModel("7", BUNDLE, LINE), found, ids, np.full(5, 1_700_000_000_000_000), language)
        assert [record["lead_id"] for record in records] == ids
        for number, record in enumerate(records):
            assert record["as_of"] == "2023-11-14T22:13:20+00:00"
            assert (record["model_version"], record["line_version"]) == ("7", LINE.version)
            assert record["score"] == found.score[number]
            total = record["base"] + sum(point["points"] for point in record["points"])
            assert total == pytest.approx(record["score_unclipped"], abs=1e-9)
            assert record["fit_points"] + record["engagement_points"] + record["base"] == pytest.approx(total)
            assert len(record["reasons"]) <= 5
