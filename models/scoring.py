"""The only scorer: features in; probabilities, value, score and points out. Batch and service both call it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from models.blend import Endpoint, Split
from models.bundle import Bundle
from models.follow_up import IfWorked
from models.line import Line

__all__ = [
    "CENTRE",
    "HORIZONS_DAYS",
    "POINTS_PER_DOUBLING",
    "LoadedModel",
    "Scores",
    "chances_within",
    "from_logits",
    "points_per_logit",
    "probabilities",
    "revenue_of",
    "score_matrix",
    "within",
    "worth_of",
]

Matrix = NDArray[np.float64]

POINTS_PER_DOUBLING = 5.0
CENTRE = 50.0
G50_PROBABILITY = 0.01
HORIZONS_DAYS = (30.0, 90.0, 180.0, 365.0)
"""Besides each endpoint's own horizon, answers say what comes within so many days (methods 2)."""


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

    @cached_property
    def line_version(self) -> str:
        """Version of the line, which is a hash of its whole document."""
        return self.line.version


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
    p_sql_within, p_won_within
        Chances within each of :data:`HORIZONS_DAYS`, shape (n, 4); NaN where no history was watched for so long.
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
    p_sql_within: Matrix
    p_won_within: Matrix


def points_per_logit() -> float:
    """Return how many points one unit of log-odds is worth: 5 points double the odds."""
    return POINTS_PER_DOUBLING / float(np.log(2.0))


def probabilities(bundle: Bundle, matrix: Matrix) -> tuple[Matrix, Matrix]:
    """Return p_sql and p_won, each of shape (n,), inside their horizons; p_won is never above an SQL by then."""
    return from_logits(bundle, bundle.sql.logit(matrix), bundle.won.logit(matrix), matrix)


def from_logits(bundle: Bundle, sql: Matrix, won: Matrix, matrix: Matrix) -> tuple[Matrix, Matrix]:
    """Return p_sql and p_won inside their horizons from calibrated logits and features, all of n rows."""
    return expit(sql), within(bundle, (sql, won), matrix, (bundle.won.horizon_days,))[1][:, 0]


def within(
    bundle: Bundle, logits: tuple[Matrix, Matrix], matrix: Matrix, days: tuple[float, ...]
) -> tuple[Matrix, Matrix]:
    """Return the chance of an SQL and of a win within each of k days.

    A win passes through SQL, so its chance is never above that of an SQL by the same day.

    Parameters
    ----------
    bundle
        The model.
    logits
        Calibrated logits of SQL and won, each of shape (n,).
    matrix
        Features of the same rows, shape (n, n_features).
    days
        Above 0, length k.

    Returns
    -------
    p_sql, p_won
        Shape (n, k); NaN where no history was watched for so long.
    """
    return chances_within((bundle.sql, bundle.won), logits, matrix, days)


def chances_within(
    endpoints: tuple[Endpoint, Endpoint], logits: tuple[Matrix, Matrix], matrix: Matrix, days: tuple[float, ...]
) -> tuple[Matrix, Matrix]:
    """Return what :func:`within` does, for any pair of endpoints of SQL and won."""
    ends = zip(endpoints, logits, strict=True)
    p_sql, p_won = (endpoint.probability_within(logit_of, days, matrix) for endpoint, logit_of in ends)
    return p_sql, np.where(np.isnan(p_won), p_won, np.fmin(p_won, p_sql))


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


def worth_of(bundle: Bundle, matrix: Matrix, p_won: Matrix, splits: tuple[Split, Split] | None = None) -> Worth:
    """Return what leads are worth to work.

    Parameters
    ----------
    bundle
        The model.
    matrix
        Features, shape (n, n_features).
    p_won
        As :func:`probabilities` gives it, shape (n,).
    splits
        What the endpoints of SQL and won split into, where that is known already.
    """
    amount = bundle.amount.expected(matrix)
    term = bundle.follow_up
    if term is None:
        return Worth(p_won * amount, amount, np.zeros(len(p_won), dtype=bool), None)
    splits = splits or (bundle.sql.split(matrix), bundle.won.split(matrix))
    found = term.if_worked(bundle.features, (bundle.sql, bundle.won), splits, matrix)
    revenue = (found.gain_won if term.decides else p_won) * amount
    return Worth(revenue, amount, np.full(len(p_won), term.decides), found)


def revenue_of(bundle: Bundle, matrix: Matrix, p_won: Matrix) -> Matrix:
    """Return the revenue of :func:`worth_of` alone, which is quicker where no hand-off decides, shape (n,)."""
    if bundle.basis == "if_worked":
        return worth_of(bundle, matrix, p_won).revenue
    return p_won * bundle.amount.expected(matrix)


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
    splits = bundle.sql.split(matrix), bundle.won.split(matrix)
    sql, won = bundle.sql.calibrator.logit(splits[0].g), bundle.won.calibrator.logit(splits[1].g)
    p_sql_within, p_won_within = within(bundle, (sql, won), matrix, (bundle.won.horizon_days, *HORIZONS_DAYS))
    p_sql, p_won = expit(sql), p_won_within[:, 0]
    unit = points_per_logit()
    split = splits[bundle.score_outcome == "won"]
    parts, start = split.parts * unit, CENTRE + unit * (split.base - bundle.g50)
    order, first = bundle.features.by_signal
    points = np.add.reduceat(parts[:, order], first, axis=1)
    unknown = np.full(matrix.shape[0], np.nan)
    unclipped = start + points.sum(axis=1)
    worth = worth_of(bundle, matrix, p_won, splits)
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
        p_sql_within[:, 1:],
        p_won_within[:, 1:],
    )
