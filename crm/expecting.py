"""What a team expects of a campaign, written down with the time, once and for all.

An expectation is never changed: a later one stands beside it. The newest from before the campaign's start counts.
"""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any, Literal
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from crm.audit import AuditRow, write_audit
from crm.config import Workspace
from crm.errors import ExpectationError
from crm.known import from_micros, to_micros
from crm.sources import open_source
from crm.state import State
from crm.state_tables import EXPECTATIONS

__all__ = ["EXPECTED", "Expectation", "campaign_start", "list_expectations", "register_expectation"]

EXPECTED = ("mqls", "sqls", "won", "revenue")


@dataclass(frozen=True)
class Expectation:
    """What one team expected of one campaign.

    Parameters
    ----------
    campaign_id
        Which.
    team
        Who.
    registered_at
        When it was written down. Timezone-aware.
    values
        By name of :data:`EXPECTED`; what was not named is left out. Revenue in workspace currency.
    """

    campaign_id: str
    team: str
    registered_at: datetime
    values: Mapping[str, float]


def campaign_start(workspace: Workspace, campaign_id: str) -> datetime | None:
    """Return when a campaign of the source begins: 00:00 of its first day in the workspace's zone; None if not given.

    Raises
    ------
    ExpectationError
        When the source has no such campaign.
    """
    with open_source(workspace) as source:
        rows = source.read("campaigns").to_pylist() if "campaigns" in source.tables else []
    found = {str(row.get("campaign_id")): row.get("starts_on") for row in rows}
    if campaign_id not in found:
        close = get_close_matches(campaign_id, found, n=1)
        raise ExpectationError(
            found=f"no campaign '{campaign_id}' among {len(found):,} of the source",
            expected="the campaign_id of a row of the table campaigns" + (f", such as '{close[0]}'" if close else ""),
            fix="give that id, or add the campaign to the source first",
        )
    start = _to_date(found[campaign_id])
    if start is None:
        return None
    return datetime(start.year, start.month, start.day, tzinfo=ZoneInfo(workspace.config.workspace.timezone))


def _to_date(value: Any) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date) or value is None:
        return value
    try:
        return date.fromisoformat(str(value)[:10].replace("/", "-"))
    except ValueError:
        return None


def register_expectation(
    state: State, expectation: Expectation, starts_at: datetime | None, *, takes_late: bool = False
) -> Literal["locked", "late"]:
    """Write an expectation down, for good.

    Parameters
    ----------
    state
        The service's state.
    expectation
        What is expected; its time is that of the clock.
    starts_at
        When the campaign begins; None where nobody knows, and every expectation is in time.
    takes_late
        Keep one that comes after the start, which does not count.

    Returns
    -------
    str
        ``locked`` for one that counts from the start on, ``late`` for one that came after it.

    Raises
    ------
    ExpectationError
        When it names nothing, or the campaign has begun and ``takes_late`` is not set.
    """
    if not expectation.values:
        raise ExpectationError(
            found="an expectation without a number",
            expected="at least one of MQLs, SQLs, wins and revenue",
            fix="give --mqls, --sqls, --won or --revenue",
        )
    is_late = starts_at is not None and expectation.registered_at >= starts_at
    if is_late and not takes_late:
        raise ExpectationError(
            found=f"campaign '{expectation.campaign_id}', which began on {starts_at:%Y-%m-%d}",
            expected="an expectation from before the start: later ones know too much",
            fix="give --late to keep it all the same; the board shows it and does not count it",
        )
    row = {name: expectation.values.get(name) for name in EXPECTED}
    now_us = to_micros(expectation.registered_at)
    with state.writing() as connection:
        connection.execute(
            sa.insert(EXPECTATIONS).values(
                campaign_id=expectation.campaign_id,
                team=expectation.team,
                registered_us=now_us,
                arrived_us=now_us,
                origin="cli",
                **row,
            )
        )
        detail = {"campaign_id": expectation.campaign_id, "team": expectation.team, **expectation.values}
        outcome = "late" if is_late else "done"
        write_audit(
            connection, AuditRow(expectation.registered_at, "cli", "expectation_registered", outcome, detail=detail)
        )
    return "late" if is_late else "locked"


def list_expectations(state: State, campaign_id: str | None = None) -> Sequence[Expectation]:
    """Return what was registered here, of one campaign or of all, oldest first."""
    query = sa.select(EXPECTATIONS).order_by(EXPECTATIONS.c.registered_us)
    if campaign_id is not None:
        query = query.where(EXPECTATIONS.c.campaign_id == campaign_id)
    with state.reading() as connection:
        rows = connection.execute(query).mappings().all()
    return [
        Expectation(
            row["campaign_id"],
            row["team"],
            from_micros(row["registered_us"]),
            {name: row[name] for name in EXPECTED if row[name] is not None},
        )
        for row in rows
    ]
