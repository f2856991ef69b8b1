"""Train on made-up CRMs that kizashi was not built on, and score their future, beside the peers of bench_real_data.

python benchmarks/bench_unseen.py [SEED ...]      default: 1 2
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from bench_real_data import HEADS, show, show_peers
from unseen_crms import CRMS, CUT, HORIZON_DAYS, WATCHED_DAYS, write_crm

from crm.config import load_workspace
from crm.progress import Silent
from crm.workspace_tables import open_tables
from features.build import build_features
from models.registry import load_model
from models.scoring import probabilities
from training.train import train

DAY_US = 86_400_000_000


def measure(name: str, seed: int) -> None:
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        rows = write_crm(CRMS[name](seed), seed, Path(folder))
        workspace = load_workspace(Path(folder))
        started = time.monotonic()
        found = train(workspace, as_of=None, now=now, progress=Silent())
        seconds = time.monotonic() - started
        bundle = load_model(workspace).bundle
        created = rows["created_at"].to_numpy().astype("datetime64[us]").astype(np.int64)
        as_of = created + round(WATCHED_DAYS * DAY_US)
        moments = pa.table({"row_id": np.arange(len(rows)), "lead_id": rows["lead_id"].tolist(), "as_of_us": as_of})
        with open_tables(workspace, now, Silent()) as tables:
            matrix = build_features(tables, moments, bundle.features)
    happened = rows["label"].to_numpy(dtype=bool)
    cut = int(np.datetime64(CUT, "us").astype(np.int64))
    is_past, is_future = created + round(HORIZON_DAYS * DAY_US) <= cut, created >= cut
    past, future = (matrix[is_past], happened[is_past]), (matrix[is_future], happened[is_future])
    label = f"{name} {seed}"
    show(label, "kizashi", probabilities(bundle, future[0])[1], future[1], seconds)
    show_peers(label, past, future)
    for sentence in found.choices["sql"].sentences:
        print(f"    {sentence}")
    for one in found.data.dropped_for_time:
        print(f"    left out: {one.name} {one.reason}")


def main() -> None:
    warnings.simplefilter("ignore")
    print(HEADS)
    for seed in [int(seed) for seed in sys.argv[1:]] or [1, 2]:
        for name in CRMS:
            measure(name, seed)


if __name__ == "__main__":
    main()
