"""What a run has to say for itself, gathered for the report page and for MLflow."""

# pyarrow publishes no types.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.compute as pc

from crm.config import Workspace
from crm.store import Tables
from features.feature import Language
from models.bundle import Bundle
from models.gain import Comparison, Side
from models.intervals import Interval
from models.line import Line
from models.metrics import calibration_bins, deciles, gains
from models.reasons import signal_words
from models.scoring import LoadedModel, answers, score_matrix
from pages.report_data import (
    AmountReport,
    CalibrationBin,
    DecileRow,
    EndpointReport,
    Estimate,
    ExcludedRow,
    LineReport,
    ModelReport,
    RuleRow,
    RulesReport,
    SignalRow,
    TableRow,
)
from training.exclusions import exclusion_notes
from training.follow_up import FollowUpFound
from training.judge import Judged, judge_amount
from training.learn import Learned
from training.prepare import TrainingData
from training.replay import ReplayedWeeks
from training.versions import code_commit, library_versions

__all__ = ["ReportParts", "build_report", "data_digest"]

EXAMPLES = 10
SAMPLE = 4_000
OPTIONAL = {
    "touches": "behaviour: windows, recency, decay",
    "opportunities": "amounts of wins from the data",
    "stages": "funnel stages, the old MQL rule",
    "hand_offs": "when leads left marketing, follow-up",
    "lead_changes": "attributes that change over time",
    "content": "which content helps a deal",
    "expectations": "campaign expectations against results",
}


@dataclass(frozen=True)
class ReportParts:
    """Everything that a finished run knows."""

    workspace: Workspace
    tables: Tables
    data: TrainingData
    learned: Learned
    judged: Mapping[str, Judged]
    bundle: Bundle
    weeks: ReplayedWeeks
    drawn: tuple[Line, tuple[tuple[float, float], ...], tuple[int, ...]]
    comparison: Comparison | None
    now: datetime
    follow_up: FollowUpFound | None = None


def data_digest(data: TrainingData) -> str:
    """Return a SHA-256 over moments, features and labels: the same data gives the same digest."""
    digest = hashlib.sha256(data.features.fingerprint.encode())
    labels = (data.sql.happened, data.sql.is_mature, data.won.happened, data.won.is_mature, data.won.amount)
    for array in (data.snapshots.as_of_us, data.matrix, *labels):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def build_report(parts: ReportParts, version: str, run_id: str, language: Language = "en") -> ModelReport:
    """Gather the numbers of a report; ``language`` is that of the signals and of the example reasons."""
    data, config = parts.data, parts.workspace.config
    zone = ZoneInfo(config.workspace.timezone)

    def local(moment: datetime | None) -> str | None:
        return None if moment is None else moment.astimezone(zone).isoformat(timespec="minutes")

    model = LoadedModel(version, parts.bundle, parts.drawn[0])
    return ModelReport(
        workspace=config.workspace.name,
        model_version=version,
        run_id=run_id,
        trained_at=local(parts.now) or "",
        cutoff=local(data.seen.as_of) or "",
        observed_from=local(data.seen.observed_from),
        observed_until=local(data.seen.observed_until) or "",
        timezone=config.workspace.timezone,
        currency=config.workspace.currency,
        leads=len(np.unique(data.snapshots.lead)),
        accounts=len(np.unique(data.snapshots.group)),
        snapshots=len(data.snapshots.as_of_us),
        features=len(data.features.features),
        score_outcome=parts.bundle.score_outcome,
        tables=tuple(
            TableRow(name, c.read, c.kept, c.identical, c.quarantined) for name, c in parts.tables.counts.items()
        ),
        quarantine_reasons=_reasons(parts.tables),
        refused_columns=tuple((a.name, a.refused) for a in parts.tables.attributes if a.refused),
        dropped_features=data.dropped,
        excluded=tuple(ExcludedRow(e.rule, e.leads, e.sql, e.columns_of_today) for e in data.excluded),
        notes=(*parts.tables.notes, *_notes(parts)),
        not_computed=tuple((what, name) for name, what in OPTIONAL.items() if not parts.tables.has(name)),
        endpoints=tuple(_endpoint(parts, outcome) for outcome in ("sql", "won")),
        amount=_amount(parts),
        line=_line(parts),
        signals=_signals(parts, model, language),
        examples=_examples(parts, model, language),
        git_commit=code_commit(),
        kizashi_version=library_versions()["kizashi"],
        data_digest=data_digest(data),
    )


