"""Test rows of a backtest: origins whose outcomes are over, leads at risk as known then, every deal once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.config import OutcomeConfig
from crm.errors import PastOnlyError
from crm.known import from_micros, to_micros
from crm.outcomes import Observation
from features.learn import learn_features
from tests.histories import DAY, START, Row, config_of, tables_of
from training.backtest_rows import STEP_DAYS, HeldOut, hold_out, settle_origins
from training.baselines import ask
from training.prepare import settle_observation

QUICK = settings(max_examples=50, deadline=None, derandomize=True)
SLOW = settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
UNTIL = START + 300 * DAY
STEP = timedelta(days=STEP_DAYS)
OUTCOME = {"sql_horizon_days": 20, "won_horizon_days": 40}
CLOCKS = {"leads": "created_at", "touches": "happened_at", "stages": "recorded_at", "opportunities": "recorded_at"}
Rows = dict[str, list[Row]]


def world(seed: int, leads: int = 30) -> Rows:
    """Leads with visits, SQLs that are recorded days later, recyclings and deals at drawn times."""
    rng = np.random.default_rng(seed)
    rows: Rows = {"leads": [], "touches": [], "stages": [], "opportunities": []}

    def stage(lead: str, name: str, moment: datetime) -> None:
        late = moment + timedelta(days=float(rng.integers(0, 6)))
        rows["stages"].append({"lead_id": lead, "stage": name, "entered_at": moment, "recorded_at": late})

    for number in range(leads):
        name, created = f"L{number}", START + timedelta(days=float(rng.uniform(0, 280)))
        rows["leads"].append({"lead_id": name, "created_at": created, "account_id": f"A{rng.integers(0, leads // 2)}"})
        for _ in range(int(rng.integers(0, 4))):
            moment = created + timedelta(days=float(rng.exponential(20)))
            rows["touches"].append({"lead_id": name, "happened_at": moment, "kind": "visit"})
        if rng.random() < 0.6:
            sql = created + timedelta(days=float(rng.exponential(40)))
            stage(name, "sql", sql)
            if rng.random() < 0.4:
                stage(name, "recycled", sql + timedelta(days=float(rng.exponential(15))))
            elif rng.random() < 0.6:
                closed = sql + timedelta(days=float(rng.exponential(15)))
                deal = {"opportunity_id": f"O{number}", "lead_id": name, "created_at": sql, "closed_at": closed}
                rows["opportunities"].append(deal | {"is_won": True, "amount": 100.0 + number, "recorded_at": closed})
    return rows


def held_out(rows: Mapping[str, Sequence[Row]], count: int = 5, **value: Any) -> tuple[HeldOut, tuple[datetime, ...]]:
    config = config_of(outcome=OUTCOME, value=value)
    with tables_of(rows, outcome=OUTCOME) as tables:
        seen = settle_observation(tables, config, UNTIL)
        origins = settle_origins(Observation(None, UNTIL, UNTIL), config.outcome, count)
        return hold_out(tables, config, origins, Observation(seen.observed_from, UNTIL, UNTIL)), origins


def was_at_risk(rows: Mapping[str, Sequence[Row]], lead: str, moment: datetime, known: datetime) -> bool:
    """Go through one lead's history by hand, as recorded by ``known``: at risk unless the last turn was an end."""
    created = next(row["created_at"] for row in rows["leads"] if row["lead_id"] == lead)
    turns: list[tuple[datetime, bool]] = []
    for row in rows["stages"]:
        if row["lead_id"] == lead and row["recorded_at"] <= known:
            turns.append((row["entered_at"], row["stage"] == "recycled"))
    for row in rows["opportunities"]:
        if row["lead_id"] == lead and row["recorded_at"] <= known:
            turns += [(row["created_at"], False), (row["closed_at"], False)]
    before = sorted(turn for turn in turns if turn[0] < moment)
    return created <= moment and (not before or before[-1][1])


@QUICK
@given(st.integers(1, 12), st.floats(1, 200), st.floats(1, 200))
def test_origins_are_four_weeks_apart_and_the_newest_window_is_mature(count: int, sql: float, won: float) -> None:
    config = OutcomeConfig(sql_horizon_days=sql, won_horizon_days=won)
    seen = Observation(None, UNTIL, UNTIL + DAY)
    origins = settle_origins(seen, config, count)
    assert len(origins) == count
    assert {later - earlier for earlier, later in pairwise(origins)} <= {STEP}
    last_moment = origins[-1] + STEP
    assert all(seen.is_mature(last_moment, timedelta(days=days)) for days in (sql, won))
    assert not seen.is_mature(last_moment + DAY, timedelta(days=max(sql, won)))


@SLOW
@given(st.integers(0, 999))
def test_rows_are_the_leads_at_risk_as_known_then_each_once_a_window(seed: int) -> None:
    rows = world(seed)
    held, origins = held_out(rows)
    names = held.snapshots.moments.column("lead_id").to_pylist()
    found = {
        (int(o), lead): from_micros(int(t))
        for o, lead, t in zip(held.origin, names, held.snapshots.as_of_us, strict=True)
    }
    assert len(found) == len(names)
    for number, origin in enumerate(origins):
        for row in rows["leads"]:
            lead, created = row["lead_id"], row["created_at"]
            moment = found.get((number, lead))
            if was_at_risk(rows, lead, origin, origin):
                assert moment == origin
            elif origin < created < origin + STEP:
                assert moment == from_micros(to_micros(created))
            elif moment is not None:  # recycled, and not known before
                assert origin < moment < origin + STEP
                assert was_at_risk(rows, lead, moment, origin + STEP)
                assert any(r["lead_id"] == lead and r["stage"] == "recycled" for r in rows["stages"])


