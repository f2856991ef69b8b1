"""Learning the endpoints of a run: what is announced, what wins take from SQLs, and what is said of too few."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from crm.config import SourceConfig, WorkspaceConfig
from crm.errors import TooFewOutcomesError
from crm.progress import Silent, Step
from tests.unit.training.made import funnel
from training.endpoints import learn_endpoint
from training.learn import learn


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


def test_the_level_of_wins_begins_where_that_of_sqls_has_moved() -> None:
    data, progress = funnel(drift=0.3, horizon_days=250.0), Counted()
    learned = learn(data, WorkspaceConfig(source=SourceConfig(url="demo://")), progress)
    assert learned.sql.update.factor < 1.0
    assert learned.won.update.recent.prior == learned.sql.update.factor
    assert progress.announced == progress.done > 0


def test_outcomes_of_one_short_period_are_too_few() -> None:
    data = funnel()
    short = np.zeros(len(data.won.happened), dtype=bool)
    short[-40:] = True
    with pytest.raises(TooFewOutcomesError, match="won outcomes"):
        learn_endpoint(data, replace(data.won, happened=short), Silent())
