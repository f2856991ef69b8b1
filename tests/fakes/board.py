"""A board of hostile names behind the service's own guards, on a real socket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from alignment.board_files import write_served_board
from alignment.board_rows import board_rows
from alignment.findings import find_alignment
from crm.api_keys import create_key
from crm.config import Workspace
from crm.progress import Silent
from crm.state_tables import AUDIT
from serving.board_routes import board_routes
from serving.guards import BodyGuard, ErrorGuard
from serving.key_guard import KeyGuard
from serving.rate_limit import RateLimit
from serving.runtime import Runtime, Settings
from serving.watch import Watch
from tests.fakes.serving import serving
from tests.histories import Row, config_of, tables_of
from tests.scenes import DAY, END, Scene, line_of, scores_of

__all__ = ["HOSTILE", "BoardService", "board_service", "hostile_rows"]

HOSTILE = {
    "lead": "=cmd|' /C calc'!A0",
    "owner": "@SUM(1+1)*owner",
    "campaign": "<script>window.hacked = 1</script>",
    "content": '"><img src=x onerror="window.hacked = 2">',
    "source": "+source",
    "reason": "-2+3+cmd",
}


def hostile_rows() -> dict[str, list[Row]]:
    """Return an ordinary year in which every name wants to be run."""
    rows = Scene(undisposed=3, late=3).rows()
    with tables_of(rows, now=END + DAY) as tables:
        found = find_alignment(tables, config_of(), END, scores_of(rows, 0.1), line_of(), Silent())
    assert found.reports.sla is not None
    first = found.reports.sla.breaches["person_id"].iloc[0]  # the longest overdue, which the page shows

    def renamed(row: Row) -> Row:
        return {**row, "lead_id": HOSTILE["lead"]} if row.get("lead_id") == first else row

    rows = {name: [renamed(row) for row in table] for name, table in rows.items()}
    for row in rows["hand_offs"]:
        row["owner"] = HOSTILE["owner"] if row["owner"] == "o0" else row["owner"]
        row["disposition_reason"] = HOSTILE["reason"] if row["disposition"] == "disqualified" else None
    for row in rows["leads"]:
        row["source"] = HOSTILE["source"] if row["source"] == "web" else row["source"]
    rows["campaigns"][0]["name"] = HOSTILE["campaign"]
    rows["content"][0]["title"] = HOSTILE["content"]
    return rows


@dataclass(frozen=True)
class BoardService:
    """A running board."""

    url: str
    workspace: Workspace
    runtime: Runtime

    def key(self, name: str, *scopes: str) -> str:
        secret = create_key(self.runtime.state, name, scopes, now=datetime.now(UTC)).secret
        self.read_keys_again()
        return secret

    def read_keys_again(self) -> None:
        """What the service reads every two seconds it reads with the next request."""
        self.runtime.access._read_at = float("-inf")

    def audit(self, action: str) -> list[Mapping[str, Any]]:
        with self.runtime.state.reading() as connection:
            rows = connection.execute(sa.select(AUDIT).where(AUDIT.c.action == action).order_by(AUDIT.c.seq))
            return [dict(row) for row in rows.mappings()]


@contextmanager
def board_service(folder: Path, *, with_board: bool = True) -> Iterator[BoardService]:
    """Serve a board from a folder."""
    config = config_of(workspace={"name": "Board & Co"}, dispositions={"reasons": ["no_need"]})
    workspace = Workspace(folder=folder, config=config)
    if with_board:
        rows = hostile_rows()
        with tables_of(rows, now=END + DAY) as tables:
            found = find_alignment(tables, config, END, scores_of(rows, 0.1), line_of(), Silent())
            write_served_board(found, board_rows(found), workspace)
    runtime = Runtime(lambda: Settings(workspace))
    watch = Watch(CollectorRegistry())
    app = Starlette(routes=board_routes(runtime, watch))
    guarded = ErrorGuard(KeyGuard(RateLimit(BodyGuard(app, runtime), runtime), runtime), watch)
    with serving(guarded) as url:  # pyright: ignore[reportArgumentType] - any ASGI application
        yield BoardService(url, workspace, runtime)
    runtime.state.close()
