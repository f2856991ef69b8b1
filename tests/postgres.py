"""A PostgreSQL of the tests' own, on a socket, where the program is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/bin", "/usr/bin")
USER = "postgres"


@contextmanager
def own_postgres() -> Iterator[str]:
    """Start a server that nobody else reaches, and return its address; without the program the test is skipped."""
    programs = _programs()
    if programs is None or (os.getuid() == 0 and shutil.which("runuser") is None):
        pytest.skip("PostgreSQL is not installed")
    # The socket's path has to be short, and the server refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    if os.getuid() == 0:
        shutil.chown(folder, USER)
    run = ["runuser", "-u", USER, "--"] if os.getuid() == 0 else []
    data = folder / "data"
    _call([*run, str(programs / "initdb"), "-D", str(data), "-U", USER, "-A", "trust", "-N", "-E", "UTF8"], folder)
    control = [*run, str(programs / "pg_ctl"), "-D", str(data), "-w"]
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    _call([*control, "-o", options, "-l", str(folder / "log"), "start"], folder)
    try:
        yield f"postgresql://{USER}@/postgres?host={folder}"
    finally:
        _call([*control, "-m", "immediate", "stop"], folder)
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    found = [path for place in PLACES for path in Path("/").glob(place.lstrip("/")) if (path / "initdb").exists()]
    return found[-1] if found else None


def _call(command: list[str], folder: Path) -> None:
    # What a server inherits stays open: a pipe would never end.
    subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
    )
