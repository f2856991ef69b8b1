"""Moments of training: chosen without a look ahead, inside the time at risk, the same every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.config import SnapshotsConfig
from crm.known import to_micros
from crm.outcomes import Observation, risk_spells
from crm.store import Tables
from tests.histories import DAY, START, Row, tables_of
from training.snapshots import Snapshots, hand_offs_at_risk, scoring_moments, take_snapshots

SLOW = settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
UNTIL = START + 300 * DAY
DEFAULT = SnapshotsConfig()
EVERY = SnapshotsConfig(
    creation=True, after_days=(3.0, 20.0), touch_kinds=("visit",), weekly=True, decisions=True, random_per_lead=4
)
CLOCKS = {"leads": "created_at", "touches": "happened_at", "stages": "entered_at", "opportunities": "created_at"}


def world(seed: int, leads: int = 30) -> dict[str, list[Row]]:
    """Leads with visits, MQLs, SQLs, recyclings and opportunities at drawn times."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[Row]] = {"leads": [], "touches": [], "stages": [], "opportunities": []}

    def later(start: datetime, days: float) -> datetime:
        return start + timedelta(days=float(rng.exponential(days)))

    for number in range(leads):
        name, created = f"L{number}", START + timedelta(days=float(rng.uniform(0, 250)))
        rows["leads"].append({"lead_id": name, "created_at": created, "account_id": f"A{rng.integers(0, leads // 2)}"})
        for _ in range(int(rng.integers(0, 4))):
            rows["touches"].append({"lead_id": name, "happened_at": later(created, 20), "kind": "visit"})
        mql = later(created, 30)
        if rng.random() < 0.6:
            rows["stages"].append({"lead_id": name, "stage": "mql", "entered_at": mql})
        if rng.random() < 0.5:
            sql = later(mql, 10)
            rows["stages"].append({"lead_id": name, "stage": "sql", "entered_at": sql})
            if rng.random() < 0.5:
                rows["stages"].append({"lead_id": name, "stage": "recycled", "entered_at": later(sql, 15)})
            elif rng.random() < 0.5:
                rows["opportunities"].append(
                    {"opportunity_id": f"O{number}", "lead_id": name, "created_at": later(sql, 5)}
                )
    return rows


def seen(until: datetime, since: datetime | None = None) -> Observation:
    return Observation(since, until, until)


def take(rows: Mapping[str, Sequence[Row]], until: datetime, config: SnapshotsConfig = DEFAULT) -> Snapshots:
    with tables_of(rows) as tables:
        return take_snapshots(tables, config, seen(until))


def known(rows: Mapping[str, Sequence[Row]], until: datetime) -> dict[str, list[Row]]:
    """Delete the future."""
    return {name: [row for row in table if row[CLOCKS[name]] <= until] for name, table in rows.items()}


def pairs(found: Snapshots, before_us: int | None = None) -> set[tuple[str, int]]:
    every = zip(found.moments.column("lead_id").to_pylist(), found.as_of_us.tolist(), strict=True)
    return {pair for pair in every if before_us is None or pair[1] <= before_us}


def judged(found: Snapshots) -> set[tuple[str, int]]:
    names = found.moments.column("lead_id").to_pylist()
    return {(names[row], int(found.as_of_us[row])) for row in np.flatnonzero(found.is_judged)}


@SLOW
@given(st.integers(0, 999), st.sampled_from((60, 120, 200)))
def test_deleting_the_future_changes_no_moment_before(seed: int, days: int) -> None:
    rows, cut = world(seed), START + days * DAY
    config = SnapshotsConfig(creation=True, after_days=(3.0, 20.0), touch_kinds=("visit",), decisions=True)
    whole, past = take(rows, UNTIL, config), take(known(rows, cut), cut, config)
    assert pairs(past) == pairs(whole, to_micros(cut))
    assert {pair for pair in judged(whole) if pair[1] <= to_micros(cut)} == judged(past)


@SLOW
@given(st.integers(0, 999))
def test_what_a_lead_does_later_changes_no_moment_before(seed: int) -> None:
    """The end of the span stays, so drawn ages stay as well; only what happens after the cut is gone."""
    rows, cut = world(seed), START + 150 * DAY
    later = {"stages", "opportunities", "touches"}
    gone = {name: known(rows, cut)[name] if name in later else table for name, table in rows.items()}
    one, two = take(rows, UNTIL), take(gone, UNTIL)
    assert pairs(one, to_micros(cut)) == pairs(two, to_micros(cut))
    before = {pair for pair in judged(one) if pair[1] <= to_micros(cut)}
    assert before == {pair for pair in judged(two) if pair[1] <= to_micros(cut)}


