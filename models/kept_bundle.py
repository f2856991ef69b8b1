"""A version as a folder of its own: the last good champion of a workspace, or the one packed with the service.

It is read when the registry cannot be asked, and in a package that has none. Its files are verified like those of the
registry: by their hashes, and by the signature when ``KIZASHI_SIGNING_KEY`` is set.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crm.config import Workspace
from crm.errors import BundleError
from crm.packed import packed_at
from models.bundle import file_hashes, parse_bundle, verify_files
from models.line import Line
from models.registry import BUNDLE_FOLDER, VerifiedVersion, check_signature, load_model
from models.scoring import LoadedModel

__all__ = ["BUNDLE_VARIABLE", "keep_bundle", "kept_folder", "load_champion", "load_kept", "packed_bundle"]

BUNDLE_VARIABLE = "KIZASHI_BUNDLE"
"""Folder of a packed version; with it the registry is not asked."""
MANIFEST = "manifest.json"
LINE = "line_in_force.json"
FILES = "files"


def kept_folder(workspace: Workspace) -> Path:
    """Return where a workspace keeps its last good champion."""
    return workspace.folder / ".kizashi" / "champion"


def packed_bundle(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder of a version that came with the code, or that ``KIZASHI_BUNDLE`` names; None without one."""
    given = environ.get(BUNDLE_VARIABLE)
    if given:
        return Path(given)
    packed = packed_at()
    return None if packed is None else packed.champion


def load_champion(workspace: Workspace, *, environ: Mapping[str, str] = os.environ) -> LoadedModel:
    """Load the packed version where there is one, else the registry's champion; errors as for either."""
    packed = packed_bundle(environ)
    return load_model(workspace, environ=environ) if packed is None else load_kept(packed, environ=environ)


def keep_bundle(verified: VerifiedVersion, line: Line, folder: Path) -> None:
    """Write a verified version and the line in force into a folder, replacing what was there as a whole."""
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    for name, content in verified.contents.items():
        path = unfinished / FILES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    line.save(unfinished / LINE)
    manifest = {
        "version": verified.version,
        "fingerprint": verified.fingerprint,
        "files": file_hashes(unfinished / FILES),
        "line": _sha256(unfinished / LINE),
        "signature": verified.signature,
    }
    (unfinished / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.is_dir():
        folder.rename(old)
    unfinished.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_kept(folder: Path, *, environ: Mapping[str, str] = os.environ) -> LoadedModel:
    """Load a kept version.

    Parameters
    ----------
    folder
        As :func:`keep_bundle` wrote it.
    environ
        Where ``KIZASHI_SIGNING_KEY`` is looked up.

    Raises
    ------
    BundleError
        When there is none, or its files are not those that were kept.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        hashes = {str(name): str(digest) for name, digest in manifest["files"].items()}
        version, fingerprint = str(manifest["version"]), str(manifest["fingerprint"])
        line_is_kept = manifest.get("line") in (None, _sha256(folder / LINE))  # folders of earlier versions lack it
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise BundleError(
            found=f"no usable version in '{folder}' ({type(error).__name__})",
            expected="a folder that the service or 'kizashi bento' wrote",
            fix="make the registry reachable, or pack the version again",
        ) from error
    if not line_is_kept:
        raise BundleError(
            found=f"a line in '{folder}' that is not the one that was kept",
            expected="the line in force when the version was kept",
            fix="make the registry reachable, or pack the version again",
        )
    check_signature(version, hashes, fingerprint, str(manifest.get("signature") or ""), environ)
    contents = verify_files(folder / FILES, hashes)
    bundle, _ = parse_bundle(contents, fingerprint=fingerprint, prefix=BUNDLE_FOLDER)
    return LoadedModel(version, bundle, Line.load(folder / LINE))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
