"""Scores as plain records: what a file of scores holds, and what the service answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crm.known import from_micros
from features.feature import Language
from models.reasons import describe_signals
from models.scoring import HORIZONS_DAYS, LoadedModel, Scores

__all__ = ["answers"]

Matrix = NDArray[np.float64]


def answers(
    model: LoadedModel, scores: Scores, lead_ids: Sequence[str], as_of_us: NDArray[np.int64], language: Language
) -> list[dict[str, Any]]:
    """Return one plain record a lead: what a file of scores holds, and the full list of points.

    Parameters
    ----------
    model
        The model that scored.
    scores
        Scores of n leads.
    lead_ids
        Their ids, length n.
    as_of_us
        Their moments, microseconds since 1970 UTC, shape (n,).
    language
        Of the reasons.
    """
    bundle = model.bundle
    told = describe_signals(bundle.features, scores.matrix, scores.parts, scores.points, language)
    columns: dict[str, Sequence[Any]] = {
        "lead_id": lead_ids,
        "as_of": [from_micros(moment).isoformat() for moment in as_of_us.tolist()],
        "score": scores.score.tolist(),
        "p_sql": scores.p_sql.tolist(),
        "p_won": scores.p_won.tolist(),
        "p_sql_if_worked": _known(scores.p_sql_if_worked),
        "p_won_if_worked": _known(scores.p_won_if_worked),
        "p_sql_if_left": _known(scores.p_sql_if_left),
        "p_won_if_left": _known(scores.p_won_if_left),
        "if_worked_points": _known(scores.if_worked_points),
        "hand_off_propensity": _known(scores.propensity),
        "value_basis": np.where(scores.is_if_worked, "if_worked", "as_run").tolist(),
        "horizons": _horizons(scores),
        "expected_revenue": scores.expected_revenue.tolist(),
        "expected_value": scores.expected_value.tolist(),
        "currency": [bundle.currency] * len(lead_ids),
        "is_mql": scores.is_mql.tolist(),
        "grade": scores.grade.tolist(),
        "percentile": scores.percentile.tolist(),
        "reasons": told.reasons,
        "model_version": [model.version] * len(lead_ids),
        "line_version": [model.line_version] * len(lead_ids),
        "score_outcome": [bundle.score_outcome] * len(lead_ids),
        "score_unclipped": scores.score_unclipped.tolist(),
        "base": scores.base.tolist(),
        "fit_points": told.fit_points,
        "engagement_points": told.engagement_points,
        "points": told.points,
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _horizons(scores: Scores) -> list[list[dict[str, float | None]]]:
    """Return the chances of each lead by days; null where no history was watched for so long."""
    by_days = [
        zip(_known(p_sql), _known(p_won), strict=True)
        for p_sql, p_won in zip(scores.p_sql_within.T, scores.p_won_within.T, strict=True)
    ]
    return [
        [
            {"days": days, "p_sql": p_sql, "p_won": p_won}
            for days, (p_sql, p_won) in zip(HORIZONS_DAYS, row, strict=True)
        ]
        for row in zip(*by_days, strict=True)
    ]


def _known(numbers: Matrix) -> list[float | None]:
    """Return numbers, shape (n,), as a list with None for what is not known."""
    return [None if math.isnan(number) else number for number in numbers.tolist()]
