"""Pulling leads from Tryton into the tables of the contract: leads, the history of attributes, stages.

Each version of a record is known from when the CRM had it, so what is pulled today can be used as known at any moment
of the past. Rows are idempotent by key: a pull that ended in the middle is repeated, and an overlap does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from crm.clients.tryton import MODEL, tryton_calls
from crm.clients.tryton_history import Version, changed_since, versions_of
from crm.clients.waiting import Waiting
from crm.config_crm import CrmConfig
from crm.errors import CrmSetupError
from crm.progress import Progress, Silent
from crm.state import State
from crm.state_tables import PULLS
from crm.told import Teller
from crm.upserts import insert_into

__all__ = ["PullSummary", "pull_tryton", "rows_of"]

STAGE_OF: Mapping[str, str] = MappingProxyType(
    {
        "opportunity": "opportunity",
        "converted": "opportunity",
        "won": "closed_won",
        "lost": "closed_lost",
        "cancelled": "disqualified",
    }
)
"""State of ``sale.opportunity`` to stage of the contract; ``lead`` is none yet."""

ATTRIBUTES = ("amount", "payment_term")
"""Fields whose history is kept as attributes. Names, contacts and addresses are people, and stay where they are."""

OVERLAP = timedelta(minutes=5)
"""A transaction that began before the last pull may have been committed after it."""

ROWS_A_TRANSACTION = 200


@dataclass(frozen=True)
class PullSummary:
    """What a pull brought: leads looked at, rows that are new, rows that cannot be used."""

    crm: str
    leads: int
    new: int
    quarantined: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def pull_tryton(
    state: State,
    teller: Teller,
    name: str,
    *,
    waiting: Waiting,
    now: datetime,
    progress: Progress | None = None,
) -> PullSummary:
    """Take over what changed in Tryton since the last pull.

    Parameters
    ----------
    state
        The service's state.
    teller
        The rules of the workspace; its configuration has ``[crm.NAME]``.
    name
        The CRM.
    waiting
        Clock and sleep.
    now
        Timezone-aware. The next pull begins a little before it.
    progress
        Where to report.
    """
    config = _tryton(teller, name)
    calls = tryton_calls(name, config, waiting, config.secrets)
    path = f"/{config.database}/rest/model/{config.object or MODEL}"
    since = _pulled_until(state, name)
    counts = _Counts()
    try:
        with (progress or Silent()).step(f"Pulling from {name}") as step:
            group: list[list[Version]] = []
            for lead_id in changed_since(calls, path, since):
                group.append(versions_of(calls, path, lead_id, ("state", "lost_reason", "party", *ATTRIBUTES), since))
                step.advance()
                if len(group) == ROWS_A_TRANSACTION:
                    counts.add(_store(state, teller, name, group, now))
                    group = []
            counts.add(_store(state, teller, name, group, now))
            step.note(f"{counts.leads:,} leads, {counts.new:,} new rows")
    finally:
        calls.close()
    _note_pull(state, name, now)
    return PullSummary(name, counts.leads, counts.new, counts.quarantined)


@dataclass
class _Counts:
    leads: int = 0
    new: int = 0
    quarantined: int = 0

    def add(self, other: tuple[int, int, int]) -> None:
        self.leads += other[0]
        self.new += other[1]
        self.quarantined += other[2]


def _tryton(teller: Teller, name: str) -> CrmConfig:
    config = teller.config.crm[name]
    if config.kind != "tryton":
        raise CrmSetupError(
            found=f"[crm.{name}], which is {config.kind}",
            expected="a CRM of kind tryton, the only one that is pulled from so far",
            fix="post its rows to /v1/leads and /v1/stages, or select them in [source.tables]",
        )
    return config


def _store(
    state: State, teller: Teller, name: str, group: Sequence[Sequence[Version]], now: datetime
) -> tuple[int, int, int]:
    """Store the rows of some leads in one transaction."""
    now_us, new, quarantined = round(now.timestamp() * 1e6), 0, 0
    with state.writing() as connection:
        for table in ("leads", "lead_changes", "stages"):
            rows = [row for versions in group for kind, row in rows_of(versions) if kind == table]
            told = teller.tell(connection, table, rows, name, now_us)
            new += told.stored
            quarantined += len(told.quarantined)
    return len(group), new, quarantined


def rows_of(versions: Sequence[Version]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of the contract that the versions of one lead come to, each with its table."""
    first = versions[0]
    yield (
        "leads",
        {
            "lead_id": first.lead_id,
            "created_at": first.created_at,
            "recorded_at": first.created_at,
            "account_id": versions[-1].values.get("party"),
        },
    )
    before: Mapping[str, Any] = {}
    stage = None
    for version in versions:
        yield from _changes(version, before)
        reached = STAGE_OF.get(version.values["state"])
        if reached is not None and reached != stage:
            yield "stages", _stage(version, reached, versions)
        before, stage = version.values, reached


def _changes(version: Version, before: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in ATTRIBUTES:
        value = version.values.get(name)
        if value != before.get(name):
            yield (
                "lead_changes",
                {
                    "lead_id": version.lead_id,
                    "field": name,
                    "value": None if value is None else str(value),
                    "recorded_at": version.written_at,
                },
            )


def _stage(version: Version, stage: str, versions: Sequence[Version]) -> dict[str, Any]:
    """Return a stage's row; Tryton asks for the reason of a loss after the loss, so the newest one counts."""
    is_lost = stage == "closed_lost"
    return {
        "lead_id": version.lead_id,
        "stage": stage,
        "entered_at": version.written_at,
        "recorded_at": version.written_at,
        "reason": versions[-1].values.get("lost_reason") if is_lost else None,
    }


def _pulled_until(state: State, name: str) -> datetime | None:
    with state.reading() as connection:
        at_us = connection.execute(sa.select(PULLS.c.pulled_us).where(PULLS.c.crm == name)).scalar_one_or_none()
    return None if at_us is None else datetime.fromtimestamp(at_us / 1e6, UTC) - OVERLAP


def _note_pull(state: State, name: str, now: datetime) -> None:
    at_us = round(now.timestamp() * 1e6)
    with state.writing() as connection:
        insert = insert_into(connection, PULLS).values(crm=name, pulled_us=at_us)
        connection.execute(insert.on_conflict_do_update(index_elements=[PULLS.c.crm], set_={"pulled_us": at_us}))
