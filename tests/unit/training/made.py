"""Training data made of columns, without tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crm.outcomes import Labels, Observation
from features.feature import Feature
from features.lead_features import AttributeNumber, LeadAge
from features.spec import FeatureSet
from features.touch_features import CountIn
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


def funnel(count: int = 1500, *, drift: float = 1.0, horizon_days: float = 30.0, seed: int = 4) -> TrainingData:
    """A lead a day until the end, whose visits make an SQL likelier; a third of the SQLs win, the others lose a deal.

    Amounts rise with the number of employees. The chances of an SQL are multiplied by ``drift`` in the last two fifths.
    """
    rng = np.random.default_rng(seed)
    visits, employees = rng.poisson(2.0, count).astype(float), rng.uniform(1.0, 400.0, count)
    chance = (0.05 + 0.08 * visits) * np.where(np.arange(count) < 3 * count // 5, 1.0, drift)
    sql = rng.random(count) < chance
    won = sql & (rng.random(count) < 1 / 3)
    columns = [
        (CountIn("visit", ("visit",)), visits),
        (LeadAge(), rng.uniform(0.0, 90.0, count)),
        (AttributeNumber("employees"), employees),
    ]
    data = data_of(columns, sql, won=won, mature=np.arange(count) + horizon_days <= count)
    amount = np.exp(5.0 + employees / 100.0 + rng.normal(0.0, 0.3, count))
    end = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=count)
    return replace(
        data,
        seen=Observation(None, end, end),
        sql=replace(data.sql, horizon_days=horizon_days),
        won=replace(data.won, horizon_days=horizon_days, amount=np.where(won, amount, 0.0)),
        lost_amount=np.where(sql & ~won, amount, np.nan),
    )
