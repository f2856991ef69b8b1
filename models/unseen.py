"""What a version said of leads that it had not learned from, kept beside it so that two versions can be paired by row.

The file holds numbers alone: leads and accounts are hashes keyed with a key of the workspace, which never leaves it.
Its SHA-256 is a tag of the version, and signed where there is a signing key.
"""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false
from __future__ import annotations

import hashlib
import hmac
import io
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crm.config import Workspace
from crm.errors import BundleError
from models.bundle import signature
from models.registry import SIGNING_KEY

__all__ = [
    "UNSEEN_FILE",
    "UNSEEN_FOLDER",
    "UNSEEN_SCHEMA",
    "read_unseen",
    "row_key",
    "row_numbers",
    "unseen_tags",
    "write_unseen",
]

UNSEEN_FOLDER, UNSEEN_FILE = "gate", "unseen.parquet"
UNSEEN_SCHEMA = pa.schema(
    [
        pa.field("row", pa.uint64(), nullable=False),
        pa.field("lead", pa.uint64(), nullable=False),
        pa.field("account", pa.uint64(), nullable=False),
        pa.field("as_of_us", pa.int64(), nullable=False),
        pa.field("origin_sql_us", pa.int64()),
        pa.field("origin_won_us", pa.int64()),
        pa.field("p_sql", pa.float64()),
        pa.field("p_won", pa.float64()),
        pa.field("expected_revenue", pa.float64()),
        pa.field("sql", pa.bool_()),
        pa.field("won", pa.bool_()),
        pa.field("revenue", pa.float64()),
        pa.field("segments", pa.list_(pa.string())),
    ]
)
"""A lead at a moment, what a model said of it that knew nothing after ``origin_*_us``, and what came of it. Labels are
null while they are immature, predictions where no fold's model spoke."""
TAG, SIGNED_TAG = "kizashi.unseen", "kizashi.unseen.signature"
MAX_BYTES = 200_000_000


def row_key(workspace: Workspace) -> bytes:
    """Return the key of the workspace's row numbers, made on first use and readable by its owner alone."""
    path = workspace.folder / ".kizashi" / "row.key"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
    return path.read_bytes().strip()


def row_numbers(names: Iterable[str], key: bytes) -> NDArray[np.uint64]:
    """Return a keyed hash of each name as a number of 64 bits: the same for each version, and no id."""
    digests = b"".join(hmac.digest(key, name.encode(), "sha256")[:8] for name in names)
    return np.frombuffer(digests, dtype="<u8")


def write_unseen(rows: pa.Table, path: Path) -> str:
    """Write the rows and return the file's SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows.cast(UNSEEN_SCHEMA), path, compression="zstd")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def unseen_tags(digest: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the tags by which :func:`read_unseen` knows the file again."""
    key = environ.get(SIGNING_KEY)
    return {TAG: digest, **({SIGNED_TAG: signature({UNSEEN_FILE: digest}, key)} if key else {})}


def read_unseen(artifacts: Path, tags: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> pa.Table | None:
    """Read the rows of a version, verified before they are parsed.

    Parameters
    ----------
    artifacts
        Folder of the run's artifacts.
    tags
        The version's tags.
    environ
        Where ``KIZASHI_SIGNING_KEY`` is looked up.

    Returns
    -------
    pyarrow.Table or None
        Columns of :data:`UNSEEN_SCHEMA`; None where the version kept no rows.

    Raises
    ------
    BundleError
        When the file is not the one that was registered.
    """
    if TAG not in tags:
        return None
    path = artifacts / UNSEEN_FOLDER / UNSEEN_FILE
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise _changed(f"no usable file '{path}'")
    content = path.read_bytes()
    if not hmac.compare_digest(hashlib.sha256(content).hexdigest(), tags[TAG]):
        raise _changed(f"'{path}' with other content than was registered")
    key = environ.get(SIGNING_KEY)
    if key and not hmac.compare_digest(tags.get(SIGNED_TAG, ""), signature({UNSEEN_FILE: tags[TAG]}, key)):
        raise _changed(f"'{path}' without the signature of {SIGNING_KEY}")
    return pq.read_table(io.BytesIO(content)).cast(UNSEEN_SCHEMA)


def _changed(found: str) -> BundleError:
    return BundleError(
        found=found,
        expected="the predictions that were kept when the version was trained",
        fix="find out who changed them; train again, or promote with --force and a reason",
    )
