"""What the board says of the simulator against what is true there: cohorts, delay, content."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from alignment.content_cohort import Cohort, content_cohort, horizon_days
from alignment.delay_effect import AT_DAYS, delay_effect
from alignment.funnel import Step, funnel, step_entries
from alignment.hand_offs import hand_offs_of
from alignment.item_effects import item_effects
from alignment.people import People, gather_people, settle_span
from crm.simulator import OBSERVED_UNTIL, SimulatorSettings, simulate
from crm.simulator_content_truth import users_effects
from crm.simulator_difficulty import DIFFICULTY
from crm.simulator_truth import content_effects, truth
from crm.simulator_truth import delay_effect as true_delay
from tests.histories import config_of, raw_tables_of
from tests.scenes import scores_of

NOW = OBSERVED_UNTIL + timedelta(days=1)
EVERY = [f"{name}" for name in ("industry", "company_size", "job_level", "country", "employees")]
SECTIONS = {"columns": {"known_at_creation": EVERY}, "outcome": {"observed_until": OBSERVED_UNTIL}}
SMALL, WORLDS, PARTS = 2_000, 200, 8


def people_of(settings: SimulatorSettings) -> People:
    """Gather everyone of a world; the tables stay open as long as somebody reads them."""
    tables = raw_tables_of(simulate(settings), now=NOW, **SECTIONS)
    config = config_of(**SECTIONS)
    return gather_people(
        tables, config, settle_span(tables, config, OBSERVED_UNTIL), scores_of({"leads": []}, None), None
    )


# --- content ---------------------------------------------------------------------------------------------------------


def judged(seed: int) -> tuple[pd.DataFrame, Cohort]:
    """Estimate the effects of a small world's items and put the truth beside them."""
    settings = SimulatorSettings(leads=SMALL, seed=seed)
    people = people_of(settings)
    cohort = content_cohort(people, "sql")
    found = item_effects(cohort.uses, cohort.covariates, cohort.outcome, cohort.groups)
    is_item = cohort.uses.is_item[cohort.uses.column]
    names = np.array(cohort.uses.names, dtype=object)
    users = pd.DataFrame({"lead": cohort.uses.lead[is_item], "content_id": names[cohort.uses.column[is_item]]})
    chosen = people.frame.iloc[cohort.person]
    true = users_effects(
        settings,
        chosen["person_id"].tolist(),
        pd.Series(pd.to_datetime(cohort.landmark_us.astype("int64"), unit="us", utc=True)),
        users,
        horizon_days=horizon_days(people, "sql"),
    )
    people.tables.close()
    log_odds = content_effects(settings).set_index("content_id")["effect"]
    return found.assign(truth=found["item"].map(true), log_odds=found["item"].map(log_odds), seed=seed), cohort


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_effects_of_content_are_recovered_in_small_worlds(part: int) -> None:
    """Of 200 worlds, an eighth in each part; ``benchmarks/alignment/bench_content.py`` measures them together."""
    rows = pd.concat([judged(seed)[0] for seed in range(5_000 + part, 5_000 + WORLDS, PARTS)], ignore_index=True)
    told = rows[rows["reason"] == ""]
    assert len(told) > 0.9 * len(rows)
    inside = (told["low"] <= told["truth"]) & (told["truth"] <= told["high"])
    assert 0.85 <= inside.mean() <= 0.96, inside.mean()
    null = told["log_odds"] == 0
    assert told.loc[null, "is_found"].mean() <= 0.10
    false = told[told["is_found"]].assign(is_false=null).groupby("seed")["is_false"].mean()
    assert false.reindex(rows["seed"].unique(), fill_value=0.0).mean() <= 0.12


def test_strong_effects_are_found_where_there_is_enough_to_tell() -> None:
    people = people_of(SimulatorSettings(leads=20_000, seed=11))
    cohort = content_cohort(people, "sql")
    found = item_effects(cohort.uses, cohort.covariates, cohort.outcome, cohort.groups).set_index("item")
    effects = content_effects(SimulatorSettings()).set_index("content_id")["effect"]
    strong = effects[effects >= 0.4].index
    assert found.loc[strong, "is_found"].sum() >= 2
    none = effects[effects == 0.0].index
    assert found.loc[none, "is_found"].sum() <= 1
    people.tables.close()


# --- delay -----------------------------------------------------------------------------------------------------------


def test_the_effect_of_delay_is_recovered() -> None:
    """The slope in worlds of 12,000 leads: no bias beyond what cooling intent explains, and its interval holds it."""
    inside, slopes = 0, []
    for seed in range(8):
        people = people_of(SimulatorSettings(leads=12_000, seed=300 + seed))
        found = delay_effect(people, hand_offs_of(people))
        people.tables.close()
        assert found is not None
        slopes.append(found.slope)
        inside += found.slope_low <= -DIFFICULTY.delay_slope <= found.slope_high
    assert inside >= 6
    assert np.mean(slopes) == pytest.approx(-DIFFICULTY.delay_slope, abs=0.06)


def test_the_share_at_each_delay_is_that_of_the_leads_as_they_are() -> None:
    settings = SimulatorSettings(leads=20_000, seed=21)
    people = people_of(settings)
    found = delay_effect(people, hand_offs_of(people))
    assert found is not None
    true = true_delay(settings)
    known = true[np.isfinite(true["delay_days"])]
    people.tables.close()
    # An hour after the hand-off, followed for 30 days: the share of the SQLs-to-be that come by then.
    come = 1 - np.exp(-((30 / DIFFICULTY.sql_scales[0]) ** DIFFICULTY.sql_shape))
    assert found.low[0] <= known["p_sql_if_prompt"].mean() * come <= found.high[0]
    assert list(found.share) == sorted(found.share, reverse=True)
    assert len(found.share) == len(AT_DAYS)


# --- cohorts ---------------------------------------------------------------------------------------------------------


def test_conversion_of_every_cohort_holds_the_truth_immature_ones_too() -> None:
    """Lead to SQL and lead to won by month, against the mean of the true chances of the same leads."""
    inside: dict[str, list[bool]] = {"sql": [], "won": []}
    young: list[bool] = []
    for seed in range(6):
        settings = SimulatorSettings(leads=8_000, seed=400 + seed)
        people = people_of(settings)
        found = funnel(people)
        horizons = {"sql": people.config.outcome.sql_horizon_days, "won": people.config.outcome.won_horizon_days}
        chances = truth(settings, sql_horizon_days=horizons["sql"], won_horizon_days=horizons["won"])
        chances = chances.set_index("lead_id")
        for end, columns in (("sql", "p_sql"), ("won", "p_won")):
            entries = step_entries(people, Step("lead", end), found.months)
            ids = people.frame.loc[entries.index, "person_id"]
            true = chances.loc[ids, columns].groupby(entries["month"].to_numpy()).mean()
            result = found.cohorts[f"lead_{end}"].found
            for month, value in true.items():
                at = int(month)  # pyright: ignore[reportArgumentType] - a number
                holds = bool(result.low[at] <= value <= result.high[at])
                inside[end].append(holds)
                if not result.is_mature[at]:
                    young.append(holds)
        people.tables.close()
    # The truth is the mean of the leads' own chances, which varies less than what a draw of leads would give.
    assert np.mean(inside["sql"]) >= 0.85
    assert np.mean(inside["won"]) >= 0.85
    assert np.mean(young) >= 0.8, young
