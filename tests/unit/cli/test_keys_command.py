"""``kizashi keys``: a key is printed once, to standard output alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kizashi.toml").write_text('[source]\nurl = "demo://"\n', encoding="utf-8")
    return tmp_path


def keys(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["keys", *words, "--workspace", str(folder)])


def test_a_key_is_all_that_is_on_standard_output(folder: Path) -> None:
    made = keys(folder, "create", "hubspot", "--scope", "score,ingest", "--scope", "read", "--expires", "90d")
    assert made.exit_code == 0
    secret = made.stdout.strip()
    assert secret.startswith("kzs_")
    assert "not shown again" in made.stderr
    assert secret not in made.stderr
    listed = keys(folder, "list")
    assert "score ingest read" in listed.stdout
    assert secret.split("_", 2)[2] not in listed.output


def test_keys_are_listed_rotated_and_ended_as_json(folder: Path) -> None:
    first = json.loads(keys(folder, "create", "a", "--scope", "score", "--json").stdout)
    second = json.loads(keys(folder, "rotate", "a", "--json").stdout)
    assert first["key"] != second["key"]
    ended = json.loads(keys(folder, "revoke", first["key_id"], "--json").stdout)
    assert [one["key_id"] for one in ended["revoked"]] == [first["key_id"]]
    found = json.loads(keys(folder, "list", "--json").stdout)["keys"]
    assert {one["key_id"]: one["state"] for one in found} == {first["key_id"]: "revoked", second["key_id"]: "live"}
    assert not any("key" in one or "sha256" in one for one in found)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["create", "a", "--scope", "everything"], 1, "expected one or several of"),
        (["create", "a", "--scope", "score", "--expires", "soon"], 2, "no duration"),
        (["create", "a"], 2, "--scope"),
        (["revoke", "a"], 1, "no live key"),
        (["rotate", "a"], 1, "no live key"),
    ],
)
def test_what_cannot_be_done_is_said(folder: Path, words: list[str], code: int, message: str) -> None:
    found = keys(folder, *words)
    assert found.exit_code == code
    assert message in found.stderr


def test_without_keys_the_list_says_how_to_make_one(folder: Path) -> None:
    assert "kizashi keys create" in keys(folder, "list").stdout
