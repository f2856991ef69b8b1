"""The registry: versions of the model ``kizashi`` in the workspace's MLflow, with the aliases champion and challenger.

The hashes of a version's files are its tags, written once when it is registered. Whoever changes a file in the artifact
folder would have to change the database as well; with ``KIZASHI_SIGNING_KEY`` set, the tags too are signed.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from crm.config import Workspace
from crm.errors import BundleError, RegistryError
from models.bundle import parse_bundle, signature, verify_files
from models.gain import GainRows
from models.gain_file import GAIN_FILE, read_gain
from models.line import Line
from models.scoring import LoadedModel

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = [
    "EXPERIMENT",
    "MODEL",
    "ModelVersion",
    "VerifiedVersion",
    "check_signature",
    "find_version",
    "list_versions",
    "load_gain",
    "load_model",
    "model_folder",
    "open_store",
    "require_registry",
    "run_folder",
    "saved_line",
    "set_alias",
    "tag_hashes",
    "verified_version",
]

MODEL = "kizashi"
EXPERIMENT = "kizashi"
BUNDLE_FOLDER = "data/bundle/"
SIGNING_KEY = "KIZASHI_SIGNING_KEY"


@dataclass(frozen=True)
class ModelVersion:
    """One registered version."""

    version: str
    run_id: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    created_at_ms: int


@contextmanager
def open_store(workspace: Workspace) -> Generator[MlflowClient]:
    """Open the workspace's MLflow store, made on first use.

    MLflow is imported here because it takes seconds, and its telemetry is switched off before that.
    """
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "true")
    import logging

    logging.getLogger("alembic").setLevel(logging.ERROR)
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    workspace.artifacts_folder.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(workspace.tracking_uri)
    mlflow.set_registry_uri(workspace.tracking_uri)
    client = mlflow.MlflowClient(tracking_uri=workspace.tracking_uri, registry_uri=workspace.tracking_uri)
    if client.get_experiment_by_name(EXPERIMENT) is None:
        client.create_experiment(EXPERIMENT, artifact_location=workspace.artifacts_folder.as_uri())
    yield client


def list_versions(client: MlflowClient) -> tuple[ModelVersion, ...]:
    """List the registered versions, newest first."""
    names = [model.name for model in client.search_registered_models(filter_string=f"name = '{MODEL}'")]
    if not names:
        return ()
    found = client.search_model_versions(f"name = '{MODEL}'")
    versions = [_version(client, str(item.version)) for item in found]
    return tuple(sorted(versions, key=lambda item: -int(item.version)))


def find_version(client: MlflowClient, name: str) -> ModelVersion:
    """Find a version by number or alias.

    Raises
    ------
    RegistryError
        When there is none.
    """
    versions = list_versions(client)
    for version in versions:
        if version.version == name or name in version.aliases:
            return version
    known = ", ".join(f"{v.version}{' (' + ', '.join(v.aliases) + ')' if v.aliases else ''}" for v in versions)
    raise RegistryError(
        found=f"no version '{name}' of the model",
        expected=f"one of {known}" if known else "a trained model",
        fix="run 'kizashi train', then 'kizashi promote'" if not known else "name one of these",
    )


def _version(client: MlflowClient, number: str) -> ModelVersion:
    item = client.get_model_version(MODEL, number)
    return ModelVersion(
        str(item.version),
        str(item.run_id or ""),
        tuple(item.aliases),
        dict(item.tags),
        int(item.creation_timestamp),
    )


def set_alias(client: MlflowClient, alias: str, version: str) -> None:
    """Point an alias at a version."""
    client.set_registered_model_alias(MODEL, alias, version)


def tag_hashes(hashes: Mapping[str, str], fingerprint: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that let a version be verified before anything in it is parsed."""
    tags = {"kizashi.files": json.dumps(dict(sorted(hashes.items()))), "kizashi.fingerprint": fingerprint}
    key = environ.get(SIGNING_KEY)
    if key:
        tags["kizashi.signature"] = signature({**hashes, "fingerprint": fingerprint}, key)
    return tags


@dataclass(frozen=True)
class VerifiedVersion:
    """A version whose files are those that were registered; nothing of them was parsed.

    Parameters
    ----------
    version
        Its number.
    contents
        Its files by path.
    fingerprint
        Of its features.
    signature
        Of its hashes; empty where it was registered without a key.
    """

    version: str
    contents: Mapping[str, bytes]
    fingerprint: str
    signature: str

    def load(self, workspace: Workspace, *, with_saved_line: bool = True) -> LoadedModel:
        """Parse the files; with the line that ``kizashi line --save`` left, unless the version's own is asked for."""
        bundle, own_line = parse_bundle(self.contents, fingerprint=self.fingerprint, prefix=BUNDLE_FOLDER)
        line = own_line.model_copy(update={"model_version": self.version})
        if with_saved_line:
            line = saved_line(workspace, self.version) or line
        return LoadedModel(self.version, bundle, line)


def verified_version(
    workspace: Workspace, *, alias: str = "champion", environ: Mapping[str, str] = os.environ
) -> VerifiedVersion:
    """Read a version by alias or number, verified against the registry; errors as for :func:`load_model`."""
    version, contents = _verified(workspace, alias, environ)
    tags = version.tags
    return VerifiedVersion(version.version, contents, tags["kizashi.fingerprint"], tags.get("kizashi.signature", ""))


