"""What a hand-off adds, against the simulator that knows it."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from crm.progress import Silent
from crm.simulator_columns import micros
from crm.simulator_follow_up_truth import follow_up_truth
from crm.simulator_truth import p_won_of_plan
from crm.simulator_world import World, draw_world
from crm.workspace_tables import open_tables
from features.build import build_features
from models.scoring import probabilities, worth_of
from tests.model.conftest import NOW, Trained
from training.follow_up import learn_follow_up


@pytest.fixture(scope="module")
def world() -> World:
    return draw_world(2500, 3, drift=False)


def asked(lead: np.ndarray, days: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {"lead_id": [f"L{place:06d}" for place in lead], "as_of": pd.to_datetime(micros(days), unit="us", utc=True)}
    )


def test_the_truth_of_a_hand_off_is_what_the_world_draws_at_its_hand_offs(world: World) -> None:
    lead = np.flatnonzero(np.isfinite(world.plan.hand_off_at))
    days = world.plan.hand_off_at[lead]
    true = follow_up_truth(world, asked(lead, days))
    for column, at, horizon in (
        ("p_sql_if_handed_off", world.outcomes.sql_at, 30),
        ("p_won_if_handed_off", world.outcomes.won_at, 90),
    ):
        p, came = true[column].to_numpy(), at[lead] < days + horizon
        assert abs(came.mean() - p.mean()) < 3.0 * np.sqrt((p * (1.0 - p)).sum()) / len(p)


def test_the_truth_of_a_lead_that_nobody_hands_over_is_its_own(world: World) -> None:
    lead = np.flatnonzero(world.plan.route == 2)
    days = world.people.created[lead] + 3.0
    true = follow_up_truth(world, asked(lead, days))
    np.testing.assert_allclose(true["p_won_if_never"], p_won_of_plan(world.plan, lead, days, 90), atol=1e-9)


def test_the_chances_if_worked_are_at_the_level_of_the_truth(trained: Trained, world: World) -> None:
    bundle = trained.result.bundle
    assert bundle.follow_up is not None
    lead = np.flatnonzero(np.isfinite(world.plan.hand_off_at) & (world.plan.hand_off_at < 700.0))
    frame = asked(lead, world.plan.hand_off_at[lead])
    moments = pa.table(
        {
            "row_id": np.arange(len(frame)),
            "lead_id": frame["lead_id"].tolist(),
            "as_of_us": micros(world.plan.hand_off_at[lead]),
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_tables(trained.workspace, NOW, Silent()) as tables:
            matrix = build_features(tables, moments, bundle.features)
    found = worth_of(bundle, matrix, probabilities(bundle, matrix)[1]).if_worked
    assert found is not None
    true = follow_up_truth(world, frame)
    assert 0.75 < found.p_sql.mean() / true["p_sql_if_handed_off"].mean() < 1.3
    assert found.p_sql.mean() > found.p_sql_if_left.mean()


def test_without_hand_offs_there_is_no_term_and_nothing_changes(trained: Trained) -> None:
    with open_tables(trained.workspace, NOW, Silent()) as tables:
        without = replace(tables, counts={name: count for name, count in tables.counts.items() if name != "hand_offs"})
        # What was learned is not looked at.
        found = learn_follow_up(without, trained.result.data, None, Silent(), decides=True)
    assert found.term is None
    assert "no hand-offs" in found.missing
    plain = replace(trained.result.bundle, follow_up=found.term)
    matrix = trained.result.data.matrix[:50]
    p_won = probabilities(plain, matrix)[1]
    np.testing.assert_array_equal(worth_of(plain, matrix, p_won).revenue, p_won * plain.amount.expected(matrix))
