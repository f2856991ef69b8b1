"""What a backtest leaves behind: a run of its own in MLflow, and two files, one for people and one for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crm.config import Workspace
from models.intervals import Interval
from models.registry import EXPERIMENT, open_store
from pages.safe_csv import Value, write_csv
from training.backtest_measures import Compared
from training.backtest_result import OURS, Backtest
from training.backtest_rows import STEP_DAYS
from training.versions import code_commit

__all__ = ["log_backtest", "write_backtest"]

HEADER = ("origin", "outcome", "method", "measure", "value", "low", "high", "unit")
POOLED = "all"
BATCH = 500  # MLflow takes at most 1,000 metrics at once
UNITS = {"log_loss": "nats", "captured_wins": "deals a window", "average_precision": "share", "auc": "share"}


def write_backtest(found: Backtest, folder: Path) -> tuple[Path, Path]:
    """Write ``backtest.csv`` (every origin, method and measure, one number a row) and ``backtest.json``.

    Rows whose measure ends in ``_gain`` hold what kizashi has more than the method, on the same draws of accounts.

    Returns
    -------
    tuple of Path
        The two files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table, document = folder / "backtest.csv", folder / "backtest.json"
    write_csv(table, HEADER, _rows(found))
    text = json.dumps(found.to_json(), ensure_ascii=False, indent=1, allow_nan=False)
    document.write_text(text + "\n", encoding="utf-8")
    return table, document


def _rows(found: Backtest) -> Iterator[tuple[Value, ...]]:
    compared = [(origin.as_of.date().isoformat(), origin.compared) for origin in found.origins]
    for origin, by_outcome in [*compared, (POOLED, found.pooled)]:
        for outcome, both in by_outcome.items():
            for method, measure, interval in _numbers(both):
                numbers = [value if math.isfinite(value) else None for value in (interval.value, interval.low)]
                high = interval.high if math.isfinite(interval.high) else None
                yield (origin, outcome, method, measure, *numbers, high, _unit(measure, found.currency))


def _numbers(both: Compared) -> Iterator[tuple[str, str, Interval]]:
    for suffix, by_method in (("", both.measures), ("_gain", both.gains)):
        for method, measures in by_method.items():
            for measure, interval in measures.items():
                yield method, measure + suffix, interval


def _unit(measure: str, currency: str) -> str:
    name = measure.removesuffix("_gain")
    if name == "captured_revenue":
        return f"{currency} a window"
    return UNITS.get(name, "share" if name.endswith("_share") else "ratio")


def log_backtest(workspace: Workspace, found: Backtest, folder: Path) -> str:
    """Log a run tagged ``kind=backtest``, with the pooled measures, the CSV and the JSON.

    Metrics are called as those of a training run after ``backtest.``; those of a baseline have its name in front.

    Parameters
    ----------
    workspace
        Whose store.
    found
        The backtest.
    folder
        Where the files are written first.

    Returns
    -------
    str
        Id of the run.
    """
    paths = write_backtest(found, folder)
    with open_store(workspace):
        import mlflow

        mlflow.set_experiment(EXPERIMENT)
        with mlflow.start_run(run_name=f"backtest {found.seen.observed_until:%Y-%m-%d}") as run:
            mlflow.set_tags({"kind": "backtest", "kizashi.commit": code_commit()})
            mlflow.log_params(_parameters(workspace, found))
            metrics = list(_metrics(found).items())
            for start in range(0, len(metrics), BATCH):
                mlflow.log_metrics(dict(metrics[start : start + BATCH]))
            for path in paths:
                mlflow.log_artifact(str(path))
        return str(run.info.run_id)


def _parameters(workspace: Workspace, found: Backtest) -> dict[str, Any]:
    config = workspace.config
    return {
        "as_of": found.seen.as_of.isoformat(),
        "observed_until": found.seen.observed_until.isoformat(),
        "origins": ", ".join(origin.as_of.date().isoformat() for origin in found.origins),
        "window_days": STEP_DAYS,
        "methods": ", ".join(found.methods),
        "sql_horizon_days": config.outcome.sql_horizon_days,
        "won_horizon_days": config.outcome.won_horizon_days,
        "capacity_per_week": config.value.weekly_capacity,
        "touch_cost": config.value.touch_cost,
        "margin": config.value.margin,
        "currency": found.currency,
    }


def _metrics(found: Backtest) -> dict[str, float]:
    metrics: dict[str, float] = {"backtest.origins": float(len(found.origins))}
    for outcome, both in found.pooled.items():
        metrics[f"backtest.{outcome}.test_rows"] = float(sum(origin.tested for origin in found.origins))
        metrics[f"backtest.{outcome}.test_outcomes"] = float(sum(origin.happened[outcome] for origin in found.origins))
        for method, measure, interval in _numbers(both):
            name = f"backtest.{'' if method == OURS else f'{method}.'}{outcome}.{measure}"
            metrics |= {name: interval.value, f"{name}.low": interval.low, f"{name}.high": interval.high}
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
