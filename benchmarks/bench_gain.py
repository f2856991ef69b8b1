"""Coverage of the 90% interval of the new line's gain over the old rule, against the simulator's truth.

Each replication is a small company of its own seed: a whole training run, whose folds' models replay weeks that they
had not seen, pick leads as the new line would, and set them beside the old rule's.

What the interval claims: models, price and weeks are given; accounts are drawn. The gain that it should hold is then
the mean gain, over companies whose accounts come from where this one's came from, of these models at this price against
the old rule. That is measured: the same models and the same price replay the same weeks of further companies of the
same size and capacity, which nobody learned from, and each lead that sales works under a rule counts with its true
chance of a win at that moment, times its true mean amount times the margin, less the cost; new less old, a week
("fresh"). A fresh lead is scored by the fold that scored its namesake, so that each fold has the share that it had. The
mean over the fresh companies has an error of its own, printed beside and small against the interval.

Beside it the true value of the very picks of this company ("same"), for which an interval over accounts is a little too
wide, as these picks are not drawn anew.

Printed: how often the interval holds either, with the 90% interval of that share, and how often it lies above or below;
the mean of (estimate - truth) over the standard error (half width over 1.645) with its own error, which shows a bias;
mean and median width and the mean of the truth, workspace currency a week.

With --results each replication is one line of a CSV file; seeds that are in it are not run again, several runs may
append to one file, and the table is over all of its lines. --to 0 prints the table alone.

    python benchmarks/bench_gain.py [--leads 2000] [--from 1] [--to 200] [--fresh 6] [--results FILE]
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
import warnings
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from crm.config import Workspace, load_workspace
from crm.errors import KizashiError
from crm.progress import Silent
from crm.simulator import SimulatorSettings
from crm.simulator_truth import truth
from crm.store import Tables
from crm.workspace_tables import open_tables
from models.gain import Picks, new_picks, worked_picks
from models.intervals import jeffreys
from training.gain import UnseenWeeks, compare, replay_unseen
from training.learn import Learned, learn
from training.prepare import TrainingData, prepare

WORKSPACE = (
    '[source]\nurl = "demo://?leads={leads}&seed={seed}"\n'
    "[value]\nmargin = {margin}\ntouch_cost = {touch_cost}\ncapacity_per_week = {capacity}\n"
)
MARGIN, TOUCH_COST = 0.3, 150.0
LEADS_A_WEEK = 250
"""Leads of the company for one lead that sales can work in a week."""
FRESH_SEED = 3_000_000_000
HALF_WIDTH = 1.6449


@dataclass(frozen=True)
class Company:
    """A simulated company and its tables."""

    settings: SimulatorSettings
    workspace: Workspace
    tables: Tables


@dataclass(frozen=True)
class Replication:
    """What one company's interval says, and what is true; workspace currency a week unless said otherwise."""

    leads: int
    seed: int
    reason: str = ""
    estimate: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    same: float = float("nan")
    fresh: float = float("nan")
    fresh_error: float = float("nan")
    old_worked: int = 0
    new_worked: int = 0
    old_wins: int = 0
    new_wins: int = 0
    not_at_risk: int = 0
    """Worked picks that had been decided already, by the truth, and were not known to be."""
    seconds: float = 0.0


