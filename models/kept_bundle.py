"""A version as a folder of its own: the last good champion of a workspace, or the one packed with the service.

It is read when the registry cannot be asked, and in a package that has none. Its files are verified like those of the
registry: by their hashes, and by the signature when ``KIZASHI_SIGNING_KEY`` is set.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crm.config import Workspace
from crm.errors import BundleError
from models.bundle import file_hashes, parse_bundle, verify_files
from models.line import Line
from models.registry import BUNDLE_FOLDER, VerifiedVersion, check_signature
from models.scoring import LoadedModel

__all__ = ["BUNDLE_VARIABLE", "keep_bundle", "kept_folder", "load_kept"]

BUNDLE_VARIABLE = "KIZASHI_BUNDLE"
"""Folder of a packed version; with it the registry is not asked."""
MANIFEST = "manifest.json"
LINE = "line_in_force.json"
FILES = "files"


def kept_folder(workspace: Workspace) -> Path:
    """Return where a workspace keeps its last good champion."""
    return workspace.folder / ".kizashi" / "champion"


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
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise BundleError(
            found=f"no usable version in '{folder}' ({type(error).__name__})",
            expected="a folder that the service or 'kizashi bento' wrote",
            fix="make the registry reachable, or pack the version again",
        ) from error
    check_signature(version, hashes, fingerprint, str(manifest.get("signature") or ""), environ)
    contents = verify_files(folder / FILES, hashes)
    bundle, _ = parse_bundle(contents, fingerprint=fingerprint, prefix=BUNDLE_FOLDER)
    return LoadedModel(version, bundle, Line.load(folder / LINE))
