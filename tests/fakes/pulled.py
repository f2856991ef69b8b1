"""What a pull is tried with: a workspace that is told by a CRM alone, and what it then holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from crm.config import Workspace, load_workspace
from crm.held import HeldRows
from crm.pulling import Puller, PullSummary
from crm.state import State, open_state
from crm.state_tables import RESCORE_QUEUE, TOLD
from crm.workspace_teller import workspace_teller
from tests.fakes.made_scores import FastClock

__all__ = ["Pulled", "made_pulled", "moment"]


@dataclass
class Pulled:
    """A workspace and its state."""

    workspace: Workspace
    state: State
    clock: FastClock

    @property
    def puller(self) -> Puller:
        rows = HeldRows(self.workspace, self.state)
        return Puller(self.state, workspace_teller(self.workspace), rows, self.clock.waiting())

    def pull(self, now: datetime, since: datetime | None = None) -> PullSummary:
        return self.puller.pull("crm", now, since=since)

    def told(self, table: str, **wanted: Any) -> list[dict[str, Any]]:
        """Rows of a table, times as moments, the oldest recorded first."""
        rows = TOLD[table]
        query = sa.select(rows).order_by(rows.c.recorded_us)
        for name, value in wanted.items():
            query = query.where(rows.c[name] == value)
        with self.state.reading() as connection:
            found = [dict(row) for row in connection.execute(query).mappings()]
        return [{_plain(name): _shown(name, value) for name, value in row.items()} for row in found]

    def queued(self) -> set[str]:
        with self.state.reading() as connection:
            rows = connection.execute(sa.select(RESCORE_QUEUE.c.lead_id, RESCORE_QUEUE.c.account_id))
            return {row.lead_id or f"account {row.account_id}" for row in rows}

    def forget_queue(self) -> None:
        with self.state.writing() as connection:
            connection.execute(sa.delete(RESCORE_QUEUE))


def made_pulled(folder: Path, crm: str, more: str = "") -> Pulled:
    text = f'[source]\nurl = "state:"\n{more}\n[crm.crm]\n{crm}\n'
    (folder / "kizashi.toml").write_text(text, encoding="utf-8")
    workspace = load_workspace(folder, environ={})
    return Pulled(workspace, open_state(workspace), FastClock())


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _plain(name: str) -> str:
    return name.removesuffix("_us") + "_at" if name.endswith("_us") else name


def _shown(name: str, value: Any) -> Any:
    return datetime.fromtimestamp(value / 1e6, UTC) if name.endswith("_us") and value is not None else value
