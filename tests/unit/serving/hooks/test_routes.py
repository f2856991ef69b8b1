"""The addresses of webhooks where the state is away: each sender is asked to wait in the unit that it reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from crm.config import load_workspace
from crm.state import open_state
from serving.asked import Asked
from serving.hooks.desk import HookDesk
from serving.hooks.routes import hook_routes
from serving.watch import Watch
from serving.writer import Writer
from tests.fakes.serving import serving
from tests.service.senders import HOOKS_FILE, HUBSPOT, as_bytes, event, hubspot_v3, standard


async def nobody(lead_id: str, asked: Asked) -> dict[str, object]:
    raise AssertionError(lead_id, asked)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    (tmp_path / "kizashi.toml").write_text(f'[source]\nurl = "demo://"\n[serve]{HOOKS_FILE}', encoding="utf-8")
    workspace = load_workspace(tmp_path)
    state = open_state(workspace)
    with state.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE hook_events"))
    writer = Writer(state)
    desk = HookDesk(state, writer, workspace.config, nobody, str, b"secret")
    app = Starlette(routes=hook_routes(lambda: desk, Watch(CollectorRegistry())))
    with serving(app) as address, httpx.Client(base_url=address) as opened:
        yield opened
    writer.close()
    state.close()


def test_hubspot_is_told_in_milliseconds_and_others_in_seconds(client: httpx.Client) -> None:
    told = as_bytes([event()])
    answer = client.post(HUBSPOT, content=told, headers=hubspot_v3(told))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10000")
    rows = as_bytes({"type": "touches", "rows": []})
    answer = client.post("/v1/hooks/generic", content=rows, headers=standard(rows, "msg_1"))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
