"""Wins too few for a model of their own, and a line that speaks of what working adds: nothing is on the wrong scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crm.progress import Silent
from crm.store import Tables
from crm.workspace_tables import open_tables
from tests.model.conftest import NOW, Trained
from training import gain
from training.gain import replay_unseen
from training.learn import Learned, learn
from training.replay import draw_line, replay_weeks

DAY_US = 86_400_000_000
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tables(trained: Trained) -> Iterator[Tables]:
    with open_tables(trained.workspace, NOW, Silent()) as opened:
        yield opened


@pytest.fixture(scope="module")
def learned(trained: Trained) -> Learned:
    return learn(trained.result.data, trained.workspace.config, Silent())


def test_folds_of_few_wins_speak_of_wins(trained: Trained) -> None:
    data, config = trained.result.data, trained.workspace.config
    wins = np.flatnonzero(data.won.happened & data.won.is_mature)
    few = np.isin(data.snapshots.lead, np.unique(data.snapshots.lead[wins])[::3])
    rare = replace(data, won=replace(data.won, happened=data.won.happened & few))
    learned = learn(rare, config, Silent())
    assert learned.won_from_sql
    said = dict(zip(learned.won.rows.tolist(), learned.won.logit.tolist(), strict=True))
    for endpoint, fold in zip(learned.won.by_fold, learned.folds["won"], strict=True):
        assert (endpoint.outcome, endpoint.horizon_days) == ("won", rare.won.horizon_days)
        rows = np.array([row for row in fold.test.tolist() if row in said])
        np.testing.assert_allclose(endpoint.logit(rare.matrix[rows]), [said[row] for row in rows.tolist()], atol=1e-6)
    sql = np.mean(
        [
            e.probability(rare.matrix[f.test]).mean()
            for e, f in zip(learned.sql.by_fold, learned.folds["sql"], strict=True)
        ]
    )
    won = np.mean(
        [
            e.probability(rare.matrix[f.test]).mean()
            for e, f in zip(learned.won.by_fold, learned.folds["won"], strict=True)
        ]
    )
    assert won < 0.5 * sql


def test_without_a_lead_that_was_watched_to_the_end_wins_have_the_level_of_those_so_far(trained: Trained) -> None:
    data, config = trained.result.data, trained.workspace.config
    none = np.zeros(len(data.won.happened), dtype=bool)
    young = replace(data, won=replace(data.won, happened=none, is_mature=none))
    priced = config.model_copy(update={"value": config.value.model_copy(update={"default_amount": 9000.0})})
    endpoint = learn(young, priced, Silent()).won.endpoint
    so_far = float((data.won.days < data.follow_up_days).mean())
    assert endpoint.probability(data.matrix).mean() == pytest.approx(so_far, rel=0.05)


def test_a_line_of_what_working_adds_says_so_and_has_no_equivalent_in_chances(trained: Trained, tables: Tables) -> None:
    bundle, config = trained.result.bundle, trained.workspace.config
    assert bundle.follow_up is not None
    for decides, basis in ((False, "as_run"), (True, "if_worked")):
        asked = replace(bundle, follow_up=replace(bundle.follow_up, decides=decides))
        weeks = replay_weeks(tables, asked, config, trained.result.data.seen, Silent())
        line = draw_line(weeks, asked, config, trained.result.data.seen.observed_until)[0]
        assert asked.basis == line.basis == basis
        assert bool(line.equivalents) is (line.equivalent_p_won is not None) is not decides
        assert line.model_copy(update={"basis": "as_run"}).version == line.version or decides


def test_mqls_that_a_nightly_sync_tells_of_after_the_hand_off_are_the_old_rules_all_the_same(
    trained: Trained, tables: Tables, learned: Learned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every MQL known six hours later than it was: hand-offs come before, and yet no pick of the old rule is lost."""
    data, config = trained.result.data, trained.workspace.config
    found = replay_unseen(tables, data, learned, config, Silent())
    on_time = gain.first_crossings

    def later(*asked: object) -> pd.DataFrame:
        crossings = on_time(*asked)  # type: ignore[arg-type]
        return crossings.assign(at_us=crossings["at_us"] + DAY_US // 4)

    monkeypatch.setattr(gain, "first_crossings", later)
    delayed = replay_unseen(tables, data, learned, config, Silent())
    assert found is not None
    assert delayed is not None
    assert found.rows.is_old.sum() > 20
    assert delayed.rows.is_old.sum() >= 0.95 * found.rows.is_old.sum()


def test_unseen_weeks_are_scored_as_the_scorer_does_a_win_is_never_likelier_than_an_sql(
    trained: Trained, tables: Tables, learned: Learned
) -> None:
    """Folds that expect hardly any SQL expect hardly any win."""
    data, config = trained.result.data, trained.workspace.config
    by_fold = tuple(replace(one, calibrator=one.calibrator.moved(-9.0)) for one in learned.sql.by_fold)
    without = replace(learned, sql=replace(learned.sql, by_fold=by_fold))
    found, capped = (replay_unseen(tables, data, one, config, Silent()) for one in (learned, without))
    assert found is not None
    assert capped is not None
    np.testing.assert_array_equal(capped.as_of_us, found.as_of_us)
    assert capped.rows.expected_revenue.sum() < 0.02 * found.rows.expected_revenue.sum()
