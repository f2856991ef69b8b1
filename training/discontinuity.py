"""Leads around the old rule's cut-off: how many points they had at one age, who was handed over, and who became SQL."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from crm.config import WorkspaceConfig
from crm.known import to_micros
from crm.old_rule import old_points
from crm.outcomes import label_moments, outcome_events
from crm.store import Tables
from features.known import DAY_US
from models.discontinuity import Jump, Sides, bandwidth_for, jump_at
from training.prepare import TrainingData
from training.snapshots import hand_offs_at_risk

__all__ = ["AGE_DAYS", "CutOff", "look_at_cut_off"]

AGE_DAYS = 30.0
"""The age at which every lead's points are counted: one moment a lead, which nothing that it does later moves."""
MIN_TRIED = 50
"""Leads on either side from which another bandwidth is tried."""
SEED = 11


@dataclass(frozen=True)
class CutOff:
    """What the old rule's cut-off tells of hand-offs.

    Parameters
    ----------
    points
        The cut-off; NaN without one.
    days
        Days from creation inside which an SQL counts.
    jumps
        At the chosen bandwidth, at half and at twice of it, where there are leads for it; empty where nothing is told.
    missing
        Why nothing is told, a sentence; empty where something is.
    """

    points: float
    days: float
    jumps: tuple[Jump, ...]
    missing: str


def look_at_cut_off(tables: Tables, data: TrainingData, config: WorkspaceConfig) -> CutOff:
    """Compare leads just above and just below the old rule's points.

    Points and hand-offs are those of a lead's first thirty days; an SQL counts from its creation to the SQL horizon
    after those days, so that all leads are watched for the same time.

    Parameters
    ----------
    tables
        The workspace's tables.
    data
        What the run learned from: its leads, their accounts, and the observed span.
    config
        The workspace file.
    """
    threshold, days = config.old_rule.threshold, AGE_DAYS + data.sql.horizon_days
    if threshold is None:
        return CutOff(np.nan, days, (), "The old rule counts no points, so it has no cut-off to look at.")
    if not tables.has("hand_offs"):
        return CutOff(threshold, days, (), "No hand-offs are recorded.")
    sides = _sides(tables, data, config, threshold)
    bandwidth = bandwidth_for(sides.distance)
    if bandwidth is None:
        below, above = sides.counts
        return CutOff(
            threshold,
            days,
            (),
            f"{below:,} leads lie below the cut-off and {above:,} above it; 100 are needed on either side.",
        )
    tried = (bandwidth, bandwidth / 2, bandwidth * 2)
    enough = [one for one in tried if min(sides.within(one).counts) >= MIN_TRIED]
    return CutOff(threshold, days, tuple(jump_at(sides, one, seed=SEED) for one in enough), "")


def _sides(tables: Tables, data: TrainingData, config: WorkspaceConfig, threshold: float) -> Sides:
    group = pd.Series(data.snapshots.group, index=data.snapshots.moments.column("lead_id").to_pylist())
    group = group[~group.index.duplicated()]
    rows = tables.table("leads").select("lead_id", "created_us").to_pyarrow().to_pandas().astype({"lead_id": str})
    rows = rows[rows["lead_id"].isin(group.index)].sort_values("lead_id").reset_index(drop=True)
    leads, created = rows["lead_id"].tolist(), rows["created_us"].to_numpy(dtype=np.int64)
    events = outcome_events(tables, data.seen.as_of)
    days = AGE_DAYS + data.sql.horizon_days
    labels = label_moments(tables, _moments(leads, created), events, data.seen, outcome="sql", horizon_days=days)
    at_us = created + round(AGE_DAYS * DAY_US)
    first = (
        hand_offs_at_risk(tables, data.seen).set_index("lead_id")["as_of_us"].reindex(leads).to_numpy(dtype=np.float64)
    )
    points = old_points(tables, config, _moments(leads, at_us))
    kept = labels.is_mature & ~np.isnan(points) & (at_us <= to_micros(data.seen.observed_until))
    handed = first <= at_us  # never handed over is NaN, which is not below anything
    accounts = group.reindex(leads).to_numpy(dtype=np.int64)
    return Sides((points - threshold)[kept], handed[kept], labels.happened[kept], accounts[kept])


def _moments(leads: list[str], as_of_us: np.ndarray) -> pa.Table:
    return pa.table(
        {
            "row_id": pa.array(np.arange(len(leads)), pa.int64()),
            "lead_id": pa.array(leads, pa.string()),
            "as_of_us": pa.array(as_of_us, pa.int64()),
        }
    )
