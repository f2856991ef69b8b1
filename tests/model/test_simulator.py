"""The truth of the simulator: exact, consistent with what was drawn, and as hard to learn as it says."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import gammainc
from scipy.stats import rankdata

from crm.simulator import OBSERVED_UNTIL, SimulatorSettings, simulate
from crm.simulator_content import CONTENT
from crm.simulator_difficulty import DIFFICULTY, WORLD_START
from crm.simulator_funnel import ACTIONS, draw_outcomes, last_sql_at
from crm.simulator_truth import content_effects, delay_effect, p_sql_of_plan, p_won_of_plan, truth
from crm.simulator_world import World, draw_world

SEEDS = (1, 2, 3, 4, 5, 6)
SQL_DAYS, WON_DAYS = 30.0, 90.0
STANDARD_ERRORS = 4.0
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Seen:
    """A world as its tables tell it."""

    settings: SimulatorSettings
    leads: pd.DataFrame
    sql_at: pd.Series
    won_at: pd.Series
    hand_off_at: pd.Series


@pytest.fixture(scope="module")
def worlds() -> list[Seen]:
    return [_see(SimulatorSettings(leads=20_000, seed=seed)) for seed in SEEDS]


def _see(settings: SimulatorSettings) -> Seen:
    frames = {
        name: table.to_pandas()
        for name, table in simulate(settings).items()
        if name in ("leads", "stages", "opportunities", "hand_offs")
    }
    stages, deals = frames["stages"], frames["opportunities"]
    reached = stages[stages["stage"].isin(["sql", "opportunity", "closed_won"])].groupby("lead_id")["entered_at"].min()
    opened = deals.groupby("lead_id")["created_at"].min()
    won = deals[deals["is_won"].fillna(False).astype(bool)].groupby("lead_id")["closed_at"].min()
    leads = frames["leads"].set_index("lead_id")
    return Seen(
        settings,
        leads,
        pd.concat([reached, opened], axis=1).min(axis=1).reindex(leads.index),
        won.reindex(leads.index),
        frames["hand_offs"].groupby("lead_id")["handed_off_at"].min().reindex(leads.index),
    )


def _at_creation(seen: Seen) -> pd.DataFrame:
    answered = truth(seen.settings)
    return _with_outcomes(seen, answered)


def _later(seen: Seen) -> pd.DataFrame:
    """One random moment of every lead that is still undecided and not handed off."""
    rng = np.random.default_rng(seen.settings.seed)
    wait = pd.to_timedelta(rng.exponential(20.0, len(seen.leads)), unit="D")
    moments = (seen.leads["created_at"] + wait).dt.floor("us")
    free = ~(seen.hand_off_at <= moments) & ~(seen.sql_at < moments)
    snapshots = pd.DataFrame({"lead_id": seen.leads.index[free], "as_of": moments[free].to_numpy()})
    snapshots["as_of"] = pd.to_datetime(snapshots["as_of"], utc=True)
    answered = truth(seen.settings, snapshots=snapshots)
    assert answered["lead_id"].tolist() == snapshots["lead_id"].tolist()
    # Leads that were merged away are the only ones that the tables here still take for undecided.
    assert answered["p_sql"].isna().mean() < 0.01
    return _with_outcomes(seen, answered.dropna())


def _with_outcomes(seen: Seen, answered: pd.DataFrame) -> pd.DataFrame:
    """Add what the tables say happened, for moments whose horizons had passed when the records end."""
    rows = answered.set_index("lead_id")
    for name, at, days in (("sql", seen.sql_at, SQL_DAYS), ("won", seen.won_at, WON_DAYS)):
        until = rows["as_of"] + pd.Timedelta(days=days)
        when = at.reindex(rows.index)
        rows[f"is_{name}"] = (when >= rows["as_of"]) & (when < until)
    # A few days more than the longest horizon: people may write an outcome down that late.
    return rows[rows["as_of"] + pd.Timedelta(days=WON_DAYS + 4.0) <= OBSERVED_UNTIL]


def _check_calibration(p: NDArray[np.float64], happened: NDArray[np.bool_]) -> None:
    deciles = np.array_split(np.argsort(p), 10)
    for rows in [np.arange(len(p)), *deciles]:
        spread = np.sqrt(np.sum(p[rows] * (1.0 - p[rows])))
        # Below a handful of expected outcomes the count is no longer near normal.
        assert abs(happened[rows].sum() - p[rows].sum()) < STANDARD_ERRORS * spread + 3.0


def _auc(p: NDArray[np.float64], happened: NDArray[np.bool_]) -> float:
    ranks = rankdata(p)
    positives = int(happened.sum())
    below = ranks[happened].sum() - positives * (positives + 1) / 2
    return float(below / (positives * (len(p) - positives)))


class TestCalibration:
    @pytest.mark.parametrize("moment", [_at_creation, _later], ids=["at creation", "later"])
    @pytest.mark.parametrize("outcome", ["sql", "won"])
    def test_the_truth_is_what_happens(self, worlds: list[Seen], moment, outcome: str) -> None:
        rows = pd.concat([moment(seen) for seen in worlds])
        _check_calibration(rows[f"p_{outcome}"].to_numpy(), rows[f"is_{outcome}"].to_numpy(dtype=bool))

    @pytest.mark.parametrize("days", [0.0, 15.0, 45.0, 120.0])
    def test_redrawn_outcomes_agree_with_the_truth(self, days: float) -> None:
        # Same plan, many draws: far more outcomes than one world has, recycled and contacted leads included.
        settings = SimulatorSettings(leads=4_000, seed=21)
        world = draw_world(settings.leads, settings.seed, drift=settings.drift)
        at = world.people.created + days
        answered = _truth_of_all(world, settings, days)
        expected = np.zeros(2)
        counted = np.zeros(2)
        for draw in range(150):
            outcomes = draw_outcomes(np.random.default_rng(draw), world.plan)
            free = (outcomes.sql_at >= at) & (last_sql_at(world.plan) >= at)
            expected += answered[free].sum(axis=0)
            counted += [
                np.sum(free & (outcomes.sql_at < at + SQL_DAYS)),
                np.sum(free & (outcomes.won_at < at + WON_DAYS)),
            ]
        np.testing.assert_array_less(np.abs(counted - expected), STANDARD_ERRORS * np.sqrt(expected))

    def test_the_sum_over_quantiles_is_the_integral(self) -> None:
        settings = SimulatorSettings(leads=400, seed=5)
        plan = draw_world(400, 5, drift=False).plan
        answered = truth(settings)
        created = (answered["as_of"] - WORLD_START).dt.total_seconds().to_numpy() / 86_400.0
        shape = DIFFICULTY.sql_shape
        for lead in range(0, 400, 20):
            reference, scale = plan.reference[lead], plan.sql_scale[lead]
            end = min(created[lead] + WON_DAYS, last_sql_at(plan)[lead]) - reference

            def density(wait: float, lead: int = lead, reference: float = reference, scale: float = scale) -> float:
                scaled = wait / scale
                left = created[lead] + WON_DAYS - reference - wait
                sql = shape / scale * scaled ** (shape - 1.0) * np.exp(-(scaled**shape))
                return float(sql * gammainc(2.0, left / plan.win_scale[lead]))

            whole = quad(density, 0.0, end, limit=200, epsabs=1e-12)[0] if end > 0.0 else 0.0
            wanted = plan.p_sql[lead] * plan.p_win[lead] * whole
            assert answered["p_won"][lead] == pytest.approx(wanted, rel=1e-4, abs=1e-9)

    def test_amounts_follow_their_mean(self, worlds: list[Seen]) -> None:
        amounts: list[float] = []
        means: list[float] = []
        for seen in worlds:
            world = draw_world(seen.settings.leads, seen.settings.seed, drift=False)
            won = np.isfinite(world.outcomes.won_at)
            amounts += world.outcomes.amount[won].tolist()
            means += truth(seen.settings)["expected_amount"][won].tolist()
        ratio = np.array(amounts) / np.array(means)
        assert ratio.mean() == pytest.approx(1.0, abs=STANDARD_ERRORS * ratio.std() / np.sqrt(len(ratio)))
        # Heavy-tailed: the mean lies well above the median.
        assert np.mean(amounts) > 1.4 * np.median(amounts)


def _truth_of_all(world: World, settings: SimulatorSettings, days: float) -> NDArray[np.float64]:
    """Return p_sql and p_won of every lead, those included that this world's own draw has decided."""

    lead = np.arange(settings.leads)
    at = world.people.created + days
    return np.column_stack(
        (p_sql_of_plan(world.plan, lead, at, SQL_DAYS), p_won_of_plan(world.plan, lead, at, WON_DAYS))
    )


