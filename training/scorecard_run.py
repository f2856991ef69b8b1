"""The scorecard of a registered version, from the workspace's tables: exact points, whole points, agreement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crm.config import Workspace
from crm.progress import Progress
from crm.scores import read_scores
from crm.store import Tables
from crm.workspace_tables import open_tables
from features.build import build_features
from models.exact_points import ExactPoints, PointsRow, exact_points
from models.intervals import Interval
from models.registry import load_model
from models.scorecard import Scorecard, TableFacts
from models.scoring import LoadedModel, probabilities
from training.prepare import TrainingData, prepare
from training.scorecard import MIN_OUTCOMES_FOR_INTEGERS, CardFit, fit_scorecard
from training.scorecard_agreement import Agreement, compare, served_out_of_fold
from training.scorecard_line import LeadsAtRisk, set_cutoffs
from training.scorecard_rows import card_rows

__all__ = ["MadeScorecard", "make_scorecard", "table_facts"]

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class MadeScorecard:
    """Everything that ``kizashi scorecard`` shows and writes.

    Parameters
    ----------
    workspace
        Name of the workspace's folder.
    model
        The served version, with the line in force.
    card
        The card.
    fit
        How it was learned.
    agreement
        Card and model on rows that they had not seen.
    at_risk
        Card and line on the leads at risk.
    exact, exact_rows
        What each feature adds to the served score, and that as a table.
    """

    workspace: str
    model: LoadedModel
    card: Scorecard
    fit: CardFit
    agreement: Agreement
    at_risk: LeadsAtRisk
    exact: ExactPoints
    exact_rows: tuple[PointsRow, ...]

    @property
    def has_few_outcomes(self) -> bool:
        """Whether outcomes are so few that rounding to whole points costs ranking."""
        return self.fit.outcomes < MIN_OUTCOMES_FOR_INTEGERS

    def meanings(self) -> list[tuple[int, float, float]]:
        """Return points in steps of a doubling, their probability, and the share of leads at risk that reach them."""
        step = max(round(self.card.points_per_doubling), 1)
        points = np.arange(0, int(self.at_risk.points.max(initial=0)) + 1, step)
        shares = [(self.at_risk.points >= p).mean() if len(self.at_risk.points) else 0.0 for p in points]
        chances = self.card.probability(points)
        return [(int(p), float(c), float(s)) for p, c, s in zip(points, chances, shares, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Return what ``scorecard.json`` holds and ``--json`` prints."""
        return {
            "model_version": self.model.version,
            "line_version": self.model.line.version,
            "trained_until": self.model.bundle.trained_until,
            "scorecard": self.card.to_json(),
            "rows": len(self.card.rows),
            "most_points": self.card.most,
            "mql_points": self.card.mql_points,
            "outcomes": self.fit.outcomes,
            "has_few_outcomes": self.has_few_outcomes,
            "at_risk": {
                "as_of": self.at_risk.as_of,
                "leads": self.at_risk.leads,
                "by_line": dict(zip(("A", "AB", "ABC"), self.at_risk.by_line, strict=True)),
                "by_card": dict(zip(("A", "AB", "ABC"), self.at_risk.by_card, strict=True)),
                "metrics": _metrics(self.at_risk.metrics),
            },
            "agreement": {
                "leads": self.agreement.leads,
                "outcomes": self.agreement.outcomes,
                "model_is_out_of_fold": self.agreement.is_unseen,
                "metrics": _metrics(self.agreement.metrics),
            },
            "probabilities": [
                {"points": points, "probability": chance, "share_of_leads_at_risk": share}
                for points, chance, share in self.meanings()
            ],
            "exact_points": self.exact.to_json(),
        }


def _metrics(metrics: Mapping[str, Interval]) -> dict[str, dict[str, float | None]]:
    def finite(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    return {
        name: {"value": finite(i.value), "low": finite(i.low), "high": finite(i.high)} for name, i in metrics.items()
    }


def make_scorecard(
    workspace: Workspace,
    *,
    alias: str,
    points_per_doubling: float,
    max_rows: int,
    now: datetime,
    progress: Progress,
) -> MadeScorecard:
    """Make the scorecard of a version, from the tables as they were known when it was trained.

    Parameters
    ----------
    workspace
        Whose tables and registry.
    alias
        ``champion``, ``challenger`` or a version number.
    points_per_doubling
        Points that double the odds.
    max_rows
        Rows that the card may have.
    now
        The clock, for reading the tables.
    progress
        Where to report.

    Raises
    ------
    KizashiError
        When there is no such version, the tables cannot be used, or outcomes are too few.
    """
    model = load_model(workspace, alias=alias)
    trained = load_model(workspace, alias=model.version, with_saved_line=False).line.set_as_of
    bundle = model.bundle
    with progress.step("Reading tables") as step:
        tables = open_tables(workspace, now, progress)
        step.note(f"{tables.counts['leads'].kept:,} leads")
    with tables:
        data = prepare(tables, workspace.config, trained, progress)
        labels = data.won if bundle.score_outcome == "won" else data.sql
        rows = card_rows(tables, data, labels)
        fit = fit_scorecard(
            rows, table_facts(tables), progress, points_per_doubling=points_per_doubling, max_rows=max_rows
        )
        with progress.step("Putting the line into points"):
            card, at_risk = set_cutoffs(tables, model, fit.card, data.seen)
        matrix = _model_matrix(tables, data, model)
        with progress.step("Measuring agreement"):
            served, is_unseen = _served(workspace, data, model, matrix)
            agreement = compare(data, fit, labels.happened, served, is_unseen=is_unseen)
        exact = exact_points(bundle, model.version, matrix[rows.rows])
    table = tuple(exact.rows(matrix[rows.rows]))
    return MadeScorecard(workspace.folder.name, model, card, fit, agreement, at_risk, exact, table)


def table_facts(tables: Tables) -> TableFacts:
    """Return what the SQL of a card has to know of the tables."""
    used = tables.used_attributes
    columns = set(tables.table("leads").columns)
    return TableFacts(
        frozenset(attribute.name for attribute in used if attribute.type == "boolean"),
        tuple((attribute.name, attribute.type) for attribute in used if attribute.has_history),
        frozenset(attribute.name for attribute in used if attribute.known_at_creation and attribute.name in columns),
        tables.has("lead_merges") and tables.counts["lead_merges"].kept > 0,
    )


def _model_matrix(tables: Tables, data: TrainingData, model: LoadedModel) -> Matrix:
    """Return the snapshots in the version's own features, computed again only where training's are others."""
    if data.features.fingerprint == model.bundle.features.fingerprint:
        return data.matrix
    return build_features(tables, data.snapshots.moments, model.bundle.features)


def _served(workspace: Workspace, data: TrainingData, model: LoadedModel, matrix: Matrix) -> tuple[Matrix, bool]:
    """Return the version's probability of each snapshot, out of fold where it left such rows."""
    outcome = model.bundle.score_outcome
    found = served_out_of_fold(read_scores(workspace), data, model.version, outcome)
    if not np.isnan(found).all():
        return found, True
    p_sql, p_won = probabilities(model.bundle, matrix)
    return (p_won if outcome == "won" else p_sql), False
