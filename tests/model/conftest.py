"""One small trained workspace, made once for the tests of training and of the registry."""

from __future__ import annotations

import json
import shutil
import sqlite3
import warnings
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crm.config import Workspace, load_workspace
from crm.progress import Silent
from training.train import TrainResult, train

NOW = datetime(2026, 9, 1, tzinfo=UTC)
KEY = "a key of the tests"
DEMO = """
[source]
url = "demo://?leads=2500&seed=3"
[value]
margin = 0.4
touch_cost = 50
capacity_per_week = 20
"""


@dataclass(frozen=True)
class Trained:
    """A workspace with one version, and what training said of it."""

    workspace: Workspace
    result: TrainResult


def train_in(folder: Path, text: str = DEMO, **changes: Any) -> Trained:
    """Write a workspace file and train there."""
    (folder / "kizashi.toml").write_text(text, encoding="utf-8")
    workspace = load_workspace(folder)
    arguments: Mapping[str, Any] = {"as_of": None, "now": NOW, "progress": Silent(), **changes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow and its database layer warn of their own affairs
        return Trained(workspace, train(workspace, **arguments))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Signed, so that tests may look with and without the key."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:  # undone at once: tests of other folders run in the same process
        patch.setenv("KIZASHI_SIGNING_KEY", KEY)
        return train_in(folder)


@pytest.fixture(autouse=True)
def signing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is there for every test of this folder, and for none of the others."""
    monkeypatch.setenv("KIZASHI_SIGNING_KEY", KEY)


class Copy:
    """A copy of a trained workspace that a test may damage."""

    def __init__(self, source: Workspace, folder: Path) -> None:
        shutil.copytree(source.folder, folder, dirs_exist_ok=True)
        self.workspace = load_workspace(folder)
        self.database = folder / "mlruns" / "mlflow.db"
        # MLflow keeps absolute addresses: point them at the copy.
        self._execute_everywhere(str(source.folder), str(folder))

    def _execute_everywhere(self, old: str, new: str) -> None:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                for column in [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]:
                    if "uri" in column or "location" in column or column in ("source", "storage_location"):
                        connection.execute(f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?)', (old, new))

    @property
    def bundle(self) -> Path:
        """Folder of the bundle."""
        return next(self.workspace.artifacts_folder.rglob("model.json")).parent

    @property
    def model(self) -> Path:
        """Folder of the registered model's files."""
        return self.bundle.parent.parent

    def tag(self, name: str) -> str:
        """Return a tag of the version."""
        with closing(sqlite3.connect(self.database)) as connection:
            return str(connection.execute("SELECT value FROM model_version_tags WHERE key = ?", (name,)).fetchone()[0])

    def set_tag(self, name: str, value: object) -> None:
        """Write a tag of the version behind the registry's back; None removes it."""
        text = value if isinstance(value, str) else json.dumps(value)
        with closing(sqlite3.connect(self.database)) as connection, connection:
            if value is None:
                connection.execute("DELETE FROM model_version_tags WHERE key = ?", (name,))
            else:
                connection.execute("UPDATE model_version_tags SET value = ? WHERE key = ?", (text, name))


@pytest.fixture
def copy(trained: Trained, tmp_path: Path) -> Copy:
    return Copy(trained.workspace, tmp_path / "copy")
