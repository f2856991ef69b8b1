"""What a bento brought: its workspace file, without the source, for a state elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crm.config import Workspace, load_workspace
from crm.config_sections import STATE_URL
from crm.errors import ConfigError, KizashiError, WorkspaceError
from crm.packed import Packed, load_packed, packed_at, state_folder, write_packed

FILE = """
[source]
url = "postgresql://${CRM_USER}:${CRM_PASSWORD}@crm/leads"
timezone = "Asia/Tokyo"
[source.tables]
leads = "SELECT * FROM leads"
[serve]
state_url = "${STATE:-postgresql://app@db/state}"
"""


@pytest.fixture
def packed(tmp_path: Path) -> Packed:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "kizashi.toml").write_text(FILE, encoding="utf-8")
    workspace = load_workspace(folder, environ={"CRM_USER": "u", "CRM_PASSWORD": "hidden"})
    write_packed(Packed(tmp_path / "code" / "packed", "leads", "3", "abc", "0.1.0"), workspace)
    found = packed_at(tmp_path / "code" / "packed")
    assert found is not None
    return found


def _loaded(packed: Packed, environ: dict[str, str]) -> Workspace:
    return load_packed(packed, packed.folder.parent / "state", environ)


def test_a_checkout_is_no_bento() -> None:
    assert packed_at() is None


def test_what_was_packed_is_told(packed: Packed) -> None:
    assert (packed.name, packed.model_version, packed.line_version) == ("leads", "3", "abc")
    assert packed.champion == packed.folder / "champion"


def test_the_file_is_packed_with_its_placeholders(packed: Packed) -> None:
    assert (packed.folder / "kizashi.toml").read_text(encoding="utf-8") == FILE


def test_the_source_stays_behind_and_its_variables_need_not_be_set(packed: Packed) -> None:
    workspace = _loaded(packed, {})
    assert workspace.config.source.url == STATE_URL
    assert workspace.config.source.tables == {}
    assert workspace.config.source_timezone == "Asia/Tokyo"


def test_the_state_lies_outside_the_code(packed: Packed) -> None:
    workspace = _loaded(packed, {})
    assert workspace.folder == packed.folder.parent / "state"
    assert workspace.folder.is_dir()
    assert not workspace.state_path.is_relative_to(packed.folder)


def test_a_database_in_the_environment_rules_and_is_a_secret(packed: Packed) -> None:
    url = "postgresql://app:hunter2@other/state"
    workspace = _loaded(packed, {"KIZASHI_STATE_URL": url})
    assert workspace.config.serve.state_url == url
    assert url in workspace.secrets


def test_an_address_that_is_no_postgresql_is_refused_without_its_password(packed: Packed) -> None:
    with pytest.raises(ConfigError) as caught:
        _loaded(packed, {"KIZASHI_STATE_URL": "mysql://app:hunter2@db/state"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["kizashi.toml", "packed.json"])
def test_what_was_changed_afterwards_is_refused(packed: Packed, name: str) -> None:
    path = packed.folder / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(WorkspaceError, match="not as it was packed"):
        _ = _loaded(packed_at(packed.folder) or packed, {})


def test_a_file_that_is_missing_is_refused(packed: Packed) -> None:
    (packed.folder / "kizashi.toml").unlink()
    with pytest.raises(WorkspaceError, match="not as it was packed"):
        _loaded(packed, {})


def test_a_state_that_cannot_be_made_is_refused(packed: Packed) -> None:
    (packed.folder.parent / "state").write_text("a file is in the way")
    with pytest.raises(KizashiError, match="cannot be made"):
        _loaded(packed, {})


def test_the_state_goes_where_the_environment_says_else_to_the_user_s_states(packed: Packed) -> None:
    assert state_folder(packed, {"KIZASHI_WORKSPACE": "state"}) == Path("state")
    assert state_folder(packed, {"XDG_STATE_HOME": "states"}) == Path("states/kizashi/leads")
    assert state_folder(packed, {}) == Path.home() / ".local/state/kizashi/leads"
    assert state_folder(replace(packed, name="b"), {}) != state_folder(packed, {})
