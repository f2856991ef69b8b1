"""The tables of a workspace: what its source has, and what was told to the service."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq

from crm.config import Workspace
from crm.config_sections import STATE_URL
from crm.intake import take_in
from crm.lead_files import placing_leads, unfinished_of
from crm.lead_hashes import ID_KEY_VARIABLE, left_out_leads
from crm.naming import leads_of_row
from crm.progress import Progress
from crm.sources import open_source
from crm.state import has_state, open_state
from crm.store import Tables
from crm.told_tables import told_tables

__all__ = ["open_tables"]


def open_tables(workspace: Workspace, now: datetime, progress: Progress) -> Tables:
    """Take in the tables of a workspace, and write what went to quarantine beside it.

    Leads that were erased, or that object, are in none of them.

    Parameters
    ----------
    workspace
        Its source, and its state where the service was told anything.
    now
        The clock. Timezone-aware.
    progress
        Where to report each table.
    """
    told = _told(workspace)
    with open_source(workspace) as source:
        tables = take_in(
            source,
            workspace.config,
            now=now,
            progress=progress,
            id_key=os.environ.get(ID_KEY_VARIABLE),
            erased=left_out_leads(workspace, with_objections=True),
            told=told,
        )
    workspace.tables_folder.mkdir(parents=True, exist_ok=True)
    _place_quarantine(workspace, tables.quarantine())
    return tables


def _place_quarantine(workspace: Workspace, rows: pa.Table) -> None:
    path = workspace.tables_folder / "quarantine.parquet"
    with placing_leads(workspace) as erased:
        if erased is not None:
            named = [leads_of_row(content) for content in rows.column("content").to_pylist()]
            gone = erased(sorted(set().union(*named)))
            rows = rows.filter(pa.array([not (leads & gone) for leads in named], pa.bool_()))
        unfinished = unfinished_of(path)
        pq.write_table(rows, unfinished)
        unfinished.replace(path)


def _told(workspace: Workspace) -> Mapping[str, pa.Table]:
    if not has_state(workspace):
        return {}
    state = open_state(workspace)
    try:
        # Where nobody has done anything yet, touches are none, and not unknown.
        return told_tables(state, always=("touches",) if workspace.config.source.url == STATE_URL else ())
    finally:
        state.close()