@SLOW
@given(st.integers(0, 999), st.sampled_from((DEFAULT, EVERY)))
def test_moments_lie_inside_the_time_at_risk_and_the_span(seed: int, config: SnapshotsConfig) -> None:
    rows = world(seed)
    since = START + 40 * DAY
    with tables_of(rows) as tables:
        found = take_snapshots(tables, config, seen(UNTIL, since))
        spells = risk_spells(tables, UNTIL)
    by_lead = {str(name): part for name, part in spells.groupby("lead_id")}
    assert len(found.as_of_us) > 20
    for name, moment in pairs(found):
        part = by_lead[name]
        assert ((part["start_us"] <= moment) & ~(part["end_us"] < moment)).any()
        assert to_micros(since) <= moment <= to_micros(UNTIL)


@SLOW
@given(st.integers(0, 999), st.sampled_from((DEFAULT, EVERY)))
def test_each_moment_stands_once_in_time_order_and_each_lead_is_judged_at_most_once(
    seed: int, config: SnapshotsConfig
) -> None:
    found = take(world(seed), UNTIL, config)
    assert len(pairs(found)) == len(found.as_of_us)
    assert (np.diff(found.as_of_us) >= 0).all()
    assert np.bincount(found.lead, found.is_judged).max() <= 1
    assert found.moments.column("row_id").to_pylist() == list(range(len(found.as_of_us)))
    names = np.array(found.moments.column("lead_id").to_pylist())
    assert len(set(zip(names.tolist(), found.lead.tolist(), strict=True))) == len(set(names)) == found.lead.max() + 1
    assert found.is_judged.any()


@pytest.mark.parametrize("config", [DEFAULT, EVERY])
def test_rows_in_another_order_give_the_same_snapshots(config: SnapshotsConfig) -> None:
    rows = world(3)
    one, two = take(rows, UNTIL, config), take({name: table[::-1] for name, table in rows.items()}, UNTIL, config)
    assert one.moments.equals(two.moments)
    assert (one.is_judged == two.is_judged).all()
    assert (one.group == two.group).all()


def test_accounts_are_one_group_and_leads_without_one_their_own() -> None:
    leads = [
        {"lead_id": name, "created_at": START, "account_id": account}
        for name, account in (("a", "X"), ("b", "X"), ("c", None), ("d", None), ("e", "c"))
    ]
    found = take({"leads": leads}, UNTIL, SnapshotsConfig(creation=True))
    names = found.moments.column("lead_id").to_pylist()
    group = dict(zip(names, found.group.tolist(), strict=True))
    assert group["a"] == group["b"]
    assert len(set(group.values())) == 4


def test_a_lead_and_the_one_it_was_merged_into_are_one_group() -> None:
    rows = {
        "leads": [{"lead_id": name, "created_at": START, "account_id": None} for name in ("a", "b", "c")],
        "lead_merges": [{"from_lead_id": "a", "into_lead_id": "b", "recorded_at": START + 50 * DAY}],
    }
    found = take(rows, UNTIL, SnapshotsConfig(creation=True))
    group = dict(zip(found.moments.column("lead_id").to_pylist(), found.group.tolist(), strict=True))
    assert group["a"] == group["b"] != group["c"]


def test_touches_that_were_recorded_later_make_no_moment() -> None:
    """Not even one inside the observed span: that they happened was not known then."""
    touches = [
        {"lead_id": "a", "happened_at": START + days * DAY, "recorded_at": START + late * DAY, "kind": "visit"}
        for days, late in ((10, 12), (20, 400))
    ]
    rows = {"leads": [{"lead_id": "a", "created_at": START}], "touches": touches}
    found = take(rows, UNTIL, SnapshotsConfig(touch_kinds=("visit",)))
    assert found.as_of_us.tolist() == [to_micros(START + 12 * DAY)]


