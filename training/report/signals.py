"""What moves scores, and leads as sales would see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from features.feature import Language
from models.answers import answers
from models.reasons import signal_words
from models.scoring import LoadedModel, score_matrix
from pages.report_data import SignalRow
from training.report.parts import ReportParts

__all__ = ["example_leads", "signal_rows"]

EXAMPLES = 10
SAMPLE = 4_000


def signal_rows(parts: ReportParts, model: LoadedModel, language: Language) -> tuple[SignalRow, ...]:
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


def example_leads(parts: ReportParts, model: LoadedModel, language: Language) -> tuple[Mapping[str, Any], ...]:
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
