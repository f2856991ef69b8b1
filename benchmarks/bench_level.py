"""The level update on and off: observed over expected of the next four weeks, at rolling origins.

At each origin everything is learned from what was known then, and the leads of the four weeks after it are scored once
with the level that followed the newest leads (if it did) and once without. Mean ``|log (observed / expected)|`` over the
origins says which was closer; half an outcome on both sides keeps it finite. The four examples need the raw data beside
the checkout (KIZASHI_EXAMPLE_DATA, default ../shared/data); ``demo-N`` and ``drift-N`` are the simulator with seed N.

    python benchmarks/bench_level.py [--origins 6] [--leads 8000] [olist airbnb uber demo-1 drift-1 ...]
"""

from __future__ import annotations

import argparse
import os
import pickle
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy.special import expit

from crm.config import Workspace, load_workspace
from crm.errors import KizashiError
from crm.progress import Silent
from crm.store import Tables
from features.build import build_features
from training.backtest_rows import hold_out, settle_origins
from training.learn import learn
from training.prepare import OUTCOMES, prepare, settle_observation
from training.train import open_tables

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("KIZASHI_EXAMPLE_DATA", ROOT.parent / "shared" / "data")).resolve()
WORKSPACE = '[source]\nurl = "demo://?leads={leads}&seed={seed}&drift={drift:d}"\n[value]\nmargin = 0.3\ntouch_cost = 150\n'


@contextmanager
def opened(name: str, leads: int) -> Iterator[tuple[Workspace, Tables]]:
    with tempfile.TemporaryDirectory() as folder:
        world, _, seed = name.partition("-")
        if seed:
            text = WORKSPACE.format(leads=leads, seed=int(seed), drift=world == "drift")
            Path(folder, "kizashi.toml").write_text(text, encoding="utf-8")
        else:
            shutil.copy(ROOT / "examples" / name / "kizashi.toml", folder)
        workspace = load_workspace(Path(folder), environ={"KIZASHI_EXAMPLE_DATA": str(DATA)})
        with open_tables(workspace, datetime.now(UTC), Silent()) as tables:
            yield workspace, tables


def ratio(happened: np.ndarray, z: np.ndarray) -> float:
    return float((happened.sum() + 0.5) / (expit(z).sum() + 0.5))


def measure_folds(name: str) -> list[object]:
    """Show the origins of a training run of an example: few of them are long enough to be learned from again and again."""
    dumped: list[object] = []
    with opened(name, 0) as (workspace, tables):
        data = prepare(tables, workspace.config, None, Silent())
        learned = learn(data, workspace.config, Silent())
    for outcome, fitted in (("sql", learned.sql), ("won", learned.won)):
        dumped.append((name, outcome, -1, np.nan, 0, fitted.update))
        for o in fitted.update.origins:
            off, on = ((o.happened + 0.5) / (expected + 0.5) for expected in (o.plain, o.updated))
            print(f"{name:<12}{o.start_us}  {outcome}{o.happened:>6,.0f} outcomes   O/E off {off:6.3f}  on {on:6.3f} recent {o.recent.ratio:.3f}", flush=True)
        found = fitted.update
        print(f"{name:<12}{outcome}  {len(found.origins)} origins  mean |log O/E| off {found.error_plain:.3f}  on {found.error_updated:.3f} factor {found.factor:.3f} recent {found.recent.ratio}", flush=True)
    return dumped


def measure(name: str, origins: int, leads: int) -> list[object]:
    errors: dict[str, list[tuple[float, float]]] = {outcome: [] for outcome in OUTCOMES}
    dumped: list[object] = []
    with opened(name, leads) as (workspace, tables):
        config = workspace.config
        seen = settle_observation(tables, config, None)
        moments = settle_origins(seen, config.outcome, origins)
        held = hold_out(tables, config, moments, seen)
        for number, origin in enumerate(moments):
            rows = held.rows_of(number)
            try:
                data = prepare(tables, config, origin, Silent())
                learned = learn(data, config, Silent())
            except KizashiError as error:
                print(f"{name:<12}{origin:%Y-%m-%d}  left out: {type(error).__name__}", flush=True)
                continue
            if not len(rows):
                continue
            matrix = build_features(tables, held.moments_of(rows), data.features)
            for outcome, fitted in (("sql", learned.sql), ("won", learned.won)):
                happened = held.labels(outcome).happened[rows]
                z, factor = fitted.endpoint.logit(matrix), fitted.update.factor
                off, on = ratio(happened, z - np.log(factor)), ratio(happened, z)
                errors[outcome].append((off, on))
                dumped.append((name, outcome, number, off, int(happened.sum()), fitted.update))
                print(
                    f"{name:<12}{origin:%Y-%m-%d}  {outcome}  {len(rows):>7,} leads{happened.sum():>6,} outcomes"
                    f"   O/E off {off:6.3f}  on {on:6.3f}   factor {factor:.3f}",
                    flush=True,
                )
    for outcome, pairs in errors.items():
        if pairs:
            off, on = np.abs(np.log(np.array(pairs))).mean(axis=0)
            print(f"{name:<12}{outcome}  {len(pairs)} origins  mean |log O/E| off {off:.3f}  on {on:.3f}", flush=True)
    return dumped


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--origins", type=int, default=6)
    parser.add_argument("--leads", type=int, default=8000)
    parser.add_argument("--dump")
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    for name in asked.names or ["olist", "airbnb", "uber", "demo-1", "drift-1"]:
        found = measure(name, asked.origins, asked.leads) if '-' in name else measure_folds(name)
        if asked.dump:
            with open(asked.dump, "ab") as file:
                pickle.dump(found, file)


if __name__ == "__main__":
    main()
