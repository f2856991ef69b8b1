"""Background work of several processes of one state: one of them does it, and another takes over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from crm.config import Workspace
from crm.state import State, open_state
from crm.state_tables import LEASES
from serving.leased import LEASE_US, Leased
from tests.histories import config_of
from tests.postgres import own_postgres


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with own_postgres() as url:
        opened = open_state(Workspace(folder=tmp_path, config=config_of(serve={"state_url": url})))
        yield opened
        opened.close()


def test_one_process_works_and_another_takes_over(state: State) -> None:
    turns: list[str] = []

    def leased(holder: str) -> Leased:
        def work() -> bool:
            turns.append(holder)
            return True

        return Leased(state, "webhooks", holder, work)

    one, two = leased("elsewhere:a"), leased("elsewhere:b")
    assert (one.turn(), two.turn(), one.turn(), two.turn()) == (True, False, True, False)
    assert turns == ["elsewhere:a"] * 2
    one.release()
    two = leased("elsewhere:b")  # without what it remembers: it would ask again in some seconds
    assert (two.turn(), leased("elsewhere:c").turn()) == (True, False)
    with state.writing() as connection:  # two minutes of silence
        connection.execute(sa.update(LEASES).values(until_us=LEASES.c.until_us - LEASE_US))
    assert leased("elsewhere:c").turn()
