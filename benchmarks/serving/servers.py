"""Starting each server in a process of its own, and what is asked of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from http_load import post
from numpy.typing import NDArray

from crm.api_keys import create_key
from crm.config import Workspace, load_workspace
from crm.known import to_micros
from crm.outcomes import leads_at_risk, observation
from crm.progress import Silent
from crm.state import open_state
from crm.workspace_tables import open_tables
from features.history import known_leads
from models.boosted import ShallowMember
from models.registry import load_model, model_folder, open_store

__all__ = ["Bench", "Started", "prepare", "running"]

ROOT = Path(__file__).parents[2]
START_SECONDS = 180
RATE_PER_MINUTE = 10_000_000
ROWS = 500
"""Different rows that are sent to the peers."""
KIZASHI = "from cli.entry import run; run()"


@dataclass(frozen=True)
class Bench:
    """What is served and asked.

    Parameters
    ----------
    workspace
        A copy of the workspace whose champion is served.
    key
        An API key that may ask for scores.
    lead_ids
        Leads that are held there, in random order.
    model_file
        The champion's shallow member as LightGBM's text.
    pyfunc_folder
        A copy of the champion's pyfunc: from ``models:/`` MLflow writes a file into the registered one, which kizashi
        then refuses as changed.
    columns, rows
        The champion's features of some of the leads, with their names.
    """

    workspace: Workspace
    key: str
    lead_ids: Sequence[str]
    model_file: Path
    pyfunc_folder: Path
    columns: Sequence[str]
    rows: NDArray[np.float64]

    def score_requests(self) -> list[bytes]:
        """One request a lead."""
        return [self._ours("/v1/score", {"lead_id": one}) for one in self.lead_ids]

    def batch_requests(self, size: int) -> list[bytes]:
        """Requests of so many leads each, every lead in one of them."""
        starts = range(0, len(self.lead_ids) - size + 1, size) or (0,)
        return [self._ours("/v1/score/batch", {"lead_ids": self.lead_ids[at : at + size]}) for at in starts]

    def row_requests(self) -> list[bytes]:
        """One request a row, for a bare model."""
        return [post("/v1/score", _json({"row": row})) for row in _with_nulls(self.rows)]

    def frame_requests(self) -> list[bytes]:
        """One request a row, for MLflow."""
        return [
            post("/invocations", _json({"dataframe_split": {"columns": list(self.columns), "data": [row]}}))
            for row in _with_nulls(self.rows)
        ]

    def _ours(self, path: str, content: object) -> bytes:
        return post(path, _json(content), f"Authorization: Bearer {self.key}\r\n")


def _json(content: object) -> bytes:
    return json.dumps(content, allow_nan=False).encode()


def _with_nulls(rows: NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if np.isnan(value) else value for value in row] for row in rows.tolist()]


def prepare(original: Path, folder: Path) -> Bench:
    """Copy a workspace with a champion, lift its rate limit, and gather leads, rows and a key.

    Parameters
    ----------
    original
        The workspace, which stays as it is.
    folder
        An empty folder.
    """
    copied = folder / "workspace"
    shutil.copytree(original, copied)
    file = copied / "kizashi.toml"
    file.write_text(_with_rate_limit(file.read_text(encoding="utf-8")), encoding="utf-8")
    workspace = load_workspace(copied)
    model, now = load_model(workspace), datetime.now(UTC)
    with open_tables(workspace, now, Silent()) as tables:
        until = observation(tables, workspace.config.outcome, now).observed_until
        ids = leads_at_risk(tables, until)["lead_id"].astype(str).to_numpy()
        ids = np.random.default_rng(1).permutation(ids).tolist()
        known = known_leads(tables, ids[:ROWS])
    leads = list(known.values())
    rows = model.bundle.features.rows(leads, np.full(len(leads), to_micros(until), dtype=np.int64))
    shallow = next(one for one in model.bundle.won.members if isinstance(one, ShallowMember))
    (folder / "shallow.txt").write_text(shallow.text, encoding="utf-8")
    with open_store(workspace) as client:
        shutil.copytree(model_folder(client, workspace, model.version), folder / "pyfunc")
    state = open_state(workspace)
    try:
        made = create_key(state, "bench", ("score",), now=now, lifetime=timedelta(days=1))
    finally:
        state.close()
    names = model.bundle.features.names
    return Bench(workspace, made.secret, ids, folder / "shallow.txt", folder / "pyfunc", names, rows)


def _with_rate_limit(text: str) -> str:
    text = re.sub(r"(?m)^\s*rate_per_minute\s*=.*\n", "", text)
    line = f"rate_per_minute = {RATE_PER_MINUTE}\n"
    if re.search(r"(?m)^\[serve\]", text):
        return re.sub(r"(?m)^\[serve\].*\n", lambda found: found[0] + line, text, count=1)
    return f"{text}\n[serve]\n{line}"


@dataclass(frozen=True)
class Started:
    """A server that answers."""

    port: int
    pid: int

    @property
    def cpu_seconds(self) -> float:
        """What the process and its children have worked so far, all threads together."""
        ticks = 0
        for file in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = file.read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.pid:  # the session that was started here
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    @property
    def memory_mb(self) -> float:
        """What the process and its children hold in memory."""
        found = subprocess.run(["ps", "-o", "rss=", "-g", str(self.pid)], capture_output=True, text=True, check=False)
        return sum(map(int, found.stdout.split())) / 1024


@contextmanager
def running(name: str, bench: Bench) -> Iterator[Started]:
    """Run one of the servers: ``kizashi``, ``bentoml``, ``mlflow`` or ``fastapi``."""
    port = _free_port()
    peer = [sys.executable, str(ROOT / "benchmarks" / "serving" / "peers.py")]
    command, probe = {
        "kizashi": ([sys.executable, "-c", KIZASHI, "serve", *_at(bench.workspace.folder, port)], "/readyz"),
        "bentoml": ([*peer, "bentoml", str(bench.model_file), str(port)], "/readyz"),
        "fastapi": ([*peer, "fastapi", str(bench.model_file), str(port)], "/livez"),
        "mlflow": ([sys.executable, "-m", "mlflow", *_mlflow_serve(bench.pyfunc_folder, port)], "/ping"),
    }[name]
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("KIZASHI_", "BENTOML_", "MLFLOW_"))},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # MLflow looks for uvicorn there
        "PYTHONPATH": str(ROOT),
        "OMP_WAIT_POLICY": "PASSIVE",
        "BENTOML_DO_NOT_TRACK": "True",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_TRACKING_URI": bench.workspace.tracking_uri,
    }
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, env=environ, cwd=bench.workspace.folder, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait_for(process, f"http://127.0.0.1:{port}{probe}")
            yield Started(port, process.pid)
        except BaseException:
            log.seek(0)
            print("".join(log.readlines()[-20:]), file=sys.stderr)
            raise
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # the session that was started here, and nothing else
            process.wait(timeout=60)


def _at(folder: Path, port: int) -> list[str]:
    return ["--workspace", str(folder), "--port", str(port)]


def _mlflow_serve(model: Path, port: int) -> list[str]:
    return ["models", "serve", "-m", str(model), "--env-manager", "local", "--port", str(port), "--workers", "1"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(f"no answer from {url}; process ended with {process.poll()}")
