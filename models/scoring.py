"""The only scorer: features in; probabilities, value, score, points and reasons out. Batch and service both call it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from crm.known import from_micros
from features.feature import Language
from models.bundle import Bundle
from models.follow_up import IfWorked
from models.line import Line
from models.reasons import describe_signals

__all__ = [
    "CENTRE",
    "POINTS_PER_DOUBLING",
    "LoadedModel",
    "Scores",
    "answers",
    "points_per_logit",
    "score_matrix",
    "worth_of",
]

Matrix = NDArray[np.float64]

POINTS_PER_DOUBLING = 5.0
CENTRE = 50.0
G50_PROBABILITY = 0.01


@dataclass(frozen=True)
class LoadedModel:
    """A registered version, verified and ready to score.

    Parameters
    ----------
    version
        Version in the registry.
    bundle
        The model.
    line
        The MQL line in force for it.
    """

    version: str
    bundle: Bundle
    line: Line


@dataclass(frozen=True)
class Scores:
    """Scores of n leads; every array has shape (n,) unless said.

    Parameters
    ----------
    score, score_unclipped
        0 to 100, and before clipping: ``50 + 5 / ln 2 * (g - g50)``.
    p_sql, p_won
        Probabilities inside their horizons, as things are run.
    p_sql_if_worked, p_won_if_worked, p_sql_if_left, p_won_if_left
        The same if the lead is handed off now, and if never; NaN where the model cannot tell.
    propensity
        Chance of a hand-off inside the SQL horizon, as things were run; NaN where the model cannot tell.
    is_if_worked
        The expected value is that of working the lead, not that of the lead as things are run.
    if_worked_points
        What ``score_unclipped`` would gain if the lead were handed off now; NaN where the model cannot tell.
    expected_revenue, expected_value
        Workspace currency.
    is_mql, grade, percentile
        Against the line; percentile 0 to 100 among leads at risk.
    points
        Shape (n, n_signals); with ``base`` they sum to ``score_unclipped``.
    base
        What every lead starts from, points.
    parts
        Shape (n, n_features), points; summed by signal they are ``points``.
    matrix
        The features, shape (n, n_features).
    """

    score: Matrix
    score_unclipped: Matrix
    p_sql: Matrix
    p_won: Matrix
    p_sql_if_worked: Matrix
    p_won_if_worked: Matrix
    p_sql_if_left: Matrix
    p_won_if_left: Matrix
    propensity: Matrix
    is_if_worked: NDArray[np.bool_]
    if_worked_points: Matrix
    expected_revenue: Matrix
    expected_value: Matrix
    is_mql: NDArray[np.bool_]
    grade: NDArray[np.str_]
    percentile: Matrix
    points: Matrix
    base: Matrix
    parts: Matrix
    matrix: Matrix


def points_per_logit() -> float:
    """Return how many points one unit of log-odds is worth: 5 points double the odds."""
    return POINTS_PER_DOUBLING / float(np.log(2.0))


def probabilities(bundle: Bundle, matrix: Matrix) -> tuple[Matrix, Matrix]:
    """Return p_sql and p_won, each of shape (n,); a win passes through SQL, so p_won is never above it."""
    return capped(bundle, bundle.sql.probability(matrix), bundle.won.probability(matrix))


def capped(bundle: Bundle, p_sql: Matrix, p_won: Matrix) -> tuple[Matrix, Matrix]:
    """Return both probabilities with p_won at most p_sql, where the SQL horizon reaches as far; shapes (n,)."""
    if bundle.sql.horizon_days >= bundle.won.horizon_days:
        p_won = np.minimum(p_won, p_sql)
    return p_sql, p_won


@dataclass(frozen=True)
class Worth:
    """What working leads brings before margin and cost; every array has shape (n,).

    Parameters
    ----------
    revenue
        Expected revenue that decides, workspace currency: what a hand-off adds where the model says so, else that of
        the lead as things are run. All leads have the same of the two, since the two cannot be ranked together.
    amount
        Expected amount of a win, workspace currency.
    is_if_worked
        Which of the two it is.
    if_worked
        Chances by course of action; None where the model cannot tell.
    """

    revenue: Matrix
    amount: Matrix
    is_if_worked: NDArray[np.bool_]
    if_worked: IfWorked | None


def worth_of(bundle: Bundle, matrix: Matrix, p_won: Matrix) -> Worth:
    """Return what leads are worth to work; ``p_won`` as :func:`probabilities` gives it, shape (n,)."""
    amount = bundle.amount.expected(matrix)
    term = bundle.follow_up
    if term is None:
        return Worth(p_won * amount, amount, np.zeros(len(p_won), dtype=bool), None)
    found = term.if_worked(bundle.features, bundle.sql, bundle.won, matrix)
    revenue = (found.gain_won if term.decides else p_won) * amount
    return Worth(revenue, amount, np.full(len(p_won), term.decides), found)


def _if_worked_points(bundle: Bundle, worth: Worth, p_sql: Matrix, p_won: Matrix) -> Matrix:
    """Return the log-odds between "if worked" and "as run" of the score's outcome, as points, shape (n,)."""
    found = worth.if_worked
    if found is None:
        return np.full(len(p_won), np.nan)
    worked, as_run = (found.p_won, p_won) if bundle.score_outcome == "won" else (found.p_sql, p_sql)
    return points_per_logit() * (logit(worked) - logit(as_run))


