"""A real Tryton, from its packages, in a virtual environment and a database of its own."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

PACKAGES = ("trytond==8.2.*", "trytond_sale_opportunity==8.2.*", "proteus==8.2.*")
WAIT_S = 60

SET_UP = """
import sys
from decimal import Decimal
from proteus import Model, config
config.set_trytond("sqlite:///crm", config_file=sys.argv[1])
yen = Model.get("currency.currency")(name="Yen", symbol="Y", code="JPY", numeric_code="392", rounding=Decimal(1))
yen.digits = 0
yen.save()
party = Model.get("party.party")(name="Us")
party.save()
company = Model.get("company.company")(party=party, currency=yen)
company.save()
(admin,) = Model.get("res.user").find([("login", "=", "admin")])
admin.companies.append(company)
admin.company = company
admin.save()
application = Model.get("res.user.application")(user=admin, application="rest")
application.save()
print(application.key)
"""


@dataclass(frozen=True)
class TrytonServer:
    """A running server: its address and the key of an application for REST."""

    url: str
    key: str

    def ask(self, method: str, path: str, body: object = None, *, at: datetime | None = None, **params: str) -> Any:
        """Call the REST API as a CRM's own user would; ``at`` reads the record as it was then."""
        context: dict[str, Any] = {"company": 1}
        if at is not None:
            names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
            context["_datetime"] = {"__class__": "datetime", **{name: getattr(at, name) for name in names}}
        headers = {
            "Authorization": f"bearer {self.key}",
            "X-Tryton-Context": base64.urlsafe_b64encode(json.dumps(context).encode()).decode(),
        }
        address = f"{self.url}/crm/rest/model/{path}"
        answer = httpx.request(method, address, json=body, headers=headers, params=params or None, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()


def install(folder: Path) -> Path:
    """Install Tryton and return its folder of programs; skips where no registry can be reached, but not in CI."""
    environment = folder / "tryton"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    ran = subprocess.run(
        [str(environment / "bin" / "pip"), "install", "--quiet", *PACKAGES],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if ran.returncode and not os.environ.get("CI"):
        pytest.skip(f"Tryton cannot be installed: {ran.stderr.strip()[-200:]}")
    assert ran.returncode == 0, ran.stderr
    return environment / "bin"


@contextmanager
def running(folder: Path, programs: Path) -> Generator[TrytonServer]:
    """Make a database, start a server on it and stop it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = folder / "trytond.conf"
    listen = f"[web]\nlisten = 127.0.0.1:{port}\n"
    settings.write_text(f"[database]\nuri = sqlite://\npath = {folder}\n{listen}", encoding="utf-8")
    (folder / "crm.sqlite").touch()
    password = folder / "password"
    password.write_text("a-password-for-tests\n", encoding="utf-8")
    common = [str(programs / "trytond-admin"), "-c", str(settings), "-d", "crm"]
    subprocess.run(
        [*common, "-u", "sale_opportunity", "--activate-dependencies", "--email", "a@example.com"],
        env={**os.environ, "TRYTONPASSFILE": str(password)},
        check=True,
        capture_output=True,
        timeout=300,
    )
    made = subprocess.run(
        [str(programs / "python"), "-c", SET_UP, str(settings)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([str(programs / "trytond"), "-c", str(settings), "-d", "crm"], stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(url)
            yield TrytonServer(url, made.stdout.strip())
        finally:
            server.terminate()
            server.wait(20)


def _wait_for(url: str) -> None:
    give_up = time.monotonic() + WAIT_S
    while time.monotonic() < give_up:
        try:
            httpx.get(url, timeout=5)
            return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(f"no server at {url} after {WAIT_S} s")
