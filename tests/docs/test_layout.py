"""Folders are layers: packages lie in the checkout, imports only go down, and importing does nothing else."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES: list[str] = SETTINGS["tool"]["importlinter"]["root_packages"]

IMPORT_EVERYTHING = """
import importlib, json, os, sys

effects = []

def watch(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        writes = set(mode or "") & set("wxa+") or (mode is None and flags & (os.O_WRONLY | os.O_RDWR))
        if writes and path != os.devnull:
            effects.append(f"opened {path} to write")
    elif event in ("socket.connect", "socket.getaddrinfo", "socket.bind", "os.mkdir", "subprocess.Popen"):
        effects.append(f"{event} {arguments[:2]}")

sys.addaudithook(watch)
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
print(json.dumps(effects))
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_package_resolves_inside_the_repository(package: str) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin == str(ROOT / package / "__init__.py")


def test_every_top_folder_with_code_is_a_known_package() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_package_init_re_exports_nothing(package: str) -> None:
    """import-linter follows chains, so an import here would tie everything in the package to it."""
    body = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8")).body
    assert [type(node).__name__ for node in body] == ["Expr"]


def test_tests_are_no_packages() -> None:
    """A ``tests/features/__init__.py`` would hide the package ``features``."""
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_imports_keep_to_the_layers() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    run = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_importing_every_module_writes_nothing_and_calls_nobody(tmp_path: Path) -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if path != ROOT / "crm/migrations/env.py"  # alembic runs it, and nobody imports it
    ]
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING, json.dumps(modules)],
        cwd=tmp_path,
        env=_environment() | {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == []
    assert list(tmp_path.iterdir()) == []


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}
