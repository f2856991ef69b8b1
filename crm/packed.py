"""A workspace that came packed with the code, in a bento: what is read from it, and where its state goes instead.

Beside the packages of a bento lies the folder ``packed`` with the workspace file, as it was, and the champion. Code
that runs there takes both from it; nothing but the state is written, and that elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from crm.config import Workspace, load_workspace
from crm.config_sections import STATE_URL
from crm.config_serve import ServeConfig
from crm.errors import ConfigError, WorkspaceError

__all__ = [
    "CHAMPION",
    "PACKED_FOLDER",
    "STATE_URL_VARIABLE",
    "WORKSPACE_VARIABLE",
    "Packed",
    "load_packed",
    "packed_at",
    "state_folder",
    "write_packed",
]

WORKSPACE_VARIABLE = "KIZASHI_WORKSPACE"
STATE_URL_VARIABLE = "KIZASHI_STATE_URL"
PACKED_FOLDER = Path(__file__).resolve().parents[1] / "packed"
CHAMPION = "champion"
_MANIFEST = "packed.json"
_WORKSPACE_FILE = "kizashi.toml"
_NEVER_READ = "left-out-of-the-bento"


@dataclass(frozen=True)
class Packed:
    """What a bento brought beside its code.

    Parameters
    ----------
    folder
        Where it lies.
    name
        Of the bento; services of one name on one machine share their state.
    model_version, line_version
        The champion and the line that were packed.
    kizashi_version
        Of the code.
    workspace_sha256
        Of the workspace file.
    """

    folder: Path
    name: str
    model_version: str
    line_version: str
    kizashi_version: str
    workspace_sha256: str = ""

    @property
    def champion(self) -> Path:
        """Folder of the packed version."""
        return self.folder / CHAMPION


def packed_at(folder: Path = PACKED_FOLDER) -> Packed | None:
    """Return what lies beside the code; None in a checkout and in an installation.

    Raises
    ------
    WorkspaceError
        When it cannot be read.
    """
    path = folder / _MANIFEST
    if not path.is_file():
        return None
    try:
        raw: dict[str, Any] = json.loads(path.read_bytes())
        return Packed(folder, **{str(name): str(value) for name, value in raw.items()})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, type(error).__name__) from error


def write_packed(packed: Packed, workspace: Workspace) -> None:
    """Write the workspace file, as it is, and what says so, into a folder that holds the champion already."""
    text = (workspace.folder / _WORKSPACE_FILE).read_bytes()
    packed.folder.mkdir(parents=True, exist_ok=True)
    (packed.folder / _WORKSPACE_FILE).write_bytes(text)
    said = {**asdict(packed), "workspace_sha256": hashlib.sha256(text).hexdigest()}
    del said["folder"]
    (packed.folder / _MANIFEST).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def state_folder(packed: Packed, environ: Mapping[str, str]) -> Path:
    """Return where a packed service keeps what it is told: ``KIZASHI_WORKSPACE``, else a folder of the user's.

    The current folder would not do: BentoML changes into the bento before it loads the code.

    Raises
    ------
    WorkspaceError
        When the user has no home.
    """
    given = environ.get(WORKSPACE_VARIABLE)
    if given:
        return Path(given)
    try:
        states = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise WorkspaceError(
            found="a user without a home",
            expected="a folder that the service can write to",
            fix=f"name one in {WORKSPACE_VARIABLE}",
        ) from error
    return Path(states) / "kizashi" / packed.name


def load_packed(packed: Packed, folder: Path, environ: Mapping[str, str]) -> Workspace:
    """Read the packed workspace file for a state that lies elsewhere.

    The source stays behind: the workspace has the rows that the service is told, and variables that only its address
    names need not be set. ``KIZASHI_STATE_URL`` names a PostgreSQL for the state, whatever the file says.

    Parameters
    ----------
    packed
        What the bento brought.
    folder
        Where the state goes; made when it is missing.
    environ
        Where ``${NAME}`` is looked up.

    Raises
    ------
    KizashiError
        When the file was changed after it was packed, a variable is missing, or the folder cannot be made.
    """
    path = packed.folder / _WORKSPACE_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _damaged(path, type(error).__name__) from error
    if hashlib.sha256(content).hexdigest() != packed.workspace_sha256:
        raise _damaged(path, "other bytes than those that were packed")
    unset = {name: _NEVER_READ for name in _names_of_source(content) if name not in environ}
    found = load_workspace(packed.folder, environ={**unset, **environ})
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(
            found=f"a folder '{folder}' that cannot be made ({error.strerror})",
            expected="a folder that the service can write to",
            fix=f"name one in {WORKSPACE_VARIABLE}, for example a mounted volume",
        ) from error
    source = found.config.source.model_copy(update={"url": STATE_URL, "tables": {}})
    serve, secrets = found.config.serve, found.secrets
    if url := environ.get(STATE_URL_VARIABLE):
        serve, secrets = _with_state_url(serve, url, path), (*secrets, url)
    config = found.config.model_copy(update={"source": source, "serve": serve})
    return Workspace(folder=folder.resolve(), config=config, secrets=secrets)


def _with_state_url(serve: ServeConfig, url: str, path: Path) -> ServeConfig:
    try:
        return ServeConfig.model_validate({**serve.model_dump(), "state_url": url})
    except ValidationError:
        problem = f"{STATE_URL_VARIABLE}: no address of a PostgreSQL database (postgresql://USER:PASSWORD@HOST/NAME)"
        raise ConfigError(path=str(path), problems=[problem]) from None  # its words would show the password


def _names_of_source(content: bytes) -> set[str]:
    """Return the variables that the source's address names; of a file that cannot be parsed none: others say so."""
    try:
        raw = tomllib.loads(content.decode("utf-8-sig"))
        return set(re.findall(r"\$\{([A-Za-z_]\w*)\}", raw["source"]["url"]))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError):
        return set()


def _damaged(path: Path, what: str) -> WorkspaceError:
    return WorkspaceError(
        found=f"a bento whose '{path}' is not as it was packed ({what})",
        expected="the files that 'kizashi bento' wrote",
        fix="build the bento again; to change the workspace file, change it in the workspace",
    )