@SLOW
@given(st.integers(0, 999))
def test_features_are_those_known_at_the_rows_moment(seed: int) -> None:
    """Deleting whatever was recorded later changes nothing."""
    rows = world(seed)
    held, origins = held_out(rows)
    cut = origins[2]
    chosen = np.flatnonzero(held.snapshots.as_of_us == to_micros(cut))
    past = {name: [row for row in table if row[CLOCKS[name]] <= cut] for name, table in rows.items()}
    found = []
    with tables_of(rows) as whole, tables_of({name: table for name, table in past.items() if table}) as ended:
        features = learn_features(whole, held.snapshots.moments, to_micros(UNTIL))
        for tables in (whole, ended):
            asked = ask(tables, held.moments_of(chosen), features)
            found.append((asked.matrix, asked.age, asked.silence))
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


@SLOW
@given(st.integers(0, 999))
def test_labels_and_deals_are_those_of_a_count_by_hand(seed: int) -> None:
    rows = world(seed)
    held, _ = held_out(rows)
    names = held.snapshots.moments.column("lead_id").to_pylist()
    for number, lead in enumerate(names):
        moment = from_micros(int(held.snapshots.as_of_us[number]))
        deals = [row for row in rows["opportunities"] if row["lead_id"] == lead and row["recorded_at"] <= UNTIL]
        won = [row["amount"] for row in deals if moment <= row["closed_at"] < moment + 40 * DAY]
        sqls = [
            r["entered_at"]
            for r in rows["stages"]
            if r["lead_id"] == lead and r["stage"] == "sql" and r["recorded_at"] <= UNTIL
        ]
        sqls += [time for row in deals for time in (row["created_at"], row["closed_at"])]
        assert held.sql.happened[number] == any(moment <= time < moment + 20 * DAY for time in sqls)
        assert held.won.happened[number] == bool(won)
        assert (held.wins[number], held.revenue[number]) == (len(won), sum(won))
    assert (held.sql.is_mature & held.won.is_mature).all()


def leads_of(*names: str, account: str | None = None) -> list[Row]:
    return [{"lead_id": name, "created_at": START, "account_id": account} for name in names]


def deal(amount: float | None, **owner: str) -> Row:
    closed = UNTIL - 60 * DAY
    row = {
        "opportunity_id": "O",
        "created_at": closed - DAY,
        "closed_at": closed,
        "recorded_at": closed,
        "is_won": True,
    }
    return row | {"amount": amount, **owner}


def once_a_person(held: HeldOut, values: np.ndarray, origin: int) -> float:
    rows = np.flatnonzero(held.origin == origin)
    return float(values[rows[np.unique(held.person[rows], return_index=True)[1]]].sum())


def test_merged_leads_are_one_person_and_their_deal_counts_once() -> None:
    merge = {"from_lead_id": "L1", "into_lead_id": "L2", "recorded_at": UNTIL - 50 * DAY}
    held, origins = held_out(
        {"leads": leads_of("L1", "L2", "L3"), "lead_merges": [merge], "opportunities": [deal(900.0, lead_id="L1")]}, 2
    )
    assert origins[1] == UNTIL - 68 * DAY
    rows = np.flatnonzero(held.origin == 1)
    assert held.won.happened[rows].tolist() == [True, True, False]
    assert len(np.unique(held.person[rows])) == 2
    assert held.snapshots.group[rows[0]] == held.snapshots.group[rows[1]]
    assert (once_a_person(held, held.wins, 1), once_a_person(held, held.revenue, 1)) == (1.0, 900.0)


def test_an_accounts_deal_is_shared_and_counts_once() -> None:
    held, _ = held_out(
        {"leads": leads_of("L1", "L2", "L3", account="A"), "opportunities": [deal(900.0, account_id="A")]}, 1
    )
    assert held.won.happened.all()
    np.testing.assert_allclose(held.wins, 1 / 3)
    np.testing.assert_allclose(held.revenue, 300.0)
    np.testing.assert_allclose(held.revenue, held.won.amount)


@pytest.mark.parametrize(("value", "revenue"), [({}, 0.0), ({"default_amount": 500}, 500.0)])
def test_a_deal_without_an_amount_counts_with_the_default(value: dict[str, Any], revenue: float) -> None:
    held, _ = held_out({"leads": leads_of("L1", "L2"), "opportunities": [deal(None, lead_id="L1")]}, 1, **value)
    assert (held.wins.sum(), held.revenue.sum(), held.unpriced) == (1.0, revenue, 1)


def test_without_any_lead_at_risk_it_refuses() -> None:
    late = [{"lead_id": "L1", "created_at": UNTIL - DAY}]
    with pytest.raises(PastOnlyError, match="no lead at risk"):
        held_out({"leads": late, "stages": [{"lead_id": "L1", "stage": "mql", "entered_at": UNTIL - DAY}]}, 2)


def test_a_window_before_the_first_lead_has_no_rows() -> None:
    held, origins = held_out({"leads": leads_of("L1", "L2"), "opportunities": [deal(5.0, lead_id="L1")]}, 12)
    assert origins[0] < START
    assert held.rows_of(0).size == 0
    assert held.rows_of(11).size == 2
