"""Which leads does sales gain most by working? Captured causal value at capacity, against the simulator's truth.

The old rule of the simulated company decides which leads are handed over. A model of what became of them learns that
rule as well. For each seed: the value of a lead is (chance of a win if handed off now - chance if never) x expected
amount, both true; a policy takes the tenth of a population that it ranks highest; its figure is the value it took over
the value of the oracle's best linear policy (ridge regression of the true value on our features, fitted on that very
population).

Policies: the oracle itself; naive, the model of what happens as things are run (p_won x amount); never, the same
features with every lead that nobody worked as a negative (logistic); only, logistic on the hand-offs alone; and ours,
(p_won_if_worked - p_won_if_left) x amount. The columns "as run" give the true value of things as they are run that the
naive model and ours capture, over the best possible: what is lost there by asking the other question. Then mean
predicted over true chance of a win, if handed off and if left.

Populations: the training snapshots up to 60 days of age, those of them at which a hand-off was open (propensity 2% and
more), the moments of the hand-offs, and all leads at risk at the end, of whom most are long silent and were never
handed over by the old rule, so that nothing observed says what a call would do.

    python benchmarks/bench_followup.py [--selective] [LEADS [SEED ...]]      default: 20000 1 2 3

With --selective leads that nobody works seldom buy (inbound -2.0 instead of -0.4) and the rule hands over at 70
points.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit

from crm.config import Workspace, load_workspace
from crm.known import to_micros
from crm.outcomes import label_moments, outcome_events
from crm.progress import Silent
from crm.recorded import hand_offs_recorded
from crm.simulator_campaigns import campaign_tables
from crm.simulator_deals import deal_tables
from crm.simulator_difficulty import DIFFICULTY, Difficulty
from crm.simulator_follow_up_truth import follow_up_truth
from crm.simulator_leads import lead_tables, touch_table
from crm.simulator_truth import days_of, p_won_of_plan, positions_of
from crm.simulator_world import World, draw_world
from crm.store import Tables
from crm.workspace_tables import open_tables
from features.build import build_features
from features.lead_features import LeadAge
from models.bundle import Bundle
from models.logistic import fit_logistic
from models.scoring import probabilities, worth_of
from training.follow_up import learn_follow_up
from training.learn import learn, make_bundle
from training.prepare import prepare
from training.snapshots import moments_at_end

CAPACITY = 0.1
YOUNG_DAYS = 60.0
SELECTIVE = replace(DIFFICULTY, inbound=-2.0, mql_points=70.0)
PENALTY = 0.003
COLUMNS = "['source', 'industry', 'company_size', 'job_level', 'country', 'region', 'employees']"
Matrix = np.ndarray


@dataclass(frozen=True)
class Population:
    """Leads at moments: features, true value of working them, and what each course of action is worth."""

    name: str
    matrix: Matrix
    true: pd.DataFrame
    as_run: Matrix

    @property
    def value(self) -> Matrix:
        gain = self.true["p_won_if_handed_off"] - self.true["p_won_if_never"]
        return (gain * self.true["expected_amount"]).to_numpy()


@contextmanager
def simulated(leads: int, seed: int, difficulty: Difficulty) -> Iterator[tuple[World, Workspace, Tables]]:
    world = draw_world(leads, seed, drift=False, difficulty=difficulty)
    streams = [np.random.default_rng(stream) for stream in world.records.spawn(4)]
    tables = {
        **lead_tables(streams[0], world, difficulty),
        "touches": touch_table(streams[1], world, difficulty),
        **deal_tables(streams[2], world, difficulty),
        **campaign_tables(streams[3], world),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, table in tables.items():
            pq.write_table(table, Path(folder, f"{name}.parquet"))
        selects = "\n".join(f"{name} = \"SELECT * FROM '{name}.parquet'\"" for name in tables)
        text = f'[source]\nurl = "dir:{folder}"\n[source.tables]\n{selects}\n[columns]\nknown_at_creation = {COLUMNS}\n'
        Path(folder, "kizashi.toml").write_text(text + "[value]\nmargin = 0.3\ntouch_cost = 150\n")
        workspace = load_workspace(Path(folder))
        with open_tables(workspace, datetime.now(UTC), Silent()) as opened:
            yield world, workspace, opened


def linear_policy(population: Population) -> Matrix:
    """Return the ridge regression of the true value on our features: in logs, with a flag where missing."""
    absent = np.isnan(population.matrix)
    columns = np.hstack([np.log1p(np.abs(np.where(absent, 0.0, population.matrix))), absent])
    spread = columns.std(axis=0)
    design = (columns - columns.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    design = np.column_stack([design, np.ones(len(design))])
    penalised = design.T @ design + 10.0 * np.eye(design.shape[1])
    return design @ np.linalg.solve(penalised, design.T @ population.value)


def captured(population: Population, ranked: Matrix, value: Matrix | None = None) -> float:
    chosen = np.argsort(-ranked, kind="stable")[: int(CAPACITY * len(ranked))]
    return float((population.value if value is None else value)[chosen].sum())


def measure(leads: int, seed: int, difficulty: Difficulty) -> None:
    started = time.monotonic()
    with simulated(leads, seed, difficulty) as (world, workspace, tables):
        data = prepare(tables, workspace.config, None, Silent())
        learned = learn(data, workspace.config, Silent())
        bundle = make_bundle(data, learned, workspace.config, {})
        found = learn_follow_up(tables, data, learned, Silent(), decides=True)
        print(
            f"{seed:>4}  fitted in {time.monotonic() - started:.0f} s; "
            + "; ".join(": ".join(r) for r in found.to_rows())
        )
        bundle = replace(bundle, follow_up=found.term)
        shapes = tuple(feature.shape for feature in data.features.features)
        hand_offs = first_hand_offs(tables, data.seen.as_of)
        handed = build_features(tables, hand_offs, data.features)
        known = data.won.is_mature
        was_worked = pd.Series(data.snapshots.moments.column("lead_id").to_pylist()).isin(
            hand_offs.column("lead_id").to_pylist()
        )
        negatives = data.won.happened & was_worked.to_numpy()
        never_worked = fit_logistic(data.matrix[known], negatives[known], shapes, penalty=PENALTY)
        events = outcome_events(tables, data.seen.as_of)
        won = label_moments(tables, hand_offs, events, data.seen, outcome="won", horizon_days=data.won.horizon_days)
        only = fit_logistic(handed[won.is_mature], won.happened[won.is_mature], shapes, penalty=PENALTY)
        young = data.matrix[:, data.features.names.index(LeadAge().name)] <= YOUNG_DAYS
        end = moments_at_end(tables, data.seen).moments
        asked = (
            ("up to 60 days", data.snapshots.moments, data.matrix, young),
            ("of them open", data.snapshots.moments, data.matrix, young & is_open(bundle, data.matrix)),
            ("hand-offs", hand_offs, handed, np.ones(len(handed), dtype=bool)),
            ("at the end", end, build_features(tables, end, data.features), np.ones(end.num_rows, dtype=bool)),
        )
        for name, moments, matrix, keep in asked:
            rows = np.flatnonzero(keep)
            frame = moments.take(pa.array(rows)).to_pandas()
            frame = frame.assign(as_of=pd.to_datetime(frame["as_of_us"] * 1000, utc=True))
            lead = positions_of(frame["lead_id"].tolist(), world.people.count)
            as_run = p_won_of_plan(world.plan, lead, days_of(frame["as_of"]), data.won.horizon_days)
            population = Population(name, matrix[rows], follow_up_truth(world, frame, difficulty=difficulty), as_run)
            show(
                seed, population, bundle, {"never": never_worked.logit(matrix[rows]), "only": only.logit(matrix[rows])}
            )


def is_open(bundle: Bundle, matrix: Matrix) -> Matrix:
    found = worth_of(bundle, matrix, probabilities(bundle, matrix)[1]).if_worked
    return np.zeros(len(matrix), dtype=bool) if found is None else found.is_supported


def first_hand_offs(tables: Tables, as_of: datetime) -> pa.Table:
    rows = hand_offs_recorded(tables, to_micros(as_of)).rename(columns={"handed_off_us": "as_of_us"})
    rows = rows.astype({"lead_id": str}).groupby("lead_id", as_index=False)["as_of_us"].min()
    return pa.table({"row_id": np.arange(len(rows)), "lead_id": rows["lead_id"].tolist(), "as_of_us": rows["as_of_us"]})


def show(seed: int, population: Population, bundle: Bundle, logits: dict[str, Matrix]) -> None:
    p_won = probabilities(bundle, population.matrix)[1]
    worth = worth_of(bundle, population.matrix, p_won)
    linear = captured(population, linear_policy(population))
    policies = {"oracle": population.value, "naive": p_won * worth.amount}
    policies |= {name: expit(one) * worth.amount for name, one in logits.items()}
    true = population.true
    text = f"{seed:>4}  {population.name:<15}{len(p_won):>8,}"
    if worth.if_worked is not None:
        found = worth.if_worked
        policies |= {"ours": found.gain_won * worth.amount}
        ratios = (
            found.p_won.mean() / true["p_won_if_handed_off"].mean(),
            found.p_won_if_left.mean() / (true["p_won_if_never"].mean()),
        )
    else:
        ratios = np.nan, np.nan
    text += "".join(f"{captured(population, ranked) / linear:>9.3f}" for ranked in policies.values())
    as_run = population.as_run * true["expected_amount"].to_numpy()
    best = captured(population, as_run, as_run)
    both = [policies[name] for name in ("naive", "ours") if name in policies]
    text += "".join(f"{captured(population, ranked, as_run) / best:>9.3f}" for ranked in both)
    print(text + f"{ratios[0]:>11.2f}{ratios[1]:>9.2f}", flush=True)


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--selective", action="store_true")
    parser.add_argument("numbers", type=int, nargs="*")
    asked = parser.parse_args()
    leads, seeds = (asked.numbers or [20_000])[0], asked.numbers[1:] or [1, 2, 3]
    heads = ("oracle", "naive", "never", "only", "ours", "as run:", "ours")
    print(f"seed  {'population':<15}{'rows':>8}" + "".join(f"{head:>9}" for head in heads) + "  p1 / true p0 / true")
    for seed in seeds:
        measure(leads, seed, SELECTIVE if asked.selective else DIFFICULTY)


if __name__ == "__main__":
    main()
