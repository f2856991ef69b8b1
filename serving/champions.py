"""Which version answers: the registry's champion, the last good one while the registry is away, or a packed one."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from crm.config import Workspace
from crm.errors import BundleError, KizashiError, RegistryError
from models.kept_bundle import keep_bundle, kept_folder, load_kept, packed_bundle
from models.registry import find_version, open_store, require_registry, saved_line, verified_version
from models.scoring import LoadedModel

__all__ = ["Champions", "Origin"]

Origin = Literal["registry", "kept", "packed"]
Stamp = tuple[tuple[str, int], ...]
logger = logging.getLogger("kizashi.model")


@dataclass
class Champions:
    """Finds the versions that should answer and be compared.

    Parameters
    ----------
    workspace
        Whose registry.
    environ
        Where ``KIZASHI_BUNDLE`` and ``KIZASHI_SIGNING_KEY`` are looked up.
    origin, is_away
        Where the version that answers comes from, and whether the registry cannot be read.
    has_news
        The registry has changed since somebody last looked for a challenger.
    """

    workspace: Workspace
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    origin: Origin = "registry"
    is_away: bool = False
    has_news: bool = True
    _stamp: Stamp | None = None

    def first(self) -> LoadedModel:
        """Return the version to start with.

        Raises
        ------
        KizashiError
            When there is no champion and none was kept; or when the champion's files were tampered with, which a kept
            version does not make good.
        """
        packed = packed_bundle(self.environ)
        if packed is not None:
            self.origin = "packed"
            return load_kept(packed, environ=self.environ)
        self._stamp = self._look()
        try:
            return self._load("champion")
        except BundleError:
            raise
        except Exception as error:  # MLflow and its database have errors of their own
            return self._kept(error)

    def changed(self, answering: LoadedModel) -> LoadedModel | None:
        """Return another champion, or the same under another line, once there is one; None while all is as it was.

        A registry that cannot be read, or a version whose files are not those that were registered, changes nothing:
        what answers goes on, and the log says why.
        """
        if self.origin == "packed":
            return None
        stamp = self._look()
        if stamp == self._stamp:
            return None
        try:
            found = self._load("champion") if self._differs(answering) else None
        except Exception as error:  # whatever it is, what answers now goes on
            self._away(error)
            return None
        self._stamp, self.is_away, self.origin, self.has_news = stamp, False, "registry", True
        return found

    def challenger(self, answering: LoadedModel) -> LoadedModel | None:
        """Return the version that is compared with the champion; None without one."""
        if self.origin != "registry":
            return None
        try:
            with open_store(self.workspace) as client:
                version = find_version(client, "challenger").version
            if version == answering.version:
                return None
            return verified_version(self.workspace, alias=version, environ=self.environ).load(self.workspace)
        except Exception:  # a comparison that cannot be made is no failure of the service
            return None

    def _differs(self, answering: LoadedModel) -> bool:
        require_registry(self.workspace)
        with open_store(self.workspace) as client:
            version = find_version(client, "champion").version
        line = saved_line(self.workspace, version)
        if version != answering.version or self.origin != "registry":
            return True
        return line is not None and line.version != answering.line.version

    def _load(self, alias: str) -> LoadedModel:
        verified = verified_version(self.workspace, alias=alias, environ=self.environ)
        model = verified.load(self.workspace)
        try:
            keep_bundle(verified, model.line, kept_folder(self.workspace))
        except OSError as error:  # a full disk must not keep a good champion from answering
            logger.warning("the champion could not be kept beside the workspace (%s)", error.strerror)
        return model

    def _kept(self, error: Exception) -> LoadedModel:
        folder = kept_folder(self.workspace)
        answers = isinstance(error, RegistryError) and (self.workspace.folder / "mlruns" / "mlflow.db").is_file()
        if isinstance(error, KizashiError) and (answers or not folder.is_dir()):
            raise error from None  # the registry says that there is no champion, or there never was one
        if not folder.is_dir():
            raise RegistryError(
                found=f"a registry that cannot be read ({type(error).__name__})",
                expected="mlruns/mlflow.db, or a champion kept from an earlier start",
                fix="look at mlruns/, or train again",
            ) from error
        model = load_kept(folder, environ=self.environ)
        self._away(error)
        self.origin = "kept"
        return model

    def _away(self, error: Exception) -> None:
        if not self.is_away:
            logger.warning("the registry cannot be read (%s); the version that answers goes on", type(error).__name__)
        self.is_away = True

    def _look(self) -> Stamp:
        """Return what changes when anything in the registry does; cheap enough to ask every second."""
        database = self.workspace.folder / "mlruns" / "mlflow.db"
        paths = (database, database.with_name("mlflow.db-wal"), self.workspace.line_path)
        return tuple((path.name, path.stat().st_mtime_ns if path.is_file() else 0) for path in paths)