def _reasons(tables: Tables) -> tuple[tuple[str, str, int], ...]:
    rows = tables.quarantine()
    if rows.num_rows == 0:
        return ()
    # Reasons end in the offending value; the report counts kinds and shows no values.
    kinds = pc.replace_substring_regex(rows.column("reason"), ":.*$", "")
    counted = rows.append_column("kind", kinds).group_by(["table", "kind"]).aggregate([("row", "count")]).to_pylist()
    return tuple(sorted((str(c["table"]), str(c["kind"]), int(c["row_count"])) for c in counted))


def _notes(parts: ReportParts) -> list[str]:
    notes = exclusion_notes(parts.data.excluded)
    if parts.learned.won_from_sql:
        notes.append("Fewer than 50 wins are mature: wins are ranked as SQLs, at the level of the wins so far.")
    if parts.bundle.score_outcome == "sql":
        notes.append("Fewer than 100 wins are mature: the score speaks of SQL.")
    if parts.learned.amount.method == "configured":
        notes.append("No win has an amount: every win counts as [value] default_amount.")
    if parts.drawn[0].capacity_per_week is None:
        notes.append("No [value] capacity_per_week is set: every lead with a positive expected value is an MQL.")
    return [*notes, *_level_notes(parts)]


def _level_notes(parts: ReportParts) -> list[str]:
    """Say where the level follows the newest leads, and by how much."""
    found: list[str] = []
    for name, fitted in (("SQL", parts.learned.sql), ("won", parts.learned.won)):
        update, seen = fitted.update, fitted.update.recent.seen
        if update.factor != 1.0:
            found.append(
                f"The level of {name} follows the newest leads: {seen.observed:,.0f} outcomes so far where "
                f"{seen.expected:,.0f} were expected, so the odds are multiplied by {update.factor:.2f}."
            )
    return found


def _endpoint(parts: ReportParts, outcome: str) -> EndpointReport:
    data, judged = parts.data, parts.judged[outcome]
    labels, fitted = (data.sql, parts.learned.sql) if outcome == "sql" else (data.won, parts.learned.won)
    endpoint = fitted.endpoint
    members = {
        member.name: (weight, loss)
        for member, weight, loss in zip(endpoint.members, endpoint.weights, judged.member_losses, strict=True)
    }
    return EndpointReport(
        outcome=outcome,
        horizon_days=labels.horizon_days,
        train_rows=int(labels.is_mature.sum()),
        train_outcomes=data.outcomes(labels),
        test_rows=len(judged.happened),
        test_outcomes=int(judged.happened.sum()),
        metrics={name: _estimate(i) for name, i in judged.metrics.items()},
        base=judged.base,
        age_log_loss=judged.age_log_loss,
        calibration=tuple(
            CalibrationBin(b.predicted, b.observed, b.low, b.high, b.leads)
            for b in calibration_bins(judged.probability, judged.happened)
        ),
        deciles=tuple(
            DecileRow(d.decile, d.leads, d.outcomes, d.rate, d.lift)
            for d in deciles(judged.probability, judged.happened)
        ),
        gains=gains(judged.probability, judged.happened),
        members=members,
        calibrator=endpoint.calibrator.kind,
        folds=tuple(fold.sentence for fold in parts.learned.folds[outcome]),
        same_as_sql=outcome == "won" and parts.learned.won_is_sql,
    )


def _estimate(found: Interval) -> Estimate:
    return Estimate(found.value, *(end if np.isfinite(end) else None for end in (found.low, found.high)))


def _amount(parts: ReportParts) -> AmountReport:
    data, amount = parts.data, parts.learned.amount
    won = data.won.is_mature & data.won.happened
    amounts = data.won.amount[won]
    present = amounts[~np.isnan(amounts) & (amounts > 0)]
    judged = judge_amount(data, amount)
    return AmountReport(
        method=amount.method,
        wins=data.outcomes(data.won),
        wins_with_amount=len(np.unique(data.snapshots.lead[won][~np.isnan(amounts) & (amounts > 0)])),
        mean_amount=float(present.mean()) if present.size else amount.mean,
        median_amount=float(np.median(present)) if present.size else amount.mean,
        log_residual_sd=float(np.sqrt(amount.residual_variance)) if amount.method == "two_part" else None,
        normalised_gini=None if judged is None else _estimate(judged.normalised_gini),
        coverage_80=None if judged is None else _estimate(judged.coverage),
        predicted_over_actual=None if judged is None else _estimate(judged.predicted_over_actual),
        rescaling=None if judged is None else judged.rescaling,
    )


