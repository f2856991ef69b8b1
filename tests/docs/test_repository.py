"""What the repository holds: versions that agree, no stray files, no addresses of one machine."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TRACKED = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    if name and (ROOT / name).is_file()
]
AT_THE_ROOT = {
    ".bentoignore",
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "alignment",
    "benchmarks",
    "cli",
    "constraints.txt",
    "crm",
    "docs",
    "examples",
    "features",
    "mlruns",
    "models",
    "pages",
    "pyproject.toml",
    "serving",
    "tests",
    "training",
}
MOST_BYTES = 400 * 1024
REGISTRIES = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|deb\.debian", re.IGNORECASE)
MACHINE_PATHS = re.compile(r"(?<![\w./-])/(?:home|Users|root|work|mnt)/\w")
COPYLEFT = re.compile(r"\bA?GPL|General Public License", re.IGNORECASE)
PINS = {
    canonicalize_name(line.split("==")[0]): line.split("==")[1]
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
}


def _texts() -> list[tuple[str, str]]:
    found = [(path.relative_to(ROOT).as_posix(), path.read_bytes()) for path in TRACKED]
    return [(name, content.decode("utf-8")) for name, content in found if b"\0" not in content]


def test_version_is_the_newest_entry_of_the_changelog() -> None:
    headings = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == PROJECT["project"]["version"]


def test_root_holds_only_what_belongs_there() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in TRACKED} <= AT_THE_ROOT


def test_mlruns_holds_only_its_page() -> None:
    assert [path.name for path in TRACKED if path.is_relative_to(ROOT / "mlruns")] == ["README.md"]


def test_no_file_is_large() -> None:
    assert [path.name for path in TRACKED if path.stat().st_size > MOST_BYTES] == []


@pytest.mark.parametrize("pattern", [REGISTRIES, MACHINE_PATHS], ids=["registry", "machine path"])
def test_no_address_of_one_machine(pattern: re.Pattern[str]) -> None:
    assert [f"{name}: {found[0]}" for name, text in _texts() if (found := pattern.search(text))] == []


def _requirements() -> list[Requirement]:
    groups = [PROJECT["project"]["dependencies"], PROJECT["dependency-groups"]["dev"]]
    return [Requirement(line) for group in groups for line in group]


@pytest.mark.parametrize("requirement", _requirements(), ids=lambda requirement: requirement.name)
def test_constraints_pin_every_requirement_inside_its_range(requirement: Requirement) -> None:
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)], prereleases=True)


def test_no_dependency_is_under_a_copyleft_licence() -> None:
    said = {
        name: " ".join([package.metadata.get("License-Expression", ""), *package.metadata.get_all("Classifier", [])])
        for package in distributions()
        if (name := canonicalize_name(package.metadata["Name"])) in PINS
    }
    assert [name for name, text in said.items() if COPYLEFT.search(text)] == []
