"""Documentation is held to the program: commands, targets, links and generated pages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parents[2]
MARKDOWN = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
LONGEST_README = 119


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


@pytest.fixture(scope="module")
def program() -> click.Group:
    from cli.main import main

    return main


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= LONGEST_README


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_readme_shows_the_two_commands(command: str) -> None:
    assert command in README


@pytest.mark.parametrize("page", MARKDOWN, ids=_name)
def test_make_targets_in_a_page_exist(page: Path) -> None:
    named = re.findall(r"(?:`|^\s*)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) <= TARGETS


def test_every_public_target_is_in_the_help() -> None:
    helped = set(re.findall(r"^([a-z][a-z-]*):.*## ", MAKEFILE, re.MULTILINE))
    assert helped == TARGETS


@pytest.mark.parametrize("page", MARKDOWN, ids=_name)
def test_links_in_a_page_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    broken = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert broken == []


@pytest.mark.parametrize("page", MARKDOWN, ids=_name)
def test_commands_in_a_page_exist(page: Path, program: click.Group) -> None:
    known = {path[0] for path, _ in _commands(program)}
    named = re.findall(r"(?:`|^\s*\$ |\.venv/bin/)kizashi ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) <= known


def test_every_command_has_help(program: click.Group) -> None:
    assert program.help
    assert [" ".join(path) for path, command in _commands(program) if not command.help] == []


def test_every_option_has_help(program: click.Group) -> None:
    silent = [
        f"{' '.join(path)} {option.opts[0]}"
        for path, command in _commands(program)
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []


def test_every_command_is_in_the_reference(program: click.Group) -> None:
    page = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    assert [path for path, _ in _commands(program) if f"## `kizashi {' '.join(path)}`" not in page] == []


@pytest.mark.parametrize("page", ["workspace", "tables", "command-line"])
def test_reference_says_what_the_code_says(page: str) -> None:
    run = subprocess.run(
        [sys.executable, "docs/generate.py", "--check", page],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_key_of_the_workspace_file_has_a_meaning() -> None:
    page = (ROOT / "docs" / "reference" / "workspace.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|.*\|  \|$", page, re.MULTILINE) == []
