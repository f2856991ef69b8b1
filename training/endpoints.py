"""Learning the endpoints from the rows that they have in common, SQL and won side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

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

__all__ = ["EndpointRows", "FoundEndpoint", "endpoint_rows", "is_observed", "learn_sql", "learn_sql_and_won"]

FoundEndpoint = tuple[FittedEndpoint, tuple[Fold, ...]]
"""An endpoint and its folds, whose rows are row numbers of the training data."""


@dataclass(frozen=True)
class EndpointRows:
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


def learn_sql(data: TrainingData, progress: Progress) -> FoundEndpoint:
    """Learn the SQL endpoint alone.

    Parameters
    ----------
    data
        Labelled snapshots.
    progress
        Where to report each member.

    Raises
    ------
    TooFewOutcomesError
        When no moment has outcomes before and after it.
    """
    asked = endpoint_rows(data, data.sql)
    with progress.step("Learning sql", total=len(members_tried(asked.endpoint))) as step:
        fitted = fit_endpoint(asked.endpoint, step)
        step.note(fitted.choice.weights_told)
    return asked.numbered(fitted)


def learn_sql_and_won(data: TrainingData, progress: Progress) -> tuple[FoundEndpoint, FoundEndpoint]:
    """Learn both endpoints at the same time, each on one thread of its own.

    Parameters
    ----------
    data
        Labelled snapshots.
    progress
        Where to report each member.

    Raises
    ------
    TooFewOutcomesError
        When no moment has outcomes of an endpoint before and after it.
    """
    sql, won = endpoint_rows(data, data.sql), endpoint_rows(data, data.won)
    total = len(members_tried(sql.endpoint)) + len(members_tried(won.endpoint))
    # Two products of matrices at a time that each take both cores are slower than one after the other.
    with progress.step("Learning sql and won", total=total) as step, threadpool_limits(1, user_api="blas"):
        level: Future[LevelUpdate | None] = Future()
        other = _in_background(lambda: fit_endpoint(won.endpoint, step, follows=level.result))
        try:
            of_sql = fit_endpoint(sql.endpoint, step)
        except BaseException as error:
            level.set_exception(error)
            raise
        level.set_result(of_sql.update)
        of_won = other.result()
        step.note(f"sql {of_sql.choice.weights_told}; won {of_won.choice.weights_told}")
    return sql.numbered(of_sql), won.numbered(of_won)


def _in_background(work: Callable[[], FittedEndpoint]) -> Future[FittedEndpoint]:
    """Work on a thread that ends with the program: who interrupts it does not wait until an endpoint is learned."""
    found: Future[FittedEndpoint] = Future()

    def run() -> None:
        try:
            found.set_result(work())
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=run, name="learning won", daemon=True).start()
    return found


def endpoint_rows(data: TrainingData, labels: Labels) -> EndpointRows:
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
    return EndpointRows(endpoint, rows)


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
