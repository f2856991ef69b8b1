"""The workspace's newest backtest, as MLflow holds it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from models.registry import EXPERIMENT
from pages.estimate import Estimate
from pages.report_evidence import BacktestRun

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["newest_backtest"]

OURS = "kizashi"
SHOWN = ("auc", "log_loss", "captured_wins_share")
_METRIC = re.compile(r"backtest\.(?:(\w+)\.)?(sql|won)\.(\w+?)(?:\.(low|high))?")


def newest_backtest(client: MlflowClient) -> BacktestRun | None:
    """Return the newest run that ``kizashi backtest`` logged, None where there is none."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return None
    runs = client.search_runs(
        [str(experiment.experiment_id)], "tags.kind = 'backtest'", max_results=1, order_by=["start_time DESC"]
    )
    if not runs:
        return None
    run = runs[0]
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for name, value in run.data.metrics.items():
        match = _METRIC.fullmatch(name)
        if match is None or match[3] not in SHOWN:
            continue
        methods = found.setdefault(match[2], {})
        methods.setdefault(match[1] or OURS, {}).setdefault(match[3], {})[match[4] or "value"] = float(value)
    measures = {
        outcome: {
            method: {key: Estimate(ends["value"], ends.get("low"), ends.get("high")) for key, ends in numbers.items()}
            for method, numbers in sorted(methods.items(), key=lambda item: item[0] != OURS)
        }
        for outcome, methods in sorted(found.items())
    }
    name = str(run.info.run_name)
    return BacktestRun(str(run.info.run_id), name, str(run.data.params.get("origins", "")), measures)
