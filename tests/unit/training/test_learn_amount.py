"""The amount of a win as known at a moment: neither wins nor losses that were settled later teach it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crm.config import SourceConfig, WorkspaceConfig
from crm.progress import Silent
from features.lead_features import AttributeNumber, LeadAge
from features.spec import FeatureSet
from features.touch_features import CountIn
from tests.unit.training.made import data_of, funnel
from training.learn import amount_before, amount_of, learn
from training.prepare import TrainingData

DAY_US = 86_400_000_000
COUNT = 400
START = 300 * DAY_US
CONFIG = WorkspaceConfig(source=SourceConfig(url="demo://"))


def sold(seed: int = 1) -> TrainingData:
    """A lead a day: every second one wins, the others lose a deal; amounts rise with the number of employees."""
    rng = np.random.default_rng(seed)
    won = np.arange(COUNT) % 2 == 0
    employees = rng.uniform(1.0, 400.0, COUNT)
    columns = [(LeadAge(), rng.uniform(0.0, 90.0, COUNT)), (AttributeNumber("employees"), employees)]
    data = data_of(columns, won, won=won)
    amount = np.exp(5.0 + employees / 100.0 + rng.normal(0, 0.3, COUNT))
    lost = np.where(won, np.nan, 3.0 * amount)
    return replace(data, won=replace(data.won, amount=np.where(won, amount, 0.0)), lost_amount=lost)


@pytest.mark.parametrize("what", ["won", "lost"])
def test_later_deals_change_nothing(what: str) -> None:
    data = sold()
    later = data.snapshots.as_of_us + 30 * DAY_US > START
    if what == "won":
        other = replace(data, won=replace(data.won, amount=np.where(later, 1e9, data.won.amount)))
    else:
        other = replace(data, lost_amount=np.where(later, 1e9, data.lost_amount))
    before, after = (amount_before(one, START, CONFIG).expected(data.matrix) for one in (data, other))
    np.testing.assert_array_equal(before, after)
    earlier = replace(data, lost_amount=np.where(later, data.lost_amount, 2.0 * data.matrix[:, 1] ** 2))
    assert amount_before(data, START, CONFIG).lost_deals > 0
    assert not np.array_equal(before, amount_before(earlier, START, CONFIG).expected(data.matrix))


def test_it_is_read_from_who_the_lead_is() -> None:
    data = sold(seed=2)
    model = amount_of(data, CONFIG)
    assert model.weights is not None
    assert model.weights[0] == 0.0
    assert model.weights[1] > 0.0
    assert (model.reads_engagement, model.lost_deals) == (False, COUNT // 2)
    behaved = replace(data, features=FeatureSet((LeadAge(), CountIn("visit", ("visit",)))))
    assert amount_of(behaved, CONFIG).reads_engagement, "no feature says who the lead is"


def test_a_fold_knows_the_deals_settled_before_its_test_period_alone() -> None:
    """Every deal that was settled later is worth a hundred times as much; only later test periods know of it."""
    data = funnel()
    learned = learn(data, CONFIG, Silent())
    last = max(fold.start_us for fold in learned.folds["won"])
    later = data.snapshots.as_of_us + 30 * DAY_US > last
    dear = replace(
        data,
        won=replace(data.won, amount=data.won.amount * np.where(later, 100.0, 1.0)),
        lost_amount=data.lost_amount * np.where(later, 100.0, 1.0),
    )
    again = learn(dear, CONFIG, Silent())
    assert np.isfinite(learned.amount_unseen).sum() > 100
    np.testing.assert_array_equal(again.amount_unseen, learned.amount_unseen)
    assert again.amount.mean > 2 * learned.amount.mean