@contextmanager
def company(leads: int, seed: int) -> Generator[Company]:
    with tempfile.TemporaryDirectory() as folder:
        text = WORKSPACE.format(
            leads=leads, seed=seed, margin=MARGIN, touch_cost=TOUCH_COST, capacity=max(leads // LEADS_A_WEEK, 1)
        )
        Path(folder, "kizashi.toml").write_text(text, encoding="utf-8")
        workspace = load_workspace(Path(folder))
        with open_tables(workspace, datetime.now(UTC), Silent()) as tables:
            yield Company(SimulatorSettings(leads=leads, seed=seed), workspace, tables)


def true_values(
    settings: SimulatorSettings, unseen: UnseenWeeks, rows: np.ndarray, won_days: float
) -> tuple[np.ndarray, int]:
    """Return what working each row is worth, workspace currency, and how many had been decided already.

    Those bring nothing that the truth counts, and cost what any lead costs.
    """
    moments = pd.to_datetime(unseen.as_of_us[rows] * 1000, utc=True)
    asked = pd.DataFrame({"lead_id": [unseen.lead_ids[row] for row in rows], "as_of": moments})
    if asked.empty:
        return np.zeros(0), 0
    true = truth(settings, snapshots=asked, sql_horizon_days=30, won_horizon_days=won_days)
    revenue = true["p_won"].to_numpy() * true["expected_amount"].to_numpy()
    return np.nan_to_num(revenue) * MARGIN - TOUCH_COST, int(np.isnan(revenue).sum())


def true_gain(settings: SimulatorSettings, unseen: UnseenWeeks, picks: Picks, won_days: float) -> tuple[float, int]:
    """Return the true value of the new line's worked picks less that of the old rule's, a week."""
    new, decided_new = true_values(settings, unseen, picks.worked["new"], won_days)
    old, decided_old = true_values(settings, unseen, picks.worked["old"], won_days)
    return (new.sum() - old.sum()) / (unseen.rows.weeks * unseen.rows.share), decided_new + decided_old


def picks_at(unseen: UnseenWeeks, price: float, capacity: float | None) -> Picks:
    """Let both rules pick at a price that was set elsewhere."""
    rows = unseen.rows
    new = new_picks(rows, rows.expected_revenue * MARGIN - TOUCH_COST, price)
    picked = {"old": np.flatnonzero(rows.is_old & (rows.week > rows.lead_in)), "new": new}
    return Picks(price, picked, {name: worked_picks(rows, found, capacity) for name, found in picked.items()})


def gain_elsewhere(others: Sequence[Company], data: TrainingData, learned: Learned, price: float) -> np.ndarray:
    """Return the true gain of these models at this price in each of other companies, a week."""
    gains: list[float] = []
    for other in others:
        config = other.workspace.config
        unseen = replay_unseen(other.tables, data, learned, config, Silent())
        if unseen is None:
            raise RuntimeError("a fresh company has no unseen weeks though the one that was learned from has")
        picks = picks_at(unseen, price, config.value.weekly_capacity)
        gains.append(true_gain(other.settings, unseen, picks, data.won.horizon_days)[0])
    return np.array(gains)


def replicate(leads: int, seed: int, others: Sequence[Company]) -> tuple[Replication, UnseenWeeks | None, Picks | None]:
    started = time.monotonic()
    with company(leads, seed) as own:
        config = own.workspace.config
        try:
            data = prepare(own.tables, config, None, Silent())
            learned = learn(data, config, Silent())
        except KizashiError as error:
            return Replication(leads, seed, type(error).__name__), None, None
        unseen = replay_unseen(own.tables, data, learned, config, Silent())
        if unseen is None:
            return Replication(leads, seed, "no unseen weeks"), None, None
        found, picks = compare(unseen.rows, config.value)
        same, decided = true_gain(own.settings, unseen, picks, data.won.horizon_days)
        fresh = gain_elsewhere(others, data, learned, picks.price)
    has_interval = np.isfinite([found.gain.low, found.gain.high]).all()
    replication = Replication(
        leads,
        seed,
        "" if has_interval else "no interval",
        estimate=found.gain.value,
        low=found.gain.low,
        high=found.gain.high,
        same=same,
        fresh=float(fresh.mean()) if len(fresh) else float("nan"),
        fresh_error=float(fresh.std(ddof=1) / np.sqrt(len(fresh))) if len(fresh) > 1 else float("nan"),
        old_worked=len(picks.worked["old"]),
        new_worked=len(picks.worked["new"]),
        old_wins=int(unseen.rows.won[picks.worked["old"]].sum()),
        new_wins=int(unseen.rows.won[picks.worked["new"]].sum()),
        not_at_risk=decided,
        seconds=time.monotonic() - started,
    )
    return replication, unseen, picks


def read(path: Path | None, leads: int) -> pd.DataFrame:
    """Return the replications that a file holds."""
    if path is None or not path.exists():
        return pd.DataFrame(columns=[field.name for field in fields(Replication)])
    found = pd.read_csv(path).drop_duplicates(["leads", "seed"])
    return found[found["leads"] == leads]


def write(path: Path, replication: Replication) -> None:
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Replication)])
        if is_new:
            writer.writeheader()
        writer.writerow(asdict(replication))


def show(table: pd.DataFrame, leads: int) -> None:
    """Print how often the intervals hold what is true."""
    told = table[table["reason"].fillna("") == ""].astype({"estimate": float, "low": float, "high": float})
    left = table["reason"].fillna("").value_counts().drop("", errors="ignore").to_dict()
    print(f"\n{len(told)} replications of {leads:,} leads; without a gain: {left or 'none'}")
    width = told["high"] - told["low"]
    for name in ("fresh", "same"):
        true = told[name].astype(float)
        known = true.notna()
        if not known.any():
            continue
        low, high, true, size = told["low"][known], told["high"][known], true[known], int(known.sum())
        holds = int(((low <= true) & (true <= high)).sum())
        ends = jeffreys(holds, size)
        z = (told["estimate"][known] - true) / (width[known] / 2 / HALF_WIDTH)
        error = told["fresh_error"].astype(float).mean() if name == "fresh" else 0.0
        print(
            f"  {name:<6}holds {holds / size:.3f} ({ends[0]:.3f} to {ends[1]:.3f}), lies above the truth "
            f"{int((low > true).sum())} times, below {int((high < true).sum())}; bias {z.mean():+.2f} "
            f"(+/- {z.std() / np.sqrt(size):.2f}) standard errors, or {(told['estimate'][known] - true).mean():+,.0f}; "
            f"width {width[known].mean():,.0f}, median {width[known].median():,.0f}; "
            f"mean truth {true.mean():,.0f} (+/- {error:,.0f} each)"
        )


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--leads", type=int, default=2000)
    parser.add_argument("--from", type=int, default=1, dest="first")
    parser.add_argument("--to", type=int, default=200, dest="last")
    parser.add_argument("--fresh", type=int, default=6, help="fresh companies behind each truth")
    parser.add_argument("--results", type=Path)
    asked = parser.parse_args()
    done = read(asked.results, asked.leads)
    rows: list[dict[str, object]] = []
    with ExitStack() as stack:
        seeds = [seed for seed in range(asked.first, asked.last + 1) if seed not in set(done["seed"])]
        fresh = range(FRESH_SEED, FRESH_SEED + asked.fresh) if seeds else ()
        others = [stack.enter_context(company(asked.leads, seed)) for seed in fresh]
        heads = ("estimate", "low", "high", "fresh", "+/-", "same", "seconds")
        print(f"{'seed':>5}" + "".join(f"{head:>10}" for head in heads))
        for seed in seeds:
            found, _, _ = replicate(asked.leads, seed, others)
            if asked.results:
                write(asked.results, found)
            rows.append(asdict(found))
            numbers = (found.estimate, found.low, found.high, found.fresh, found.fresh_error, found.same, found.seconds)
            said = "".join(f"{number:>10,.0f}" for number in numbers)
            print(f"{seed:>5}" + (f"  {found.reason}" if found.reason else said), flush=True)
    table = read(asked.results, asked.leads) if asked.results else pd.DataFrame(rows)
    show(table, asked.leads)


if __name__ == "__main__":
    main()
