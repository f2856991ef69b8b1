"""One small workspace, trained once by the real command for all end-to-end tests."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import command
from tests.e2e.command import Ran
from tests.e2e.tryton_server import install


@dataclass(frozen=True)
class Trained:
    """A trained workspace, and what training printed."""

    folder: Path
    ran: Ran


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # the workers' folders lie side by side
    folder, printed = shared / "trained" / "workspace", shared / "trained" / "printed.json"
    folder.mkdir(parents=True, exist_ok=True)
    with (shared / "trained" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.exists():
            ran = command.train_workspace(folder)
            printed.write_text(json.dumps([ran.code, ran.out, ran.err]), encoding="utf-8")
    return Trained(folder, Ran(*json.loads(printed.read_text(encoding="utf-8"))))


@pytest.fixture(scope="session")
def tryton_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tryton, installed once for all tests of a worker."""
    return install(tmp_path_factory.mktemp("programs"))


@pytest.fixture
def copied(trained: Trained, tmp_path: Path) -> Path:
    """A copy that a test may change; the models' files stay where they were logged."""
    return Path(shutil.copytree(trained.folder, tmp_path / "workspace"))
