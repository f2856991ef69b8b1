"""What a run leaves in MLflow: parameters, metrics, data, report, and a registered version with its hashes."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from features.feature import Language
from models.bundle import file_hashes, write_bundle
from models.champions import note_champion
from models.gain_file import GAIN_FILE, write_gain
from models.gate import ranking
from models.line import Line
from models.registry import EXPERIMENT, MODEL, list_versions, model_folder, open_store, set_alias, tag_hashes
from models.scoring import score_matrix
from models.verdict import Verdict
from pages.model_report import model_page
from pages.report_evidence import Evidence
from pages.report_tables import write_tables
from training.gate_record import record_for_gate
from training.report.backtest_run import newest_backtest
from training.report.build import build_report
from training.report.evidence import gather_evidence
from training.report.parts import ReportParts, data_digest
from training.versions import code_commit

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Registered", "log_run"]

_GAIN_ENDS = (("", "value"), (".low", "low"), (".high", "high"), (".probability", "probability"))
LANGUAGES: tuple[Language, ...] = ("en", "ja")


@dataclass(frozen=True)
class Registered:
    """Where a run went."""

    version: str
    run_id: str
    is_champion: bool


def log_run(
    parts: ReportParts,
    line: Line,
    verdict: Verdict,
    folder: Path,
) -> Registered:
    """Log a run, register its version, and point the aliases.

    Every version becomes ``challenger``; the first one that passes the gate becomes ``champion`` as well.

    Parameters
    ----------
    parts
        The finished run.
    line
        Its MQL line.
    verdict
        What the gate says.
    folder
        An empty folder for files on their way.
    """
    write_bundle(parts.bundle, line, folder / "bundle")
    if parts.rules is not None:
        write_gain(parts.rules.unseen.rows, folder / "bundle" / GAIN_FILE)
    with open_store(parts.workspace) as client:
        import mlflow

        version, is_champion = "", False
        mlflow.set_experiment(EXPERIMENT)
        with mlflow.start_run(run_name=f"train {parts.data.seen.observed_until:%Y-%m-%d}") as run:
            mlflow.log_params(_parameters(parts))
            mlflow.log_metrics(_metrics(parts, line, verdict))
            mlflow.set_tags({"kizashi.data_digest": data_digest(parts.data), "kizashi.commit": code_commit()})
            folds = {outcome: [fold.sentence for fold in found] for outcome, found in parts.learned.folds.items()}
            mlflow.log_dict(folds, "folds.json")
            mlflow.log_dict({name: found.to_json() for name, found in parts.learned.choices.items()}, "choice.json")
            if parts.follow_up is not None:
                mlflow.log_dict(dict(parts.follow_up.to_rows()), "follow_up.json")
            _log_data(parts)
            version = _register(client, parts, verdict, folder / "bundle", run.info.run_id)
            record_for_gate(client, parts, (verdict, parts.leaks), version, folder)
            _log_report(client, parts, version, run.info.run_id, folder)
        had_champion = any("champion" in item.aliases for item in list_versions(client))
        set_alias(client, "challenger", version)
        is_champion = verdict.passed and not had_champion
        if is_champion:
            set_alias(client, "champion", version)
            note_champion(client, version, parts.now, "the first version that passes the gate")
    return Registered(version, run.info.run_id, is_champion)


def _parameters(parts: ReportParts) -> dict[str, Any]:
    config, data = parts.workspace.config, parts.data
    members: dict[str, Any] = {}
    for name, fitted in (("sql", parts.learned.sql), ("won", parts.learned.won)):
        endpoint = fitted.endpoint
        for member, weight in zip(endpoint.members, endpoint.weights, strict=True):
            members[f"{name}.{member.name}.weight"] = round(weight, 4)
            for setting, value in fitted.settings[member.name].items():
                members[f"{name}.{member.name}.{setting}"] = value
        members |= {f"{name}.calibrator": endpoint.calibrator.kind, f"{name}.scale": round(endpoint.scale, 4)}
    return {
        "as_of": data.seen.as_of.isoformat(),
        "observed_until": data.seen.observed_until.isoformat(),
        "observed_from": data.seen.observed_from.isoformat() if data.seen.observed_from else "",
        "sql_horizon_days": config.outcome.sql_horizon_days,
        "won_horizon_days": config.outcome.won_horizon_days,
        "score_outcome": parts.bundle.score_outcome,
        "features": len(data.features.features),
        "feature_fingerprint": data.features.fingerprint,
        "amount_method": parts.learned.amount.method,
        "amount_alpha": parts.learned.amount.alpha,
        "amount_reads_engagement": parts.learned.amount.reads_engagement,
        "amount_lost_deals": parts.learned.amount.lost_deals,
        "amount_residual_variance": round(parts.learned.amount.residual_variance, 4),
        "capacity_per_week": config.value.weekly_capacity,
        "touch_cost": config.value.touch_cost,
        "margin": config.value.margin,
        "currency": config.workspace.currency,
        **members,
    }


def _metrics(parts: ReportParts, line: Line, verdict: Verdict) -> dict[str, float]:
    found: dict[str, float] = {
        "rows": float(len(parts.data.snapshots.as_of_us)),
        "sql.outcomes": float(parts.data.outcomes(parts.data.sql)),
        "won.outcomes": float(parts.data.outcomes(parts.data.won)),
        "line.price": line.price,
        "line.crossings_per_week": line.crossings_per_week,
        "gate.passed": float(verdict.passed),
    }
    if line.gain is not None:
        found |= {f"line.gain{end}": getattr(line.gain, at) for end, at in _GAIN_ENDS}
    if parts.follow_up is not None:
        found |= parts.follow_up.to_metrics()
    for outcome, judged in parts.judged.items():
        for name, interval in judged.metrics.items():
            found[f"{outcome}.{name}"] = interval.value
            found[f"{outcome}.{name}.low"] = interval.low
            found[f"{outcome}.{name}.high"] = interval.high
        found[f"{outcome}.auc.low_95"] = judged.metrics["auc"].low_95
        found[f"{outcome}.gate_auc.low_95"] = ranking(judged.metrics).low_95
        for name, value in judged.base.items():
            found[f"{outcome}.{name}.base"] = value
        if judged.age_log_loss is not None:
            found[f"{outcome}.log_loss.age_alone"] = judged.age_log_loss
        found[f"{outcome}.test_rows"] = float(len(judged.happened))
        found[f"{outcome}.test_outcomes"] = float(judged.happened.sum())
    for outcome, choice in parts.learned.choices.items():
        found |= {f"{outcome}.{name}": value for name, value in choice.metrics().items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _log_data(parts: ReportParts) -> None:
    """Log which data trained the model: a digest and counts, no rows."""
    import mlflow

    mlflow.log_dict(
        {
            "digest": data_digest(parts.data),
            "tables": {name: asdict(count) for name, count in parts.tables.counts.items()},
            "snapshots": len(parts.data.snapshots.as_of_us),
            "notes": list(parts.tables.notes),
        },
        "data.json",
    )


def _register(client: MlflowClient, parts: ReportParts, verdict: Verdict, bundle: Path, run_id: str) -> str:
    import mlflow

    names = list(parts.data.features.names)
    sample = parts.data.matrix[:5]
    scores = score_matrix(parts.bundle, parts.drawn[0], sample)
    outputs = pd.DataFrame(
        {name: getattr(scores, name) for name in ("score", "p_sql", "p_won", "expected_revenue", "expected_value")}
    )
    from mlflow.models import infer_signature

    with warnings.catch_warnings():
        # MLflow would like an example row in the artifact; a row of features belongs to a lead, so there is none.
        warnings.filterwarnings("ignore", category=UserWarning, module="mlflow")
        info = mlflow.pyfunc.log_model(
            name="model",
            loader_module="models.pyfunc",
            data_path=str(bundle),
            signature=infer_signature(pd.DataFrame(sample, columns=names), outputs),
            pip_requirements=[f"kizashi=={parts.bundle.versions['kizashi']}"],
        )
    if not any(model.name == MODEL for model in client.search_registered_models()):
        client.create_registered_model(MODEL, description="Lead scores: SQL, closed-won and what a win is worth.")
    created = client.create_model_version(
        MODEL, info.model_uri, run_id=run_id, description=_description(parts, verdict)
    )
    version = str(created.version)
    hashes = file_hashes(model_folder(client, parts.workspace, version))
    for name, value in tag_hashes(hashes, parts.data.features.fingerprint, os.environ).items():
        client.set_model_version_tag(MODEL, version, name, value)
    return version


def _description(parts: ReportParts, verdict: Verdict) -> str:
    """Describe the version in Markdown, as the registry shows it."""
    data, line = parts.data, parts.drawn[0]
    judged = parts.judged[parts.bundle.score_outcome].metrics
    currency = parts.bundle.currency
    rows = "\n".join(
        f"| {label} | {judged[name].value:.3f} | {judged[name].low:.3f} to {judged[name].high:.3f} |"
        for name, label in (
            ("auc", "AUC"),
            ("auc_same_age", "AUC among leads of one age"),
            ("lift_at_10", "lift of the best tenth"),
            ("log_loss", "log-loss"),
            ("observed_over_expected", "observed / expected"),
        )
        if name in judged
    )
    gate = "passes" if verdict.passed else "does not pass: " + "; ".join(verdict.reasons)
    return (
        f"Scores **{parts.bundle.score_outcome}** from {len(data.features.features)} features of "
        f"{len(np.unique(data.snapshots.lead)):,} leads, outcomes recorded until "
        f"{data.seen.observed_until:%Y-%m-%d %H:%M} UTC.\n\n"
        f"| on unseen periods | value | 90% interval |\n|---|---|---|\n{rows}\n\n"
        f"MQL line: expected value above **{line.threshold:,.2f} {currency}** "
        f"({line.crossings_per_week:.1f} first crossings a week over {line.weeks} weeks).\n\n"
        f"Gate: {gate}.\n\nThe report is among the run's artifacts: `report.en.html`, `report.ja.html`, "
        "and its tables in `tables/`."
    )


def _log_report(client: MlflowClient, parts: ReportParts, version: str, run_id: str, folder: Path) -> None:
    """Log the page in every language, its numbers, and its tables as CSV files."""
    import mlflow

    evidence = gather_evidence(parts, newest_backtest(client))
    for language in LANGUAGES:
        report = build_report(parts, version, run_id, language, evidence)
        page = model_page(report, language)
        path = folder / f"report.{language}.html"
        path.write_text(page.html, encoding="utf-8")
        mlflow.log_artifact(str(path))
        if language == "en":
            numbers = folder / "report.json"
            numbers.write_text(json.dumps(asdict(report), ensure_ascii=False, default=str), encoding="utf-8")
            mlflow.log_artifact(str(numbers))
            write_tables(page.tables, folder / "tables")
            mlflow.log_artifacts(str(folder / "tables"), "tables")
    mlflow.log_metrics(_evidence_metrics(evidence))


def _evidence_metrics(evidence: Evidence) -> dict[str, float]:
    """Name what runs are compared by, the same in every run."""
    found = {f"{one.outcome}.miscalibration": one.miscalibration for one in evidence.reliability}
    for row in evidence.pooled:
        if row.log_loss_gain is not None:
            found[f"{row.outcome}.log_loss_gain.{row.method}"] = row.log_loss_gain.value
    if evidence.revenue is not None:
        for name, estimate in (("ratio", evidence.revenue.ratio), ("gini", evidence.revenue.gini)):
            found[f"revenue.{name}"] = estimate.value
            found |= {
                f"revenue.{name}.{end}": value
                for end, value in (("low", estimate.low), ("high", estimate.high))
                if value is not None
            }
    return {name: value for name, value in found.items() if np.isfinite(value)}
