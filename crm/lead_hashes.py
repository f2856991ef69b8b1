"""Keyed hashes of leads: how erased leads, and those that object, are known without being named."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from crm.config import Workspace
from crm.personal import hash_id
from crm.state import open_state, state_secret
from crm.state_tables import OBJECTIONS, TOMBSTONES

__all__ = [
    "ID_KEY_VARIABLE",
    "lead_hash",
    "left_out_leads",
    "not_scored",
    "note_seen",
    "objected",
    "stored_ids",
    "tombstoned",
    "versions_that_saw",
]

ID_KEY_VARIABLE = "KIZASHI_ID_KEY"
FEW = 500
"""So many hashes are asked for one by one; for more, the whole list is read, which is short."""


def lead_hash(secret: bytes, lead_id: str) -> str:
    """Return the hash that stands for a lead in tombstones, objections, the audit and the lists of seen leads.

    Parameters
    ----------
    secret
        Of the workspace (:func:`crm.state.state_secret`); without it nobody can try ids.
    lead_id
        As the tables have it: hashed already where ``hash_ids = true``.

    Examples
    --------
    >>> lead_hash(b"secret", "L1") == lead_hash(b"secret", "L1"), len(lead_hash(b"other", "L1"))
    (True, 64)
    """
    return hmac.digest(secret, b"lead\x1f" + lead_id.encode(), "sha256").hex()


def stored_ids(workspace: Workspace, lead_id: str) -> tuple[str, ...]:
    """Return the ids under which a lead may be stored: its own, and its hash where ``hash_ids = true``."""
    key = os.environ.get(ID_KEY_VARIABLE)
    if not workspace.config.workspace.hash_ids or not key:
        return (lead_id,)
    return (lead_id, hash_id(lead_id, key))


def tombstoned(connection: sa.Connection, secret: bytes, ids: Collection[str]) -> set[str]:
    """Return those of some leads that were erased: they are neither stored nor scored, whoever sends them.

    Parameters
    ----------
    connection
        Of the state; the transaction that would store them, so that an erasure at the same time is not missed.
    secret
        Of the workspace.
    ids
        Of leads.
    """
    return _listed(connection, TOMBSTONES, secret, ids)


def objected(connection: sa.Connection, secret: bytes, ids: Collection[str]) -> set[str]:
    """Return those of some leads that objected: they are neither scored nor trained on."""
    return _listed(connection, OBJECTIONS, secret, ids)


def not_scored(connection: sa.Connection, secret: bytes, ids: Collection[str]) -> set[str]:
    """Return those of some leads that were erased or objected: no score of them is issued, whoever asks.

    Parameters
    ----------
    connection
        Of the state; the transaction that would write the scores, so that a wish at the same time is not missed.
    secret
        Of the workspace.
    ids
        Of leads, as they are held.
    """
    if not ids:
        return set()
    hashes = {lead_hash(secret, lead): lead for lead in ids}
    if len(hashes) <= FEW:
        found = connection.execute(_not_scored_of(), {"wanted": list(hashes)}).all()
    else:
        found = connection.execute(
            sa.union(*(sa.select(table.c.lead_hash) for table in (TOMBSTONES, OBJECTIONS)))
        ).all()
    return {hashes[str(row[0])] for row in found if row[0] in hashes}


def _listed(connection: sa.Connection, table: sa.Table, secret: bytes, ids: Collection[str]) -> set[str]:
    if not ids:
        return set()
    hashes = {lead_hash(secret, lead): lead for lead in ids}
    if len(hashes) <= FEW:
        found = connection.execute(_those_of(table), {"wanted": list(hashes)}).scalars()
    else:
        found = connection.execute(sa.select(table.c.lead_hash)).scalars()
    return {hashes[one] for one in found if one in hashes}


@cache
def _those_of(table: sa.Table) -> sa.Select[tuple[str]]:
    """Return the query for some hashes, made once: every score runs it."""
    return sa.select(table.c.lead_hash).where(table.c.lead_hash.in_(sa.bindparam("wanted", expanding=True)))


@cache
def _not_scored_of() -> sa.CompoundSelect[tuple[str]]:
    return sa.union(_those_of(TOMBSTONES), _those_of(OBJECTIONS))


def left_out_leads(workspace: Workspace, *, with_objections: bool) -> Callable[[Sequence[str]], set[str]] | None:
    """Return what tells which leads no table may hold; None when there are none.

    Parameters
    ----------
    workspace
        Whose state has the lists. A workspace that has no state yet has none.
    with_objections
        Leads that objected as well, for whatever trains or scores.
    """
    if not workspace.config.serve.state_url and not workspace.state_path.is_file():
        return None
    state = open_state(workspace)
    try:
        with state.reading() as connection:
            hashes = set(connection.execute(sa.select(TOMBSTONES.c.lead_hash)).scalars())
            if with_objections:
                hashes |= set(connection.execute(sa.select(OBJECTIONS.c.lead_hash)).scalars())
    finally:
        state.close()
    if not hashes:
        return None
    secret = state_secret(workspace)
    return lambda ids: {lead for lead in ids if lead_hash(secret, lead) in hashes}


def _seen_folder(workspace: Workspace) -> Path:
    return workspace.folder / ".kizashi" / "seen"


def note_seen(workspace: Workspace, version: str, lead_ids: Iterable[str]) -> Path:
    """Write down, as keyed hashes, which leads a model version learned from; receipts of erasures name it by this.

    Parameters
    ----------
    workspace
        Where the file goes; it never goes into MLflow.
    version
        In the registry.
    lead_ids
        Of its leads, in any order and number.
    """
    secret = state_secret(workspace)
    digests = sorted({bytes.fromhex(lead_hash(secret, lead)) for lead in lead_ids})
    folder = _seen_folder(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{version}.parquet"
    unfinished = path.with_suffix(".part")
    pq.write_table(pa.table({"lead_hash": pa.array(digests, pa.binary(32))}), unfinished)
    unfinished.replace(path)
    return path


def versions_that_saw(workspace: Workspace, hashes: Collection[str]) -> list[str]:
    """Return the model versions that learned from any of some leads, given as hashes, the oldest first."""
    wanted = pa.array([bytes.fromhex(one) for one in hashes], pa.binary(32))
    found: list[str] = []
    for path in _seen_folder(workspace).glob("*.parquet"):
        kept = pq.read_table(path, columns=["lead_hash"]).column("lead_hash")
        if pc.any(pc.is_in(kept, wanted)).as_py():
            found.append(path.stem)
    return sorted(found, key=lambda version: (len(version), version))
