"""Training data made of columns, without tables."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crm.outcomes import Labels, Observation
from features.feature import Feature
from features.spec import FeatureSet
from training.prepare import TrainingData
from training.snapshots import Snapshots

END = datetime(2026, 1, 1, tzinfo=UTC)


def data_of(
    columns: list[tuple[Feature, NDArray[np.float64]]],
    happened: NDArray[np.bool_],
    *,
    won: NDArray[np.bool_] | None = None,
    mature: NDArray[np.bool_] | None = None,
    ever: NDArray[np.bool_] | None = None,
) -> TrainingData:
    """One row a lead, one account a lead, a day apart; ``ever`` is an SQL whenever it was, by default ``happened``."""
    count = len(happened)
    numbers = np.arange(count, dtype=np.int64)
    as_of = numbers * 86_400_000_000
    moments = pa.table({"row_id": numbers, "lead_id": [f"L{n}" for n in numbers], "as_of_us": as_of})
    is_mature = np.ones(count, dtype=bool) if mature is None else mature
    never = np.zeros(count, dtype=bool)
    labels = [
        Labels(outcome, 30.0, label, np.where(label, 1.0, np.where(late, 60.0, np.inf)), is_mature, np.zeros(count))
        for outcome, label, late in (
            ("sql", happened, never if ever is None else ever),
            ("won", never if won is None else won, never),
        )
    ]
    return TrainingData(
        Observation(None, END, END),
        Snapshots(moments, as_of, numbers, numbers, np.ones(count, dtype=bool)),
        FeatureSet(tuple(feature for feature, _ in columns)),
        np.stack([column for _, column in columns], axis=1),
        labels[0],
        labels[1],
        (),
        np.full(count, np.nan),
    )
