"""Scores as the scorer queues them, and a state to queue them in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from crm.clients.opening import open_client
from crm.clients.waiting import Waiting
from crm.config import load_workspace
from crm.config_crm import CrmConfig
from crm.delivery import Deliverer
from crm.leases import holder_name
from crm.outbox import queue_scores
from crm.state import State, open_state
from crm.state_tables import OUTBOX, PUSHED

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
NOW_US = round(NOW.timestamp() * 1e6)


def made_score(lead: str, seq: int, score: float = 50.0, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "lead_id": lead,
        "seq": seq,
        "score": score,
        "grade": "B",
        "is_mql": True,
        "decision": "hand_off",
        "p_sql": 0.31234567,
        "p_won": 0.1,
        "expected_value": 1234.567,
        "percentile": 88.0,
        "reasons": ["Asked for a price, 2 days ago", "Came by a webinar"],
        "model_version": "3",
        "line_version": "2",
        "as_of": NOW,
    }
    return made | more


def made_state(folder: Path, state_url: str = "") -> State:
    serve = f'[serve]\nstate_url = "{state_url}"\n' if state_url else ""
    (folder / "kizashi.toml").write_text(f'[source]\nurl = "demo://"\n{serve}', encoding="utf-8")
    return open_state(load_workspace(folder, environ={}))


def queue(state: State, config: CrmConfig, scores: Sequence[dict[str, Any]], *, name: str = "crm") -> int:
    with state.writing() as connection:
        return queue_scores(connection, {name: config}, scores, now_us=NOW_US)


def waiting_leads(state: State) -> dict[str, int]:
    with state.reading() as connection:
        return {row.lead_id: row.seq for row in connection.execute(sa.select(OUTBOX.c.lead_id, OUTBOX.c.seq))}


def told_leads(state: State) -> dict[str, int]:
    with state.reading() as connection:
        return {row.lead_id: row.seq for row in connection.execute(sa.select(PUSHED.c.lead_id, PUSHED.c.seq))}


class FastClock:
    """Time that passes only by sleeping; ``slept`` keeps each wait."""

    def __init__(self) -> None:
        self.now, self.slept = 1_000.0, list[float]()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def waiting(self) -> Waiting:
        return Waiting(monotonic=lambda: self.now, sleep=self.sleep, chance=lambda: 0.5)


def deliverer(state: State, config: CrmConfig, waiting: Waiting, *, name: str = "crm") -> Deliverer:
    client = open_client(name, config, waiting=waiting)
    return Deliverer(state, name, client, waiting, holder_name())


def made_scores(leads: Iterable[str], first_seq: int = 1, score: float = 50.0) -> list[dict[str, Any]]:
    return [made_score(lead, first_seq + place, score) for place, lead in enumerate(leads)]
