"""What a running service does when a pull, which is another process, or a webhook brings news."""

from __future__ import annotations

from collections.abc import Collection, Generator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from crm.lead_hashes import lead_hash
from crm.state_tables import OBJECTIONS, TOMBSTONES
from serving.runtime import Runtime, Settings
from tests.fakes.odoo import DATABASE, KEY
from tests.fakes.odoo_reading import FakeOdooCrm
from tests.fakes.pulled import Pulled, made_pulled, moment
from tests.fakes.serving import serving

START, NOW = moment("2026-03-01T09:00"), moment("2026-11-02T09:00")


class Forgetful:
    """Stands for the leads that a model holds in memory."""

    def __init__(self) -> None:
        self.forgotten: list[Any] = []

    def forget_all(self) -> None:
        self.forgotten.append("all")

    def forget(self, lead_ids: Collection[str]) -> frozenset[str]:
        self.forgotten.append(set(lead_ids))
        return frozenset()


@pytest.fixture
def odoo() -> FakeOdooCrm:
    made = FakeOdooCrm()
    made.make(7, START, partner_id=41)
    return made


@pytest.fixture
def pulled(odoo: FakeOdooCrm, tmp_path: Path) -> Generator[Pulled]:
    with serving(odoo.app()) as address:
        made = made_pulled(tmp_path, f'kind = "odoo"\nurl = "{address}"\ntoken = "{KEY}"\ndatabase = "{DATABASE}"')
        yield made
        made.state.close()


@pytest.fixture
def runtime(pulled: Pulled) -> Generator[Runtime]:
    made = Runtime(lambda: Settings(pulled.workspace))
    made.put_live(SimpleNamespace(held=Forgetful()))  # pyright: ignore[reportArgumentType]
    yield made
    made.close()


def test_who_objected_and_is_then_erased_elsewhere_leaves_the_files_here(
    runtime: Runtime, pulled: Pulled, caplog: pytest.LogCaptureFixture
) -> None:
    folder = pulled.workspace.tables_folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scores.parquet"
    pq.write_table(pa.table({"lead_id": ["7", "8"]}), path)
    hashed = lead_hash(runtime.secret, "7")
    with pulled.state.writing() as connection:
        connection.execute(sa.insert(OBJECTIONS).values(lead_hash=hashed, objected_us=1))
    runtime.refresh_left_out()
    with pulled.state.writing() as connection:
        connection.execute(sa.insert(TOMBSTONES).values(lead_hash=hashed, erased_us=2))
    broken = folder / "broken.parquet"
    broken.write_bytes(b"PAR1")
    for _ in range(2):
        runtime.catch_up_with_erasures()
    assert caplog.text.count("may still be in files") == 1
    broken.unlink()
    runtime.catch_up_with_erasures()
    assert pq.read_table(path).column("lead_id").to_pylist() == ["8"]


def forgotten(runtime: Runtime) -> list[Any]:
    return runtime.live.held.forgotten  # pyright: ignore[reportAttributeAccessIssue]


def test_leads_are_gathered_anew_after_a_pull_and_only_then(pulled: Pulled, runtime: Runtime) -> None:
    runtime.refresh_pulled()
    assert forgotten(runtime) == []
    pulled.pull(NOW)
    for _ in range(3):
        runtime.refresh_pulled()
    assert forgotten(runtime) == ["all"]
    pulled.pull(NOW + timedelta(hours=1))
    runtime.refresh_pulled()
    assert forgotten(runtime) == ["all"]  # it brought nothing


def test_a_hint_makes_the_service_read_the_lead_anew(pulled: Pulled, odoo: FakeOdooCrm, runtime: Runtime) -> None:
    odoo.change(7, START + timedelta(days=1), stage_id=2)
    runtime.reread("crm", ["7"])
    assert pulled.told("stages")[0]["stage"] == "sql"
    assert forgotten(runtime) == [{"7"}]
    assert pulled.queued() == {"7", "account 41"}
    runtime.reread("crm", ["7"])
    assert forgotten(runtime) == [{"7"}]  # nothing new