class TestDifficulty:
    def test_the_rates_lie_in_their_bands(self, worlds: list[Seen]) -> None:
        won_soon, won, sql = [], [], []
        for seen in worlds:
            creation = _at_creation(seen)
            won_soon.append(creation["is_won"].mean())
            won.append(seen.won_at.notna().mean())
            sql.append(seen.sql_at.notna().mean())
        assert 0.034 < np.mean(won_soon) < 0.040
        assert all(0.030 < rate < 0.042 for rate in (*won_soon, *won))
        assert all(0.09 < rate < 0.12 for rate in sql)

    def test_sales_cycles_are_slow(self, worlds: list[Seen]) -> None:
        early = [seen.leads["created_at"] < OBSERVED_UNTIL - 365 * DAY for seen in worlds]
        days = pd.concat(
            [(seen.won_at - seen.leads["created_at"])[rows] for seen, rows in zip(worlds, early, strict=True)]
        )
        days = days.dropna().dt.total_seconds() / 86_400.0
        assert 50.0 < days.median() < 65.0
        assert 0.70 < (days < WON_DAYS).mean() < 0.86

    @pytest.mark.parametrize("outcome", ["sql", "won"])
    def test_the_oracle_is_good_but_not_perfect(self, worlds: list[Seen], outcome: str) -> None:
        aucs = []
        for seen in worlds:
            rows = _at_creation(seen)
            aucs.append(_auc(rows[f"p_{outcome}"].to_numpy(), rows[f"is_{outcome}"].to_numpy(dtype=bool)))
        assert 0.80 < np.mean(aucs) < 0.84
        assert all(0.78 < auc < 0.85 for auc in aucs)

    def test_behaviour_tells_of_intent(self) -> None:
        # Least squares of the hidden intent on what is recorded in the first 30 days; outcomes are not used.
        world = draw_world(20_000, 1, drift=False)
        people, touches = world.people, world.touches
        buying = np.array([item.high > item.low for item in CONTENT])
        known = touches.recorded < people.created[touches.lead] + 30.0
        known &= (touches.actor == 0) & (touches.content >= 0)
        columns = [np.ones(people.count)]
        for wanted in (False, True):
            rows = known & (buying[touches.content] == wanted)
            columns.append(np.log1p(np.bincount(touches.lead[rows], minlength=people.count)))
        columns += [(people.source == source).astype(float) for source in range(1, len(DIFFICULTY.sources))]
        design = np.column_stack(columns)
        fitted = design @ np.linalg.lstsq(design, people.intent, rcond=None)[0]
        assert 0.4 < np.corrcoef(fitted, people.intent)[0, 1] ** 2 < 0.8

    def test_the_old_rule_is_worse_than_the_truth(self) -> None:
        world = draw_world(20_000, 2, drift=False)
        is_sql = np.isfinite(world.outcomes.sql_at)
        is_mql = np.isfinite(world.plan.mql_at)
        truly_best = world.plan.p_sql >= np.quantile(world.plan.p_sql, 1.0 - is_mql.mean())
        assert 0.2 < is_mql.mean() < 0.5
        assert is_sql[truly_best].mean() > 1.2 * is_sql[is_mql].mean() > 1.2 * is_sql.mean()


