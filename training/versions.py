"""Which code made a model: versions of the libraries, and the commit of this code when it lies in git."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["code_commit", "library_versions"]

LIBRARIES = ("kizashi", "numpy", "pandas", "scikit-learn", "lightgbm", "duckdb", "ibis-framework", "mlflow", "bentoml")


def library_versions() -> dict[str, str]:
    """Return the installed version of kizashi and of each library that shapes a model."""
    found: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def code_commit() -> str:
    """Return the commit of this code, with ``-dirty`` when it was changed since; ``unknown`` outside git."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    folder = Path(__file__).resolve().parent
    answer = subprocess.run(  # noqa: S603 - fixed arguments, found on the path
        [git, "describe", "--always", "--dirty", "--abbrev=12", "--match=", "--exclude=*"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    return answer.stdout.strip() or "unknown"
