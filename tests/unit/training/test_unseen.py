"""Kept predictions as an earlier moment knows them."""

from __future__ import annotations

import pyarrow as pa

from crm.config import OutcomeConfig
from features.known import DAY_US
from models.unseen import UNSEEN_SCHEMA
from training.unseen import known_by


def test_an_earlier_moment_knows_neither_later_rows_nor_labels_settled_later() -> None:
    horizons = OutcomeConfig(sql_horizon_days=30, won_horizon_days=90)
    days = (0, 9, 10, 70, 100, 101)
    columns = {
        "row": range(6), "lead": range(6), "account": range(6), "as_of_us": [day * DAY_US for day in days],
        "sql": [True] * 6, "won": [True] * 6, "revenue": [5.0] * 6,
    }  # fmt: skip
    rows = pa.table({field.name: pa.array(columns.get(field.name, [None] * 6), field.type) for field in UNSEEN_SCHEMA})
    found = known_by(rows, horizons, 100 * DAY_US)
    assert found.schema.names == UNSEEN_SCHEMA.names
    assert found["as_of_us"].to_pylist() == [day * DAY_US for day in days[:5]]
    assert found["sql"].to_pylist() == [True, True, True, True, None]
    assert found["won"].to_pylist() == [True, True, True, None, None]
    assert found["revenue"].to_pylist() == [5.0, 5.0, 5.0, None, None]
    assert known_by(rows, horizons, 10_000 * DAY_US).equals(rows)
