"""A real CRM end to end: leads by REST, scores pushed and read back, history pulled, a loss becomes an outcome."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from crm.clients.waiting import Waiting
from crm.config import Workspace, load_workspace
from crm.config_crm import CrmConfig
from crm.dead_letters import dead_letters
from crm.errors import CrmAccessError, CrmSetupError
from crm.held import HeldRows
from crm.pulling import Puller, PullSummary
from crm.state import State, open_state
from crm.state_tables import TOLD
from crm.told import Teller
from tests.e2e.tryton_server import TrytonServer, running
from tests.fakes.made_scores import deliverer, made_score, queue

pytestmark = pytest.mark.slow

FILE = """
[source]
url = "demo://"
[crm.crm]
kind = "tryton"
url = "{url}"
token = "{key}"
database = "crm"
"""


@pytest.fixture(scope="module")
def tryton(tryton_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[TrytonServer]:
    folder = tmp_path_factory.mktemp("tryton")
    with running(folder, tryton_programs) as server:
        yield server


@pytest.fixture
def workspace(tryton: TrytonServer, tmp_path: Path) -> Workspace:
    (tmp_path / "kizashi.toml").write_text(FILE.format(url=tryton.url, key=tryton.key), encoding="utf-8")
    return load_workspace(tmp_path, environ={})


@pytest.fixture
def config(workspace: Workspace) -> CrmConfig:
    return workspace.config.crm["crm"]


@pytest.fixture
def state(workspace: Workspace) -> Generator[State]:
    opened = open_state(workspace)
    yield opened
    opened.close()


def make_leads(tryton: TrytonServer, count: int) -> list[str]:
    party = tryton.ask("POST", "party.party", {"name": "A company"})["id"]
    made = [tryton.ask("POST", "sale.opportunity", {"party": party, "description": "d"}) for _ in range(count)]
    return [str(lead["id"]) for lead in made]


def read(tryton: TrytonServer, lead: str, at: datetime | None = None) -> dict[str, Any]:
    return tryton.ask("GET", f"sale.opportunity/{lead}?f=state&f=conversion_probability", at=at)


def push(state: State, config: CrmConfig) -> Any:
    pushing = deliverer(state, config, Waiting())
    try:
        return pushing.run_once(datetime.now(UTC))
    finally:
        pushing.close()


def test_scores_arrive_and_the_past_stays_as_it_was(tryton: TrytonServer, state: State, config: CrmConfig) -> None:
    leads = make_leads(tryton, 60)
    queue(state, config, [made_score(lead, n, p_won=n / 1_000) for n, lead in enumerate(leads, start=1)])
    before = datetime.now(UTC)
    summary = push(state, config)
    assert (summary.sent, summary.waiting, summary.dead) == (60, 0, 0)
    for number, lead in enumerate(leads, start=1):
        assert read(tryton, lead)["conversion_probability"] == number / 1_000
    assert read(tryton, leads[0], at=before)["conversion_probability"] == 0.5


def test_a_record_that_is_not_there_is_a_dead_letter(tryton: TrytonServer, state: State, config: CrmConfig) -> None:
    (lead,) = make_leads(tryton, 1)
    queue(state, config, [made_score("987654", 1), made_score(lead, 2, p_won=0.25)])
    summary = push(state, config)
    assert (summary.sent, summary.refused) == (1, 1)
    with state.reading() as connection:
        (letter,) = dead_letters(connection, ["crm"])
    assert letter.message.startswith("404: Not Found")
    assert read(tryton, lead)["conversion_probability"] == 0.25


def test_a_value_that_the_crm_forbids_is_a_dead_letter(tryton: TrytonServer, state: State, config: CrmConfig) -> None:
    (lead,) = make_leads(tryton, 1)
    queue(state, config, [made_score(lead, 1, p_won=1.7)])
    assert push(state, config).refused == 1
    with state.reading() as connection:
        assert "Conversion Probability" in dead_letters(connection, ["crm"])[0].message


def test_a_wrong_key_and_a_wrong_field_stop_the_run(tryton: TrytonServer, state: State, config: CrmConfig) -> None:
    (lead,) = make_leads(tryton, 1)
    queue(state, config, [made_score(lead, 1)])
    with pytest.raises(CrmAccessError):
        push(state, config.model_copy(update={"token": "0123456789abcdef"}))
    with pytest.raises(CrmSetupError, match="no_such_field"):
        push(state, config.model_copy(update={"fields": {"p_won": "no_such_field"}}))
    assert push(state, config).sent == 1


def test_history_is_pulled_and_a_lost_lead_is_an_outcome(
    tryton: TrytonServer, state: State, workspace: Workspace
) -> None:
    kept, lost = make_leads(tryton, 2)
    tryton.ask("PUT", f"sale.opportunity/{lost}", {"amount": {"__class__": "Decimal", "decimal": "5000"}})
    first = pull(state, workspace)
    assert first.records >= 2
    tryton.ask("PUT", f"sale.opportunity/{lost}", {"amount": {"__class__": "Decimal", "decimal": "7000"}})
    between = datetime.now(UTC)
    tryton.ask("POST", f"sale.opportunity/{lost}/lost", {})
    tryton.ask("PUT", f"sale.opportunity/{lost}", {"lost_reason": "too dear"})
    pull(state, workspace)
    stages = told(state, "stages", lost)
    assert [(row["stage"], row["reason"], row["origin"]) for row in stages] == [("closed_lost", "too dear", "crm")]
    assert timedelta(0) <= moment(stages[0]["entered_us"]) - between < timedelta(minutes=1)
    assert stages[0]["recorded_us"] == stages[0]["entered_us"]
    amounts = [row["value"] for row in told(state, "lead_changes", lost) if row["field"] == "amount"]
    assert amounts == ["5000", "7000"]
    assert told(state, "stages", kept) == []
    (lead,) = told(state, "leads", kept)
    assert lead["account_id"] is not None
    assert pull(state, workspace).new == {}


def pull(state: State, workspace: Workspace) -> PullSummary:
    rows = HeldRows(workspace, state)
    return Puller(state, Teller(workspace.config), rows, Waiting()).pull("crm", datetime.now(UTC))


def told(state: State, table: str, lead: str) -> list[Any]:
    rows = TOLD[table]
    order = rows.c.recorded_us
    with state.reading() as connection:
        return list(connection.execute(sa.select(rows).where(rows.c.lead_id == lead).order_by(order)).mappings())


def moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1e6, UTC)
