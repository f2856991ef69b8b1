"""One training run, from the workspace's tables to a registered version."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false
from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from crm.config import Workspace
from crm.lead_files import placing_leads
from crm.lead_hashes import note_seen
from crm.progress import Progress
from crm.scores import append_scores
from crm.workspace_tables import open_tables
from models.bundle import Bundle
from models.gain_file import write_gain_moments
from models.gate import decide_first
from models.line import Line
from models.scoring import CENTRE, LoadedModel, points_per_logit
from models.verdict import Verdict
from training.choice import Choice
from training.crossed import RulesCompared, score_crossings, signal_gaps
from training.follow_up import learn_follow_up
from training.gain import compare, replay_unseen
from training.judge import Judged, judge
from training.leaks import find_suspects, refuse_leaks
from training.learn import learn, make_bundle
from training.prepare import TrainingData, prepare
from training.recent import LevelUpdate
from training.replay import draw_line, replay_weeks
from training.report.parts import ReportParts
from training.sentinel.run import refuse_traces, table_verdicts, traces_of
from training.tracking import log_run
from training.unseen import unseen_probabilities
from training.versions import library_versions

__all__ = ["TrainResult", "train"]


@dataclass(frozen=True)
class TrainResult:
    """What a training run leaves behind.

    Parameters
    ----------
    model_version, run_id
        In the registry and in MLflow.
    data
        What it learned from.
    judged
        Quality by endpoint.
    choices
        Which members each endpoint is made of, and what they earned.
    levels
        Whether each endpoint's level follows the newest leads, and why.
    line
        The MQL line of the version.
    bundle
        The model.
    verdict
        What the gate says of it as a champion.
    is_champion
        Whether it became champion, as the first version that passes the gate does.
    """

    model_version: str
    run_id: str
    data: TrainingData
    judged: Mapping[str, Judged]
    choices: Mapping[str, Choice]
    levels: Mapping[str, LevelUpdate]
    line: Line
    bundle: Bundle
    verdict: Verdict
    is_champion: bool

    def to_json(self) -> dict[str, Any]:
        """Return what ``kizashi train --json`` prints."""
        return {
            "model_version": self.model_version,
            "run_id": self.run_id,
            "is_champion": self.is_champion,
            "gate": {"passed": self.verdict.passed, "reasons": list(self.verdict.reasons)},
            "cutoff": self.data.seen.observed_until.isoformat(),
            "rows": {
                "snapshots": len(self.data.snapshots.as_of_us),
                "sql": int(self.data.sql.is_mature.sum()),
                "won": int(self.data.won.is_mature.sum()),
            },
            "excluded": {one.rule: one.leads for one in self.data.excluded},
            "dropped_features": [{"feature": one.name, "reason": one.reason} for one in self.data.dropped],
            "choice": {name: found.to_json() for name, found in self.choices.items()},
            "level": {name: found.to_json() for name, found in self.levels.items()},
            "outcomes": {"sql": self.data.outcomes(self.data.sql), "won": self.data.outcomes(self.data.won)},
            "tested": {
                outcome: {"leads": len(judged.happened), "outcomes": int(judged.happened.sum())}
                for outcome, judged in self.judged.items()
            },
            "metrics": {
                outcome: {
                    name: {"value": i.value, "low": _finite(i.low), "high": _finite(i.high)}
                    for name, i in sorted(judged.metrics.items())
                }
                for outcome, judged in self.judged.items()
            },
            "line": {**self.line.model_dump(mode="json", exclude={"quantiles"}), "version": self.line.version},
        }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def train(workspace: Workspace, *, as_of: datetime | None, now: datetime, progress: Progress) -> TrainResult:
    """Train, judge and register one version.

    Parameters
    ----------
    workspace
        Where the tables come from and the version goes.
    as_of
        The run's moment: what was recorded later does not exist. None for the end of the observed span.
    now
        The clock, for the run's own record.
    progress
        Where to report.

    Raises
    ------
    KizashiError
        When the tables cannot be used, a column tells the outcome, or outcomes are too few.
    """
    with open_tables(workspace, now, progress) as tables:
        data = prepare(tables, workspace.config, as_of, progress)
        with progress.step("Looking for leaks"):
            suspects = find_suspects(data)
            refuse_leaks(suspects)
            leaks = table_verdicts(tables, workspace.config, data.seen, suspects)
            refuse_traces(traces_of(leaks))
        learned = learn(data, workspace.config, progress)
        bundle = make_bundle(data, learned, workspace.config, library_versions())
        config = workspace.config
        found = learn_follow_up(tables, data, learned, progress, decides=config.value.basis == "if_worked")
        bundle = replace(bundle, follow_up=found.term)
        weeks = replay_weeks(tables, bundle, config, data.seen, progress)
        drawn = draw_line(weeks, bundle, config, data.seen.observed_until)
        # Outcomes that came as things were run judge no line that speaks of what working a lead adds (docs/adr/0012).
        unseen = replay_unseen(tables, data, learned, config, progress) if bundle.basis == "as_run" else None
        rules: RulesCompared | None = None
        if unseen is not None:
            comparison, picks = compare(unseen.rows, config.value)
            model = LoadedModel("", bundle, drawn[0])
            gaps = signal_gaps(model, score_crossings(tables, model, unseen, picks))
            rules = RulesCompared(unseen, comparison, gaps)
            drawn = (drawn[0].model_copy(update={"gain": comparison.line_gain}), *drawn[1:])
        with progress.step("Judging on unseen periods"):
            judged = {
                "sql": judge(data, learned.sql, data.sql),
                "won": judge(data, learned.won, data.won),
            }
        parts = ReportParts(workspace, tables, data, learned, judged, bundle, weeks, drawn, rules, now, leaks, found)
        return _register(parts, progress)


def _register(parts: ReportParts, progress: Progress) -> TrainResult:
    line = parts.drawn[0]
    judged = parts.judged[parts.bundle.score_outcome]
    verdict = decide_first(judged.metrics, judged.bar, parts.bundle.score_outcome)
    with progress.step("Registering in MLflow") as step, tempfile.TemporaryDirectory() as folder:
        registered = log_run(parts, line, verdict, Path(folder))
        step.note(f"version {registered.version}" + (", now champion" if registered.is_champion else ""))
    note_seen(parts.workspace, registered.version, parts.data.snapshots.moments.column("lead_id").to_pylist())
    if parts.rules is not None:
        unseen = parts.rules.unseen
        with placing_leads(parts.workspace) as erased:
            gone = erased(list(dict.fromkeys(unseen.lead_ids))) if erased is not None else ()
            kept = ["" if lead in gone else lead for lead in unseen.lead_ids]
            write_gain_moments(kept, unseen.as_of_us, parts.workspace.gain_path(registered.version))
    line = line.model_copy(update={"model_version": registered.version})  # as it is loaded with the version
    model = LoadedModel(registered.version, parts.bundle, line)
    append_scores(parts.workspace, _out_of_fold_rows(parts, model), "out_of_fold", parts.now)
    return TrainResult(
        registered.version,
        registered.run_id,
        parts.data,
        parts.judged,
        parts.learned.choices,
        parts.learned.levels,
        line,
        parts.bundle,
        verdict,
        registered.is_champion,
    )


def _out_of_fold_rows(parts: ReportParts, model: LoadedModel) -> pa.Table:
    """Give each unseen row the score that a model of its past would have issued."""
    data, learned, bundle = parts.data, parts.learned, parts.bundle
    fitted = learned.won if bundle.score_outcome == "won" else learned.sql
    order = np.argsort(fitted.rows, kind="stable")
    rows = fitted.rows[order]
    p_sql, p_won = (every[rows] for every in unseen_probabilities(data, learned, bundle))
    revenue = p_won * learned.amount_unseen[rows]
    # On the other basis what a fold would have said is not known.
    value = model.line.expected_value(revenue if bundle.basis == "as_run" else np.full(len(rows), np.nan))
    # On the bundle's own scale: the same probability has the same score.
    g = bundle.score_endpoint.calibrator.g_of(fitted.logit[order])
    score = np.clip(CENTRE + points_per_logit() * (g - bundle.g50), 0.0, 100.0)
    moments = data.snapshots.moments.take(pa.array(rows))
    count = len(rows)
    return pa.table(
        {
            "lead_id": moments.column("lead_id"),
            "as_of": pa.array(moments.column("as_of_us").to_numpy(), pa.timestamp("us", "UTC")),
            "model_version": pa.array([model.version] * count),
            "line_version": pa.array([model.line.version] * count),
            "score": score,
            "p_sql": p_sql,
            "p_won": p_won,
            "expected_revenue": revenue,
            "expected_value": value,
            "is_mql": pa.array(value > model.line.threshold, pa.bool_(), mask=np.isnan(value)),
        }
    )
