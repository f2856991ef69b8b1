"""The service answers as /docs.json says, whatever is sent: thousands of requests that schemathesis makes up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from crm.config import Workspace
from serving.operations import OPERATIONS
from serving.routes import OPEN_PATHS, ROUTES, route_of
from tests.service.running import KEY, ROOT, SERVE, Server, environment, free_port, wait_until_ready

EXAMPLES = int(os.environ.get("EXAMPLES", "100"))
"""Cases of each route while fuzzing; ``make fuzz EXAMPLES=2000`` for a night."""
FEWEST_CASES = 5_000
SEED = ["--seed", "7"] if EXAMPLES == 100 else []
"""The run of every day is always the same; longer ones find new cases."""
LIMIT_SECONDS = 480 * max(1, EXAMPLES / 100)
"""Twice what it takes on two cores that have other work as well."""


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    return client.get("/docs.json").json()


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_the_document_and_the_routes_name_the_same(document: dict[str, Any]) -> None:
    described = {
        (method.upper(), path): operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    found = {one: route_of(*one) for one in described if one[1] not in OPEN_PATHS}
    assert not [one for one, route in found.items() if route is None]
    # a route of several senders is described once for each
    templates = {(route.method, route.template) for route in found.values() if route}
    assert templates == {(route.method, route.template) for route in ROUTES}
    assert set(OPEN_PATHS) <= set(document["paths"])
    for one, route in found.items():
        assert route is not None
        shown = [scopes for scheme in described[one]["security"] for scopes in scheme.values()]
        if route.guards_itself:
            assert not any(shown)
        else:
            # the board's rows are also answered to its cookie
            schemes = 3 if route.template.startswith("/board/") else 2
            assert shown == [[route.scope] if route.scope else []] * schemes
        assert ("403" in described[one]["responses"]) == (route.scope is not None)
    assert len(found) == len(OPERATIONS)


def test_every_refusal_says_what_it_is(document: dict[str, Any]) -> None:
    for operations in document["paths"].values():
        for operation in operations.values():
            refusals = {status: one for status, one in operation["responses"].items() if int(status) >= 400}
            assert all(one == {"$ref": f"#/components/responses/{status}"} for status, one in refusals.items())
    for refusal in document["components"]["responses"].values():
        assert set(refusal["content"]) == {"application/problem+json"}


# --- whatever is sent ------------------------------------------------------------------------------------------------

# Schemathesis shows more wrong keys in a minute than an address is granted.
UNLIMITED = f"import serving.rates\nserving.rates.WRONG_KEYS_PER_MINUTE = 10**7\n{SERVE}"


@pytest.fixture
def patient(hooked: Workspace, tmp_path: Path) -> Iterator[Server]:
    """A service that counts no requests, with some leads in it."""
    path = hooked.folder / "kizashi.toml"
    text, port, log = path.read_text(encoding="utf-8"), free_port(), tmp_path / "log.txt"
    path.write_text(text.replace("[serve]", "[serve]\nrate_per_minute = 10000000"), encoding="utf-8")
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", UNLIMITED, str(hooked.folder), str(port)],
            env=environment(KIZASHI_API_KEY=KEY),
            cwd=tmp_path,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(port, process, log)
            started = Server(port, log, 0.0)
            fill(started)
            yield started
        finally:
            process.terminate()
            process.wait(timeout=20)
            path.write_text(text, encoding="utf-8")


def fill(server: Server) -> None:
    moments = [(datetime.now(UTC) - timedelta(days=days)).isoformat() for days in range(1, 11)]
    leads = [{"lead_id": f"F{number}", "created_at": at, "source": "webinar"} for number, at in enumerate(moments)]
    touches = [{"lead_id": f"F{n}", "happened_at": moments[0], "kind": "visit"} for n in range(1, 10)]
    with httpx.Client(base_url=server.url, headers={"X-API-Key": KEY}, timeout=30) as client:
        assert client.post("/v1/leads", json={"leads": leads}).json()["stored"] == 10
        assert len(client.post("/v1/touches", json={"touches": touches}).json()["scores"]) == 9


@pytest.mark.slow
def test_whatever_is_sent_is_answered_as_the_document_says(patient: Server, tmp_path: Path) -> None:
    schema = tmp_path / "docs.json"
    schema.write_bytes(httpx.get(f"{patient.url}/docs.json", headers={"X-API-Key": KEY}, timeout=30).content)
    config = ROOT / "tests" / "service" / "schemathesis.toml"
    words = f"--config-file {config} run {schema} --url {patient.url} --max-examples {EXAMPLES} --no-color"
    quiet = "--warnings off --generation-database none --suppress-health-check all --continue-on-failure --no-shrink"
    ended = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *words.split(), *quiet.split(), *SEED],
        env=environment(SCHEMATHESIS_HOOKS="tests.service.schemathesis_hooks"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    told = "\n".join(line[:600] for line in ended.stdout.splitlines())
    assert ended.returncode == 0, told + ended.stderr
    cases = re.search(r"([\d,]+) generated", told)
    assert cases is not None, told
    assert int(cases[1].replace(",", "")) >= FEWEST_CASES * min(1, EXAMPLES / 100)
    log = patient.log.read_text(encoding="utf-8")
    assert " ERROR failed" not in log
    assert "Traceback" not in log
