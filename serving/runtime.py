"""What one running service holds: its workspace, its limits, its key's digest and its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from crm.config import Workspace, load_workspace
from crm.state import State, open_state
from serving.keys import key_digest
from serving.scorer import Scorer, load_scorer

__all__ = ["WORKSPACE_VARIABLE", "Runtime", "Settings", "settings_from"]

WORKSPACE_VARIABLE = "KIZASHI_WORKSPACE"


@dataclass(frozen=True)
class Settings:
    """What a service is started with.

    Parameters
    ----------
    workspace
        Folder and configuration.
    key_sha256
        Digest of the key that callers show.
    """

    workspace: Workspace
    key_sha256: bytes


class Runtime:
    """Settings and model, each read once and no earlier than needed: importing the service does no work.

    Parameters
    ----------
    read_settings
        Called once.
    """

    def __init__(self, read_settings: Callable[[], Settings]) -> None:
        self._read_settings = read_settings

    @cached_property
    def settings(self) -> Settings:
        """What the service was started with; ``KizashiError`` when that cannot be used."""
        return self._read_settings()

    @cached_property
    def scorer(self) -> Scorer:
        """The champion; ``KizashiError`` when there is none: nothing else is ever served in its place."""
        return load_scorer(self.settings.workspace)

    @cached_property
    def state(self) -> State:
        """What was told to the service, opened; ``StateError`` when it cannot be."""
        return open_state(self.settings.workspace)

    def start(self) -> None:
        """Read settings and model now, so that a service that cannot score does not start."""
        _ = self.settings, self.scorer, self.state


def settings_from(environ: Mapping[str, str]) -> Settings:
    """Read the settings out of ``KIZASHI_WORKSPACE`` (default: the current folder) and ``KIZASHI_API_KEY``.

    Raises
    ------
    KizashiError
        When the key is missing or the workspace file cannot be used.
    """
    digest = key_digest(environ)
    return Settings(load_workspace(Path(environ.get(WORKSPACE_VARIABLE, ".")), environ=environ), digest)
