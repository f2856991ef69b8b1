"""The service killed under load, again and again: what it acknowledged is there, once, and its parts fit together."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from crm.config import Workspace, load_workspace
from crm.state import open_state
from crm.state_tables import CURRENT_SCORES, LEDGER, OUTBOX, TOLD
from tests.postgres import own_postgres
from tests.service.running import KEY, WORKSPACE_FILE, free_port, launch, wait_until_ready

KILLS = int(os.environ.get("KIZASHI_TEST_KILLS", "6"))
CLIENTS = 4
SCORES = 240
PATIENCE_S = 60.0
LEADS = 60


@dataclass
class Told:
    """What a client was told is stored."""

    leads: set[str] = field(default_factory=set)
    touches: set[str] = field(default_factory=set)
    scores: dict[int, tuple[str, float]] = field(default_factory=dict)


class Client(threading.Thread):
    """Posts leads and touches and asks for scores, until it is told to end; remembers every answer."""

    def __init__(self, number: int, url: str, told: Told) -> None:
        super().__init__(daemon=True)
        self.number, self.url, self.told = number, url, told
        self.random = random.Random(number)
        self.made = 0
        self.is_over = threading.Event()
        self.odd: list[str] = []

    def run(self) -> None:
        while not self.is_over.is_set():
            try:
                with httpx.Client(base_url=self.url, headers={"X-API-Key": KEY}, timeout=10) as client:
                    while not self.is_over.is_set():
                        self.step(client)
            except httpx.HTTPError:
                time.sleep(0.05)  # it was killed, and is started again

    def step(self, client: httpx.Client) -> None:
        lead_id = f"c{self.number}-{self.random.randrange(LEADS)}"
        now = datetime.now(UTC)
        if lead_id not in self.told.leads:
            lead = {
                "lead_id": lead_id,
                "created_at": (now - timedelta(days=30)).isoformat(),
                "account_id": f"a{self.number}",
            }
            if self.keep(client.post("/v1/leads", json=lead)):
                self.told.leads.add(lead_id)
            return
        if self.random.random() < 0.5:
            self.made += 1
            touch_id = f"t{self.number}-{self.made}"
            touch = {"touch_id": touch_id, "lead_id": lead_id, "kind": "visit", "happened_at": now.isoformat()}
            answer = self.keep(client.post("/v1/touches", json=touch))
            if answer:
                self.told.touches.add(touch_id)
                self.note(answer["scores"])
        else:
            answer = self.keep(client.post("/v1/score", json={"lead_id": lead_id}))
            if answer:
                self.note([answer])

    def keep(self, answer: httpx.Response) -> dict[str, Any] | None:
        if answer.status_code == 200:
            return answer.json()
        if answer.status_code not in (429, 503):
            self.odd.append(f"{answer.status_code} {answer.text[:200]}")
        return None

    def note(self, scores: list[dict[str, Any]]) -> None:
        for score in scores:
            self.told.scores[score["ledger_id"]] = (score["lead_id"], score["score"])


# Nobody listens there: what is to be told waits in the outbox.
HUBSPOT = """
[crm.hub]
kind = "hubspot"
url = "http://127.0.0.1:9"
token = "not-used"
allow_http = true
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def crashing(request: pytest.FixtureRequest, workspace: Workspace, tmp_path: Path) -> Iterator[Workspace]:
    with ExitStack() as stack:
        text = HUBSPOT
        if request.param == "postgresql":
            text = f'state_url = "{stack.enter_context(own_postgres())}"\n' + text  # [serve] is the file's last table
        folder = tmp_path / "workspace"
        shutil.copytree(workspace.folder, folder, ignore=shutil.ignore_patterns(".kizashi"))
        (folder / "kizashi.toml").write_text(WORKSPACE_FILE + text, encoding="utf-8")
        yield load_workspace(folder)


@pytest.mark.slow
def test_what_was_acknowledged_survives_kill_9(crashing: Workspace, tmp_path: Path) -> None:
    told = [Told() for _ in range(CLIENTS)]
    port = free_port()
    clients = [Client(number, f"http://127.0.0.1:{port}", told[number]) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for turn in range(KILLS):
            log = tmp_path / f"log-{turn}.txt"
            process = launch(crashing.folder, log, port)
            wait_until_ready(port, process, log)
            wait_for_scores(told, SCORES // KILLS + 1)
            time.sleep(random.Random(turn).uniform(0.3, 1.2))
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=20)
    finally:
        for client in clients:
            client.is_over.set()
        for client in clients:
            client.join(timeout=20)
    assert [client.odd for client in clients] == [[]] * CLIENTS
    check_state(crashing, told)


def wait_for_scores(told: list[Told], more: int) -> None:
    """Let clients be told so many more scores, however slow the machine is: else a kill would say nothing."""
    wanted = sum(len(one.scores) for one in told) + more
    deadline = time.monotonic() + PATIENCE_S
    while sum(len(one.scores) for one in told) < wanted:
        assert time.monotonic() < deadline, f"{more} scores were not answered in {PATIENCE_S:.0f} s"
        time.sleep(0.02)


def check_state(workspace: Workspace, told: list[Told]) -> None:
    state = open_state(workspace)
    with state.reading() as connection:
        leads = list(connection.execute(sa.select(TOLD["leads"].c.lead_id)).scalars())
        touches = list(connection.execute(sa.select(TOLD["touches"].c.touch_id)).scalars())
        ledger = {row.seq: row for row in connection.execute(sa.select(LEDGER))}
        current = {row.lead_id: row for row in connection.execute(sa.select(CURRENT_SCORES))}
        outbox = {row.lead_id: row for row in connection.execute(sa.select(OUTBOX))}
        if state.is_sqlite:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    state.close()
    assert {lead for one in told for lead in one.leads} <= set(leads)
    assert {touch for one in told for touch in one.touches} <= set(touches)
    assert len(leads) == len(set(leads))
    assert len(touches) == len(set(touches))
    scores = {seq: score for one in told for seq, score in one.scores.items()}
    assert len(scores) == sum(len(one.scores) for one in told), "two answers with one number"
    assert {seq: (ledger[seq].lead_id, ledger[seq].score) for seq in scores} == scores
    newest: dict[str, int] = {}
    for seq, row in ledger.items():
        newest[row.lead_id] = max(seq, newest.get(row.lead_id, 0))
    assert set(current) == set(newest) == set(outbox)
    assert len(scores) > 200, "too little was asked for the test to say anything"
    for lead_id, seq in newest.items():
        assert current[lead_id].score == ledger[current[lead_id].seq].score
        assert outbox[lead_id].seq == seq, "the newest score waits to be told"
