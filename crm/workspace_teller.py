"""How rows that are told are taken in by the rules of one workspace, erased leads kept out."""

from __future__ import annotations

import os
from collections.abc import Collection

import sqlalchemy as sa

from crm.config import Workspace
from crm.lead_hashes import ID_KEY_VARIABLE, tombstoned
from crm.state import state_secret
from crm.told import Teller

__all__ = ["workspace_teller"]


def workspace_teller(workspace: Workspace) -> Teller:
    """Return the teller of a workspace: its file, the key of its hashed ids, its list of erased leads."""
    secret = state_secret(workspace)

    def erased(connection: sa.Connection, lead_ids: Collection[str]) -> set[str]:
        return tombstoned(connection, secret, lead_ids)

    return Teller(workspace.config, os.environ.get(ID_KEY_VARIABLE), erased)