def load_model(
    workspace: Workspace,
    *,
    alias: str = "champion",
    environ: Mapping[str, str] = os.environ,
    with_saved_line: bool = True,
) -> LoadedModel:
    """Load a version by alias or number, verified against the registry.

    Parameters
    ----------
    workspace
        The workspace whose registry to ask.
    alias
        ``champion``, ``challenger`` or a version number.
    environ
        Where ``KIZASHI_SIGNING_KEY`` is looked up.
    with_saved_line
        Whether a line that ``kizashi line --save`` left counts; otherwise the line is the version's own.

    Raises
    ------
    RegistryError
        When there is no such version.
    BundleError
        When its files are not those that were registered.
    """
    verified = verified_version(workspace, alias=alias, environ=environ)
    return verified.load(workspace, with_saved_line=with_saved_line)


def load_gain(
    workspace: Workspace, *, alias: str = "champion", environ: Mapping[str, str] = os.environ
) -> GainRows | None:
    """Load the unseen weeks of a version, verified like its model; None where the version kept none.

    Parameters
    ----------
    workspace, alias, environ
        As for :func:`load_model`.

    Raises
    ------
    RegistryError
        When there is no such version.
    BundleError
        When its files are not those that were registered.
    """
    _, contents = _verified(workspace, alias, environ)
    content = contents.get(BUNDLE_FOLDER + GAIN_FILE)
    return None if content is None else read_gain(content)


def _verified(workspace: Workspace, alias: str, environ: Mapping[str, str]) -> tuple[ModelVersion, Mapping[str, bytes]]:
    """Find a version and return the contents of its files, each as it was registered."""
    require_registry(workspace)
    with open_store(workspace) as client:
        version = find_version(client, alias)
        folder = model_folder(client, workspace, version.version)
    hashes = _recorded_hashes(version, environ)
    if "kizashi.fingerprint" not in version.tags:
        raise BundleError(
            found=f"version {version.version} without the fingerprint of its features",
            expected="the tags that 'kizashi train' writes",
            fix="do not use this version; roll back or train again",
        )
    return version, verify_files(folder, hashes)


def model_folder(client: MlflowClient, workspace: Workspace, version: str) -> Path:
    """Return the folder in which a version's files lie; ``BundleError`` when there is none on this machine."""
    location = urlparse(client.get_model_version_download_uri(MODEL, version))
    if location.scheme not in ("", "file"):
        raise BundleError(
            found=f"a model stored at a {location.scheme} address",
            expected=f"a folder below {workspace.artifacts_folder}",
            fix="train in this workspace, whose artifacts lie beside it",
        )
    folder = Path(unquote(location.path))
    if not folder.is_dir():
        raise BundleError(
            found=f"no folder '{folder}'",
            expected="the files of the registered model",
            fix="restore mlruns/artifacts, roll back, or train again (a moved workspace must be trained again)",
        )
    return folder


def run_folder(client: MlflowClient, run_id: str) -> Path:
    """Return the folder of a run's artifacts on this machine.

    MLflow's own calls remember where a run's artifacts once lay, and would write there after the workspace was moved.
    """
    location = urlparse(str(client.get_run(run_id).info.artifact_uri))
    if location.scheme not in ("", "file"):
        raise RegistryError(
            found=f"a run whose artifacts are stored at a {location.scheme} address",
            expected="a folder below mlruns/artifacts",
            fix="train in this workspace, whose artifacts lie beside it",
        )
    return Path(unquote(location.path))


def _recorded_hashes(version: ModelVersion, environ: Mapping[str, str]) -> dict[str, str]:
    recorded: dict[str, Any] = json.loads(version.tags.get("kizashi.files", "{}"))
    hashes = {str(name): str(digest) for name, digest in recorded.items()}
    tags = version.tags
    signed = tags.get("kizashi.signature", "")
    check_signature(version.version, hashes, tags.get("kizashi.fingerprint", ""), signed, environ)
    return hashes


def check_signature(
    version: str, hashes: Mapping[str, str], fingerprint: str, found: str, environ: Mapping[str, str]
) -> None:
    """Refuse a version whose hashes were not signed with ``KIZASHI_SIGNING_KEY``, where that is set.

    Raises
    ------
    BundleError
        When the signature is another, or missing.
    """
    key = environ.get(SIGNING_KEY)
    if not key:
        return
    expected = signature({**hashes, "fingerprint": fingerprint}, key)
    if not hmac.compare_digest(found, expected):
        raise BundleError(
            found=f"version {version} with {'another' if found else 'no'} signature",
            expected=f"the signature of {SIGNING_KEY}",
            fix="train again with the key set, or unset it to rely on the registry's hashes alone",
        )


def saved_line(workspace: Workspace, version: str) -> Line | None:
    """Return the line that ``kizashi line --save`` left for this version; None when there is none."""
    if not workspace.line_path.is_file():
        return None
    line = Line.load(workspace.line_path)
    return line if line.model_version == version else None


def require_registry(workspace: Workspace) -> None:
    """Raise ``RegistryError`` where nothing was ever trained; opening the store would make an empty one."""
    if not (workspace.folder / "mlruns" / "mlflow.db").is_file():
        raise RegistryError(
            found="no registry in this workspace", expected="a trained model", fix="run 'kizashi train' first"
        )
