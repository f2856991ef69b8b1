"""Learning an endpoint from the labelled snapshots of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crm.errors import TooFewOutcomesError
from crm.known import to_micros
from crm.outcomes import Labels
from crm.progress import Progress
from features.known import DAY_US
from features.lead_features import LeadAge
from features.touch_times import Recency
from training.drawing import even_draw
from training.endpoint_data import EndpointData
from training.fit import FittedEndpoint, fit_endpoint, members_tried
from training.prepare import TrainingData
from training.recent import LevelUpdate
from training.splits import Fold, time_forward_folds

__all__ = ["FoundEndpoint", "is_observed", "learn_endpoint"]

FoundEndpoint = tuple[FittedEndpoint, tuple[Fold, ...]]
"""An endpoint and its folds, whose rows are row numbers of the training data."""


@dataclass(frozen=True)
class _EndpointRows:
    """What one endpoint learns from.

    Parameters
    ----------
    endpoint
        Its rows and folds.
    rows
        The numbers of these rows in the training data, shape (n,).
    """

    endpoint: EndpointData
    rows: NDArray[np.int64]

    def numbered(self, fitted: FittedEndpoint) -> FoundEndpoint:
        """Return an endpoint and its folds, their rows numbered as in the training data."""
        rows = self.rows
        return replace(fitted, rows=rows[fitted.rows]), tuple(
            replace(fold, train=rows[fold.train], test=rows[fold.test], open=rows[fold.open])
            for fold in self.endpoint.folds
        )


def learn_endpoint(
    data: TrainingData, labels: Labels, progress: Progress, *, follows: LevelUpdate | None = None
) -> FoundEndpoint:
    """Learn one endpoint.

    One after the other: LightGBM crashed where two were learned on two threads.

    Parameters
    ----------
    data, labels
        Labelled snapshots, and which of their labels.
    progress
        Where to report each member.
    follows
        How the level of the endpoint moved that every outcome of this one passes through; None for no such endpoint.

    Raises
    ------
    TooFewOutcomesError
        When no moment has outcomes before and after it.
    """
    asked = _endpoint_rows(data, labels)
    with progress.step(f"Learning {labels.outcome}", total=len(members_tried(asked.endpoint))) as step:
        fitted = fit_endpoint(asked.endpoint, step, follows=follows)
        step.note(fitted.choice.weights_told)
    return asked.numbered(fitted)


def _endpoint_rows(data: TrainingData, labels: Labels) -> _EndpointRows:
    """Return the rows that one endpoint learns from, and their folds.

    Raises
    ------
    TooFewOutcomesError
        When no moment has outcomes before and after it.
    """
    rows = np.flatnonzero(is_observed(data))
    is_mature, happened = labels.is_mature[rows], labels.happened[rows]
    as_of_us, lead = data.snapshots.as_of_us[rows], data.snapshots.lead[rows]
    settled = lead[is_mature]
    folds = time_forward_folds(
        as_of_us,
        happened,
        data.snapshots.group[rows],
        is_mature,
        horizon_us=round(labels.horizon_days * DAY_US),
        is_once=len(np.unique(settled)) == len(settled),
    )
    if not folds:
        raise TooFewOutcomesError(
            found=f"{int(happened[is_mature].sum())} {labels.outcome} outcomes that all fall into one short period",
            expected="outcomes before and after at least one moment, so that a model can be tested on its future",
            fix="give a longer history",
            missing=0,
        )
    features = data.features.features
    endpoint = EndpointData(
        labels.outcome,
        labels.horizon_days,
        data.matrix[rows],
        happened,
        labels.days[rows],
        is_mature,
        as_of_us,
        to_micros(data.seen.observed_until),
        lead,
        even_draw(data.snapshots.moments)[rows],
        tuple(feature.shape for feature in features),
        tuple(feature.direction for feature in features),
        folds,
        _ages(data),
    )
    return _EndpointRows(endpoint, rows)


def is_observed(data: TrainingData) -> NDArray[np.bool_]:
    """Tell which rows lie in the span in which outcomes were recorded, shape (n,)."""
    as_of_us, seen = data.snapshots.as_of_us, data.seen
    after = True if seen.observed_from is None else as_of_us >= to_micros(seen.observed_from)
    return (as_of_us <= to_micros(seen.observed_until)) & after


def _ages(data: TrainingData) -> NDArray[np.int64]:
    """Find the features of age and silence, where leads are scored at more than one age."""
    names = data.features.names
    if LeadAge().name not in names:
        return np.zeros(0, dtype=np.int64)
    wanted = (LeadAge().name, Recency("any").name)
    return np.array([names.index(name) for name in wanted if name in names], dtype=np.int64)
