"""Packing the service: a folder with code, champion, workspace file and pins, from which BentoML builds a bento."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crm.config import Workspace
from crm.errors import KizashiError
from crm.packed import WORKSPACE_VARIABLE, Packed, write_packed
from models.kept_bundle import keep_bundle
from models.registry import verified_version
from serving.pins import pinned

__all__ = ["Built", "PackingError", "build_bento", "write_context", "write_dockerfile"]

CODE = Path(__file__).resolve().parents[1]
PACKAGES = ("crm", "pages", "features", "models", "serving")
"""Packed whole; of ``cli`` only the modules of the commands that a service without a registry has."""
SERVICE = "serving.service:ScoringService"
IMAGE_STATE = "/var/lib/kizashi"
_TEMPLATE, _REQUIREMENTS = "Dockerfile.j2", "requirements.txt"
_BUILD_MINUTES = 10


class PackingError(KizashiError):
    """No bento can be built here."""


@dataclass(frozen=True)
class Built:
    """A bento in BentoML's store.

    Parameters
    ----------
    tag
        Its name and version.
    folder
        Where it lies.
    size_bytes
        Of its files.
    """

    tag: str
    folder: Path
    size_bytes: int


def write_context(
    workspace: Workspace, folder: Path, *, name: str, alias: str, cli_modules: Collection[str], kizashi_version: str
) -> Packed:
    """Write the folder that ``bentoml build`` builds from.

    Parameters
    ----------
    workspace
        Whose registry and workspace file.
    folder
        Empty, or made.
    name
        Of the bento.
    alias
        ``champion``, another alias or a number.
    cli_modules
        Modules of ``cli`` that are packed.
    kizashi_version
        Of the code.

    Raises
    ------
    KizashiError
        When the version's files are not those that were registered, or the folder is in use.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise PackingError(
            found=f"a folder '{folder}' that is not empty",
            expected="an empty one, or none",
            fix="name another; nothing was written",
        )
    verified = verified_version(workspace, alias=alias)
    model = verified.load(workspace)
    packed = Packed(folder / "packed", name, model.version, model.line.version, kizashi_version)
    _copy_code(folder, cli_modules)
    packed.folder.mkdir(parents=True)
    keep_bundle(verified, model.line, packed.champion)
    write_packed(packed, workspace)
    (folder / _REQUIREMENTS).write_text("\n".join(_requirements()) + "\n", encoding="utf-8")
    shutil.copyfile(CODE / "serving" / _TEMPLATE, folder / _TEMPLATE)
    # JSON is YAML, and needs no writer of its own.
    (folder / "bentofile.yaml").write_text(json.dumps(_bentofile(packed), indent=1) + "\n", encoding="utf-8")
    return packed


def build_bento(context: Path, version: str | None = None, environ: Mapping[str, str] = os.environ) -> Built:
    """Build a bento with ``bentoml build``, in a process of its own: it imports the code of the context, not ours.

    Parameters
    ----------
    context
        As :func:`write_context` wrote it.
    version
        Of the bento; BentoML makes one up unless given.
    environ
        With ``BENTOML_HOME``, where BentoML's store is not the usual one.

    Raises
    ------
    PackingError
        When BentoML refuses.
    """
    command = [sys.executable, "-m", "bentoml", "build", "--output", "tag"]
    command += ["--version", version] if version else []
    inherited = {key: value for key, value in environ.items() if key != "PYTHONPATH"}
    ran = subprocess.run(  # noqa: S603 - BentoML, with a version that the command line has checked
        command,
        cwd=context,
        env={**inherited, "BENTOML_DO_NOT_TRACK": "True"},
        capture_output=True,
        text=True,
        check=False,
        timeout=_BUILD_MINUTES * 60,
    )
    found = re.search(r"^__tag__:(\S+)$", ran.stdout, re.MULTILINE)
    if ran.returncode or not found:
        words = " ".join((ran.stderr or ran.stdout).split())[-400:]
        raise PackingError(
            found=f"no bento ({words})",
            expected="one that BentoML builds",
            fix="choose another version if this one exists; 'bentoml list' shows them",
        )
    folder = _folder_of(found[1])
    return Built(found[1], folder, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))


def write_dockerfile(tag: str, path: Path) -> None:
    """Write the recipe that ``bentoml containerize`` would use; its build context is the bento's folder.

    BentoML 1.4 finds the bento's template only below the current folder (its issue 5566), hence the root.
    """
    from bentoml.container import get_containerfile

    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with chdir(path.anchor):
        get_containerfile(tag, output_path=str(path))


def _folder_of(tag: str) -> Path:
    import bentoml

    return Path(bentoml.get(tag).path)


def _copy_code(folder: Path, cli_modules: Collection[str]) -> None:
    for package in PACKAGES:
        shutil.copytree(CODE / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    (folder / "cli").mkdir(parents=True)
    for module in cli_modules:
        shutil.copyfile(CODE / "cli" / f"{module}.py", folder / "cli" / f"{module}.py")


def _requirements() -> Iterable[str]:
    """Return the pins; BentoML adds its own."""
    return (line for line in pinned() if not line.startswith("bentoml=="))


def _bentofile(packed: Packed) -> dict[str, Any]:
    return {
        "service": SERVICE,
        "name": packed.name,
        "description": _describe(packed),
        "labels": {
            "kizashi": packed.kizashi_version,
            "model_version": packed.model_version,
            "line_version": packed.line_version,
        },
        "include": ["*"],
        "python": {"requirements_txt": _REQUIREMENTS, "lock_packages": False},
        "docker": {
            "distro": "debian",
            "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
            "system_packages": ["libgomp1"],  # LightGBM's threads
            "dockerfile_template": _TEMPLATE,
            "env": {
                WORKSPACE_VARIABLE: IMAGE_STATE,
                "BENTOML_DO_NOT_TRACK": "True",
                "OMP_WAIT_POLICY": "PASSIVE",
            },
        },
    }


def _describe(packed: Packed) -> str:
    return (
        f"# {packed.name}\n\nkizashi {packed.kizashi_version} with version {packed.model_version} of the model, under "
        f"the line {packed.line_version}.\n\n"
        "`bentoml serve` needs `KIZASHI_API_KEY`. What the service is told and answers goes to the folder "
        "`KIZASHI_WORKSPACE`, or to the PostgreSQL of `KIZASHI_STATE_URL`.\n"
    )
