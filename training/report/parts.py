"""What a finished run knows, and what its report needs of it over and over."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from crm.config import Workspace
from crm.store import Tables
from models.bundle import Bundle
from models.intervals import Interval
from models.line import Line
from pages.report_data import Estimate
from training.crossed import RulesCompared
from training.follow_up import FollowUpFound
from training.judge import Judged
from training.learn import Learned
from training.prepare import TrainingData
from training.replay import ReplayedWeeks
from training.sentinel.verdict import LeakVerdict

__all__ = ["ReportParts", "data_digest", "estimate_of"]


@dataclass(frozen=True)
class ReportParts:
    """Everything that a finished run knows."""

    workspace: Workspace
    tables: Tables
    data: TrainingData
    learned: Learned
    judged: Mapping[str, Judged]
    bundle: Bundle
    weeks: ReplayedWeeks
    drawn: tuple[Line, tuple[tuple[float, float], ...], tuple[int, ...]]
    rules: RulesCompared | None
    now: datetime
    leaks: tuple[LeakVerdict, ...] = ()
    follow_up: FollowUpFound | None = None


def data_digest(data: TrainingData) -> str:
    """Return a SHA-256 over moments, features, labels and amounts: the same data gives the same digest."""
    digest = hashlib.sha256(data.features.fingerprint.encode())
    labels = (data.sql.happened, data.sql.is_mature, data.won.happened, data.won.is_mature)
    for array in (data.snapshots.as_of_us, data.matrix, *labels, data.won.amount, data.lost_amount):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def estimate_of(found: Interval) -> Estimate:
    """Return an interval as the page shows it: ends that are no numbers are None."""
    return Estimate(found.value, *(end if np.isfinite(end) else None for end in (found.low, found.high)))
