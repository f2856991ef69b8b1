"""Train on the four examples, score the peers' test rows through the command line's code, beside two named peers.

Peers on identical rows and features: plain logistic regression (scikit-learn, standardised, C by time-ordered
cross-validation) and LightGBM with its defaults. Needs the raw data and the rows beside the checkout:
KIZASHI_EXAMPLE_DATA (default ../shared/data) and ../shared/reference/rows.

    python benchmarks/bench_real_data.py [olist airbnb uber xeducation]
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from crm.config import load_workspace
from crm.known import to_micros
from crm.progress import Silent
from crm.workspace_tables import open_tables
from features.build import build_features
from models.registry import load_model
from models.scoring import probabilities
from training.train import train

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("KIZASHI_EXAMPLE_DATA", ROOT.parent / "shared" / "data")).resolve()
ROWS = ROOT.parent / "shared" / "reference" / "rows"
NAMES = ("olist", "airbnb", "uber", "xeducation")


def ece(probability: np.ndarray, happened: np.ndarray) -> float:
    parts = np.array_split(np.argsort(probability, kind="stable"), 10)
    return sum(len(i) * abs(probability[i].mean() - happened[i].mean()) for i in parts) / len(happened)


HEADS = f"{'data':<13}{'method':<24}{'AUC':>8}{'log-loss':>10}{'ECE':>8}{'O/E':>7}{'fit, s':>9}"


def show(name: str, method: str, probability: np.ndarray, happened: np.ndarray, seconds: float) -> None:
    print(
        f"{name:<13}{method:<24}{roc_auc_score(happened, probability):8.4f}{log_loss(happened, probability):10.4f}"
        f"{ece(probability, happened):8.3f}{happened.sum() / probability.sum():7.2f}{seconds:9.1f}",
        flush=True,
    )


def measure(name: str) -> None:
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "examples" / name / "kizashi.toml", folder)
        workspace = load_workspace(Path(folder), environ={"KIZASHI_EXAMPLE_DATA": str(DATA)})
        started = time.monotonic()
        train(workspace, as_of=None, now=now, progress=Silent())
        seconds = time.monotonic() - started
        model = load_model(workspace)
        rows = pd.read_csv(ROWS / f"{name}.csv", dtype={"id": str})
        with open_tables(workspace, now, Silent()) as tables:
            if "decision_time" in rows:
                as_of = np.array([to_micros(t) for t in pd.to_datetime(rows["decision_time"], utc=True)])
            else:
                created = tables.table("leads").select("lead_id", "created_us").to_pyarrow().to_pandas()
                as_of = created.set_index("lead_id")["created_us"].loc[rows["id"]].to_numpy()
            moments = pa.table({"row_id": np.arange(len(rows)), "lead_id": rows["id"].tolist(), "as_of_us": as_of})
            matrix = build_features(tables, moments, model.bundle.features)
    order = np.argsort(as_of, kind="stable")
    matrix, happened = matrix[order], rows["label"].to_numpy()[order].astype(bool)
    is_train = (rows["part"] == "train").to_numpy()[order]
    past, future = (matrix[is_train], happened[is_train]), (matrix[~is_train], happened[~is_train])
    show(name, "kizashi", probabilities(model.bundle, future[0])[1], future[1], seconds)
    show_peers(name, past, future)


def show_peers(name: str, past: tuple[np.ndarray, np.ndarray], future: tuple[np.ndarray, np.ndarray]) -> None:
    """Fit the two peers on the past and show what they say of the future: matrices and labels."""
    started = time.monotonic()
    logistic = make_pipeline(
        SimpleImputer(add_indicator=True),
        StandardScaler(),
        LogisticRegressionCV(
            Cs=7,
            cv=TimeSeriesSplit(4),
            scoring="neg_log_loss",
            max_iter=2000,
            l1_ratios=(0.0,),
            use_legacy_attributes=False,
        ),
    ).fit(*past)
    show(name, "logistic regression", logistic.predict_proba(future[0])[:, 1], future[1], time.monotonic() - started)
    started = time.monotonic()
    booster = lgb.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, lgb.Dataset(past[0], past[1] * 1.0))
    show(name, "LightGBM defaults", np.asarray(booster.predict(future[0])), future[1], time.monotonic() - started)


def main() -> None:
    warnings.simplefilter("ignore")
    if not DATA.is_dir() or not ROWS.is_dir():
        print(f"The raw data is not here: {DATA} and {ROWS} are needed.")
        return
    print(HEADS)
    for name in sys.argv[1:] or NAMES:
        measure(name)


if __name__ == "__main__":
    main()
