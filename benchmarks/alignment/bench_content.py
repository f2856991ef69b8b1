"""How well the effect of content is recovered: coverage, false discoveries and power over many simulated worlds.

Beside it, in the same worlds, two peers: the plain difference of the rates of users and others, and propensity-score
weighting (Hajek) on the same covariates.

    python benchmarks/alignment/bench_content.py --leads 2000 --worlds 200
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, norm
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from alignment.content_cohort import Cohort, content_cohort, horizon_days
from alignment.item_effects import item_effects
from crm.simulator import SimulatorSettings
from crm.simulator_content_truth import users_effects
from crm.simulator_truth import content_effects
from tests.model.test_alignment_truth import people_of

Z = 1.6448536269514722


def judged(task: tuple[int, int]) -> pd.DataFrame:
    leads, seed = task
    settings = SimulatorSettings(leads=leads, seed=seed)
    people = people_of(settings)
    started = time.perf_counter()
    cohort = content_cohort(people, "sql")
    found = item_effects(cohort.uses, cohort.covariates, cohort.outcome, cohort.groups)
    seconds = time.perf_counter() - started
    is_item = cohort.uses.is_item[cohort.uses.column]
    names = np.array(cohort.uses.names, dtype=object)
    users = pd.DataFrame({"lead": cohort.uses.lead[is_item], "content_id": names[cohort.uses.column[is_item]]})
    true = users_effects(
        settings,
        people.frame.iloc[cohort.person]["person_id"].tolist(),
        pd.Series(pd.to_datetime(cohort.landmark_us.astype("int64"), unit="us", utc=True)),
        users,
        horizon_days=horizon_days(people, "sql"),
    )
    people.tables.close()
    log_odds = content_effects(settings).set_index("content_id")["effect"]
    rows = [found.assign(method="kizashi")[["method", "item", "effect", "low", "high", "is_found", "reason"]]]
    rows += [peer(cohort, method) for method in ("difference", "weighting")]
    told = pd.concat(rows, ignore_index=True)
    told = told.assign(truth=told["item"].map(true), log_odds=told["item"].map(log_odds), seed=seed, seconds=seconds)
    return told[told["item"].isin(found.loc[found["reason"] == "", "item"])]


def peer(cohort: Cohort, method: str) -> pd.DataFrame:
    used = cohort.uses.matrix().tocsc()
    outcome = cohort.outcome.astype(float)
    covariates = StandardScaler().fit_transform(np.nan_to_num(cohort.covariates))
    rows: list[tuple[str, float, float]] = []
    for column, name in enumerate(cohort.uses.names):
        if not cohort.uses.is_item[column]:
            continue
        mine = np.asarray(used[:, column].todense()).ravel() > 0
        if not 5 <= mine.sum() <= len(mine) - 5:
            continue
        weight = np.where(mine, 1.0, 1.0)
        if method == "weighting":
            p = LogisticRegression(C=1.0, max_iter=500).fit(covariates, mine).predict_proba(covariates)[:, 1]
            weight = np.where(mine, 1.0, np.clip(p / (1 - p), 0.0, 20.0))
        rate = [np.average(outcome[part], weights=weight[part]) for part in (mine, ~mine)]
        spread = sum(
            (weight[part] ** 2 * (outcome[part] - one) ** 2).sum() / weight[part].sum() ** 2
            for part, one in zip((mine, ~mine), rate, strict=True)
        )
        rows.append((name, rate[0] - rate[1], float(np.sqrt(spread))))
    frame = pd.DataFrame(rows, columns=["item", "effect", "error"])
    frame["low"], frame["high"] = frame["effect"] - Z * frame["error"], frame["effect"] + Z * frame["error"]
    q = false_discovery_control(2 * norm.sf(np.abs(frame["effect"] / np.maximum(frame["error"], 1e-9))), method="bh")
    return frame.assign(method=method, is_found=q <= 0.1, reason="").drop(columns="error")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=2_000)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--first", type=int, default=5_000)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    tasks = [(given.leads, seed) for seed in range(given.first, given.first + given.worlds)]
    with ProcessPoolExecutor(given.processes) as pool:
        rows = pd.concat(list(pool.map(judged, tasks)), ignore_index=True)
    print(f"{given.worlds} worlds of {given.leads:,} leads; 90% intervals; false discoveries held at 10%")
    heads = ("coverage", "of nulls", "of others", "nulls found", "FDP", "power")
    print(f"{'method':12s} " + " ".join(f"{head:>11s}" for head in heads))
    for method, part in rows.groupby("method", sort=False):
        inside = (part["low"] <= part["truth"]) & (part["truth"] <= part["high"])
        null = part["log_odds"] == 0
        false = part[part["is_found"]].assign(false=null).groupby("seed")["false"].mean()
        share = false.reindex(rows["seed"].unique(), fill_value=0.0).mean()
        print(
            f"{method:12s} {inside.mean():11.3f} {inside[null].mean():11.3f} {inside[~null].mean():11.3f} "
            f"{part.loc[null, 'is_found'].mean():11.4f} {share:11.3f} {part.loc[~null, 'is_found'].mean():11.3f}"
        )
    print(f"kizashi: {rows.drop_duplicates('seed')['seconds'].median():.2f} s a world")


if __name__ == "__main__":
    main()
