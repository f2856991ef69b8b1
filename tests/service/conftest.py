"""One small trained workspace and one real server on a free port, made once for all service tests."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

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
    wait_until_ready,
)


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
