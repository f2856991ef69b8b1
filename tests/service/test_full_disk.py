"""A disk that takes nothing more, under a running service: refused with 503, nothing half written, no new start."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from crm.config import Workspace
from serving.problems import PROBLEM_TYPE
from tests.service.running import KEY, copied, free_port, launch, wait_until_ready

CREATED = (datetime.now(UTC) - timedelta(days=2)).isoformat()


class Disk:
    """What a process may write: past its limit for the size of files, every write fails as on a full disk."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def fill(self) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    def clear(self) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture(scope="module")
def running(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Disk]]:
    folder, port = tmp_path_factory.mktemp("disk"), free_port()
    process = launch(copied(workspace, folder / "workspace").folder, log := folder / "log.txt", port)
    headers = {"Authorization": f"Bearer {KEY}"}
    try:
        wait_until_ready(port, process, log)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
            yield client, Disk(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=20)


def lead(name: str) -> dict[str, Any]:
    return {"lead_id": name, "created_at": CREATED, "job_level": "vp"}


def ledger(client: httpx.Client, name: str) -> int:
    answer = client.get(f"/v1/leads/{name}/scores")
    return len(answer.json()["scores"]) if answer.status_code == 200 else 0


@pytest.mark.slow
def test_what_cannot_be_kept_is_refused_and_all_goes_on_once_there_is_room(running: tuple[httpx.Client, Disk]) -> None:
    client, disk = running
    assert client.post("/v1/leads", json=lead("before")).json()["stored"] == 1
    assert client.post("/v1/score", json={"lead_id": "before"}).status_code == 200
    asked = (
        ("POST", "/v1/leads", lead("meanwhile")),
        ("POST", "/v1/touches", {"lead_id": "before", "kind": "form_submit", "happened_at": CREATED}),
        ("POST", "/v1/score", {"lead_id": "before"}),
        ("POST", "/v1/score/batch", {"lead_ids": ["before"]}),
        ("POST", "/v1/leads/before/objection", None),
        ("DELETE", "/v1/leads/before", None),
    )
    kept = ledger(client, "before")
    disk.fill()
    try:
        for method, path, body in asked:
            answer = client.request(method, path, json=body)
            assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM_TYPE), (path, answer.text)
        assert ledger(client, "before") == kept
        assert ledger(client, "meanwhile") == 0
        assert client.get("/livez").status_code == 200
    finally:
        disk.clear()
    assert client.post("/v1/score", json={"lead_id": "meanwhile"}).status_code == 404
    for method, path, body in asked:
        assert client.request(method, path, json=body).status_code == 200, path
    assert client.post("/v1/score", json={"lead_id": "before"}).status_code == 409, "it was erased in the end"
