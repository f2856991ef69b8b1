"""How a service is trained for and started in a process of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from crm.config import Workspace, load_workspace

ROOT = Path(__file__).parents[2]
KEY = "test-key-0123456789-0123456789-0123456789"
MAX_BODY = 60_000
MAX_BATCH = 12
START_SECONDS = 120

WORKSPACE_FILE = f"""
[source]
url = "demo://?leads=1000&seed=7"
[value]
margin = 0.4
touch_cost = 50
capacity_per_week = 20
[serve]
max_body_bytes = {MAX_BODY}
max_batch = {MAX_BATCH}
"""

# In a process of its own: MLflow and LightGBM warn while they train, and warnings are errors here.
TRAIN = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from crm.config import load_workspace
from crm.progress import Silent
from models.registry import open_store, set_alias
from training.train import train
workspace = load_workspace(Path(sys.argv[1]))
result = train(workspace, as_of=None, now=datetime.now(UTC), progress=Silent())
with open_store(workspace) as client:
    set_alias(client, "champion", result.model_version)
"""

SERVE = """
import sys
from pathlib import Path
from cli.serve import serve
from crm.config import load_workspace
from crm.errors import KizashiError
try:
    sys.exit(serve(load_workspace(Path(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2])))
except KizashiError as error:
    sys.exit(f"REFUSED {error}")
"""


def environment(**more: str) -> dict[str, str]:
    """What a child process is given; nothing of kizashi's own leaks in from outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KIZASHI_", "BENTOML_"))}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """A running service."""

    port: int
    log: Path
    seconds_to_start: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"The server ended at once:\n{log.read_text()}")
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail(f"The server was not ready after {START_SECONDS} s:\n{log.read_text()}")


def copied(workspace: Workspace, folder: Path) -> Workspace:
    """Copy a trained workspace without its state: one process serves a state that is a file."""
    shutil.copytree(workspace.folder, folder, ignore=shutil.ignore_patterns(".kizashi"))
    return load_workspace(folder)


def launch(folder: Path, log: Path, port: int) -> subprocess.Popen[bytes]:
    """Start to serve a trained workspace in a process of its own."""
    with log.open("w") as stream:
        return subprocess.Popen(
            [sys.executable, "-c", SERVE, str(folder), str(port)],
            env=environment(KIZASHI_API_KEY=KEY),
            cwd=log.parent,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )


@contextmanager
def serving(folder: Path, log: Path) -> Iterator[Server]:
    """Serve a trained workspace in a process of its own, and end it afterwards."""
    port, started = free_port(), time.monotonic()
    process = launch(folder, log, port)
    try:
        wait_until_ready(port, process, log)
        yield Server(port, log, time.monotonic() - started)
    finally:
        process.terminate()
        process.wait(timeout=20)
