"""What a training run leaves for the gate: its recipe, its checks for leaks, and what it said of unseen leads."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crm.config import Workspace, WorkspaceConfig
from models.gate import ranking
from models.registry import MODEL, open_store
from models.unseen import UNSEEN_FILE, UNSEEN_FOLDER, row_key, unseen_tags, write_unseen
from models.verdict import Verdict
from training.report.parts import ReportParts
from training.sentinel.verdict import LeakVerdict
from training.unseen import unseen_rows

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["GATE_TAG", "LEAKS_TAG", "RECIPE_TAG", "note_leaks", "recipe_of", "record_for_gate"]

GATE_TAG, LEAKS_TAG, RECIPE_TAG = "kizashi.gate", "kizashi.leaks", "kizashi.recipe"


def recipe_of(config: WorkspaceConfig, versions: Mapping[str, str]) -> str:
    """Return a hash of all that a person may change about how a model is learned: settings, SQL, and kizashi itself.

    Two versions of one recipe differ in the data that they were trained on alone. Address and secrets of the source,
    ``[value]``, which moves the line, and the observed span, which data may move, are no part of it.
    """
    told = config.model_dump(mode="json")
    recipe = {
        "outcome": {name: told["outcome"][name] for name in ("sql_horizon_days", "won_horizon_days")},
        "tables": told["source"]["tables"],
        **{name: told[name] for name in ("columns", "snapshots", "exclude", "old_rule")},
        "currency": told["workspace"]["currency"],
        "kizashi": versions.get("kizashi", ""),
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]


def record_for_gate(
    client: MlflowClient,
    parts: ReportParts,
    judged: tuple[Verdict, tuple[LeakVerdict, ...]],
    version: str,
    folder: Path,
) -> None:
    """Log the rows that a later version is paired with, and tag the version with what the gate asks.

    Parameters
    ----------
    client
        Of the open store, inside the run.
    parts
        The finished run.
    judged
        What the gate says of it alone, and the verdicts of the checks for leaks that training made.
    version
        Of the registered model.
    folder
        A folder for the file on its way.
    """
    import mlflow

    config, (verdict, leaks) = parts.workspace.config, judged
    rows = unseen_rows(parts.tables, config, parts.data, parts.learned, parts.bundle, row_key(parts.workspace))
    digest = write_unseen(rows, folder / UNSEEN_FILE)
    mlflow.log_artifact(str(folder / UNSEEN_FILE), artifact_path=UNSEEN_FOLDER)
    tags = {
        **unseen_tags(digest, os.environ),
        GATE_TAG: json.dumps(_numbers(parts, verdict)),
        LEAKS_TAG: json.dumps({leak.check: leak.status for leak in leaks}),
        RECIPE_TAG: recipe_of(config, parts.bundle.versions),
    }
    for name, value in tags.items():
        client.set_model_version_tag(MODEL, version, name, value)


def _numbers(parts: ReportParts, verdict: Verdict) -> Mapping[str, Any]:
    metrics = parts.judged[parts.bundle.score_outcome].metrics
    return {
        "outcome": parts.bundle.score_outcome,
        "auc": metrics["auc"].value,
        "auc_low": metrics["auc"].low,
        "auc_low_95": ranking(metrics).low_95,
        "gate_passed": float(verdict.passed),
        "trained_at": parts.data.seen.as_of.isoformat(),
    }


def note_leaks(workspace: Workspace, version: str, leaks: tuple[LeakVerdict, ...]) -> None:
    """Put the verdicts of a full look by the sentinel in place of those that training made."""
    with open_store(workspace) as client:
        told = json.dumps({leak.check: leak.status for leak in leaks})
        client.set_model_version_tag(MODEL, version, LEAKS_TAG, told)
