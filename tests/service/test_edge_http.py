"""The edge over HTTP: keys of the state while the service runs, erasure, the log as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from cli.main import main
from crm.config import Workspace
from crm.known import to_micros
from crm.lead_hashes import lead_hash, versions_that_saw
from crm.scores import read_scores
from crm.state import open_state, state_secret
from crm.state_tables import AUDIT, LEDGER, TOLD
from tests.service.running import KEY, SERVE, Server, copied, environment, free_port, wait_until_ready

REVOKED_WITHIN = 5.0
TOKEN = "a-capability-token-that-nobody-may-read"
LEAD = {"lead": {"lead_id": "L1", "created_at": "2026-01-05T09:00:00Z"}, "touches": []}
SIGNER = ECKey.generate_key("P-256", {"kid": "one"})
EDGE = """
rate_per_minute = 40
log = "json"
[serve.jwt]
issuer = "https://id.example"
audience = "kizashi"
jwks = "keys.json"
"""


@contextmanager
def running(workspace: Workspace, log: Path, **variables: str) -> Iterator[Server]:
    port = free_port()
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(workspace.folder), str(port)],
            env=environment(**variables),
            cwd=log.parent,
            stdout=subprocess.DEVNULL,
            stderr=stream,
        )
        try:
            wait_until_ready(port, process, log)
            yield Server(port, log, 0.0)
        finally:
            process.terminate()
            process.wait(timeout=20)


@contextmanager
def a_key(workspace: Workspace, name: str, *scopes: str) -> Iterator[str]:
    """Make a key and end it in any case: other tests rely on a workspace without live ones."""
    words = [word for scope in scopes for word in ("--scope", scope)]
    made = CliRunner().invoke(main, ["keys", "create", name, *words, "--workspace", str(workspace.folder)])
    assert made.exit_code == 0, made.stderr
    try:
        yield made.stdout.strip()
    finally:
        CliRunner().invoke(main, ["keys", "revoke", name, "--workspace", str(workspace.folder)])


def ask(server: Server, key: str, method: str = "POST", path: str = "/v1/score") -> httpx.Response:
    body = LEAD if path == "/v1/score" else None
    return httpx.request(method, server.url + path, json=body, headers={"X-API-Key": key}, timeout=30)


def test_a_key_opens_within_a_second_and_is_refused_within_five_seconds_of_its_end(
    workspace: Workspace, server: Server
) -> None:
    ask(server, "kzs_nobody_nothing")
    time.sleep(1.1)
    with a_key(workspace, "revoked-soon", "score") as key:
        assert ask(server, key).status_code == 200
        assert ask(server, key, "GET", "/metrics").status_code == 403
        assert ask(server, key, "GET", "/v1/line").status_code == 403
    started = time.monotonic()
    while ask(server, key).status_code == 200:
        assert time.monotonic() - started < REVOKED_WITHIN
        time.sleep(0.1)
    assert ask(server, key).status_code == 401
    assert key not in server.log.read_text()


def test_the_key_of_the_environment_still_does_everything(server: Server) -> None:
    found = [ask(server, KEY, "GET", path).status_code for path in ("/", "/docs.json", "/metrics", "/v1/line")]
    assert [*found, ask(server, KEY).status_code] == [200] * 5


def names_in_files(folder: Path, lead: str) -> list[str]:
    found: list[str] = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content += json.dumps(pq.read_table(path).to_pylist(), default=str).encode()
            if lead.encode() in content:
                found.append(str(path.relative_to(folder)))
    return found


def test_an_erased_lead_is_in_no_file_of_the_workspace(workspace: Workspace, server: Server) -> None:
    lead = str(read_scores(workspace).column("lead_id")[0].as_py())
    state = open_state(workspace)
    moment = to_micros(datetime.now(UTC))
    with state.writing() as connection:
        row = {"lead_id": lead, "created_us": moment, "arrived_us": moment, "origin": "posted"}
        connection.execute(TOLD["leads"].insert().values(row))
    state.close()
    digest = lead_hash(state_secret(workspace), lead)
    assert versions_that_saw(workspace, [digest]) == ["1"]
    assert len(names_in_files(workspace.folder, lead)) >= 2
    with a_key(workspace, "eraser", "score") as key:
        time.sleep(1.1)
        assert ask(server, key, "DELETE", f"/v1/leads/{lead}").status_code == 403
    answer = ask(server, KEY, "DELETE", f"/v1/leads/{lead}")
    receipt = answer.json()
    assert answer.status_code == 200
    assert receipt["removed"]["state/leads"] == 1
    assert receipt["removed"]["tables/scores"] >= 1
    assert receipt["model_versions"] == ["1"]
    assert receipt["remaining"] == []
    assert names_in_files(workspace.folder, lead) == []
    assert lead not in server.log.read_text()
    planned = CliRunner().invoke(main, ["erase", lead, "--dry-run", "--json", "--workspace", str(workspace.folder)])
    assert json.loads(planned.stdout)["removed"] == {}
    # Processes came and went beside the service, which still has its locks on the state and still writes to it.
    before = issued(workspace)
    assert [ask(server, KEY).status_code for _ in range(3)] == [200] * 3
    assert issued(workspace) == before + 3


def issued(workspace: Workspace) -> int:
    """Count the ledger's rows as another process sees them."""
    state = open_state(workspace)
    with state.reading() as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(LEDGER)).scalar_one()
    state.close()
    return count


