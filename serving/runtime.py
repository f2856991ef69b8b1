"""What one running service holds: its workspace, its state, its model, and who may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from crm.api_keys import ApiKey, list_keys
from crm.config import Workspace, load_workspace
from crm.known import to_micros
from crm.state import State, open_state
from serving.access import Access
from serving.keys import check_someone_may_ask, key_digest
from serving.rates import Rates
from serving.refusals import Refusals
from serving.scorer import Scorer, load_scorer
from serving.tokens import TokenIssuer, jwks_reader

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
        Digest of the key in the environment, which may do everything; None without one.
    """

    workspace: Workspace
    key_sha256: bytes | None = None


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
        """What the service was told and what it answered; ``StateError`` when it cannot be opened."""
        return open_state(self.settings.workspace)

    @cached_property
    def access(self) -> Access:
        """Who may ask."""
        jwt, folder = self.settings.workspace.config.serve.jwt, self.settings.workspace.folder
        issuer = TokenIssuer(jwt, jwks_reader(jwt, folder)) if jwt else None
        return Access(self._keys, self.settings.key_sha256, issuer)

    @cached_property
    def rates(self) -> Rates:
        """How much callers have asked lately."""
        return Rates(self.settings.workspace.config.serve.rate_per_minute)

    @cached_property
    def refusals(self) -> Refusals:
        """Where refused keys are audited."""
        return Refusals(lambda: self.state)

    def start(self) -> None:
        """Read settings, state and model now, so that a service that could answer nobody does not start."""
        now_us = to_micros(datetime.now(UTC))
        check_someone_may_ask(
            has_environment_key=self.settings.key_sha256 is not None,
            has_live_key=any(key.is_live(now_us) for key in self._keys()),
            has_issuer=self.settings.workspace.config.serve.jwt is not None,
        )
        _ = self.scorer, self.access, self.rates

    def _keys(self) -> list[ApiKey]:
        return list_keys(self.state)


def settings_from(environ: Mapping[str, str]) -> Settings:
    """Read the settings out of ``KIZASHI_WORKSPACE`` (default: the current folder) and ``KIZASHI_API_KEY``.

    Raises
    ------
    KizashiError
        When the key is too short or the workspace file cannot be used.
    """
    digest = key_digest(environ)
    return Settings(load_workspace(Path(environ.get(WORKSPACE_VARIABLE, ".")), environ=environ), digest)
