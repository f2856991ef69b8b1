"""Training rows of the integer scorecard: mature rows in the features that can be exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crm.errors import TooFewOutcomesError
from crm.known import to_micros
from crm.outcomes import Labels
from crm.store import Tables
from features.build import build_features
from features.feature import Feature
from features.known import DAY_US
from features.learn import learn_features
from features.spec import FeatureSet
from training.prepare import TrainingData
from training.splits import Fold, time_forward_folds

__all__ = ["CardRows", "card_rows"]

Matrix = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class CardRows:
    """Mature training rows of the score's outcome, in the features that a tool can evaluate.

    Parameters
    ----------
    rows
        Row numbers of the training data, shape (n,).
    features
        The exportable features.
    matrix
        Shape (n, n_features).
    happened
        Labels, shape (n,).
    mature_us
        When each label was settled, microseconds, shape (n,).
    lead
        Lead numbers, shape (n,).
    folds
        Time-forward folds, in numbers of these rows.
    outcome, horizon_days
        The endpoint.
    """

    rows: Rows
    features: tuple[Feature, ...]
    matrix: Matrix
    happened: NDArray[np.bool_]
    mature_us: NDArray[np.int64]
    lead: NDArray[np.int64]
    folds: tuple[Fold, ...]
    outcome: str
    horizon_days: float

    @cached_property
    def number_of(self) -> Mapping[str, int]:
        """Position of each feature by its name."""
        return {feature.name: number for number, feature in enumerate(self.features)}

    def columns(self, features: Sequence[Feature], rows: Rows) -> Matrix:
        """Return some features of some rows, shape (n_rows, n_wanted)."""
        return self.matrix[np.ix_(rows, np.array([self.number_of[f.name] for f in features], dtype=np.int64))]

    def outcomes(self, rows: Rows | None = None) -> int:
        """Count the leads with the outcome, among all rows or some."""
        chosen = np.arange(len(self.happened)) if rows is None else rows
        return len(np.unique(self.lead[chosen][self.happened[chosen]]))


def card_rows(tables: Tables, data: TrainingData, labels: Labels) -> CardRows:
    """Take the mature rows of prepared data in the features that can be exported.

    Features that prepared data leave out as repeating others are in again: a card asks for every value of an attribute.

    Parameters
    ----------
    tables
        The workspace's tables, from which ``data`` was prepared.
    data
        The prepared data.
    labels
        Those of the score's outcome.

    Raises
    ------
    TooFewOutcomesError
        When no moment parts the outcomes, or no feature can be exported.
    """
    rows = np.flatnonzero(labels.is_mature)
    mature = data.snapshots.moments.filter(data.sql.is_mature | data.won.is_mature)
    learned = learn_features(tables, mature, to_micros(data.seen.as_of))
    features = FeatureSet(tuple(feature for feature in learned.features if feature.is_exportable))
    folds = time_forward_folds(
        data.snapshots.as_of_us[rows],
        labels.happened[rows],
        data.snapshots.group[rows],
        np.ones(len(rows), dtype=np.bool_),
        horizon_us=round(labels.horizon_days * DAY_US),
        is_once=len(np.unique(data.snapshots.lead[rows])) == len(rows),
    )
    if not folds or not features.features:
        raise TooFewOutcomesError(
            found=f"{len(folds)} periods to test a scorecard on, and {len(features.features)} features for it",
            expected="at least one of each",
            fix="give a longer history, and touches or attributes",
            missing=0,
        )
    return CardRows(
        rows,
        features.features,
        _matrix(tables, data, features)[rows],
        labels.happened[rows],
        data.snapshots.as_of_us[rows] + round(labels.horizon_days * DAY_US),
        data.snapshots.lead[rows],
        folds,
        labels.outcome,
        labels.horizon_days,
    )


def _matrix(tables: Tables, data: TrainingData, features: FeatureSet) -> Matrix:
    """Take the columns that were computed already, and compute the others."""
    known = {name: number for number, name in enumerate(data.features.names)}
    absent = [feature for feature in features.features if feature.name not in known]
    built = build_features(tables, data.snapshots.moments, FeatureSet(tuple(absent)))
    place = {feature.name: number for number, feature in enumerate(absent)}
    columns = [data.matrix[:, known[name]] if name in known else built[:, place[name]] for name in features.names]
    return np.stack(columns, axis=1)
