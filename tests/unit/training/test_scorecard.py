"""Fitting the card: it is the trees in whole points, keeps its signs and its size, and recovers what there is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from crm.errors import TooFewOutcomesError
from crm.progress import Silent
from features.feature import Feature
from features.lead_features import AttributeIs, AttributeMissing, AttributeNumber, LeadAge, StageAge
from features.touch_features import CountIn
from features.touch_times import DecayedSum, Recency, Velocity
from models.boosted import stumps_from_booster
from models.metrics import Judgement
from models.scorecard import TableFacts
from models.scorecard_entries import LevelEntry, RangeEntry
from training.scorecard import CardFit, fit_scorecard
from training.scorecard_rows import CardRows
from training.scorecard_trees import PARAMETERS, SignedLogistic
from training.splits import time_forward_folds

DAY = 86_400_000_000
LEVELS = ("software", "retail", "farming")
FEATURES: tuple[Feature, ...] = (
    CountIn("visit", ("visit",), window_days=30),
    Recency("visit", ("visit",)),
    AttributeNumber("employees"),
    *(AttributeIs("industry", level) for level in LEVELS),
    AttributeMissing("industry"),
    LeadAge(),
)
FACTS = TableFacts()


def drawn(count: int, seed: int, *, level: float = -2.5) -> tuple[CardRows, NDArray[np.float64]]:
    """Rows, one a lead, a step apart in time, and the log-odds that they were drawn with."""
    rng = np.random.default_rng(seed)
    visits = rng.poisson(2.0, count).astype(float)
    silent = np.where(visits > 0, rng.exponential(20.0, count), np.nan)
    employees = np.where(rng.random(count) < 0.2, np.nan, np.round(rng.lognormal(4, 1.5, count)))
    industry = rng.integers(0, 4, count)
    flags = [(industry == number).astype(float) for number in range(4)]
    z = level + 0.5 * np.minimum(visits, 5) - 0.02 * np.nan_to_num(silent, nan=90.0) + 0.9 * flags[0] - 0.7 * flags[3]
    z = z + 0.8 * (np.nan_to_num(employees) > 100)
    matrix = np.stack([visits, silent, employees, *flags, rng.exponential(60.0, count)], axis=1)
    happened = rng.random(count) < expit(z)
    as_of = np.arange(count, dtype=np.int64) * (DAY // 8)
    numbers = np.arange(count, dtype=np.int64)
    folds = time_forward_folds(
        as_of, happened, numbers, np.ones(len(as_of), dtype=bool), horizon_us=10 * DAY, is_once=True
    )
    rows = CardRows(numbers, FEATURES, matrix, happened, as_of + 10 * DAY, numbers, folds, "sql", 10.0)
    return rows, z


def fitted(rows: CardRows, **options: Any) -> CardFit:
    return fit_scorecard(rows, FACTS, Silent(), **options)


@pytest.fixture(scope="module")
def rows() -> CardRows:
    return drawn(2500, 1)[0]


@pytest.fixture(scope="module")
def fit(rows: CardRows) -> CardFit:
    return fitted(rows)


@given(st.integers(0, 50), st.lists(st.one_of(st.just(float("nan")), st.floats(-3, 12)), min_size=1, max_size=20))
@settings(max_examples=25, deadline=None)
def test_trees_on_coarse_values_are_their_table_to_the_last_digit(seed: int, asked: list[float]) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 9, (400, 3)).astype(float)
    codes[rng.random((400, 3)) < 0.15] = np.nan
    codes[:, 2] = np.nan_to_num(codes[:, 2])  # a column that training never saw missing
    happened = rng.random(400) < expit(np.nan_to_num(codes[:, 0]) - 4)
    parameters = {**PARAMETERS, "learning_rate": 0.05, "monotone_constraints": [1, 0, 0]}
    data = lgb.Dataset(codes, happened.astype(float), params={"max_bin": 16, "verbosity": -1})
    booster = lgb.train(parameters, data, num_boost_round=30)
    table = stumps_from_booster(booster, 30, codes, None)
    matrix = np.stack([np.array(asked)] * 3, axis=1)
    assert table.logit(matrix) == pytest.approx(np.asarray(booster.predict(matrix, raw_score=True)), abs=1e-9)


def test_the_logistic_part_keeps_the_signs_and_splits_by_feature() -> None:
    rng = np.random.default_rng(8)
    codes = rng.integers(0, 5, (600, 3)).astype(float)
    codes[rng.random((600, 3)) < 0.1] = np.nan
    happened = rng.random(600) < expit(1.0 - np.nan_to_num(codes[:, 0]) + 0.5 * np.nan_to_num(codes[:, 1]) - 2)
    wrong = SignedLogistic.fit(codes, happened, [1, 1, -1])
    free = SignedLogistic.fit(codes, happened, [0, 0, 0])
    assert wrong.weights[0] == 0
    assert free.weights[0] < 0 < free.weights[1]
    assert expit(free.logit(codes)).mean() == pytest.approx(happened.mean(), abs=1e-4)
    moved = codes.copy()
    moved[:, 1] = np.nan
    change = free.part(1, moved[:, 1]) - free.part(1, codes[:, 1])
    assert free.logit(moved) - free.logit(codes) == pytest.approx(change)


def test_the_smallest_points_of_every_entry_are_zero(fit: CardFit) -> None:
    for entry in fit.card.entries:
        if isinstance(entry, RangeEntry):
            assert min(entry.points) == 0 or entry.missing == 0
            assert all(a != b for a, b in zip(entry.points, entry.points[1:], strict=False))
        else:
            assert min([entry.others, entry.missing, *(group.points for group in entry.groups)]) == 0
            assert all(group.points != entry.others for group in entry.groups)


def test_signs_are_those_of_the_features(fit: CardFit) -> None:
    of = {entry.feature.name: entry for entry in fit.card.entries if isinstance(entry, RangeEntry)}
    visits, silent = of["visit_count_30d"], of["visit_recency_days"]
    assert list(visits.points) == sorted(visits.points)
    assert list(silent.points) == sorted(silent.points, reverse=True)
    assert silent.missing <= silent.points[-1]


def test_edges_are_numbers_that_a_person_enters(fit: CardFit) -> None:
    for entry in fit.card.entries:
        if isinstance(entry, RangeEntry):
            assert all(float(f"{edge:.2g}") == edge or edge in (180.0, 365.0) for edge in entry.edges)


def test_attributes_are_one_lookup_by_value(fit: CardFit) -> None:
    entry = next(entry for entry in fit.card.entries if isinstance(entry, LevelEntry))
    points = {level: group.points for group in entry.groups for level in group.levels}
    assert points["software"] >= points.get("retail", entry.others) + 4
    assert entry.missing == 0


def test_the_card_ranks_almost_as_well_as_the_truth(rows: CardRows, fit: CardFit) -> None:
    new, z = drawn(4000, 2)
    points = fit.card.points(new.columns(fit.card.features.features, np.arange(4000)))
    each = np.ones(4000)
    auc = [Judgement(expit(x), new.happened).measure(each)["auc"] for x in (fit.card.logit(points), z)]
    assert auc[0] > auc[1] - 0.03


def test_probabilities_hold_on_new_leads(fit: CardFit) -> None:
    new, _ = drawn(8000, 3)
    points = fit.card.points(new.columns(fit.card.features.features, np.arange(8000)))
    measured = Judgement(fit.card.probability(points), new.happened).measure(np.ones(8000))
    assert measured["observed_over_expected"] == pytest.approx(1.0, abs=0.12)
    assert measured["calibration_slope"] == pytest.approx(1.0, abs=0.2)


def test_out_of_fold_rows_are_those_that_the_folds_tested(rows: CardRows, fit: CardFit) -> None:
    tested = np.concatenate([fold.test for fold in rows.folds])
    assert fit.rows.tolist() == tested.tolist()
    assert np.isfinite(fit.logit).all()


def test_out_of_fold_rows_do_not_know_their_own_labels() -> None:
    """Turning the labels of the newest test period round changes nothing that was said of it."""
    rows, _ = drawn(1500, 4)
    newest = rows.folds[-1]
    happened = rows.happened.copy()
    happened[newest.test] = ~happened[newest.test]
    # The settings are chosen on all folds, so they are held fixed.
    others = replace(rows, folds=tuple(replace(f, is_searched=f is not newest) for f in rows.folds))
    before = fitted(others)
    after = fitted(replace(others, happened=happened))
    last = np.isin(before.rows, newest.test)
    assert before.rounds == after.rounds
    assert after.logit[last] == pytest.approx(before.logit[last], abs=1e-9)


@pytest.fixture(scope="module")
def few() -> CardRows:
    return drawn(1200, 4)[0]


@pytest.fixture(scope="module")
def fine(few: CardRows) -> CardFit:
    return fitted(few, points_per_doubling=1000.0, max_rows=1000)


@pytest.mark.parametrize("points", [3.0, 10.0])
def test_rounding_moves_no_entry_by_more_than_half_a_point(few: CardRows, fine: CardFit, points: float) -> None:
    rows, fine_card = few, fine.card
    coarse = fitted(rows, points_per_doubling=points, max_rows=1000).card
    every = np.arange(len(rows.happened))
    z = [
        card.points(rows.columns(card.features.features, every)) / card.points_per_doubling
        for card in (fine_card, coarse)
    ]
    assert np.abs((z[0] - z[0].mean()) - (z[1] - z[1].mean())).max() <= len(FEATURES) / points
    assert np.corrcoef(*z)[0, 1] > 0.95


def test_a_card_keeps_within_its_rows(few: CardRows) -> None:
    small = fitted(few, max_rows=8)
    assert 0 < len(small.card.rows) <= 8


def test_noise_earns_nothing_and_is_refused() -> None:
    rows, _ = drawn(1500, 5)
    noise = np.random.default_rng(6).random(1500) < 0.05
    constant = replace(rows, matrix=np.zeros_like(rows.matrix), happened=noise)
    with pytest.raises(TooFewOutcomesError, match="no feature that a tool can evaluate"):
        fitted(constant)


def test_which_kinds_a_tool_can_evaluate() -> None:
    assert CountIn("visit", ("visit",), window_days=7).is_exportable
    assert Recency("any").is_exportable
    assert not CountIn("any", window_days=7).is_exportable
    assert not CountIn("visit", ("visit",), scope="account", window_days=7).is_exportable
    assert not Recency("any", scope="account").is_exportable
    assert not any(f.is_exportable for f in (DecayedSum("any"), Velocity("any"), StageAge("mql")))
