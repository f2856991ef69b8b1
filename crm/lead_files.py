"""Putting files that name leads beside a workspace, so that no erasure is undone by one that was begun before it.

A command that runs for minutes has read its leads before an erasure and writes them down after it. So whoever puts such
a file in its place holds a lock meanwhile and asks once more who was erased; an erasure first writes its tombstones and
then, under the same lock, goes through the files. One of the two sees the other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from crm.config import Workspace
from crm.lead_hashes import left_out_leads
from crm.leases import has_ended, pid_space

__all__ = ["Erased", "files_alone", "placing_leads", "remove_unfinished", "unfinished_of"]

Erased = Callable[[Sequence[str]], set[str]]
"""Returns those of some leads that were erased."""
_ENDING = ".unfinished"
LEFT_BEHIND_S = 86_400.0
"""Of a process that nobody here can look at, a file that was not written to for so long is taken for left behind."""


@contextmanager
def files_alone(workspace: Workspace) -> Generator[None]:
    """Hold the files of leads of a workspace, as its only process and thread; another waits."""
    path = workspace.folder / ".kizashi" / "files.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given up when the file is closed
        yield


@contextmanager
def placing_leads(workspace: Workspace) -> Generator[Erased | None]:
    """Hold the files of leads, and be told which of some leads were erased until now: the file may not name them.

    None where nobody was: then nothing has to be looked through.
    """
    with files_alone(workspace):
        yield left_out_leads(workspace, with_objections=False)


def unfinished_of(path: Path) -> Path:
    """Return where a file is written before it is put in its place: beside it, under a name of this process' own."""
    return path.with_name(f"{path.name}.{_place()}-{os.getpid()}{_ENDING}")


def _place() -> str:
    """Name what process ids are counted in: this machine, or a container of it."""
    return hashlib.sha256(f"{socket.gethostname()}:{pid_space()}".encode()).hexdigest()[:12]


def remove_unfinished(root: Path) -> None:
    """Delete what processes have left behind that died while they wrote: nobody would look for leads there.

    Call it under :func:`files_alone`.
    """
    for path in root.rglob(f"*{_ENDING}"):
        place, _, pid = path.name.removesuffix(_ENDING).rpartition(".")[2].partition("-")
        is_ours = place == _place() and pid.isdecimal()
        if has_ended(int(pid)) if is_ours else time.time() - path.stat().st_mtime > LEFT_BEHIND_S:
            path.unlink(missing_ok=True)
