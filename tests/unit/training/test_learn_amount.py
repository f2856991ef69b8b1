"""The amount of a win as known at a moment: neither wins nor losses that were settled later teach it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crm.config import SourceConfig, WorkspaceConfig
from features.lead_features import LeadAge
from tests.unit.training.made import data_of
from training.learn import amount_before
from training.prepare import TrainingData

DAY_US = 86_400_000_000
COUNT = 400
START = 300 * DAY_US


def sold(seed: int = 1) -> TrainingData:
    """A lead a day: every second one wins, the others lose a deal; amounts rise with age."""
    rng = np.random.default_rng(seed)
    won = np.arange(COUNT) % 2 == 0
    age = rng.uniform(1.0, 400.0, COUNT)
    data = data_of([(LeadAge(), age)], won, won=won)
    amount = np.exp(5.0 + np.log1p(age) + rng.normal(0, 0.3, COUNT))
    lost = np.where(won, np.nan, 3.0 * amount)
    return replace(data, won=replace(data.won, amount=np.where(won, amount, 0.0)), lost_amount=lost)


@pytest.mark.parametrize("what", ["won", "lost"])
def test_later_deals_change_nothing(what: str) -> None:
    data, config = sold(), WorkspaceConfig(source=SourceConfig(url="demo://"))
    later = data.snapshots.as_of_us + 30 * DAY_US > START
    if what == "won":
        other = replace(data, won=replace(data.won, amount=np.where(later, 1e9, data.won.amount)))
    else:
        other = replace(data, lost_amount=np.where(later, 1e9, data.lost_amount))
    before, after = (amount_before(one, START, config).expected(data.matrix) for one in (data, other))
    np.testing.assert_array_equal(before, after)
    earlier = replace(data, lost_amount=np.where(later, data.lost_amount, 2.0 * data.matrix[:, 0] ** 2))
    assert amount_before(data, START, config).lost_deals > 0
    assert not np.array_equal(before, amount_before(earlier, START, config).expected(data.matrix))