class TestTruth:
    SETTINGS = SimulatorSettings(leads=2_000, seed=9)

    def test_a_win_needs_an_sql(self) -> None:
        for days in (7, 30, 365):
            answered = truth(self.SETTINGS, sql_horizon_days=days, won_horizon_days=days)
            assert (answered["p_won"] <= answered["p_sql"]).all()

    def test_longer_horizons_hold_more(self) -> None:
        parts = [truth(self.SETTINGS, sql_horizon_days=days, won_horizon_days=days) for days in (10, 30, 90, 1_000)]
        for shorter, longer in pairwise(parts):
            assert (shorter["p_sql"] <= longer["p_sql"] + 1e-12).all()
            assert (shorter["p_won"] <= longer["p_won"] + 1e-9).all()

    def test_one_moment_gives_the_undecided_leads(self) -> None:
        moment = datetime(2025, 9, 1, tzinfo=UTC)
        answered = truth(self.SETTINGS, as_of=moment)
        seen = _see(self.SETTINGS)
        assert set(answered["lead_id"]) <= set(seen.leads.index[seen.leads["created_at"] <= moment])
        assert not set(answered["lead_id"]) & set(seen.leads.index[seen.sql_at < moment])
        assert answered.notna().all(axis=None)
        assert (answered["as_of"] == pd.Timestamp(moment)).all()

    def test_snapshots_are_answered_row_by_row(self) -> None:
        asked = pa.table(
            {
                "lead_id": ["L000007", "L000003", "L000007"],
                "as_of": pa.array([datetime(2025, 1, 1, tzinfo=UTC)] * 3, pa.timestamp("us", "UTC")),
            }
        )
        answered = truth(self.SETTINGS, snapshots=asked)
        assert answered["lead_id"].tolist() == ["L000007", "L000003", "L000007"]
        pd.testing.assert_series_equal(answered.loc[0], answered.loc[2], check_names=False)
        pd.testing.assert_frame_equal(answered, truth(self.SETTINGS, snapshots=asked.to_pandas()))

    def test_creation_is_the_snapshot_at_created_at(self) -> None:
        leads = simulate(self.SETTINGS)["leads"].rename_columns({"created_at": "as_of"}).select(["lead_id", "as_of"])
        at_creation = truth(self.SETTINGS)
        pd.testing.assert_frame_equal(truth(self.SETTINGS, snapshots=leads), at_creation, rtol=1e-6)

    def test_no_truth_before_creation_and_after_a_decision(self) -> None:
        seen = _see(self.SETTINGS)
        sql = seen.sql_at.dropna().iloc[0]
        asked = pd.DataFrame(
            {
                "lead_id": [
                    seen.leads.index[-1],
                    seen.sql_at.dropna().index[0],
                    seen.sql_at.dropna().index[0],
                ],
                "as_of": [WORLD_START, sql, sql + timedelta(microseconds=1)],
            }
        )
        answered = truth(self.SETTINGS, snapshots=asked)
        assert answered["p_sql"].isna().tolist() == [True, False, True]

    def test_recycled_leads_are_at_risk_again(self) -> None:
        world = draw_world(self.SETTINGS.leads, self.SETTINGS.seed, drift=False)
        plan = world.plan
        back = (plan.action == ACTIONS.index("recycle")) & (world.outcomes.sql_at > plan.stop_at)
        recycled = simulate(self.SETTINGS)["stages"].to_pandas().query("stage == 'recycled'")
        assert 0 < len(recycled) <= back.sum()
        asked = recycled.rename(columns={"entered_at": "as_of"})[["lead_id", "as_of"]]
        assert (truth(self.SETTINGS, snapshots=asked)["p_sql"] > 0.0).all()

    @pytest.mark.parametrize("lead_id", ["L002000", "X000001", "L", "7"])
    def test_an_unknown_lead_is_refused(self, lead_id: str) -> None:
        asked = pd.DataFrame({"lead_id": [lead_id], "as_of": [OBSERVED_UNTIL]})
        with pytest.raises(KeyError, match="no lead"):
            truth(self.SETTINGS, snapshots=asked)

    def test_moment_and_snapshots_exclude_each_other(self) -> None:
        asked = pd.DataFrame({"lead_id": ["L000001"], "as_of": [OBSERVED_UNTIL]})
        with pytest.raises(ValueError, match="exclude"):
            truth(self.SETTINGS, as_of=OBSERVED_UNTIL, snapshots=asked)


