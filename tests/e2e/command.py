"""The real command in a process of its own, and the small workspace that it is tried on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MAIN = "from cli.entry import run; run()"
CUTOFF = "2026-06-30"

# Two moments a lead instead of the usual seven or more: training takes seconds that way.
WORKSPACE_FILE = """
[workspace]
name = "small"
timezone = "Asia/Tokyo"
[source]
url = "demo://?leads=2500&seed=7"
[snapshots]
creation = true
random_per_lead = 1
[value]
margin = 0.8
touch_cost = 60
capacity_per_week = 3
"""


@dataclass(frozen=True)
class Ran:
    """What one run of the command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def kizashi(*args: str | Path, cwd: Path, environ: dict[str, str] | None = None, timeout: float = 600) -> Ran:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KIZASHI_")}
    given = {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **(environ or {})}
    ran = subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, args)],
        cwd=cwd,
        env=given,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def train_workspace(folder: Path) -> Ran:
    """Write the small workspace and train it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kizashi.toml").write_text(WORKSPACE_FILE, encoding="utf-8")
    return kizashi("train", "--json", cwd=folder)
