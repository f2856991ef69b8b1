"""Erasing leads from webhooks that were taken: those that wait, and the answers that are kept for repeats."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from crm.config import Workspace
from crm.lead_hashes import lead_hash, stored_ids
from crm.naming import LEAD_COLUMNS
from crm.state_tables import HOOK_EVENTS

__all__ = ["erase_hooks"]


def erase_hooks(
    connection: sa.Connection, workspace: Workspace, secret: bytes, hashes: Collection[str], *, dry_run: bool
) -> int:
    """Take leads out of the webhooks that speak of them, and leave in them what is said of others.

    Whoever repeats a webhook is answered as before; an answer that was a score is deleted with its row.

    Parameters
    ----------
    connection
        A transaction that writes, or with ``dry_run`` any.
    workspace
        Tells under which ids leads are held.
    secret
        Of the workspace.
    hashes
        Of the leads.
    dry_run
        Count and change nothing.

    Returns
    -------
    int
        Webhooks that spoke of them.
    """
    columns = HOOK_EVENTS.c
    asked = sa.select(columns.source, columns.event_id, columns.body, columns.leads)
    found = connection.execute(asked.where(sa.or_(*(columns.leads.contains(one) for one in hashes)))).all()
    for row in found if not dry_run else ():
        here = (columns.source == row.source, columns.event_id == row.event_id)
        if row.body is None:
            connection.execute(sa.delete(HOOK_EVENTS).where(*here))
            continue
        body = _without(row.body, workspace, secret, hashes)
        left = " ".join(one for one in row.leads.split() if one not in hashes) if body is not None else ""
        values: dict[str, Any] = {"body": body, "leads": left}
        if body is None:
            values |= {"next_try_us": None, "last_error": None}  # nothing is left to work on
        connection.execute(sa.update(HOOK_EVENTS).where(*here).values(values))
    return len(found)


def _without(body: str, workspace: Workspace, secret: bytes, hashes: Collection[str]) -> str | None:
    """Return a body without the rows of some leads; None where it is about nobody else."""
    kept: dict[str, Any] = json.loads(body)
    if kept.get("kind") != "rows":
        return None

    def is_gone(row: dict[str, Any]) -> bool:
        named = [str(row[name]) for name in LEAD_COLUMNS if row.get(name) is not None]
        return any(lead_hash(secret, form) in hashes for one in named for form in stored_ids(workspace, one))

    kept["content"]["rows"] = [row for row in kept["content"]["rows"] if not is_gone(row)]
    if not kept["content"]["rows"]:
        return None
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