def score_matrix(bundle: Bundle, line: Line, matrix: Matrix) -> Scores:
    """Score features.

    Parameters
    ----------
    bundle
        The model.
    line
        The MQL line.
    matrix
        Features in the bundle's order, shape (n, n_features), NaN where missing.
    """
    p_sql, p_won = probabilities(bundle, matrix)
    parts, base = bundle.score_endpoint.split(matrix)
    unit = points_per_logit()
    parts = parts * unit
    start = CENTRE + unit * (base - bundle.g50)
    signals = bundle.features.signal_of
    points = np.zeros((matrix.shape[0], len(bundle.features.signals)))
    np.add.at(points.T, signals, parts.T)
    unknown = np.full(matrix.shape[0], np.nan)
    unclipped = start + points.sum(axis=1)
    worth = worth_of(bundle, matrix, p_won)
    value = line.expected_value(worth.revenue)
    return Scores(
        np.clip(unclipped, 0.0, 100.0),
        unclipped,
        p_sql,
        p_won,
        *((worth.if_worked.p_sql, worth.if_worked.p_won) if worth.if_worked else (unknown, unknown)),
        *((worth.if_worked.p_sql_if_left, worth.if_worked.p_won_if_left) if worth.if_worked else (unknown, unknown)),
        worth.if_worked.propensity if worth.if_worked else unknown,
        worth.is_if_worked,
        _if_worked_points(bundle, worth, p_sql, p_won) if worth.if_worked else unknown,
        p_won * worth.amount,
        value,
        value > line.threshold,
        line.grades(value),
        line.percentile(unclipped),
        points,
        start,
        parts,
        matrix,
    )


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
    features, line = model.bundle.features, model.line
    version = line.version
    found: list[dict[str, Any]] = []
    for i, lead_id in enumerate(lead_ids):
        points = describe_signals(features, scores.matrix[i], scores.parts[i], scores.points[i], language)
        by_group = {group: sum(p["points"] for p in points if p["group"] == group) for group in ("fit", "engagement")}
        found.append(
            {
                "lead_id": lead_id,
                "as_of": from_micros(int(as_of_us[i])).isoformat(),
                "score": float(scores.score[i]),
                "p_sql": float(scores.p_sql[i]),
                "p_won": float(scores.p_won[i]),
                "p_sql_if_worked": _known(scores.p_sql_if_worked[i]),
                "p_won_if_worked": _known(scores.p_won_if_worked[i]),
                "p_sql_if_left": _known(scores.p_sql_if_left[i]),
                "p_won_if_left": _known(scores.p_won_if_left[i]),
                "if_worked_points": _known(scores.if_worked_points[i]),
                "hand_off_propensity": _known(scores.propensity[i]),
                "value_basis": "if_worked" if scores.is_if_worked[i] else "as_run",
                "expected_revenue": float(scores.expected_revenue[i]),
                "expected_value": float(scores.expected_value[i]),
                "currency": model.bundle.currency,
                "is_mql": bool(scores.is_mql[i]),
                "grade": str(scores.grade[i]),
                "percentile": float(scores.percentile[i]),
                "reasons": top_reasons(points),
                "model_version": model.version,
                "line_version": version,
                "score_outcome": model.bundle.score_outcome,
                "score_unclipped": float(scores.score_unclipped[i]),
                "base": float(scores.base[i]),
                "fit_points": float(by_group["fit"]),
                "engagement_points": float(by_group["engagement"]),
                "points": points,
            }
        )
    return found


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def top_reasons(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the top three positive and two negative signals in words, with their points."""
    ranked = sorted(points, key=lambda p: -p["points"])
    best = [p for p in ranked if p["points"] >= MIN_REASON][:3]
    worst = [p for p in reversed(ranked) if p["points"] <= -MIN_REASON][:2]
    return [f"{p['words']} ({p['points']:+.1f})" for p in (*best, *worst)]


MIN_REASON = 0.5
"""Points below which a signal is no reason: half a point is a change of odds by 7%."""
