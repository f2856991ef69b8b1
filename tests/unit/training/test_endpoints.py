"""Both endpoints learned side by side are what they are one after the other, and what fails in one is told."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from crm.errors import TooFewOutcomesError
from crm.progress import Silent, Step
from features.lead_features import LeadAge
from features.touch_features import CountIn
from tests.unit.training.made import data_of
from training.endpoints import learn_sql, learn_sql_and_won
from training.prepare import TrainingData

COUNT = 1500


def funnel(seed: int = 4) -> TrainingData:
    """A lead a day, whose visits make an SQL likelier; every third SQL is a win."""
    rng = np.random.default_rng(seed)
    visits = rng.poisson(2.0, COUNT).astype(float)
    sql = rng.random(COUNT) < 0.05 + 0.08 * visits
    columns = [(CountIn("visit", ("visit",)), visits), (LeadAge(), rng.uniform(0.0, 90.0, COUNT))]
    return data_of(columns, sql, won=sql & (rng.random(COUNT) < 1 / 3))


class Counted(Silent):
    """Counts what its steps announce and advance."""

    def __init__(self) -> None:
        self.announced, self.done = 0, 0

    @contextmanager
    def step(self, label: str, total: int | None = None) -> Generator[Step]:
        self.announced += total or 0
        with super().step(label, total) as inner:
            counted = self

            class Counting:
                def advance(self, amount: int = 1) -> None:
                    counted.done += amount

                note = inner.note

            yield Counting()


def test_side_by_side_or_alone_is_the_same_model() -> None:
    data, progress = funnel(), Counted()
    (sql, folds), (won, won_folds) = learn_sql_and_won(data, progress)
    alone, folds_alone = learn_sql(data, Silent())
    np.testing.assert_allclose(sql.logit, alone.logit, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(sql.rows, alone.rows)
    assert [fold.start_us for fold in folds] == [fold.start_us for fold in folds_alone]
    assert (sql.endpoint.outcome, won.endpoint.outcome) == ("sql", "won")
    assert won_folds
    assert progress.announced == progress.done > 0


def test_what_one_endpoint_lacks_is_told_before_either_is_learned() -> None:
    data = funnel()
    short = np.zeros(COUNT, dtype=bool)
    short[-40:] = True
    with pytest.raises(TooFewOutcomesError, match="won outcomes"):
        learn_sql_and_won(replace(data, won=replace(data.won, happened=short)), Silent())


class Interrupted(Silent):
    """Interrupts one of the two endpoints: the one on the program's own thread, or the other."""

    def __init__(self, *, on_main: bool) -> None:
        self._on_main = on_main

    @contextmanager
    def step(self, label: str, total: int | None = None) -> Generator[Step]:
        with super().step(label, total) as inner:
            on_main = self._on_main

            class Interrupting:
                def advance(self, amount: int = 1) -> None:
                    inner.advance(amount)
                    if (threading.current_thread() is threading.main_thread()) == on_main:
                        raise KeyboardInterrupt

                note = inner.note

            yield Interrupting()


@pytest.mark.parametrize("on_main", [True, False])
def test_an_interruption_of_either_comes_out_and_nobody_waits_for_ever(on_main: bool) -> None:
    with pytest.raises(KeyboardInterrupt):
        learn_sql_and_won(funnel(), Interrupted(on_main=on_main))
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join(60)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("learning")]