def _line(parts: ReportParts) -> LineReport:
    line, curve, weekly = parts.drawn
    replay = parts.weeks.replay
    values = line.expected_value(parts.weeks.revenue)
    grades = line.grades(values)
    return LineReport(
        price=line.price,
        capacity=line.capacity_per_week,
        touch_cost=line.touch_cost,
        margin=line.margin,
        weeks=line.weeks,
        crossings_per_week=line.crossings_per_week,
        leads_at_risk=line.leads_at_risk,
        mqls_now=int((values > line.threshold).sum()),
        equivalent_p_won=line.equivalent_p_won,
        curve=_thin(curve, line.price),
        weekly=tuple(zip(replay.starts, (float(count) for count in weekly), strict=True)),
        values=tuple(float(v) for v in np.quantile(values, np.linspace(0, 1, 101))) if values.size else (),
        grades={grade: int((grades == grade).sum()) for grade in "ABCD"},
        comparison=None if parts.comparison is None else _rules(parts.comparison),
    )


def _rules(found: Comparison) -> RulesReport:
    def side(rule: Side) -> RuleRow:
        measured = (rule.sql_rate, rule.won_rate, rule.revenue, rule.value)
        return RuleRow(rule.mqls, rule.worked, *(_estimate(interval) for interval in measured))

    return RulesReport(
        found.since,
        found.until,
        found.weeks,
        side(found.old),
        side(found.new),
        _estimate(found.gain),
        found.probability,
        found.both,
        found.only_old,
        found.only_new,
    )


def _thin(curve: tuple[tuple[float, float], ...], price: float, points: int = 120) -> tuple[tuple[float, float], ...]:
    """Keep every few points, both ends, and the two at the price."""
    at_price = int(np.searchsorted([x for x, _ in curve], price))
    kept = {*range(0, len(curve), max(len(curve) // points, 1)), len(curve) - 1, at_price - 1, at_price}
    return tuple(curve[number] for number in sorted(kept) if 0 <= number < len(curve))


def _signals(parts: ReportParts, model: LoadedModel, language: Language) -> tuple[SignalRow, ...]:
    """Measure how much each signal moves the scores of judged leads."""
    data = parts.data
    rows = np.flatnonzero(data.snapshots.is_judged)[:: max(int(data.snapshots.is_judged.sum()) // SAMPLE, 1)]
    scores = score_matrix(model.bundle, model.line, data.matrix[rows])
    centred = np.abs(scores.points - scores.points.mean(axis=0)).mean(axis=0)
    groups = {feature.signal: feature.group for feature in data.features.features}
    counts = np.bincount(data.features.signal_of, minlength=len(data.features.signals))
    found = [
        SignalRow(signal_words(signal, language), groups[signal], float(points), int(count))
        for signal, points, count in zip(data.features.signals, centred, counts, strict=True)
    ]
    return tuple(sorted(found, key=lambda row: -row.mean_points))


def _examples(parts: ReportParts, model: LoadedModel, language: Language) -> tuple[Mapping[str, Any], ...]:
    """Show leads of the newest snapshots, each once: the best half, the others spread over the rest."""
    data = parts.data
    newest: dict[int, int] = dict(zip(data.snapshots.lead.tolist(), range(len(data.snapshots.lead)), strict=True))
    recent = np.array(sorted(newest.values())[-SAMPLE:], dtype=np.int64)
    scores = score_matrix(model.bundle, model.line, data.matrix[recent])
    order = np.argsort(-scores.expected_value, kind="stable")
    top = min(EXAMPLES // 2, len(order))
    spread = np.geomspace(top, max(len(order) - 1, top), EXAMPLES - top).astype(np.int64)
    chosen = np.unique(np.concatenate([np.arange(top), spread[spread < len(order)]]))
    rows = recent[order[chosen]]
    shown = score_matrix(model.bundle, model.line, data.matrix[rows])
    ids = [str(data.snapshots.moments.column("lead_id")[int(row)]) for row in rows]
    keep = ("lead_id", "as_of", "score", "grade", "p_sql", "p_won", "expected_value", "is_mql", "reasons")
    records = answers(model, shown, ids, data.snapshots.as_of_us[rows], language)
    # MLflow's artifacts hold no lead ids (privacy): the examples are numbered instead.
    return tuple(
        {**{key: record[key] for key in keep}, "lead_id": f"#{n}"} for n, record in enumerate(records, start=1)
    )
