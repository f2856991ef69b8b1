"""``kizashi push`` as a process: what it says, its exit codes, and what a kill in the middle leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from crm.config import load_workspace
from crm.state import State, open_state
from tests.e2e.command import MAIN, ROOT, kizashi
from tests.fakes.hubspot import TOKEN, FakeHubSpot
from tests.fakes.made_scores import made_scores, queue, told_leads, waiting_leads
from tests.fakes.serving import serving

FILE = """
[source]
url = "demo://"
[crm.hub]
kind = "hubspot"
url = "{address}"
token = "${{HUBSPOT_TOKEN}}"
"""


@pytest.fixture
def portal() -> FakeHubSpot:
    return FakeHubSpot({str(number): {} for number in range(1, 401)})


@pytest.fixture
def folder(portal: FakeHubSpot, tmp_path: Path) -> Generator[Path]:
    with serving(portal.app()) as address:
        (tmp_path / "kizashi.toml").write_text(FILE.format(address=address), encoding="utf-8")
        yield tmp_path


@pytest.fixture
def state(folder: Path) -> Generator[State]:
    workspace = load_workspace(folder, environ={"HUBSPOT_TOKEN": TOKEN})
    opened = open_state(workspace)
    queue(opened, workspace.config.crm["hub"], made_scores(map(str, range(1, 401))), name="hub")
    yield opened
    opened.close()


def push(folder: Path, *args: str, token: str = TOKEN) -> tuple[int, str, str]:
    ran = kizashi("push", *args, cwd=folder, environ={"HUBSPOT_TOKEN": token})
    assert token not in ran.out + ran.err
    return ran.code, ran.out, ran.err


def test_all_is_told_and_said(folder: Path, state: State, portal: FakeHubSpot) -> None:
    code, out, err = push(folder)
    assert (code, out) == (0, "hub: 400 told, 0 wait, 0 refused in all.\n")
    assert "Telling hub" in err
    assert all(len(contact) == 6 for contact in portal.contacts.values())
    assert waiting_leads(state) == {}
    assert push(folder)[:2] == (0, "hub: 0 told, 0 wait, 0 refused in all.\n")


def test_refused_scores_need_a_person(folder: Path, state: State, portal: FakeHubSpot) -> None:
    portal.invalid = frozenset({"17"})
    code, out, _ = push(folder)
    assert code == 3
    assert "Property values were not valid for 17" in out
    assert "kizashi push --retry-dead" in out
    assert push(folder, "--dead-letters")[0] == 3
    portal.invalid = frozenset()
    assert push(folder, "--retry-dead", "--json")[0] == 0
    assert push(folder, "--dead-letters")[:2] == (0, "No refused scores.\n")
    assert len(told_leads(state)) == 400


def test_a_wrong_key_says_what_to_do(folder: Path, state: State) -> None:
    code, _, err = push(folder, token="pat-eu1-wrong-wrong-wrong")
    assert code == 1
    assert "renew the key of [crm.hub]" in err
    assert len(waiting_leads(state)) == 400


def test_an_unknown_crm_is_named(folder: Path) -> None:
    code, _, err = push(folder, "--crm", "hup")
    assert code == 1
    assert "expected one of hub" in err


def test_a_kill_between_answer_and_note_loses_nothing(folder: Path, state: State, portal: FakeHubSpot) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "push"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HUBSPOT_TOKEN": TOKEN},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def kill_at_the_third() -> None:
        if portal.calls == 3:
            process.send_signal(signal.SIGKILL)
            process.wait(20)

    portal.during = kill_at_the_third
    assert process.wait(60) == -signal.SIGKILL
    assert len(told_leads(state)) == 200
    assert len(waiting_leads(state)) == 200
    assert sum(bool(contact) for contact in portal.contacts.values()) >= 200
    portal.during = lambda: None
    assert push(folder)[:2] == (0, "hub: 200 told, 0 wait, 0 refused in all.\n")
    assert len(told_leads(state)) == 400
    assert portal.sizes == [100] * 5
