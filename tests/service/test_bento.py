"""A built bento, served by BentoML in an empty folder by its own code, with neither registry nor source at hand."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import packages_distributions
from pathlib import Path

import httpx
import psutil
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from crm.config import Workspace
from tests.service.running import KEY, ROOT, Server, environment, free_port, wait_until_ready

pytestmark = pytest.mark.slow

# Starts the service without its HTTP, the way the worker does, and tells what was imported on the way.
START = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
os.chdir(sys.argv[1])
import cli.packed_commands
from crm.errors import KizashiError
from serving.runtime import Runtime, settings_from
import serving.service
runtime = Runtime(lambda: settings_from(os.environ))
try:
    runtime.start()
except KizashiError as error:
    sys.exit(f"REFUSED {error}")
runtime.look_for_challenger()
assert runtime.model_of("0") is None
runtime.close()
print(json.dumps({"imported": sorted({name.partition(".")[0] for name in sys.modules}),
                  "cli": sorted(name.partition(".")[2] for name in sys.modules if name.startswith("cli.")),
                  "code": serving.service.__file__}))
"""
TEXTS = {".py", ".json", ".yaml", ".txt", ".sh", ".md", ".toml", ".j2", ".template", ""}


@dataclass(frozen=True)
class Bento:
    """What was built."""

    tag: str
    folder: Path
    home: Path
    dockerfile: str

    @property
    def code(self) -> Path:
        return self.folder / "src"


@pytest.fixture(scope="module")
def bento(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Bento:
    home, out = tmp_path_factory.mktemp("bentoml"), tmp_path_factory.mktemp("recipe") / "Dockerfile"
    command = ["bento", "--workspace", str(workspace.folder), "--tag", "leads:1", "--dockerfile", str(out), "--json"]
    ran = subprocess.run(
        [sys.executable, "-m", "cli", *command],
        env=environment(BENTOML_HOME=str(home)),
        cwd=out.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert (said["tag"], said["model_version"]) == ("leads:1", "1")
    return Bento(said["tag"], Path(said["folder"]), home, out.read_text())


def _without_code(**more: str) -> dict[str, str]:
    """An environment in which kizashi is to be found nowhere but in the bento."""
    return {name: value for name, value in environment(**more).items() if name != "PYTHONPATH"}


@contextmanager
def _served(what: str, folder: Path, log: Path, env: dict[str, str]) -> Iterator[Server]:
    """Serve with ``bentoml serve``, and kill supervisor and worker at the end, as a loss of the machine would."""
    port, started = free_port(), time.monotonic()
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "bentoml", "serve", what, "--host", "127.0.0.1", "--port", str(port)],
            env={**env, "KIZASHI_API_KEY": KEY, "BENTOML_DO_NOT_TRACK": "True"},
            cwd=folder,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_until_ready(port, process, log)
            yield Server(port, log, time.monotonic() - started)
        finally:
            # Workers have sessions of their own: one that outlived the supervisor would go on serving the state.
            workers = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            os.killpg(process.pid, signal.SIGKILL)
            for worker in workers:
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
            process.wait(timeout=20)
            psutil.wait_procs(workers, timeout=20)


def _client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=30)


def _started(code: Path, state: Path) -> subprocess.CompletedProcess[str]:
    env = _without_code(KIZASHI_API_KEY=KEY, KIZASHI_WORKSPACE=str(state))
    return subprocess.run(
        [sys.executable, "-c", START, str(code)], env=env, capture_output=True, text=True, check=False
    )


def test_it_serves_in_an_empty_folder_and_what_it_was_told_survives_a_kill(bento: Bento, tmp_path: Path) -> None:
    empty, state = tmp_path / "empty", tmp_path / "state"
    empty.mkdir()
    env = _without_code(BENTOML_HOME=str(bento.home), KIZASHI_WORKSPACE=str(state))
    created = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    visited = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    touch = {"touch_id": "T1", "lead_id": "L1", "happened_at": visited, "kind": "visit"}

    with _served(bento.tag, empty, tmp_path / "first.txt", env) as server, _client(server) as client:
        given = client.post("/v1/score", json={"lead": {"lead_id": "G1", "created_at": created}, "touches": []})
        assert given.status_code == 200
        assert client.post("/v1/leads", json={"lead_id": "L1", "created_at": created}).status_code == 200
        assert client.post("/v1/touches", json=touch).json()["stored"] == 1
        score = client.post("/v1/score", json={"lead_id": "L1"}).json()["score"]
    log = (tmp_path / "first.txt").read_text()
    assert f"(packed), by the code in {bento.code};" in log

    with _served(bento.tag, empty, tmp_path / "second.txt", env) as server, _client(server) as client:
        again = client.post("/v1/score", json={"lead_id": "L1"})
        assert again.status_code == 200
        assert again.json()["score"] == pytest.approx(score, abs=0.1)
        assert client.post("/v1/touches", json=touch).json()["repeated"] == 1
    assert list(empty.iterdir()) == []
    assert (state / ".kizashi" / "state.db").is_file()
    assert not (bento.code / ".kizashi").exists()


