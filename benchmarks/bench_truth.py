"""Train on the simulator and compare with its true probabilities, not with drawn outcomes.

For each seed and population: mean predicted over mean true, slope of the truth on the predicted logit, and Spearman's
rank correlation. With --ceiling N a LightGBM is fitted once on N simulated leads of another seed with the true
probability as its target, and shown beside: no learner of the drawn outcomes of fewer leads can do better, and its own
mean ratio shows how far a single moment's leads lie from what can be known of them.

Further horizons: mean predicted over mean true within 30, 90, 180 and 365 days. Revenue at a tenth: the true expected
revenue of the tenth of leads with the highest expected one, over that of the tenth which the truth would choose.
Regret: of those tenths only leads that are said to pay (margin times revenue above the touch cost) are worked, and
regret is the share of the truth's value that is lost so. The truth knows what no table holds, such as a lead's intent,
so the ceiling's shares stand beside.

Populations: every lead at its creation, and at the age of seven days; every lead at risk at the end, and at the start
of each of the last twelve months. "Drawn" is the number of outcomes that happened in the training rows over the number
that the truth expects there: what chance alone does to the level that anybody can learn from them.

With --drift the base rate falls and the mix of sources shifts for leads of the last five months. Populations are then
those of the last three months: a score of today should have the level of today.

    python benchmarks/bench_truth.py [--ceiling 500000] [--drift] [LEADS [SEED ...]]      default: 20000 1 2 3
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.optimize import minimize
from scipy.special import logit
from scipy.stats import spearmanr

from crm.config import SnapshotsConfig, Workspace, load_workspace
from crm.known import to_micros
from crm.outcomes import leads_at_risk, observation, risk_spells
from crm.progress import Silent
from crm.simulator import OBSERVED_UNTIL, SimulatorSettings
from crm.simulator_truth import truth
from crm.store import Tables
from crm.workspace_tables import open_tables
from features.build import build_features
from features.learn import learn_features
from features.spec import FeatureSet
from models.scoring import HORIZONS_DAYS
from training.learn import Learned, learn
from training.prepare import TrainingData, prepare
from training.snapshots import take_snapshots

DAY_US = 86_400_000_000
CEILING_SEED = 4_000_000_000
WORKSPACE = (
    '[source]\nurl = "demo://?leads={leads}&seed={seed}&drift={drift:d}"\n'
    "[value]\nmargin = {margin}\ntouch_cost = {touch_cost}\n"
)
MARGIN, TOUCH_COST = 0.3, 150.0
Predict = Callable[[np.ndarray], np.ndarray]
OUTCOMES = ("p_sql", "p_won")


@dataclass(frozen=True)
class Ceiling:
    """A learner of the truth itself: its features, and one predictor an outcome."""

    features: FeatureSet
    predict: dict[str, Predict]


@contextmanager
def world(settings: SimulatorSettings) -> Iterator[tuple[Workspace, Tables]]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "kizashi.toml").write_text(
            WORKSPACE.format(
                leads=settings.leads, seed=settings.seed, drift=settings.drift, margin=MARGIN, touch_cost=TOUCH_COST
            )
        )
        workspace = load_workspace(Path(folder))
        with open_tables(workspace, datetime.now(UTC), Silent()) as tables:
            yield workspace, tables


def moments_of(frame: pd.DataFrame) -> pa.Table:
    ids, as_of = frame["lead_id"].astype(str).tolist(), frame["as_of_us"].to_numpy(dtype=np.int64)
    return pa.table({"row_id": np.arange(len(ids)), "lead_id": ids, "as_of_us": as_of})


def truth_of(frame: pd.DataFrame, settings: SimulatorSettings, days: tuple[float, float] = (30, 90)) -> pd.DataFrame:
    asked = pd.DataFrame(
        {"lead_id": frame["lead_id"].astype(str), "as_of": pd.to_datetime(frame["as_of_us"] * 1000, utc=True)}
    )
    return truth(settings, snapshots=asked, sql_horizon_days=days[0], won_horizon_days=days[1])


def populations(tables: Tables, months: int, since_days: float) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "at the end", leads_at_risk(tables, OBSERVED_UNTIL)
    starts = [OBSERVED_UNTIL - timedelta(days=30 * month) for month in range(months)]
    yield f"{months} months", pd.concat([leads_at_risk(tables, start) for start in starts], ignore_index=True)
    spells = risk_spells(tables, OBSERVED_UNTIL).drop_duplicates("lead_id")
    for name, age in (("at creation", 0), ("7 days old", 7)):
        aged = spells.assign(as_of_us=spells["start_us"] + age * DAY_US)
        at_risk = ~(aged["end_us"] < aged["as_of_us"]) & (aged["as_of_us"] < to_micros(OBSERVED_UNTIL))
        at_risk &= aged["start_us"] >= to_micros(OBSERVED_UNTIL) - since_days * DAY_US
        yield name, aged[at_risk].reset_index(drop=True)


def slope(probability: np.ndarray, true: np.ndarray) -> float:
    z = logit(np.clip(probability, 1e-9, 1 - 1e-9))
    loss = lambda w: float(np.mean(np.logaddexp(0, w[0] + w[1] * z) - true * (w[0] + w[1] * z)))  # noqa: E731
    return float(minimize(loss, [0.0, 1.0]).x[1])


def fit_ceiling(leads: int) -> Ceiling:
    """Fit the true probability of one moment a lead, drawn among creation and two ages."""
    started = time.monotonic()
    settings = SimulatorSettings(leads=leads, seed=CEILING_SEED)
    with world(settings) as (workspace, tables):
        seen = observation(tables, workspace.config.outcome, OBSERVED_UNTIL)
        snapshots = take_snapshots(tables, SnapshotsConfig(creation=True, random_per_lead=4), seen)
        frame = snapshots.moments.to_pandas().sample(frac=1.0, random_state=1).drop_duplicates("lead_id")
        features = learn_features(tables, moments_of(frame.iloc[:50_000]), to_micros(OBSERVED_UNTIL))
        matrix = build_features(tables, moments_of(frame), features)
        true = truth_of(frame, settings)
    parameters: dict[str, Any] = {"num_leaves": 63, "learning_rate": 0.05, "verbosity": -1, "seed": 1}
    predict: dict[str, Predict] = {}
    for column in (*OUTCOMES, "expected_amount"):
        known = ~np.isnan(true[column].to_numpy())
        parameters["objective"] = "cross_entropy" if column in OUTCOMES else "regression"
        data = lgb.Dataset(matrix[known], true[column].to_numpy()[known], params={"max_bin": 127})
        booster = lgb.train({**parameters, "min_data_in_leaf": 100, "feature_fraction": 0.5}, data, 500)
        predict[column] = lambda rows, found=booster: np.asarray(found.predict(rows))
    print(f"Ceiling: {len(frame):,} leads, {time.monotonic() - started:.0f} s\n", flush=True)
    return Ceiling(features, predict)


def drawn_over_true(data: TrainingData, settings: SimulatorSettings) -> dict[str, float]:
    """Return outcomes that happened in the mature training rows over those that the truth expects there."""
    moments = data.snapshots.moments.to_pandas()
    true = truth_of(moments.assign(as_of_us=data.snapshots.as_of_us), settings)
    found: dict[str, float] = {}
    for column, labels in (("p_sql", data.sql), ("p_won", data.won)):
        known = labels.is_mature & ~np.isnan(true[column].to_numpy())
        found[column] = float(labels.happened[known].mean() / true[column].to_numpy()[known].mean())
    return found


def top_tenth(said: np.ndarray, true: np.ndarray, cost: float) -> float:
    """Return the true sum over what is said to pay among the highest tenth, over that of what pays and is highest."""
    count = max(len(true) // 10, 1)
    sums: list[float] = []
    for order in (said, true):
        picked = np.argsort(-order, kind="stable")[:count]
        sums.append(float((true[picked] - cost)[order[picked] > cost].sum()))
    return sums[0] / sums[1]


def show_revenue(head: str, said: np.ndarray, true: pd.DataFrame, ceiling: np.ndarray | None) -> None:
    revenue = (true["p_won"] * true["expected_amount"]).to_numpy()
    known = ~np.isnan(revenue)
    cost = TOUCH_COST / MARGIN
    line = f"{head}revenue at a tenth {top_tenth(said[known], revenue[known], 0.0):.3f}"
    line += f", regret {1 - top_tenth(said[known], revenue[known], cost):.3f}"
    if ceiling is not None:
        line += f"; ceiling {top_tenth(ceiling[known], revenue[known], 0.0):.3f}"
        line += f", regret {1 - top_tenth(ceiling[known], revenue[known], cost):.3f}"
    print(line, flush=True)


def show_horizons(head: str, learned: Learned, matrix: np.ndarray, asked: pd.DataFrame, s: SimulatorSettings) -> None:
    for days in HORIZONS_DAYS:
        true = truth_of(asked, s, (days, days))
        parts: list[str] = []
        for column, endpoint in (("p_sql", learned.sql.endpoint), ("p_won", learned.won.endpoint)):
            known = ~np.isnan(true[column].to_numpy())
            said = endpoint.probability_within(endpoint.logit(matrix), (days,), matrix)[:, 0]
            ratio = said[known].mean() / true[column][known].mean()
            parts.append(f"{column} {ratio:.3f}")
        print(f"{head}within {days:.0f} days: " + ", ".join(parts), flush=True)


def measure(settings: SimulatorSettings, ceiling: Ceiling | None) -> None:
    started, seed = time.monotonic(), settings.seed
    with world(settings) as (workspace, tables):
        data = prepare(tables, workspace.config, None, Silent())
        learned = learn(data, workspace.config, Silent())
        seconds = time.monotonic() - started
        fitted = {"p_sql": learned.sql.endpoint, "p_won": learned.won.endpoint}
        print(
            f"{seed:>4}  level updates: "
            + ", ".join(
                f"{name} {found.update.factor:.3f}" for name, found in (("SQL", learned.sql), ("won", learned.won))
            )
        )
        drawn = drawn_over_true(data, settings)
        for name, asked in populations(tables, *((3, 90.0) if settings.drift else (12, np.inf))):
            matrix = build_features(tables, moments_of(asked), data.features)
            best = build_features(tables, moments_of(asked), ceiling.features) if ceiling else None
            true = truth_of(asked, settings)
            head = f"{seed:>4}  {name:<12}"
            show_horizons(head, learned, matrix, asked, settings)
            said = fitted["p_won"].probability(matrix) * learned.amount.expected(matrix)
            at_best = ceiling.predict["p_won"](best) * ceiling.predict["expected_amount"](best) if ceiling else None
            show_revenue(head, said, true, at_best)
            for column in OUTCOMES:
                known = ~np.isnan(true[column].to_numpy())
                p, t = fitted[column].probability(matrix)[known], true[column].to_numpy()[known]
                rank = spearmanr(p, t)[0]
                line = f"{head}{column:<7}{known.sum():>8,}{p.mean() / t.mean():>11.3f}{slope(p, t):>8.3f}"
                line += f"{rank:>10.3f}{drawn[column]:>8.3f}{seconds:>9.1f}"
                if ceiling and best is not None:
                    q = ceiling.predict[column](best)[known]
                    line += f"{q.mean() / t.mean():>13.3f}{spearmanr(q, t)[0]:>10.3f}{rank / spearmanr(q, t)[0]:>8.2f}"
                print(line, flush=True)


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--ceiling", type=int, default=0)
    parser.add_argument("--drift", action="store_true")
    parser.add_argument("numbers", type=int, nargs="*")
    asked = parser.parse_args()
    ceiling = fit_ceiling(asked.ceiling) if asked.ceiling else None
    leads, seeds = (asked.numbers or [20_000])[0], asked.numbers[1:] or [1, 2, 3]
    heads = f"seed  {'population':<12}{'':<7}{'leads':>8}{'mean ratio':>11}{'slope':>8}{'Spearman':>10}"
    heads += f"{'drawn':>8}{'fit, s':>9}"
    print(heads + (f"{'ceiling ratio':>14}{'Spearman':>9}{'ratio':>8}" if ceiling else ""))
    for seed in seeds:
        measure(SimulatorSettings(leads, seed, asked.drift), ceiling)


if __name__ == "__main__":
    main()
