"""The whole loop with a real CRM: pull, train, promote, rescore, push, and what sales does after that."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from crm.config import load_workspace
from crm.outcomes import outcome_events
from crm.progress import Silent
from crm.state import open_state
from crm.state_tables import CURRENT_SCORES, LEDGER
from crm.workspace_tables import open_tables
from tests.e2e.command import Ran, kizashi
from tests.e2e.tryton_past import COUNT, make_past
from tests.e2e.tryton_server import TrytonServer, running

pytestmark = pytest.mark.slow

FILE = """
[workspace]
name = "loop"
[source]
url = "state:"
[snapshots]
creation = true
random_per_lead = 1
[value]
margin = 0.8
touch_cost = 60
capacity_per_week = 3
default_amount = 2000
[crm.tryton]
kind = "tryton"
url = "{url}"
token = "${{TRYTON_KEY}}"
database = "crm"
"""


@dataclass(frozen=True)
class Loop:
    """A server with a year of leads, and the workspace that is told by it."""

    server: TrytonServer
    folder: Path
    won: int

    def run(self, *args: str, code: int = 0) -> Ran:
        ran = kizashi(*args, cwd=self.folder, environ={"TRYTON_KEY": self.server.key})
        assert ran.code == code, ran.out + ran.err
        assert self.server.key not in ran.out + ran.err
        return ran


@pytest.fixture
def loop(tryton_programs: Path, tmp_path: Path) -> Generator[Loop]:
    base, folder = tmp_path / "tryton", tmp_path / "loop"
    base.mkdir()
    folder.mkdir()
    with running(base, tryton_programs) as server:
        won = make_past(base, tryton_programs)
        (folder / "kizashi.toml").write_text(FILE.format(url=server.url), encoding="utf-8")
        yield Loop(server, folder, won)


def test_scores_learned_from_a_crm_go_back_to_it(loop: Loop) -> None:
    (pulled,) = loop.run("pull", "--json").json["pulled"]
    assert (pulled["records"], pulled["new"]["leads"], pulled["quarantined"]) == (COUNT, COUNT, 0)
    assert loop.run("pull", "--json").json["pulled"][0]["new"] == {}
    trained = loop.run("train", "--json").json
    if not trained["is_champion"]:
        loop.run("promote", trained["model_version"])
    assert loop.run("rescore", "--json").json["issued"] > 0
    loop.run("push", "--json")
    scores = issued(loop)
    assert len(scores) > 20
    told = loop.server.ask("GET", f"sale.opportunity?f=conversion_probability&s={COUNT}")
    held = {str(row["id"]): row["conversion_probability"] for row in told}
    assert {lead: held[lead] for lead in scores} == {lead: round(p_won, 4) for lead, p_won in scores.items()}
    echoed = loop.run("pull", "--json").json["pulled"][0]
    assert (echoed["new"], echoed["rescored"]) == ({}, 0)  # our own scores are no news
    lost = next(iter(scores))
    loop.server.ask("POST", f"sale.opportunity/{lost}/lost", {})
    assert loop.run("pull", "--json").json["pulled"][0]["new"] == {"stages": 1}
    assert ended(loop, lost) == ["closed_lost"]


def issued(loop: Loop) -> dict[str, float]:
    """The chance of a win that was issued last, by lead."""
    state = open_state(load_workspace(loop.folder, environ={"TRYTON_KEY": loop.server.key}))
    query = sa.select(LEDGER.c.lead_id, LEDGER.c.p_won).join(CURRENT_SCORES, CURRENT_SCORES.c.seq == LEDGER.c.seq)
    with state.reading() as connection:
        found = {row.lead_id: row.p_won for row in connection.execute(query)}
    state.close()
    return found


def ended(loop: Loop, lead: str) -> list[str]:
    """Stages of a lead as training reads them; and it is checked that wins are outcomes there."""
    workspace = load_workspace(loop.folder, environ={"TRYTON_KEY": loop.server.key})
    now = datetime.now(UTC)
    with open_tables(workspace, now, Silent()) as tables:
        stages = tables.table("stages")
        found = stages.filter(stages.lead_id == lead).stage.to_pyarrow().to_pylist()
        events = outcome_events(tables, now)
        assert (events["outcome"] == "won").sum() == loop.won
    return found