def test_it_starts_without_mlflow_and_imports_only_what_is_pinned(bento: Bento, tmp_path: Path) -> None:
    from cli.packed_commands import MODULES

    ran = _started(bento.code, tmp_path / "state")
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert Path(said["code"]).is_relative_to(bento.code)
    assert not {"mlflow", "training", "alignment"} & set(said["imported"])
    assert set(said["cli"]) | {"__init__", "__main__", "entry"} == set(MODULES)
    pins = (bento.folder / "env/python/requirements.txt").read_text().splitlines()
    pinned = {canonicalize_name(Requirement(line).name) for line in pins}
    where = packages_distributions()
    loaded = {canonicalize_name(name) for top in said["imported"] for name in where.get(top, ())}
    # Setuptools hooks into every start of Python here; kizashi is installed here, but not where a bento runs; the last
    # is tried and done without.
    assert loaded - pinned <= {"setuptools", "kizashi", "charset-normalizer"}


def test_the_pins_name_versions_and_no_address(bento: Bento) -> None:
    pins = (bento.folder / "env/python/requirements.txt").read_text().splitlines()
    assert [line for line in pins if not re.fullmatch(r"[a-z0-9-]+==[\w.+!]+", line)] == []
    assert sum(line.startswith("bentoml==") for line in pins) == 1
    assert not any(line.startswith("mlflow") for line in pins)
    assert "PIP_ARGS=()" in (bento.folder / "env/python/install.sh").read_text()


def test_nothing_of_this_machine_is_packed(bento: Bento, workspace: Workspace) -> None:
    texts = [path for path in bento.folder.rglob("*") if path.is_file() and path.suffix in TEXTS]
    ours = [str(workspace.folder), str(ROOT), str(bento.home), KEY]
    # MLmodel is a file of the registered version, whose hash covers the path that MLflow wrote into it.
    named = [path for path in texts if path.name != "MLmodel" and any(one in path.read_text() for one in ours)]
    assert named == []
    assert not any(
        path.name in (".kizashi", "mlruns", "tests", "training", "state.db") for path in bento.code.rglob("*")
    )
    assert (bento.code / "packed/kizashi.toml").read_bytes() == (workspace.folder / "kizashi.toml").read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "packed/champion/files/data/bundle/model.json",
        "packed/champion/line_in_force.json",
        "packed/champion/manifest.json",
        "packed/kizashi.toml",
        "packed/packed.json",
    ],
)
def test_a_changed_file_is_refused(bento: Bento, tmp_path: Path, name: str) -> None:
    code = tmp_path / "code"
    shutil.copytree(bento.code, code)
    content = (code / name).read_bytes()
    (code / name).write_bytes(content[:-20])
    ran = _started(code, tmp_path / "state")
    assert ran.returncode != 0
    assert "REFUSED Found" in ran.stderr


def test_its_command_makes_keys_and_does_not_train(bento: Bento, tmp_path: Path) -> None:
    env = _without_code(KIZASHI_WORKSPACE=str(tmp_path / "state")) | {"PYTHONPATH": str(bento.code)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cli", *words]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    made = run("keys", "create", "web", "--scope", "score", "--json")
    assert made.returncode == 0, made.stderr
    assert "web" in run("keys", "list").stdout
    assert run("train").returncode == 2


def test_the_recipe(bento: Bento) -> None:
    lines = bento.dockerfile.splitlines()
    base = next(line for line in lines if line.startswith("FROM "))
    assert base.startswith(f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-")
    assert [line.split()[1] for line in lines if line.startswith("USER ")][-1] == "bentoml"
    assert "EXPOSE 3000" in lines
    assert "VOLUME $KIZASHI_WORKSPACE" in lines
    assert any(line.startswith("ARG KIZASHI_WORKSPACE=/var/lib/kizashi") for line in lines)
    (health,) = [line for line in lines if line.startswith("HEALTHCHECK ")]
    assert "/readyz" in health
    assert "libgomp1" in bento.dockerfile
    assert "KIZASHI_API_KEY" not in bento.dockerfile
    own = (bento.folder / "env/docker/Dockerfile").read_text()
    assert "HEALTHCHECK" in own


def test_bentoml_serves_a_workspace_from_the_checkout(workspace: Workspace, tmp_path: Path) -> None:
    env = environment(KIZASHI_WORKSPACE=str(workspace.folder), BENTOML_HOME=str(tmp_path / "home"))
    with (
        _served("serving.service:ScoringService", ROOT, tmp_path / "log.txt", env) as server,
        _client(server) as client,
    ):
        lead = {"lead_id": "G1", "created_at": (datetime.now(UTC) - timedelta(days=3)).isoformat()}
        assert client.post("/v1/score", json={"lead": lead, "touches": []}).status_code == 200
        assert httpx.post(f"{server.url}/v1/score", json={"lead": lead, "touches": []}).status_code == 401
    log = (tmp_path / "log.txt").read_text()
    assert log.count("answers (registry)") == 1
