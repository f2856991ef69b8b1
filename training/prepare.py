"""From tables to labelled features: what one training run learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from crm.config import WorkspaceConfig
from crm.deals import amounts_lost
from crm.errors import PastOnlyError, TooFewOutcomesError
from crm.known import to_micros
from crm.outcomes import Labels, Observation, Outcome, label_moments, newest_moment, observation, outcome_events
from crm.progress import Progress
from crm.store import Tables
from features.build import build_features
from features.known import DAY_US
from features.learn import learn_features
from features.spec import FeatureSet
from training.clock_features import DroppedFeature, features_of_time
from training.exclusions import ExcludedLeads, count_excluded
from training.snapshots import Snapshots, take_snapshots

__all__ = ["MIN_OUTCOMES", "OUTCOMES", "TrainingData", "prepare", "settle_observation"]

Matrix = NDArray[np.float64]
MIN_OUTCOMES = 50
OUTCOMES: tuple[Outcome, ...] = ("sql", "won")


@dataclass(frozen=True)
class TrainingData:
    """Labelled features of one run.

    Parameters
    ----------
    seen
        The observed span and the run's moment.
    snapshots
        Moments at which leads were at risk, mature or not, in time order.
    features
        The features that vary.
    matrix
        Shape (n, n_features).
    sql, won
        Labels of the snapshots.
    dropped
        Features that were left out, each with the reason.
    lost_amount
        What the deals lost inside the horizon of a win would have brought, shape (n,), workspace currency; NaN where
        there is none with an amount.
    excluded
        What each rule of ``[exclude]`` leaves out.
    """

    seen: Observation
    snapshots: Snapshots
    features: FeatureSet
    matrix: Matrix
    sql: Labels
    won: Labels
    dropped: tuple[DroppedFeature, ...]
    lost_amount: Matrix
    excluded: tuple[ExcludedLeads, ...] = ()

    @property
    def dropped_for_time(self) -> tuple[DroppedFeature, ...]:
        """Those that tell the date, or are not today what they were in training."""
        return tuple(one for one in self.dropped if one.is_of_time)

    @property
    def ever(self) -> Mapping[Outcome, NDArray[np.bool_]]:
        """By outcome, shape (n,): one was recorded after the snapshot, however late; where False, nothing is said."""
        return {"sql": np.isfinite(self.sql.days), "won": np.isfinite(self.won.days)}

    @property
    def follow_up_days(self) -> Matrix:
        """Days from each snapshot to the end of the observed span, shape (n,)."""
        return (to_micros(self.seen.observed_until) - self.snapshots.as_of_us) / DAY_US

    def outcomes(self, labels: Labels) -> int:
        """Count the leads with a mature outcome."""
        rows = labels.happened & labels.is_mature
        return len(np.unique(self.snapshots.lead[rows]))


def settle_observation(tables: Tables, config: WorkspaceConfig, as_of: datetime | None) -> Observation:
    """Settle the observed span; without ``as_of`` the run's moment is the end of the span.

    Raises
    ------
    PastOnlyError
        When the tables know of no outcome and no moment at all.
    """
    end = as_of or config.outcome.observed_until or tables.observed_until_recorded or newest_moment(tables)
    if end is None:
        raise PastOnlyError(
            found="no recorded time in any table",
            expected="leads, touches or outcomes with times",
            fix="check the SELECTs",
        )
    return observation(tables, config.outcome, end)


def prepare(tables: Tables, config: WorkspaceConfig, as_of: datetime | None, progress: Progress) -> TrainingData:
    """Take snapshots, label them and compute their features.

    Parameters
    ----------
    tables
        The workspace's tables.
    config
        The workspace file.
    as_of
        The run's moment: what was recorded later does not exist. None for the end of the observed span.
    progress
        Where to report.

    Raises
    ------
    TooFewOutcomesError
        With fewer than 50 leads that have a mature SQL.
    """
    seen = settle_observation(tables, config, as_of)
    with progress.step("Taking snapshots") as step:
        snapshots = take_snapshots(tables, config.snapshots, seen)
        events = outcome_events(tables, seen.as_of)

        def label(outcome: Outcome, days: float) -> Labels:
            return label_moments(tables, snapshots.moments, events, seen, outcome=outcome, horizon_days=days)

        sql = label("sql", config.outcome.sql_horizon_days)
        won = label("won", config.outcome.won_horizon_days)
        lost = amounts_lost(tables, snapshots.moments, to_micros(seen.as_of), horizon_days=won.horizon_days)
        step.note(f"{len(snapshots.as_of_us):,} moments of {len(np.unique(snapshots.lead)):,} leads")
    excluded = count_excluded(tables, seen, events)
    draft = TrainingData(seen, snapshots, FeatureSet(()), np.empty((0, 0)), sql, won, (), lost, excluded)
    _refuse_too_few(draft, config)
    with progress.step("Computing features") as step:
        mature = snapshots.moments.filter(sql.is_mature | won.is_mature)
        features = learn_features(tables, mature, to_micros(seen.as_of))
        matrix = build_features(tables, snapshots.moments, features)
        mature_rows = sql.is_mature | won.is_mature
        features, matrix, idle = _without(features, matrix, _idle(features, matrix, mature_rows))
        of_time = features_of_time(features.features, matrix, snapshots.as_of_us, mature_rows)
        features, matrix, timely = _without(features, matrix, of_time)
        dropped = (*idle, *timely)
        step.note(f"{len(features.features)} features, {len(dropped)} left out")
    return replace(draft, features=features, matrix=matrix, dropped=dropped)


def _refuse_too_few(data: TrainingData, config: WorkspaceConfig) -> None:
    found = data.outcomes(data.sql)
    if found >= MIN_OUTCOMES:
        return
    mature = int(data.sql.is_mature.sum())
    raise TooFewOutcomesError(
        found=(
            f"{found} leads with an SQL inside {config.outcome.sql_horizon_days:g} days, "
            f"among {mature:,} mature snapshots"
        ),
        expected=f"at least {MIN_OUTCOMES}; {MIN_OUTCOMES - found} more are needed",
        fix=(
            "keep the points rule for now and train again when more outcomes are recorded, give a longer history, "
            "or check [outcome] and the tables stages and opportunities"
        ),
        missing=MIN_OUTCOMES - found,
    )


def _idle(features: FeatureSet, matrix: Matrix, mature: NDArray[np.bool_]) -> list[DroppedFeature]:
    """Find features that never vary among the mature rows, or repeat another feature."""
    found: list[DroppedFeature] = []
    seen: dict[bytes, str] = {}
    for number, name in enumerate(features.names):
        column = np.ascontiguousarray(matrix[mature, number])
        present = column[~np.isnan(column)]
        if present.size == 0 or (present.size == column.size and present.min() == present.max()):
            found.append(DroppedFeature(name, "never varies in the training rows"))
            continue
        twin = seen.setdefault(column.tobytes(), name)
        if twin != name:
            found.append(DroppedFeature(name, f"equals {twin} in every training row"))
    return found


def _without(
    features: FeatureSet, matrix: Matrix, dropped: Sequence[DroppedFeature]
) -> tuple[FeatureSet, Matrix, Sequence[DroppedFeature]]:
    names = {one.name for one in dropped}
    kept = [number for number, name in enumerate(features.names) if name not in names]
    subset = FeatureSet(tuple(features.features[number] for number in kept))
    return subset, np.ascontiguousarray(matrix[:, kept]), dropped
