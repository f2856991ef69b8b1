"""Coverage of the 90% interval of the new line's gain over the old rule, against the simulator's truth.

Each replication is a small company of its own seed: a whole training run, whose folds' models replay weeks that they
had not seen, pick leads as the new line would, and set them beside the old rule's. The true gain is that of those very
picks: for every lead that sales works under one rule, its true chance of a win at that moment times its true expected
amount times the margin, less the cost, new less old, a week. The interval is drawn over accounts by what happened; it
covers if the true gain lies in it. (Accounts are drawn and the truth's are not, so a little more than 90% is due.)

Printed: how often the interval covers, and how often it lies below or above the truth; the mean of (estimate - truth)
over the interval's half width, which shows a bias; mean width and mean true gain, workspace currency a week.

    python benchmarks/bench_gain.py [--leads 2000] [--from 1] [--to 200]
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from crm.config import load_workspace
from crm.errors import KizashiError
from crm.progress import Silent
from crm.simulator import SimulatorSettings
from crm.simulator_truth import truth
from models.gain import Comparison, Picks
from training.gain import UnseenWeeks, compare, replay_unseen
from training.learn import learn
from training.prepare import prepare
from training.train import open_tables

WORKSPACE = (
    '[source]\nurl = "demo://?leads={leads}&seed={seed}"\n'
    "[value]\nmargin = 0.3\ntouch_cost = 150\ncapacity_per_week = {capacity}\n"
)
MARGIN, TOUCH_COST = 0.3, 150.0
LEADS_A_WEEK = 250
"""Leads of the company for one lead that sales can work in a week."""


def true_gain(settings: SimulatorSettings, unseen: UnseenWeeks, picks: Picks, won_days: float) -> float:
    """Return the true expected value of the new line's worked picks less that of the old rule's, a week."""
    total = 0.0
    for name, sign in (("new", 1.0), ("old", -1.0)):
        rows = picks.worked[name]
        if len(rows) == 0:
            continue
        moments = pd.to_datetime(unseen.as_of_us[rows] * 1000, utc=True)
        asked = pd.DataFrame({"lead_id": [unseen.lead_ids[row] for row in rows], "as_of": moments})
        true = truth(settings, snapshots=asked, sql_horizon_days=30, won_horizon_days=won_days)
        value = true["p_won"].to_numpy() * true["expected_amount"].to_numpy() * MARGIN - TOUCH_COST
        total += sign * float(np.nansum(value))
    return total / (unseen.rows.weeks * unseen.rows.share)


def replicate(leads: int, seed: int) -> tuple[Comparison, float] | None:
    settings = SimulatorSettings(leads=leads, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        text = WORKSPACE.format(leads=leads, seed=seed, capacity=max(leads // LEADS_A_WEEK, 1))
        Path(folder, "kizashi.toml").write_text(text, encoding="utf-8")
        workspace = load_workspace(Path(folder))
        with open_tables(workspace, datetime.now(UTC), Silent()) as tables:
            try:
                data = prepare(tables, workspace.config, None, Silent())
                learned = learn(data, workspace.config, Silent())
            except KizashiError:
                return None
            unseen = replay_unseen(tables, data, learned, workspace.config, Silent())
            if unseen is None:
                return None
            found, picks = compare(unseen.rows, workspace.config.value)
            return found, true_gain(settings, unseen, picks, data.won.horizon_days)


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--leads", type=int, default=2000)
    parser.add_argument("--from", type=int, default=1, dest="first")
    parser.add_argument("--to", type=int, default=200, dest="last")
    asked = parser.parse_args()
    rows: list[tuple[float, float, float, float]] = []
    print(f"{'seed':>5}{'estimate':>10}{'low':>10}{'high':>10}{'true':>10}{'seconds':>9}  covered so far")
    for seed in range(asked.first, asked.last + 1):
        started = time.monotonic()
        found = replicate(asked.leads, seed)
        if found is None:
            print(f"{seed:>5}  no gain: too few outcomes, or no unseen weeks", flush=True)
            continue
        gain, true = found[0].gain, found[1]
        if gain.low is None or gain.high is None:
            print(f"{seed:>5}  no interval", flush=True)
            continue
        rows.append((gain.value, gain.low, gain.high, true))
        table = np.array(rows)
        covered = ((table[:, 1] <= table[:, 3]) & (table[:, 3] <= table[:, 2])).mean()
        print(
            f"{seed:>5}{gain.value:>10,.0f}{gain.low:>10,.0f}{gain.high:>10,.0f}{true:>10,.0f}"
            f"{time.monotonic() - started:>9.1f}  {covered:.3f} of {len(rows)}",
            flush=True,
        )
    if rows:
        estimate, low, high, true = np.array(rows).T
        covered = ((low <= true) & (true <= high)).mean()
        print(
            f"\n{len(rows)} replications of {asked.leads:,} leads: covers {covered:.3f}, "
            f"lies above the truth {(low > true).mean():.3f}, below {(high < true).mean():.3f}; "
            f"bias {((estimate - true) / ((high - low) / 2)).mean():+.2f} half widths; "
            f"mean width {(high - low).mean():,.0f}, mean true gain {true.mean():,.0f} a week"
        )


if __name__ == "__main__":
    main()