class TestEffects:
    def test_following_up_sooner_is_better(self) -> None:
        effects = delay_effect(SimulatorSettings(leads=20_000, seed=2)).sort_values("delay_days")
        contacted = np.isfinite(effects["delay_days"])
        assert (np.diff(effects.loc[contacted, "effect"]) <= 0.0).all()
        assert (effects.loc[~contacted, "effect"] < effects.loc[contacted, "effect"].min()).all()
        assert (effects["p_sql_if_prompt"] > effects["p_sql"] - 0.05).all()
        late = effects["delay_days"] > 1.0
        assert (effects.loc[late, "p_sql_if_prompt"] > effects.loc[late, "p_sql"]).all()
        assert effects.loc[~contacted, "p_sql"].mean() < 0.5 * effects.loc[contacted, "p_sql"].mean()

    def test_a_few_items_help_and_most_do_nothing(self) -> None:
        effects = content_effects(SimulatorSettings()).set_index("content_id")
        helping = effects[effects["effect"] > 0.0]
        assert len(effects) == 40
        assert 4 <= len(helping) <= 10
        assert set(helping["made_by"]) == {"marketing", "sales"}
        assert (effects["effect"] >= 0.0).all()
        assert effects.loc["page-pricing", "effect"] == 0.0

    def test_helpful_content_shows_in_the_drawn_outcomes(self) -> None:
        # The consumers of an item, against the same leads without its effect: the excess is the item's own.
        world = draw_world(60_000, 4, drift=False)
        touches, plan = world.touches, world.plan
        effects = np.array([item.effect for item in CONTENT])
        item = int(np.argmax(effects))
        rows = (touches.content == item) & (touches.actor == 0) & (touches.happened < plan.reference[touches.lead])
        lead = np.unique(touches.lead[rows])
        happened = np.isfinite(draw_outcomes(np.random.default_rng(0), plan).sql_at[lead]).sum()
        odds = plan.p_sql[lead] / (1.0 - plan.p_sql[lead]) * np.exp(-effects[item])
        without = (odds / (1.0 + odds)).sum()
        assert happened > without + STANDARD_ERRORS * np.sqrt(without)


