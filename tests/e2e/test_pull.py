"""``kizashi pull`` as a process: what it says, its exit codes, and what a kill in the middle leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest

from crm.config import load_workspace
from crm.state import open_state
from crm.told_tables import told_tables
from tests.e2e.command import MAIN, ROOT, kizashi
from tests.fakes.hubspot import TOKEN
from tests.fakes.hubspot_reading import FakePortal
from tests.fakes.pulled import moment
from tests.fakes.serving import Answer, serving

FILE = """
[source]
url = "state:"
[crm.hub]
kind = "hubspot"
url = "{address}"
token = "${{HUBSPOT_TOKEN}}"
"""
START, COUNT = moment("2026-03-01T09:00"), 700


@pytest.fixture
def portal() -> FakePortal:
    made = FakePortal()
    for number in range(COUNT):
        made.make("contacts", str(101 + number), START + timedelta(minutes=number), industry="BANKING")
    return made


@pytest.fixture
def folder(portal: FakePortal, tmp_path: Path) -> Generator[Path]:
    with serving(portal.app()) as address:
        (tmp_path / "kizashi.toml").write_text(FILE.format(address=address), encoding="utf-8")
        yield tmp_path


def pull(folder: Path, *args: str, token: str = TOKEN) -> tuple[int, str, str]:
    ran = kizashi("pull", *args, cwd=folder, environ={"HUBSPOT_TOKEN": token})
    assert token not in ran.out + ran.err
    return ran.code, ran.out, ran.err


def leads(folder: Path) -> int:
    state = open_state(load_workspace(folder, environ={"HUBSPOT_TOKEN": TOKEN}))
    found = told_tables(state)["leads"].num_rows
    state.close()
    return found


def test_what_came_is_said(folder: Path) -> None:
    code, out, _ = pull(folder)
    assert code == 0
    assert out.startswith(
        "hub: 700 records looked at; new: 700 leads, 700 lead changes. 700 leads are to be scored again."
    )
    assert "looked at; new: nothing." in pull(folder)[1]


def test_a_crm_that_does_not_let_us_in(folder: Path, portal: FakePortal) -> None:
    code, out, err = pull(folder, token="pat-wrong-0123456789")
    assert (code, out) == (1, "")
    assert "'hub' does not let us in" in err
    portal.answers.extend([Answer(429, {"Retry-After": "90"}, {"message": "slow down"})])
    code, _, err = pull(folder)
    assert code == 1
    assert "goes on from where it ended" in err


def test_wrong_usage(folder: Path) -> None:
    assert pull(folder, "--since", "soon")[0] == 2
    assert pull(folder, "--since", "2999-01-01")[0] == 2
    code, _, err = pull(folder, "--crm", "nobody")
    assert code == 1
    assert "no [crm.nobody] to pull from" in err


def test_a_killed_pull_goes_on(folder: Path, portal: FakePortal) -> None:
    def kill(path: str) -> None:
        if sum(one.endswith("contacts/search") for one in portal.calls) == 3:
            os.kill(running.pid, signal.SIGKILL)

    environ = {**os.environ, "PYTHONPATH": str(ROOT), "HUBSPOT_TOKEN": TOKEN}
    portal.during = kill
    running = subprocess.Popen([sys.executable, "-c", MAIN, "pull"], cwd=folder, env=environ, stderr=subprocess.DEVNULL)
    assert running.wait(120) == -signal.SIGKILL
    portal.during = lambda path: None
    assert 200 <= leads(folder) < COUNT
    code, out, _ = pull(folder)
    assert code == 0
    assert "It went on where the last pull was cut off." in out
    assert leads(folder) == COUNT