def test_an_objection_needs_no_body(server: Server) -> None:
    answer = httpx.post(f"{server.url}/v1/leads/objector-1/objection", headers={"X-API-Key": KEY}, timeout=30)
    assert answer.status_code == 200
    assert answer.json()["leads"] == ["objector-1"]
    wrong = httpx.post(f"{server.url}/v1/leads/{'x' * 300}/objection", headers={"X-API-Key": KEY}, timeout=30)
    assert wrong.status_code == 422
    assert wrong.json()["type"] == "urn:kizashi:problem:invalid-id"


def test_tokens_limits_and_a_log_of_objects(workspace: Workspace, tmp_path: Path) -> None:
    """One more service, with another [serve], no key in the environment, and one in the state."""
    workspace = copied(workspace, tmp_path / "copy")
    path = workspace.folder / "kizashi.toml"
    text = path.read_text(encoding="utf-8")
    (workspace.folder / "keys.json").write_text(json.dumps(KeySet([SIGNER]).as_dict(private=False)))
    path.write_text(text + EDGE, encoding="utf-8")
    now = datetime.now(UTC)
    claims = {"iss": "https://id.example", "aud": "kizashi", "exp": int((now + timedelta(minutes=5)).timestamp())}
    token = jwt.encode({"alg": "ES256", "kid": "one"}, claims | {"scope": "score"}, SIGNER)
    log = tmp_path / "log.txt"
    try:
        with a_key(workspace, "limited", "score") as key, running(workspace, log) as server:
            statuses = [ask(server, key).status_code for _ in range(42)]
            assert statuses == [200] * 40 + [429] * 2
            assert int(ask(server, key).headers["retry-after"]) in range(1, 61)
            assert ask(server, token).status_code == 200
            assert ask(server, token + "x").status_code == 401
            assert ask(server, token, "GET", "/v1/line").status_code == 403
            hook = httpx.post(f"{server.url}/v1/hooks/odoo/{TOKEN}")
            assert hook.status_code in (202, 401, 404)
            assert httpx.get(f"{server.url}/livez").status_code == 200
    finally:
        path.write_text(text, encoding="utf-8")
    written = log.read_text()
    lines = [json.loads(line) for line in written.splitlines()]
    routes = {line["route"] for line in lines if "route" in line}
    assert {"/v1/score", "/v1/hooks/{source}/{token}", "/v1/line"} <= routes
    assert {line["key_id"] for line in lines if line.get("status") == 429} == {key.split("_")[1]}
    assert not any(secret in written for secret in (TOKEN, key.split("_", 2)[2], token, "L1"))
    assert all(set(line) >= {"time", "level"} for line in lines)


@pytest.mark.parametrize("words", [["keys", "list"], ["erase", "nobody", "--dry-run"]])
def test_the_commands_answer_beside_a_running_service(workspace: Workspace, server: Server, words: list[str]) -> None:
    del server
    found = CliRunner().invoke(main, [*words, "--workspace", str(workspace.folder), "--json"])
    assert found.exit_code == 0, found.stderr
    assert json.loads(found.stdout)


def test_the_audit_says_which_version_answers(workspace: Workspace, server: Server) -> None:
    del server
    state = open_state(workspace)
    with state.reading() as connection:
        seen = connection.execute(sa.select(AUDIT.c.detail).where(AUDIT.c.action == "promotion_seen")).scalars().all()
    state.close()
    assert json.loads(seen[-1])["model_version"] == "1"
