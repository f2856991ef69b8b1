"""Train on the simulator and compare with its true probabilities, not with drawn outcomes.

For each seed and population (all leads at risk at the end; all leads at the age of seven days): mean predicted over
mean true, slope of the truth on the predicted logit, and Spearman's rank correlation.

    python benchmarks/bench_truth.py [LEADS [SEED ...]]      default: 20000 1 2 3
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.optimize import minimize
from scipy.special import logit
from scipy.stats import spearmanr

from crm.config import load_workspace
from crm.known import to_micros
from crm.outcomes import leads_at_risk, risk_spells
from crm.progress import Silent
from crm.simulator import OBSERVED_UNTIL, SimulatorSettings
from crm.simulator_truth import truth
from features.build import build_features
from training.learn import learn
from training.prepare import prepare
from training.train import open_tables

DAY_US = 86_400_000_000
WORKSPACE = '[source]\nurl = "demo://?leads={leads}&seed={seed}"\n[value]\nmargin = 0.3\ntouch_cost = 150\n'


def slope(probability: np.ndarray, true: np.ndarray) -> float:
    z = logit(np.clip(probability, 1e-9, 1 - 1e-9))
    loss = lambda w: float(np.mean(np.logaddexp(0, w[0] + w[1] * z) - true * (w[0] + w[1] * z)))  # noqa: E731
    return float(minimize(loss, [0.0, 1.0]).x[1])


def measure(leads: int, seed: int) -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "kizashi.toml").write_text(WORKSPACE.format(leads=leads, seed=seed))
        workspace = load_workspace(Path(folder))
        with open_tables(workspace, datetime.now(UTC), Silent()) as tables:
            data = prepare(tables, workspace.config, None, Silent())
            learned = learn(data, workspace.config, Silent())
            seconds = time.monotonic() - started
            spells = risk_spells(tables, OBSERVED_UNTIL).drop_duplicates("lead_id")
            week = spells.assign(as_of_us=spells["start_us"] + 7 * DAY_US)
            week = week[~(week["end_us"] < week["as_of_us"]) & (week["as_of_us"] < to_micros(OBSERVED_UNTIL))]
            for name, asked in (("at the end", leads_at_risk(tables, OBSERVED_UNTIL)), ("7 days old", week)):
                ids = asked["lead_id"].astype(str).tolist()
                as_of = asked["as_of_us"].to_numpy(dtype=np.int64)
                moments = pa.table({"row_id": np.arange(len(ids)), "lead_id": ids, "as_of_us": as_of})
                matrix = build_features(tables, moments, data.features)
                frame = pd.DataFrame({"lead_id": ids, "as_of": pd.to_datetime(as_of * 1000, utc=True)})
                true = truth(SimulatorSettings(leads=leads, seed=seed), snapshots=frame)
                for column, fitted in (("p_sql", learned.sql), ("p_won", learned.won)):
                    wanted = true[column].to_numpy()
                    known = ~np.isnan(wanted)
                    p, t = fitted.endpoint.probability(matrix)[known], wanted[known]
                    ratio = p.mean() / t.mean()
                    print(
                        f"{seed:>4}  {name:<12}{column:<7}{known.sum():>8,}{ratio:>11.3f}{slope(p, t):>8.3f}"
                        f"{spearmanr(p, t)[0]:>10.3f}{seconds:>9.1f}",
                        flush=True,
                    )


def main() -> None:
    warnings.simplefilter("ignore")
    numbers = [int(text) for text in sys.argv[1:]] or [20_000, 1, 2, 3]
    print(f"seed  {'population':<12}{'':<7}{'leads':>8}{'mean ratio':>11}{'slope':>8}{'Spearman':>10}{'fit, s':>9}")
    for seed in numbers[1:] or [1]:
        measure(numbers[0], seed)


if __name__ == "__main__":
    main()
