"""Leases: one holder at a time, until it ends, gives it back or dies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from crm.config import Workspace
from crm.leases import holder_name, release_lease, take_lease
from crm.state import State, open_state
from tests.histories import config_of
from tests.postgres import own_postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[State]:
    with ExitStack() as stack:
        serve = {"state_url": stack.enter_context(own_postgres())} if request.param == "postgresql" else {}
        opened = open_state(Workspace(folder=tmp_path, config=config_of(serve=serve)))
        yield opened
        opened.close()


def test_one_holder_at_a_time(state: State) -> None:
    one, other = holder_name(), holder_name()
    with state.writing() as connection:
        assert take_lease(connection, "work", one, now_us=10, until_us=20)
        assert not take_lease(connection, "work", other, now_us=19, until_us=29)
        assert take_lease(connection, "other work", other, now_us=19, until_us=29)
        assert take_lease(connection, "work", one, now_us=19, until_us=30)
        assert not take_lease(connection, "work", other, now_us=29, until_us=39)
        assert take_lease(connection, "work", other, now_us=30, until_us=40)
        release_lease(connection, "work", one)
        assert not take_lease(connection, "work", one, now_us=31, until_us=40)
        release_lease(connection, "work", other)
        assert take_lease(connection, "work", one, now_us=31, until_us=40)


@pytest.mark.parametrize("holder", ["elsewhere:1:2:ab", "nonsense", ""])
def test_a_holder_that_cannot_be_looked_at_keeps_it(state: State, holder: str) -> None:
    with state.writing() as connection:
        assert take_lease(connection, "work", holder, now_us=10, until_us=20)
        assert not take_lease(connection, "work", holder_name(), now_us=11, until_us=20)


def test_a_process_that_died_here_keeps_nobody_waiting(state: State) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait(30)
    host, space, _, token = holder_name().split(":")
    with state.writing() as connection:
        assert take_lease(connection, "work", f"{host}:{space}:{gone.pid}:{token}", now_us=10, until_us=20)
        assert take_lease(connection, "work", holder_name(), now_us=11, until_us=20)
