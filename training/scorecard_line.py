"""The MQL line and the grades in points of the scorecard: as many leads as the line in force takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crm.outcomes import Observation
from crm.store import Tables
from features.build import build_features
from models.intervals import Interval, cluster_bootstrap
from models.scorecard import Scorecard
from models.scoring import LoadedModel, score_matrix
from training.scorecard_agreement import overlap, spearman
from training.snapshots import moments_at_end

__all__ = ["LeadsAtRisk", "nearest_cutoff", "set_cutoffs"]

Points = NDArray[np.int64]


@dataclass(frozen=True)
class LeadsAtRisk:
    """The leads at risk when the training ends, by the line in force and by the card.

    Parameters
    ----------
    as_of
        The moment, ISO 8601.
    leads
        How many.
    by_line, by_card
        Of grades A, A or B (the MQLs), and A to C.
    points
        Points of each lead, shape (n,).
    metrics
        ``spearman`` of points and score, and ``mql_overlap``, the share of the line's MQLs that are MQLs by points,
        with 90% intervals by account.
    """

    as_of: str
    leads: int
    by_line: tuple[int, int, int]
    by_card: tuple[int, int, int]
    points: Points
    metrics: dict[str, Interval]


def set_cutoffs(
    tables: Tables, model: LoadedModel, card: Scorecard, seen: Observation
) -> tuple[Scorecard, LeadsAtRisk]:
    """Put the line in force into points.

    The leads at risk at the end of the observed span are scored by both. Each cutoff is the number of points at which
    the card takes as many of them as the line does, or as near as whole points come.

    Parameters
    ----------
    tables
        The workspace's tables.
    model
        The served version, with the line in force.
    card
        The card.
    seen
        The observed span.
    """
    moments = moments_at_end(tables, seen)
    points = card.points(build_features(tables, moments.moments, card.features))
    scores = score_matrix(model.bundle, model.line, build_features(tables, moments.moments, model.bundle.features))
    wanted = [int(np.isin(scores.grade, list(grades)).sum()) for grades in ("A", "AB", "ABC")]
    low, middle, high = (nearest_cutoff(points, count) for count in wanted)
    card = replace(card, cutoffs=(low, middle, high))
    taken = [int((card.grades(points) <= grade).sum()) for grade in ("A", "B", "C")]
    by_card = np.isin(card.grades(points), ["A", "B"]).astype(np.float64)

    def measure(weights: NDArray[np.float64]) -> dict[str, float]:
        return {
            "spearman": spearman(points.astype(np.float64), scores.score_unclipped, weights),
            "mql_overlap": overlap(by_card, scores.is_mql.astype(np.float64), weights),
        }

    metrics = cluster_bootstrap(measure, moments.group, seed=1) if len(points) else {}
    as_of = seen.observed_until.isoformat()
    return card, LeadsAtRisk(
        as_of, len(points), (wanted[0], wanted[1], wanted[2]), (taken[0], taken[1], taken[2]), points, metrics
    )


def nearest_cutoff(points: Points, count: int) -> int | None:
    """Return the points that the number of leads nearest to ``count`` reach; None where no lead should.

    Examples
    --------
    >>> nearest_cutoff(np.array([0, 3, 3, 8, 9]), 2)
    8
    >>> nearest_cutoff(np.array([0, 3]), 0) is None
    True
    """
    if count == 0 or points.size == 0:
        return None
    choices = np.unique(points)[::-1]
    reached = len(points) - np.searchsorted(np.sort(points), choices, side="left")
    return int(choices[int(np.argmin(np.abs(reached - count)))])
