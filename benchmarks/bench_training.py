"""Time and peak memory of one whole training run, step by step, beside a bare LightGBM.fit of the same trees.

The simulator's leads with as many touches as asked for: touches beyond its own are repeats of its own, some seconds
later. The peer grows the trees of both endpoints alone, on the settled rows, with the same parameters and rounds.

With --backtest N, a backtest of N origins against every baseline that is installed is timed instead.

    python benchmarks/bench_training.py [--backtest N] [LEADS [TOUCHES [SEED]]]      default: 50000 2500000 3
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crm.config import Workspace, load_workspace
from crm.progress import Progress, Silent, Step
from crm.simulator import SimulatorSettings, simulate
from models.blend import Endpoint
from models.boosted import BoosterPlan, StumpsMember, booster_parameters
from models.logistic import LogisticMember
from training.backtest import backtest
from training.train import TrainResult, open_tables, train

VALUE = "[value]\nmargin = 0.3\ntouch_cost = 150\ncapacity_per_week = 100\n"


class Stopwatch(Progress):
    """Progress that keeps the seconds of each step, wall clock and processor."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, float, float]] = []

    @contextmanager
    def step(self, label: str, total: int | None = None) -> Generator[Step]:
        started, worked = time.monotonic(), time.process_time()
        with Silent().step(label, total) as inner:
            yield inner
        self.steps.append((label, time.monotonic() - started, time.process_time() - worked))
        print(f"  {label:<44}{self.steps[-1][1]:9.1f}{self.steps[-1][2]:9.1f}", flush=True)


def repeated(touches: pa.Table, wanted: int) -> pa.Table:
    """Return the touches and repeats of them, so many in all."""
    parts = [touches]
    for turn in range(1, -(-wanted // touches.num_rows)):
        part = touches.slice(0, min(wanted - turn * touches.num_rows, touches.num_rows))
        later = pa.scalar(turn * 1_000_000, pa.duration("us"))
        for name in ("happened_at", "recorded_at"):
            moved = pc.add(part.column(name).cast(pa.timestamp("us", "UTC")), later)
            part = part.set_column(part.column_names.index(name), name, moved.cast(touches.schema.field(name).type))
        ids = pc.binary_join_element_wise(part.column("touch_id").cast(pa.string()), pa.scalar(str(turn)), "-")
        parts.append(
            part.set_column(
                part.column_names.index("touch_id"), "touch_id", ids.cast(touches.schema.field("touch_id").type)
            )
        )
    return pa.concat_tables(parts)


def write_workspace(folder: Path, settings: SimulatorSettings, wanted: int) -> None:
    tables = dict(simulate(settings))
    tables["touches"] = repeated(tables["touches"], wanted)
    data = folder / "data"
    data.mkdir()
    selects: list[str] = []
    for name, table in tables.items():
        pq.write_table(table, data / f"{name}.parquet")
        selects.append(f"{name} = \"SELECT * FROM '{name}.parquet'\"")
        print(f"  {name:<16}{table.num_rows:>10,} rows")
    lists = "\n".join(selects)
    (folder / "kizashi.toml").write_text(f'[source]\nurl = "dir:data"\n[source.tables]\n{lists}\n{VALUE}')


def bare_fit(endpoint: Endpoint, matrix: np.ndarray, happened: np.ndarray) -> float:
    """Return the seconds of growing the endpoint's trees alone, as training grows them."""
    started = time.monotonic()
    for member in endpoint.members:
        if isinstance(member, LogisticMember):
            continue
        plan = BoosterPlan(isinstance(member, StumpsMember), None, len(happened))
        data = lgb.Dataset(matrix, happened.astype(np.float64), params={"max_bin": 63, "verbosity": -1})
        lgb.train(booster_parameters(plan), data, num_boost_round=member.rounds)
    return time.monotonic() - started


def show(result: TrainResult, seconds: float) -> None:
    data = result.data
    bare = sum(
        bare_fit(endpoint, data.matrix[labels.is_mature], labels.happened[labels.is_mature])
        for endpoint, labels in ((result.bundle.sql, data.sql), (result.bundle.won, data.won))
    )
    print(f"\nsnapshots {len(data.snapshots.as_of_us):,}, features {data.matrix.shape[1]}")
    print(f"training {seconds:.0f} s, peak memory {peak_gib():.1f} GiB")
    print(f"bare LightGBM fit of the same trees {bare:.1f} s; ratio {seconds / bare:.0f}")


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def time_backtest(workspace: Workspace, origins: int) -> None:
    started = time.monotonic()
    progress = Stopwatch()
    found = backtest(
        open_tables(workspace, datetime.now(UTC), progress),
        workspace.config,
        as_of=None,
        origins=origins,
        progress=progress,
    )
    seconds = time.monotonic() - started
    print(f"\nbacktest of {len(found.origins)} origins {seconds:.0f} s, peak memory {peak_gib():.1f} GiB")


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--backtest", type=int, default=0)
    parser.add_argument("numbers", type=int, nargs="*")
    asked = parser.parse_args()
    leads, touches, seed = (*asked.numbers, *(50_000, 2_500_000, 3)[len(asked.numbers) :])
    with tempfile.TemporaryDirectory() as folder:
        write_workspace(Path(folder), SimulatorSettings(leads, seed), touches)
        print(f"\n  {'step':<44}{'wall, s':>9}{'cpu, s':>9}")
        if asked.backtest:
            time_backtest(load_workspace(Path(folder)), asked.backtest)
            return
        started = time.monotonic()
        result = train(load_workspace(Path(folder)), as_of=None, now=datetime.now(UTC), progress=Stopwatch())
        show(result, time.monotonic() - started)


if __name__ == "__main__":
    main()
