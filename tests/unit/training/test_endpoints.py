"""Both endpoints learned side by side are what they are one after the other, and what fails in one is told."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from crm.errors import TooFewOutcomesError
from crm.progress import Silent, SilentStep, Step
from tests.unit.training.made import funnel
from training.endpoints import endpoint_rows, learn_sql, learn_sql_and_won
from training.fit import fit_endpoint
from training.prepare import TrainingData


@pytest.fixture(scope="module")
def drifted() -> TrainingData:
    return funnel(drift=0.3, horizon_days=250.0)


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


def test_side_by_side_or_one_after_the_other_is_the_same(drifted: TrainingData) -> None:
    """Also where the level of wins follows that of SQLs, which wins wait for."""
    progress = Counted()
    found = learn_sql_and_won(drifted, progress)
    asked = [endpoint_rows(drifted, labels) for labels in (drifted.sql, drifted.won)]
    sql = fit_endpoint(asked[0].endpoint, SilentStep())
    won = fit_endpoint(asked[1].endpoint, SilentStep(), follows=lambda: sql.update)
    assert sql.update.factor != 1.0, "the level of SQLs has moved"
    assert won.update.recent.prior == pytest.approx(sql.update.factor), "and that of wins begins from there"
    for (fitted, folds), rows, alone in zip(found, asked, (sql, won), strict=True):
        expected, folds_alone = rows.numbered(alone)
        np.testing.assert_allclose(fitted.logit, expected.logit, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(fitted.rows, expected.rows)
        assert fitted.update.factor == pytest.approx(alone.update.factor, abs=1e-9)
        assert [fold.start_us for fold in folds] == [fold.start_us for fold in folds_alone]
    assert progress.announced == progress.done > 0
    np.testing.assert_allclose(learn_sql(drifted, Silent())[0].logit, sql.logit, rtol=0, atol=1e-9)


def test_what_one_endpoint_lacks_is_told_before_either_is_learned() -> None:
    data = funnel()
    short = np.zeros(len(data.won.happened), dtype=bool)
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
