"""The backtest on the simulator: what is learned knows nothing later, and kizashi beats the plain rules."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from crm.errors import TooFewOutcomesError
from crm.progress import Silent
from crm.simulator import SimulatorSettings, simulate
from crm.store import Tables
from tests.histories import config_of, raw_tables_of
from training.backtest import backtest, learn_as_of
from training.backtest_result import OURS, Backtest
from training.backtest_rows import STEP_DAYS

SECTIONS = {
    "snapshots": {"creation": True, "random_per_lead": 3},
    "value": {"margin": 0.4, "touch_cost": 50, "capacity_per_week": 40},
}
CONFIG = config_of(**SECTIONS)
ORIGIN = datetime(2026, 2, 1, tzinfo=UTC)


def tables_of_simulator(leads: int, seed: int, **planted: pa.Table) -> Tables:
    raw = dict(simulate(SimulatorSettings(leads=leads, seed=seed)))
    for name, rows in planted.items():
        raw[name] = pa.concat_tables([raw[name], rows], promote_options="permissive")
    return raw_tables_of(raw, now=datetime(2026, 9, 1, tzinfo=UTC), **SECTIONS)


@pytest.fixture(scope="module")
def found() -> Iterator[Backtest]:
    with tables_of_simulator(4000, 7) as tables:
        yield backtest(tables, CONFIG, as_of=None, origins=2, progress=Silent())


@pytest.mark.slow
def test_wins_are_foretold_better_than_by_chance_and_by_odoo(found: Backtest) -> None:
    won = found.pooled["won"]
    for method in ("random", "odoo"):
        assert won.gains[method]["auc"].low > 0, method
    # Most leads at risk are long silent, so that the last touch alone ranks them well; so few wins tell no more.
    assert won.gains["recency"]["auc"].high > 0
    assert won.gains["odoo"]["log_loss"].high < 0
    # Neither claims a probability: the best constant in hindsight is what they could say at most.
    happened = sum(origin.happened["won"] for origin in found.origins)
    rate = happened / sum(origin.tested for origin in found.origins)
    base = -rate * math.log(rate) - (1 - rate) * math.log(1 - rate)
    assert won.measures[OURS]["log_loss"].high < base


@pytest.mark.slow
def test_every_method_stands_on_the_same_rows(found: Backtest) -> None:
    """The measures that depend on rows and labels alone are equal, and each lead has one row an origin."""
    assert [later.as_of - earlier.as_of for earlier, later in pairwise(found.origins)] == [timedelta(days=STEP_DAYS)]
    for origin in found.origins:
        assert origin.until <= found.seen.observed_until - timedelta(days=CONFIG.outcome.won_horizon_days)
        assert origin.worked == SECTIONS["value"]["capacity_per_week"] * STEP_DAYS / 7
        for outcome, compared in origin.compared.items():
            assert set(compared.measures) == set(found.methods)
            said = {name: values for name, values in compared.measures.items() if "brier" in values}
            assert {OURS, "odoo", "logistic", "lightgbm"} <= set(said)
            for values in said.values():
                predicted = origin.happened[outcome] / values["observed_over_expected"].value
                assert 0 < predicted < origin.tested


@pytest.mark.slow
def test_what_is_caught_is_what_there_was_at_most(found: Backtest) -> None:
    deals = np.mean([origin.deals for origin in found.origins])
    revenue = np.mean([origin.revenue for origin in found.origins])
    for method, values in found.pooled["won"].measures.items():
        assert 0 <= values["captured_wins"].value <= deals, method
        assert values["captured_wins"].value == pytest.approx(values["captured_wins_share"].value * deals)
        assert values["captured_revenue"].value == pytest.approx(values["captured_revenue_share"].value * revenue)
    gains = found.pooled["won"].gains
    assert gains["random"]["captured_revenue_share"].low > 0


@pytest.mark.slow
def test_nothing_recorded_after_the_origin_changes_what_is_learned() -> None:
    """Wins that happened before the origin and were recorded the day after: none of them exists."""
    raw = simulate(SimulatorSettings(leads=2500, seed=3))
    leads = raw["leads"].column("lead_id").to_pylist()[:600]
    created = raw["leads"].column("created_at").to_pylist()[:600]
    late = [ORIGIN + timedelta(days=1)] * len(leads)
    moments = [time + timedelta(days=2) for time in created]
    times = pa.timestamp("us", "UTC")
    stages = pa.table(
        {
            "lead_id": leads,
            "stage": ["sql"] * len(leads),
            "entered_at": pa.array(moments, times),
            "recorded_at": pa.array(late, times),
        }
    )
    deals = pa.table(
        {
            "opportunity_id": [f"planted {lead}" for lead in leads],
            "lead_id": leads,
            "created_at": pa.array(moments, times),
            "closed_at": pa.array([time + timedelta(days=3) for time in moments], times),
            "is_won": [True] * len(leads),
            "amount": [1e6] * len(leads),
            "currency": ["USD"] * len(leads),
            "recorded_at": pa.array(late, times),
        }
    )
    assert max(moments) < ORIGIN
    said = []
    for planted in ({}, {"stages": stages, "opportunities": deals}):
        with tables_of_simulator(2500, 3, **planted) as tables:
            assert tables.quarantine().num_rows == 0
            data, bundle = learn_as_of(tables, CONFIG, ORIGIN, Silent())
            amounts = bundle.amount.expected(data.matrix)
            said.append(
                (data.matrix, bundle.won.probability(data.matrix), bundle.sql.probability(data.matrix), amounts)
            )
    for one, two in zip(*said, strict=True):
        assert one.tobytes() == two.tobytes()


@pytest.mark.slow
def test_origins_with_too_little_are_left_out_with_a_note_and_none_at_all_is_refused() -> None:
    with tables_of_simulator(700, 3) as tables, pytest.raises(TooFewOutcomesError, match="at each of 2 origins"):
        backtest(tables, CONFIG, as_of=datetime(2025, 3, 1, tzinfo=UTC), origins=2, progress=Silent())
