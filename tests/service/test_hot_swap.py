"""Another champion is put in the place of the one that answers, without a request that fails."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from crm.config import Workspace, load_workspace
from crm.state import open_state
from crm.state_tables import LEDGER, SHADOW_SCORES
from models.registry import MODEL, open_store, set_alias
from tests.service.running import KEY, Server, serving

CLIENTS = 4
PATIENCE_S = 60.0


@pytest.fixture
def swapped(workspace: Workspace, tmp_path: Path) -> Workspace:
    """The trained workspace, with its version registered once more under another number."""
    folder = tmp_path / "workspace"
    shutil.copytree(workspace.folder, folder, ignore=shutil.ignore_patterns(".kizashi"))
    copy = load_workspace(folder)
    with open_store(copy) as client:
        first = client.get_model_version(MODEL, "1")
        again = client.create_model_version(MODEL, first.source, first.run_id, tags=dict(first.tags))
        assert str(again.version) == "2"
    return copy


class Caller(threading.Thread):
    """Asks for scores until it is told to end."""

    def __init__(self, url: str, lead_id: str) -> None:
        super().__init__(daemon=True)
        self.url, self.lead_id = url, lead_id
        self.statuses: list[int] = []
        self.versions: list[str] = []
        self.is_over = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self.url, headers={"X-API-Key": KEY}, timeout=30) as client:
            while not self.is_over.is_set():
                answer = client.post("/v1/score", json={"lead_id": self.lead_id})
                self.statuses.append(answer.status_code)
                self.versions.append(answer.json().get("model_version", ""))


@contextmanager
def calling(server: Server) -> Iterator[tuple[httpx.Client, list[Caller]]]:
    created = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    with httpx.Client(base_url=server.url, headers={"X-API-Key": KEY}, timeout=30) as client:
        for number in range(CLIENTS):
            lead = {"lead_id": f"swap-{number}", "created_at": created}
            assert client.post("/v1/leads", json=lead).status_code == 200
        callers = [Caller(server.url, f"swap-{number}") for number in range(CLIENTS)]
        for caller in callers:
            caller.start()
        yield client, callers
        for caller in callers:
            caller.is_over.set()
        for caller in callers:
            caller.join(timeout=30)


def wait_for_version(client: httpx.Client, version: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while client.get("/v1/model").json()["model_version"] != version:
        assert time.monotonic() < deadline, f"version {version} does not answer after {PATIENCE_S:.0f} s"
        time.sleep(0.2)


@pytest.mark.slow
def test_a_new_champion_answers_without_a_failed_request(swapped: Workspace, tmp_path: Path) -> None:
    with serving(swapped.folder, tmp_path / "log.txt") as server, calling(server) as (client, callers):
        wait_for_version(client, "1")
        time.sleep(1.0)
        with open_store(swapped) as store:
            set_alias(store, "champion", "2")
        wait_for_version(client, "2")
        time.sleep(1.0)
        ledger = client.get("/v1/leads/swap-0/scores", params={"limit": 100}).json()["scores"]
        for caller in callers:
            caller.is_over.set()
    for caller in callers:
        assert set(caller.statuses) == {200}
        assert caller.versions == sorted(caller.versions)
        assert set(caller.versions) == {"1", "2"}
    newest = [row["model_version"] for row in ledger]
    assert newest[0] == "2"
    change = next((row for row, before in pairwise(ledger) if before["model_version"] == "1"), None)
    if change is not None:  # the same model under another number: time moved the score, the model did not
        assert change["moved"]["model"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.slow
def test_the_challenger_scores_the_same_leads_for_comparison(swapped: Workspace, tmp_path: Path) -> None:
    with serving(swapped.folder, tmp_path / "log.txt") as server, calling(server) as (client, callers):
        for caller in callers:
            caller.is_over.set()
        with open_store(swapped) as store:
            set_alias(store, "challenger", "2")  # while the service runs
        state = open_state(swapped)
        deadline = time.monotonic() + PATIENCE_S
        shadows: list[Any] = []
        while not shadows:
            assert time.monotonic() < deadline, "the challenger was never asked"
            assert client.post("/v1/score", json={"lead_id": "swap-0"}).json()["model_version"] == "1"
            time.sleep(0.5)
            with state.reading() as connection:
                both = sa.select(SHADOW_SCORES, LEDGER.c.score_unclipped.label("champion"))
                shadows = list(connection.execute(both.join(LEDGER, LEDGER.c.seq == SHADOW_SCORES.c.seq)))
        state.close()
    assert {row.model_version for row in shadows} == {"2"}
    for row in shadows:  # the same model under another number, asked as of the same moment
        assert row.score_unclipped == pytest.approx(row.champion, abs=1e-9)


@pytest.mark.slow
def test_the_last_good_champion_answers_while_the_registry_is_away(swapped: Workspace, tmp_path: Path) -> None:
    with serving(swapped.folder, tmp_path / "first.txt"):
        pass
    (swapped.folder / "mlruns").rename(swapped.folder / "mlruns-away")
    with (
        serving(swapped.folder, tmp_path / "second.txt") as server,
        httpx.Client(base_url=server.url, headers={"X-API-Key": KEY}, timeout=30) as client,
    ):
        lead = {"lead": {"lead_id": "x", "created_at": "2026-01-01T00:00:00Z"}, "touches": []}
        assert client.post("/v1/score", json=lead).json()["model_version"] == "1"
    kept = swapped.folder / ".kizashi" / "champion" / "files"
    document = next(kept.rglob("model.json"))
    document.write_text(document.read_text(encoding="utf-8").replace("0.1", "0.2", 1), encoding="utf-8")
    with (
        pytest.raises(pytest.fail.Exception, match="other content than was registered"),
        serving(swapped.folder, tmp_path / "third.txt"),
    ):
        pass
