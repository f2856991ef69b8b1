"""Fitting an endpoint: what trees stand on, how strongly weights are shrunk, and levels that nothing later touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import spearmanr

from crm.progress import SilentStep
from training import candidates
from training.candidates import PENALTIES, fit_boosted, fit_logistic_member
from training.choice import saving
from training.endpoint_data import EndpointData, Reading
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
    until = int(as_of.max())
    is_mature = as_of + horizon <= until
    folds = time_forward_folds(as_of, happened[order], lead[order], is_mature, horizon_us=horizon, is_once=False)
    shapes = ("age", *["number"] * (noise + 1))
    data = EndpointData(
        "sql", 5.0, matrix, happened[order], waits(happened[order]), is_mature, as_of, until, lead[order],
        np.zeros(len(order)), shapes,
        (0,) * (noise + 2), folds, np.array([AGE]),
    )  # fmt: skip
    return data, true[order]


def waits(happened: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.where(happened, np.random.default_rng(9).uniform(0, 5, len(happened)), np.inf)


def labelled(data: EndpointData, happened: NDArray[np.bool_]) -> EndpointData:
    return replace(data, happened=happened, days=waits(happened))


@pytest.fixture(scope="module")
def world() -> tuple[EndpointData, NDArray[np.float64]]:
    return several_moments()


@pytest.fixture(scope="module")
def fitted(world: tuple[EndpointData, NDArray[np.float64]]) -> FittedEndpoint:
    return fit_endpoint(world[0], SilentStep())


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
    stumps = fit_boosted(data, upon, "stumps").member
    assert getattr(stumps, "offset", None) is candidate.member


def test_where_leads_have_one_age_trees_stand_on_nothing(world: tuple[EndpointData, NDArray[np.float64]]) -> None:
    data = replace(world[0], ages=np.array([], dtype=np.int64))
    _, upon = fit_logistic_member(data)
    assert upon.member is None
    assert not any(said.test.any() for said in upon.said.values())
    assert fit_endpoint(data, SilentStep()).age_logit is None


def test_a_penalty_is_found_on_either_side_of_the_list() -> None:
    """Noise alone asks for the strongest; few strong signs for a weak one."""
    data, _ = several_moments(seed=2, noise=40)
    rng = np.random.default_rng(3)
    noise = labelled(data, rng.random(len(data.happened)) < 0.1)
    strong = fit_logistic_member(noise)[0].settings["penalty"]
    weak = fit_logistic_member(several_moments(seed=2, noise=0)[0])[0].settings["penalty"]
    assert isinstance(strong, float)
    assert strong < 2 * PENALTIES[0]
    assert isinstance(weak, float)
    assert weak >= 0.01


def test_the_shipped_level_is_that_of_all_mature_rows(
    world: tuple[EndpointData, NDArray[np.float64]], fitted: FittedEndpoint
) -> None:
    data, factor = world[0], fitted.update.factor
    settled = data.matrix[data.is_mature]
    assert factor == 1.0  # nothing drifts here
    assert fitted.endpoint.probability(settled).mean() == pytest.approx(data.happened[data.is_mature].mean(), rel=1e-6)


def test_labels_of_the_last_test_period_do_not_touch_what_was_said_of_it(
    world: tuple[EndpointData, NDArray[np.float64]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The choices of penalty and reading do see every test period, so there is none here.
    monkeypatch.setattr(candidates, "PENALTIES", (0.01,))
    monkeypatch.setattr(candidates, "MIN_ERRORS", np.inf)
    data = world[0]
    last = max(fold.start_us for fold in data.folds)
    tested = np.unique(np.concatenate([fold.test for fold in data.folds if fold.start_us == last]))
    turned = data.happened.copy()
    turned[tested[::2]] ^= True
    found = []
    for labels in (data.happened, turned):
        fitted, _ = fit_logistic_member(labelled(data, labels))
        said = [logits.test for logits, fold in zip(fitted.folds, data.folds, strict=True) if fold.start_us == last]
        found.append(np.concatenate(said))
    np.testing.assert_array_equal(*found)


def test_unseen_predictions_are_calibrated(fitted: FittedEndpoint, world: tuple[EndpointData, object]) -> None:
    observed = world[0].happened[fitted.rows].mean()
    assert expit(fitted.logit).mean() == pytest.approx(observed, rel=0.25)


def test_open_rows_are_labelled_by_what_had_come_at_the_start_of_the_test_period(
    world: tuple[EndpointData, NDArray[np.float64]],
) -> None:
    data, reading = world[0], Reading(with_open=True, half_life_days=None)
    fold = data.folds[-1]
    sample = data.sample(reading, fold)
    is_open = np.isin(sample.rows, fold.open)
    assert is_open.any()
    assert (sample.offset[is_open] < 0).all()
    assert (sample.offset[~is_open] == 0).all()
    came_us = data.as_of_us + data.days * DAY_US
    np.testing.assert_array_equal(sample.happened[is_open], came_us[sample.rows[is_open]] < fold.start_us)
    later = replace(data, days=np.where(came_us >= fold.start_us, np.inf, data.days))
    np.testing.assert_array_equal(later.sample(reading, fold).offset, sample.offset)


def test_rows_of_long_ago_weigh_less_by_their_half_life(world: tuple[EndpointData, NDArray[np.float64]]) -> None:
    data = world[0]
    sample = data.sample(Reading(with_open=False, half_life_days=100.0))
    assert sample.weights is not None
    assert sample.weights.mean() == pytest.approx(1.0)
    age = data.watched_days(sample.rows, data.until_us)
    first, last = 0, len(age) - 1
    assert sample.weights[last] / sample.weights[first] == pytest.approx(2.0 ** ((age[first] - age[last]) / 100.0))


def test_the_endpoint_of_a_fold_says_what_was_said_out_of_fold(
    fitted: FittedEndpoint, world: tuple[EndpointData, NDArray[np.float64]]
) -> None:
    data = world[0]
    said = [
        endpoint.calibrator.logit(endpoint.g(data.matrix[fold.test]))
        for endpoint, fold in zip(fitted.by_fold, data.folds, strict=True)
    ]
    np.testing.assert_allclose(np.concatenate(said), fitted.logit, atol=1e-9)


def test_a_category_of_pure_noise_gains_nothing(
    world: tuple[EndpointData, NDArray[np.float64]], fitted: FittedEndpoint
) -> None:
    """Forty levels that mean nothing: the future is predicted no better, and no level moves a score much."""
    data, true = world
    level = np.random.default_rng(6).integers(0, 40, LEADS)[data.lead]
    flags = (level[:, None] == np.arange(40)).astype(np.float64)
    wider = replace(
        data,
        matrix=np.hstack([data.matrix, flags]),
        shapes=(*data.shapes, *["flag"] * 40),
        directions=(*data.directions, *[0] * 40),
    )
    found = fit_endpoint(wider, SilentStep())

    happened = data.happened[fitted.rows]
    gained = saving(data.lead[fitted.rows], happened, fitted.logit, found.logit)
    assert gained.standard_errors < 1
    parts, _ = found.endpoint.split(wider.matrix)
    noise = parts[:, data.matrix.shape[1] :].sum(axis=1).std()
    assert noise < 0.15 * true.std()