def test_a_lead_is_not_scored_after_its_sql_until_it_is_recycled() -> None:
    stages = [
        {"lead_id": "a", "stage": stage, "entered_at": START + days * DAY}
        for stage, days in (("mql", 5), ("sql", 10), ("recycled", 100))
    ]
    rows = {"leads": [{"lead_id": "a", "created_at": START}], "stages": stages}
    found = take(rows, UNTIL, SnapshotsConfig(weekly=True, decisions=True))
    days = (found.as_of_us - to_micros(START)) / 86_400_000_000
    assert not ((days > 10) & (days < 100)).any()
    assert (days <= 10).any()
    assert (days >= 100).any()
    # An MQL is known a microsecond after it was entered, or when it was recorded.
    assert to_micros(START + 5 * DAY) + 1 in found.as_of_us


def replayed(tables: Tables, config: SnapshotsConfig, since: datetime) -> Snapshots:
    return scoring_moments(tables, config, seen(UNTIL), since_us=to_micros(since))


def test_a_replay_takes_every_week_unless_the_workspace_names_its_moments() -> None:
    since = UNTIL - 56 * DAY
    week = 7 * 86_400_000_000
    with tables_of(world(5)) as tables:
        weekly = replayed(tables, DEFAULT, since)
        named = replayed(tables, SnapshotsConfig(creation=True), UNTIL - 200 * DAY)
    assert {(to_micros(UNTIL) - moment) % week for moment in weekly.as_of_us.tolist()} == {0}
    assert len(np.unique(weekly.as_of_us)) == 9
    assert weekly.as_of_us.min() >= to_micros(since)
    starts = {row["created_at"] for row in world(5)["leads"]} | {row["entered_at"] for row in world(5)["stages"]}
    moments = {to_micros(start) + known for start in starts for known in (0, 1)}  # created; just after it was recycled
    assert moments >= set(named.as_of_us.tolist())


@pytest.mark.parametrize("config", [DEFAULT, EVERY, SnapshotsConfig(touch_kinds=("never",))])
def test_a_span_without_leads_has_no_snapshots(config: SnapshotsConfig) -> None:
    found: Any = take(world(6), START - DAY, config)
    assert len(found.as_of_us) == len(found.group) == len(found.is_judged) == found.moments.num_rows == 0


def test_a_hand_off_counts_at_its_corrected_time_once_and_only_of_a_lead_at_risk() -> None:
    rows: dict[str, list[Row]] = {
        "leads": [{"lead_id": name, "created_at": START} for name in ("plain", "corrected", "late", "again")],
        "stages": [{"lead_id": "late", "stage": "sql", "entered_at": START + 5 * DAY}],
        "hand_offs": [
            {"hand_off_id": "1", "lead_id": "plain", "handed_off_at": START + 10 * DAY},
            {
                "hand_off_id": "2",
                "lead_id": "corrected",
                "handed_off_at": START + 3 * DAY,
                "recorded_at": START + 3 * DAY,
            },
            {
                "hand_off_id": "2",
                "lead_id": "corrected",
                "handed_off_at": START + 9 * DAY,
                "recorded_at": START + 9 * DAY,
            },
            {"hand_off_id": "3", "lead_id": "late", "handed_off_at": START + 8 * DAY},
            {"hand_off_id": "4", "lead_id": "again", "handed_off_at": START + 7 * DAY},
            {"hand_off_id": "5", "lead_id": "again", "handed_off_at": START + 12 * DAY},
        ],
    }
    with tables_of(rows) as tables:
        found = hand_offs_at_risk(tables, seen(UNTIL))
        before = hand_offs_at_risk(tables, seen(START + 5 * DAY))
    days = {name: (at - to_micros(START)) / 86_400_000_000 for name, at in found.itertuples(index=False)}
    assert days == {"plain": 10.0, "corrected": 9.0, "again": 7.0}
    assert before["lead_id"].tolist() == ["corrected"]
    assert before["as_of_us"].tolist() == [to_micros(START + 3 * DAY)]


def test_leads_that_were_merged_share_the_hand_off_of_the_person_from_the_merge_on() -> None:
    rows: dict[str, list[Row]] = {
        "leads": [{"lead_id": name, "created_at": START} for name in ("one", "twin", "other")],
        "hand_offs": [{"hand_off_id": "1", "lead_id": "one", "handed_off_at": START + 3 * DAY}],
        "lead_merges": [{"from_lead_id": "one", "into_lead_id": "twin", "recorded_at": START + 9 * DAY}],
    }
    with tables_of(rows) as tables:
        assert hand_offs_at_risk(tables, seen(UNTIL))["lead_id"].tolist() == ["one", "twin"]
        assert hand_offs_at_risk(tables, seen(START + 8 * DAY))["lead_id"].tolist() == ["one"]
