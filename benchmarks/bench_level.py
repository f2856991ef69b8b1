"""The level update on and off: observed over expected of the next four weeks, at rolling origins.

``demo-N`` and ``drift-N`` are the simulator with seed N. At each origin everything is learned from what was known then,
and the leads of the four weeks after it are scored once with the level that followed the newest leads (if it did) and
once without. The four examples are too short for that: they are learned from once, and shown are the periods that the
run itself held out, with what following would have done and whether the run followed in the end. They need the raw data
beside the checkout (KIZASHI_EXAMPLE_DATA, default ../shared/data).

Mean ``|log (observed / expected)|`` over the origins says which was closer; half an outcome on both sides keeps it
finite.

    python benchmarks/bench_level.py [--origins 6] [--leads 8000] [olist airbnb uber xeducation demo-1 drift-1 ...]
"""

from __future__ import annotations

import argparse
import os
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
from crm.known import from_micros
from crm.progress import Silent
from crm.store import Tables
from crm.workspace_tables import open_tables
from features.build import build_features
from training.backtest_rows import hold_out, settle_origins
from training.learn import learn
from training.prepare import OUTCOMES, prepare, settle_observation

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("KIZASHI_EXAMPLE_DATA", ROOT.parent / "shared" / "data")).resolve()
WORKSPACE = (
    '[source]\nurl = "demo://?leads={leads}&seed={seed}&drift={drift:d}"\n[value]\nmargin = 0.3\ntouch_cost = 150\n'
)


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


def show(name: str, outcome: str, when: str, happened: float, off: float, on: float) -> None:
    print(f"{name:<12}{outcome:<5}{when}{happened:>7,.0f} outcomes   O/E off {off:6.3f}   on {on:6.3f}", flush=True)


def conclude(name: str, outcome: str, pairs: list[tuple[float, float]], rest: str) -> None:
    off, on = np.abs(np.log(np.array(pairs))).mean(axis=0) if pairs else (np.nan, np.nan)
    print(
        f"{name:<12}{outcome:<5}{len(pairs)} origins: mean |log O/E| off {off:.3f}   on {on:.3f}   {rest}", flush=True
    )


def measure_folds(name: str) -> None:
    with opened(name, 0) as (workspace, tables):
        learned = learn(prepare(tables, workspace.config, None, Silent()), workspace.config, Silent())
    for outcome, update in (("sql", learned.sql.update), ("won", learned.won.update)):
        pairs: list[tuple[float, float]] = []
        for one in update.origins:
            off, on = ((one.happened + 0.5) / (expected + 0.5) for expected in (one.plain, one.updated))
            show(name, outcome, from_micros(one.start_us).date().isoformat(), one.happened, off, on)
            pairs.append((off, on))
        newest = f"newest leads: {update.recent.ratio:.3f}, the run multiplies the odds by {update.factor:.3f}"
        conclude(name, outcome, pairs, newest)


def measure(name: str, origins: int, leads: int) -> None:
    pairs: dict[str, list[tuple[float, float]]] = {outcome: [] for outcome in OUTCOMES}
    with opened(name, leads) as (workspace, tables):
        config = workspace.config
        seen = settle_observation(tables, config, None)
        moments = settle_origins(seen, config.outcome, origins)
        held = hold_out(tables, config, moments, seen)
        for number, origin in enumerate(moments):
            rows = held.rows_of(number)
            data = prepare(tables, config, origin, Silent())
            learned = learn(data, config, Silent())
            matrix = build_features(tables, held.moments_of(rows), data.features)
            for outcome, fitted in (("sql", learned.sql), ("won", learned.won)):
                happened, z = held.labels(outcome).happened[rows], fitted.endpoint.logit(matrix)
                off, on = ratio(happened, z - np.log(fitted.update.factor)), ratio(happened, z)
                show(name, outcome, origin.date().isoformat(), happened.sum(), off, on)
                pairs[outcome].append((off, on))
    for outcome, found in pairs.items():
        conclude(name, outcome, found, "")


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--origins", type=int, default=6)
    parser.add_argument("--leads", type=int, default=8000)
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    for name in asked.names or ["olist", "airbnb", "uber", "xeducation", "demo-1", "drift-1"]:
        if "-" in name:
            measure(name, asked.origins, asked.leads)
        else:
            measure_folds(name)


if __name__ == "__main__":
    main()
