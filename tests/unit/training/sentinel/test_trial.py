"""The sentinel's own model and its resampling, and L4 where a test set holds what was trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.lead_features import AttributeNumber
from tests.unit.training.made import data_of
from training.sentinel.trial import AucGap, LiftRatio, Trial, bootstrap, lift_of, take_trial
from training.sentinel.trials import MAX_ERRORS, permutation_errors
from training.splits import Fold

COUNT = 2_400


def trial_of(seed: int, strength: float = 1.2) -> Trial:
    rng = np.random.default_rng(seed)
    number = rng.normal(0, 1, COUNT)
    happened = rng.random(COUNT) < 1 / (1 + np.exp(2.2 - strength * number))
    found = take_trial(data_of([(AttributeNumber("x"), number)], happened))
    assert isinstance(found, Trial)
    return found


def test_it_ranks_later_rows_by_what_came_before() -> None:
    trial = trial_of(1)
    tested = trial.tested
    gap = AucGap(trial.happened[tested], trial.predicted[tested], np.zeros(len(tested)))
    assert gap(np.arange(len(tested))) > 0.2
    drawn = bootstrap(trial.group[tested], gap)
    assert drawn.std() < 0.05
    assert lift_of(trial.predicted[tested], trial.happened[tested]) > 2


def test_too_few_outcomes_are_said_so() -> None:
    happened = np.arange(COUNT) % 120 == 0
    found = take_trial(data_of([(AttributeNumber("x"), np.ones(COUNT))], happened))
    assert isinstance(found, str)
    assert "outcome" in found


@pytest.mark.parametrize("seed", range(4))
def test_permuted_labels_are_a_coin_toss(seed: int) -> None:
    mean, errors, accounts = permutation_errors(trial_of(seed))
    assert mean == pytest.approx(0.5, abs=0.1)
    assert abs(errors) < MAX_ERRORS
    assert accounts == COUNT


def test_permuted_labels_show_a_test_on_what_was_trained_on() -> None:
    """Columns that single an account out are learned by heart, and help only where the account comes back."""
    rng = np.random.default_rng(3)
    rows = np.arange(COUNT, dtype=np.int64)
    trial = replace(trial_of(3), matrix=rng.normal(0, 1, (COUNT, 30)))
    mean, errors, _ = permutation_errors(replace(trial, folds=(Fold(rows, rows, rows[:0], 0, False, ""),)))
    assert errors > MAX_ERRORS
    assert mean > 0.6
    assert abs(permutation_errors(trial)[1]) < MAX_ERRORS


def test_lift_without_the_nearest_rows() -> None:
    """All of the lift lies in rows that are left out: hardly any of it stays."""
    happened = np.arange(1_000) < 100
    scores = np.where(np.arange(1_000) < 60, 2.0, np.random.default_rng(0).random(1_000))
    left_out = np.arange(1_000) < 60
    at = np.arange(1_000)
    assert LiftRatio(happened, scores, left_out)(at) < 0.5
    assert LiftRatio(happened, scores, np.zeros(1_000, dtype=bool))(at) == pytest.approx(1.0)
