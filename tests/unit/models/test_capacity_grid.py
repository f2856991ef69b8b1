"""Other capacities: what crosses, what it is worth, and that the file of unseen weeks gives back what was put in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.errors import BundleError
from models.capacity_grid import capacity_grid, grid_capacities
from models.gain import compare_rules, pick_leads
from models.gain_file import read_gain, read_gain_moments, write_gain, write_gain_moments
from models.line import Replay, crossings, first_crossings
from tests.unit.models.test_gain import LEAD_IN, drawn

QUICK = settings(max_examples=60, deadline=None, derandomize=True)


def lead_in_of(seed: int) -> Replay:
    rows, _ = drawn(seed, leads=150)
    early = rows.week <= LEAD_IN
    return Replay(rows.lead[early], rows.week[early], rows.expected_revenue[early], ("",) * LEAD_IN)


@QUICK
@given(st.integers(0, 999), st.floats(-5.0, 400.0))
def test_as_many_rows_cross_as_are_counted_each_lead_once(seed: int, price: float) -> None:
    replay = lead_in_of(seed)
    rows = first_crossings(replay, replay.expected_revenue, price)
    counted = crossings(replay, replay.expected_revenue, price)
    assert np.bincount(replay.week[rows], minlength=LEAD_IN + 1)[1:].tolist() == counted.tolist()
    assert len(np.unique(replay.lead[rows])) == len(rows)


def test_more_capacity_is_a_lower_line_more_leads_and_more_value() -> None:
    replay = lead_in_of(3)
    found = capacity_grid(replay, None, (5.0, 10.0, 20.0, None), (0.5, 20.0, 2.0))
    for name, sign in (("price", -1), ("crossings", 1), ("value", 1), ("hours", 1)):
        assert (np.diff([sign * getattr(row, name) for row in found]) >= 0).all()
    assert all(row.crossings <= row.capacity for row in found if row.capacity is not None)
    assert found[0].hours == 2.0 * found[0].crossings


def test_capacities_around_one_and_around_none() -> None:
    assert grid_capacities(12.0, 3.0) == (6.0, 9.0, 12.0, 15.0, 18.0, 24.0, None)
    assert 41.3 not in grid_capacities(None, 41.3)
    assert grid_capacities(None, 0.0) == (None,)


def test_unseen_weeks_come_back_from_their_file_as_numbers_alone(tmp_path: Path) -> None:
    rows, _ = drawn(7)
    path = tmp_path / "gain.parquet"
    write_gain(rows, path)
    assert not any(str(column.type) == "string" for column in pq.read_schema(path))
    back = read_gain(path.read_bytes())
    terms = {"margin": 0.5, "touch_cost": 20.0, "capacity": 10.0}
    assert compare_rules(back, draws=40, **terms) == compare_rules(rows, draws=40, **terms)
    assert pick_leads(back, **terms).worked["new"].tolist() == pick_leads(rows, **terms).worked["new"].tolist()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"{}"])
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match="does not hold the unseen weeks"):
        read_gain(content)


def test_moments_of_another_training_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "gain" / "1.parquet"
    write_gain_moments(["a", "b"], np.array([1, 2]), path)
    found = read_gain_moments(path, 2)
    assert found is not None
    assert (found[0], found[1].tolist()) == (["a", "b"], [1, 2])
    assert read_gain_moments(path, 3) is None
    assert read_gain_moments(tmp_path / "none.parquet", 2) is None
    path.write_bytes(b"no parquet")
    assert read_gain_moments(path, 2) is None


def test_gained_and_lost_leads_are_worked_under_one_rule_alone() -> None:
    rows, _ = drawn(8)
    found = compare_rules(rows, margin=0.5, touch_cost=20.0, capacity=10.0, hours_per_lead=1.5, draws=20)
    picks = pick_leads(rows, margin=0.5, touch_cost=20.0, capacity=10.0)
    gained, lost = (picks.worked_only(rows, side) for side in ("new", "old"))
    assert not set(rows.lead[gained]) & set(rows.lead[picks.worked["old"]])
    assert not set(rows.lead[lost]) & set(rows.lead[picks.worked["new"]])
    assert (len(gained) / rows.weeks, len(lost) / rows.weeks) == pytest.approx((found.only_new, found.only_old))
    assert found.old.hours == pytest.approx(1.5 * found.old.worked)
