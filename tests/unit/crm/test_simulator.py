"""The demo source: its URL, the shape of its tables, and that causes come before effects."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm import simulator
from crm.errors import SourceError
from crm.personal import forbidden_reason, looks_personal, personal_name_reason
from crm.simulator import DIFFICULTY_HASH, OBSERVED_UNTIL, SimulatorSettings, parse_demo_url, simulate
from crm.simulator_difficulty import DIFFICULTY, difficulty_hash
from crm.simulator_world import draw_world
from crm.tables import ACTORS, STAGES, TABLES

SETTINGS = SimulatorSettings(leads=3_000, seed=11)


@pytest.fixture(scope="module")
def tables() -> Mapping[str, pa.Table]:
    return simulate(SETTINGS)


@pytest.fixture(scope="module")
def frames(tables: Mapping[str, pa.Table]) -> dict[str, pd.DataFrame]:
    return {name: table.to_pandas() for name, table in tables.items()}


class TestUrl:
    def test_bare_url_stands_for_the_defaults(self) -> None:
        assert parse_demo_url("demo://") == SimulatorSettings(leads=20_000, seed=7, drift=False)
        assert parse_demo_url("demo:") == parse_demo_url("demo://")

    @given(leads=st.integers(200, 2_000_000), seed=st.integers(0, 2**32 - 1), drift=st.booleans())
    def test_every_setting_is_read(self, leads: int, seed: int, drift: bool) -> None:
        url = f"demo://?seed={seed}&drift={int(drift)}&leads={leads}"
        assert parse_demo_url(url) == SimulatorSettings(leads, seed, drift)

    @pytest.mark.parametrize(
        "query",
        [
            "leads=199",
            "leads=2000001",
            "leads=",
            "leads=many",
            "leads=1e4",
            "leads=-500",
            "leads=+500",
            "leads=1_000",
            "leads=٥٠٠",
            "seed=-1",
            "seed=4294967296",
            "seed=1.5",
            "drift=2",
            "drift=yes",
            "lead=500",
            "leads=500&leads=600",
            "leads=500&",
            "leads",
            "LEADS=500",
        ],
    )
    def test_a_bad_setting_is_refused(self, query: str) -> None:
        with pytest.raises(SourceError, match="demo://"):
            parse_demo_url(f"demo://?{query}")

    @pytest.mark.parametrize(
        "url", ["dir:exports", "demo://host?leads=500", "demo:///path", "demo://#x", "leads=500", ""]
    )
    def test_another_url_is_refused(self, url: str) -> None:
        with pytest.raises(SourceError):
            parse_demo_url(url)


class TestTables:
    def test_the_contract_is_met(self, tables: Mapping[str, pa.Table]) -> None:
        types = {
            "text": pa.string(),
            "time": pa.timestamp("us", "UTC"),
            "number": pa.float64(),
            "boolean": pa.bool_(),
            "date": pa.date32(),
        }
        assert list(tables) == [name for name in TABLES if name != "fx_rates"]
        for name, table in tables.items():
            schema = TABLES[name]
            assert table.num_rows > 0, name
            for column in schema.columns:
                field = table.schema.field(column.name)
                assert field.type == types[column.type], (name, column.name)
                if column.required:
                    assert table.column(column.name).null_count == 0, (name, column.name)
            if not schema.open_columns:
                assert set(table.column_names) == set(schema.column_names)

    def test_keys_are_unique(self, frames: dict[str, pd.DataFrame]) -> None:
        for name, frame in frames.items():
            assert not frame.duplicated(list(TABLES[name].key)).any(), name

    def test_choices_are_kept(self, frames: dict[str, pd.DataFrame]) -> None:
        assert set(frames["touches"]["actor"]) == {"lead", "sales", "bot"} <= set(ACTORS)
        assert set(frames["stages"]["stage"]) == set(STAGES)
        assert set(frames["content"]["made_by"]) == {"marketing", "sales"}

    def test_every_reference_leads_somewhere(self, frames: dict[str, pd.DataFrame]) -> None:
        leads = set(frames["leads"]["lead_id"])
        for name, column in [
            ("touches", "lead_id"),
            ("stages", "lead_id"),
            ("hand_offs", "lead_id"),
            ("opportunities", "lead_id"),
            ("lead_changes", "lead_id"),
            ("lead_merges", "from_lead_id"),
            ("lead_merges", "into_lead_id"),
        ]:
            assert set(frames[name][column]) <= leads, (name, column)
        assert set(frames["touches"]["content_id"].dropna()) <= set(frames["content"]["content_id"])
        assert set(frames["touches"]["campaign_id"].dropna()) <= set(frames["campaigns"]["campaign_id"])
        assert set(frames["expectations"]["campaign_id"]) <= set(frames["campaigns"]["campaign_id"])

    def test_ids_and_values_name_nobody(self, tables: Mapping[str, pa.Table], frames: dict[str, pd.DataFrame]) -> None:
        assert frames["leads"]["lead_id"].str.fullmatch(r"L\d{6}").all()
        assert frames["leads"]["account_id"].dropna().str.fullmatch(r"A\d{5}").all()
        for name in set(tables["leads"].column_names) - set(TABLES["leads"].column_names):
            assert personal_name_reason(name) is None
            assert forbidden_reason(name) is None
        for name, frame in frames.items():
            for column in frame.columns:
                if pa.types.is_string(tables[name].schema.field(column).type):
                    values = frame[column].dropna().astype(str).head(2_000)
                    assert looks_personal(values) is None, (name, column)

    def test_some_fields_and_accounts_are_missing(self, frames: dict[str, pd.DataFrame]) -> None:
        missing = frames["leads"].isna().mean()
        for column in ("account_id", "industry", "company_size", "job_level", "country", "employees"):
            assert 0.0 < missing[column] < 0.3, column

    def test_both_teams_expect_different_things(self, frames: dict[str, pd.DataFrame]) -> None:
        wide = frames["expectations"].pivot(index="campaign_id", columns="team", values="sqls").dropna()
        assert len(wide) > 10
        assert (wide["marketing"] > wide["sales"]).mean() > 0.8


class TestCauses:
    def test_nothing_is_recorded_after_the_end(self, frames: dict[str, pd.DataFrame]) -> None:
        for name in (
            "leads",
            "touches",
            "stages",
            "hand_offs",
            "opportunities",
            "lead_changes",
            "lead_merges",
        ):
            assert frames[name]["recorded_at"].max() < OBSERVED_UNTIL, name

    def test_recording_never_comes_before_the_event(self, frames: dict[str, pd.DataFrame]) -> None:
        for name in ("leads", "touches", "stages", "hand_offs", "opportunities"):
            frame, clock = frames[name], TABLES[name].clock
            assert (frame["recorded_at"] >= frame[clock]).all(), name

    def test_a_share_of_touches_is_recorded_late(self, frames: dict[str, pd.DataFrame]) -> None:
        touches = frames["touches"]
        lag = touches["recorded_at"] - touches["happened_at"]
        assert 0.03 < (lag > pd.Timedelta(hours=6)).mean() < 0.2

    def test_visits_before_creation_become_known_with_the_lead(self, frames: dict[str, pd.DataFrame]) -> None:
        touches = frames["touches"].merge(frames["leads"][["lead_id", "created_at"]], on="lead_id")
        early = touches[touches["happened_at"] < touches["created_at"]]
        assert len(early) > 0
        assert (touches["recorded_at"] >= touches["created_at"]).all()

    def test_sales_touches_follow_a_hand_off_or_an_sql(self, frames: dict[str, pd.DataFrame]) -> None:
        sales = frames["touches"].query("actor == 'sales'")
        handed = frames["hand_offs"].groupby("lead_id")["handed_off_at"].min()
        sql = _first_sql(frames)
        start = pd.concat([handed, sql], axis=1).min(axis=1)
        recorded = sales[sales["lead_id"].isin(start.index)]
        # A hand-off or an SQL may not be written down yet when the world ends.
        assert len(recorded) > 0.99 * len(sales)
        assert (recorded["happened_at"].to_numpy() >= start.loc[recorded["lead_id"]].to_numpy()).all()

    def test_stages_come_in_order(self, frames: dict[str, pd.DataFrame]) -> None:
        entered = frames["stages"].pivot(index="lead_id", columns="stage", values="entered_at")
        created = frames["leads"].set_index("lead_id")["created_at"].loc[entered.index]
        for earlier, later in [
            ("mql", "accepted"),
            ("accepted", "sql"),
            ("accepted", "disqualified"),
            ("sql", "opportunity"),
            ("opportunity", "closed_won"),
            ("opportunity", "closed_lost"),
        ]:
            both = entered[[earlier, later]].dropna()
            assert len(both) > 0
            assert (both[earlier] <= both[later]).all(), (earlier, later)
        assert (entered.min(axis=1) >= created).all()
        assert not (entered["closed_won"].notna() & entered["closed_lost"].notna()).any()

    def test_deals_agree_with_the_stages(self, frames: dict[str, pd.DataFrame]) -> None:
        deals = frames["opportunities"]
        closed = deals[deals["is_won"].notna()]
        assert (closed["closed_at"] >= closed["created_at"]).all()
        assert deals[deals["is_won"].isna()]["closed_at"].isna().all()
        stages = frames["stages"].pivot(index="lead_id", columns="stage", values="entered_at")
        won = closed[closed["is_won"].astype(bool)].set_index("lead_id")["closed_at"]
        both = stages["closed_won"].dropna().to_frame("stage_at").join(won.rename("deal_at"), how="inner")
        assert len(both) > 0.9 * len(won)
        assert (both["stage_at"] == both["deal_at"]).all()
        opened = deals.groupby("lead_id")["created_at"].min().to_frame("deal_at").join(stages["sql"], how="inner")
        assert (opened["sql"].isna() | (opened["sql"] <= opened["deal_at"])).all()
        assert opened["sql"].isna().any(), "some SQLs skip their stage"

    def test_versions_are_told_apart_by_recorded_at(self, frames: dict[str, pd.DataFrame]) -> None:
        deals = frames["opportunities"].sort_values("recorded_at")
        last = deals.groupby("opportunity_id").tail(1)
        first = deals.groupby("opportunity_id").head(1)
        assert first["is_won"].isna().all()
        assert last["is_won"].notna().any()
        assert frames["hand_offs"].groupby("hand_off_id").size().max() == 3

    def test_some_hand_offs_are_never_followed_up(self, frames: dict[str, pd.DataFrame]) -> None:
        accepted = frames["hand_offs"].groupby("lead_id")["accepted_at"].max()
        assert 0.1 < accepted.isna().mean() < 0.35

    def test_some_leads_become_sqls_without_a_hand_off(self, frames: dict[str, pd.DataFrame]) -> None:
        inbound = set(_first_sql(frames).index) - set(frames["hand_offs"]["lead_id"])
        assert len(inbound) > 50

    def test_outcomes_do_not_reach_back_into_the_touches(self) -> None:
        world = draw_world(500, 3, drift=False)
        other = draw_world(500, 3, drift=False, difficulty=replace(DIFFICULTY, sql_intercept=2.0, win_intercept=2.0))
        assert np.isfinite(other.outcomes.won_at).sum() > np.isfinite(world.outcomes.won_at).sum()
        for name in ("lead", "happened", "recorded", "kind", "content"):
            np.testing.assert_array_equal(getattr(world.touches, name), getattr(other.touches, name))
        np.testing.assert_array_equal(world.plan.hand_off_at, other.plan.hand_off_at)


class TestSameWorld:
    def test_the_same_settings_give_the_same_tables(self, tables: Mapping[str, pa.Table]) -> None:
        again = simulate(SETTINGS)
        for name, table in tables.items():
            assert table.equals(again[name]), name

    @pytest.mark.parametrize("other", [replace(SETTINGS, seed=12), replace(SETTINGS, drift=True)])
    def test_other_settings_give_other_tables(self, tables: Mapping[str, pa.Table], other: SimulatorSettings) -> None:
        assert not tables["touches"].equals(simulate(other)["touches"])

    @pytest.mark.parametrize("drift", [False, True])
    def test_the_smallest_world_has_every_table(self, drift: bool) -> None:
        small = simulate(SimulatorSettings(leads=200, seed=0, drift=drift))
        assert set(small) == set(TABLES) - {"fx_rates"}
        assert small["leads"].num_rows == 200

    def test_the_difficulty_is_pinned(self) -> None:
        # A change here changes every measurement that was ever made on the demo: it must be meant.
        assert DIFFICULTY_HASH == "69bf63d9553356b6"
        assert difficulty_hash(replace(DIFFICULTY, sql_intercept=0.0)) != DIFFICULTY_HASH
        assert datetime(2026, 7, 1, tzinfo=UTC) == OBSERVED_UNTIL

    def test_the_product_does_not_know_the_truth(self) -> None:
        assert not [name for name in vars(simulator) if "truth" in name]
        assert "simulator_truth import" not in inspect.getsource(simulator)


def _first_sql(frames: dict[str, pd.DataFrame]) -> pd.Series:
    reached = frames["stages"][frames["stages"]["stage"].isin(["sql", "opportunity", "closed_won"])]
    by_stage = reached.groupby("lead_id")["entered_at"].min()
    by_deal = frames["opportunities"].groupby("lead_id")["created_at"].min()
    return pd.concat([by_stage, by_deal], axis=1).min(axis=1)
