"""One small trained workspace and one real server on a free port, made once for all service tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from crm.config import Workspace, load_workspace
from tests.service.running import (
    KEY,
    SERVE,
    TRAIN,
    WORKSPACE_FILE,
    Server,
    environment,
    free_port,
    serving,
    wait_until_ready,
)
from tests.service.senders import HOOKS_FILE


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "kizashi.toml").write_text(WORKSPACE_FILE, encoding="utf-8")
    subprocess.run([sys.executable, "-c", TRAIN, str(folder)], env=environment(), cwd=folder, check=True)
    return load_workspace(folder)


@pytest.fixture(scope="session")
def server(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port, log = free_port(), tmp_path_factory.mktemp("server") / "log.txt"
    started = time.monotonic()
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(workspace.folder), str(port)],
            env=environment(KIZASHI_API_KEY=KEY),
            cwd=log.parent,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(port, process, log)
            yield Server(port, log, time.monotonic() - started)
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=30) as opened:
        yield opened


@pytest.fixture(scope="session")
def hooked(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The trained workspace once more, with secrets of webhooks."""
    folder = tmp_path_factory.mktemp("hooks") / "workspace"
    shutil.copytree(workspace.folder, folder)
    (folder / "kizashi.toml").write_text(WORKSPACE_FILE + HOOKS_FILE, encoding="utf-8")
    return load_workspace(folder)


@pytest.fixture(scope="session")
def hook_server(hooked: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(hooked.folder, tmp_path_factory.mktemp("hook-server") / "log.txt") as started:
        yield started


@pytest.fixture(scope="session")
def sender(hook_server: Server) -> Iterator[httpx.Client]:
    """Somebody without an API key."""
    with httpx.Client(base_url=hook_server.url, timeout=30) as opened:
        yield opened


@pytest.fixture(scope="session")
def contact(hook_server: Server) -> str:
    """A contact that was posted, and visited once."""
    with httpx.Client(base_url=hook_server.url, headers={"X-API-Key": KEY}, timeout=30) as owner:
        lead = {"lead_id": "901", "created_at": _at(500), "source": "webinar", "company_size": "51-200"}
        assert owner.post("/v1/leads", json=lead).status_code == 200
        touch = {"lead_id": "901", "happened_at": _at(30), "recorded_at": _at(30), "kind": "visit"}
        assert owner.post("/v1/touches", json=touch).status_code == 200
    return "901"


def _at(hours_ago: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours_ago)).isoformat()