class TestDrift:
    def test_the_last_months_differ_and_the_others_do_not(self) -> None:
        steady = truth(SimulatorSettings(leads=20_000, seed=3), sql_horizon_days=365)
        drifted = truth(SimulatorSettings(leads=20_000, seed=3, drift=True), sql_horizon_days=365)
        is_late = [part["as_of"] >= OBSERVED_UNTIL - DIFFICULTY.drift_days * DAY for part in (steady, drifted)]
        late = [part.loc[rows, "p_sql"].mean() for part, rows in zip((steady, drifted), is_late, strict=True)]
        early = [part.loc[~rows, "p_sql"].mean() for part, rows in zip((steady, drifted), is_late, strict=True)]
        assert late[1] < 0.75 * late[0]
        assert early[1] == pytest.approx(early[0], rel=0.05)

    def test_the_mix_of_sources_shifts(self) -> None:
        leads = simulate(SimulatorSettings(leads=20_000, seed=3, drift=True))["leads"].to_pandas()
        is_late = leads["created_at"] >= OBSERVED_UNTIL - DIFFICULTY.drift_days * DAY
        share = [leads.loc[rows, "source"].eq("content_syndication").mean() for rows in (~is_late, is_late)]
        assert share[1] > 1.4 * share[0]

    def test_the_truth_stays_exact(self) -> None:
        rows = pd.concat([_at_creation(_see(SimulatorSettings(20_000, seed, drift=True))) for seed in (1, 2)])
        _check_calibration(rows["p_sql"].to_numpy(), rows["is_sql"].to_numpy(dtype=bool))


def test_a_million_touches_take_less_than_half_a_minute() -> None:
    start = time.process_time()
    tables = simulate(SimulatorSettings(leads=40_000, seed=1))
    assert tables["touches"].num_rows > 1_000_000
    assert time.process_time() - start < 30.0
