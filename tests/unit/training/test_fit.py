"""Fitting an endpoint: what trees stand on, how strongly weights are shrunk, and levels that nothing later touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import spearmanr

from crm.progress import Silent
from training import candidates
from training.candidates import PENALTIES, EndpointData, fit_ages, fit_boosted, fit_logistic_member
from training.fit import FittedEndpoint, fit_endpoint
from training.splits import time_forward_folds

DAY_US = 86_400_000_000
LEADS, MOMENTS = 1500, 3
AGE, SIGN, NOISE = 0, 1, 2


def several_moments(seed: int = 1, noise: int = 6) -> tuple[EndpointData, NDArray[np.float64]]:
    """Leads at three ages. The old have almost no outcomes, and the sign says the same of them as of the young."""
    rng = np.random.default_rng(seed)
    lead = np.repeat(np.arange(LEADS), MOMENTS)
    created = np.sort(rng.uniform(0, 600, LEADS))[lead]
    age = rng.choice([0.0, 1.0, 10.0, 60.0, 200.0], len(lead))
    sign = rng.normal(0, 1, LEADS)[lead]
    true = -0.5 - 1.1 * np.log1p(age) + 1.2 * sign
    happened = rng.random(len(lead)) < expit(true)
    order = np.argsort(created + age, kind="stable")
    matrix = np.column_stack([age, sign, *rng.normal(0, 1, (noise, len(lead)))])[order]
    as_of = np.round((created + age)[order] * DAY_US).astype(np.int64)
    horizon = 5 * DAY_US
    folds = time_forward_folds(as_of, happened[order], lead[order], horizon_us=horizon, is_once=False)
    shapes = ("age", *["number"] * (noise + 1))
    data = EndpointData(
        "sql", 5.0, matrix, happened[order], as_of + horizon, lead[order], shapes, (0,) * (noise + 2), folds,
        np.array([AGE]),
    )  # fmt: skip
    return data, true[order]


@pytest.fixture(scope="module")
def world() -> tuple[EndpointData, NDArray[np.float64]]:
    return several_moments()


@pytest.fixture(scope="module")
def fitted(world: tuple[EndpointData, NDArray[np.float64]]) -> FittedEndpoint:
    return fit_endpoint(world[0], Silent())


def test_old_leads_without_outcomes_are_ranked_by_what_the_young_taught(
    world: tuple[EndpointData, NDArray[np.float64]], fitted: FittedEndpoint
) -> None:
    data, true = world
    old = data.matrix[:, AGE] == 200
    assert data.happened[old].mean() < 0.02
    for member in fitted.endpoint.members:
        assert spearmanr(member.logit(data.matrix[old]), true[old])[0] > 0.9, member.name


def test_trees_are_grown_upon_the_whole_logistic_member_where_ages_vary(
    world: tuple[EndpointData, NDArray[np.float64]],
) -> None:
    data = world[0]
    candidate, upon = fit_logistic_member(data)
    assert upon.member is candidate.member
    stumps = fit_boosted(data, upon, is_stumps=True).member
    assert getattr(stumps, "offset", None) is candidate.member


def test_where_leads_have_one_age_trees_stand_on_nothing(world: tuple[EndpointData, NDArray[np.float64]]) -> None:
    data = replace(world[0], ages=np.array([], dtype=np.int64))
    _, upon = fit_logistic_member(data)
    assert upon.member is None
    assert set(upon.by_fold.values()) == {None}
    assert fit_ages(data, data.folds[0].train) is None


def test_a_penalty_is_found_on_either_side_of_the_list() -> None:
    """Noise alone asks for the strongest; few strong signs for a weak one."""
    data, _ = several_moments(seed=2, noise=40)
    rng = np.random.default_rng(3)
    noise = replace(data, happened=rng.random(len(data.happened)) < 0.1)
    strong = fit_logistic_member(noise)[0].settings["penalty"]
    weak = fit_logistic_member(several_moments(seed=2, noise=0)[0])[0].settings["penalty"]
    assert isinstance(strong, float)
    assert strong < 2 * PENALTIES[0]
    assert isinstance(weak, float)
    assert weak >= 0.01


def test_the_shipped_level_is_that_of_all_mature_rows(
    world: tuple[EndpointData, NDArray[np.float64]], fitted: FittedEndpoint
) -> None:
    data = world[0]
    assert fitted.endpoint.probability(data.matrix).mean() == pytest.approx(data.happened.mean(), rel=1e-6)


def test_labels_of_the_last_test_period_do_not_touch_what_was_said_of_it(
    world: tuple[EndpointData, NDArray[np.float64]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "PENALTIES", (0.01,))  # the choice among them does see every test period
    data = world[0]
    last = max(fold.start_us for fold in data.folds)
    tested = np.unique(np.concatenate([fold.test for fold in data.folds if fold.start_us == last]))
    turned = data.happened.copy()
    turned[tested[::2]] ^= True
    found = []
    for labels in (data.happened, turned):
        fitted, _ = fit_logistic_member(replace(data, happened=labels))
        said = [logits.test for logits, fold in zip(fitted.folds, data.folds, strict=True) if fold.start_us == last]
        found.append(np.concatenate(said))
    np.testing.assert_array_equal(*found)


def test_unseen_predictions_are_calibrated(fitted: FittedEndpoint, world: tuple[EndpointData, object]) -> None:
    observed = world[0].happened[fitted.rows].mean()
    assert expit(fitted.logit).mean() == pytest.approx(observed, rel=0.25)
