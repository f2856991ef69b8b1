"""Expectations: written down once, in time or not at all, and read back in the order of their time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from crm.config import Workspace, load_workspace
from crm.errors import ExpectationError
from crm.expecting import Expectation, campaign_start, list_expectations, register_expectation
from crm.state import State, open_state
from crm.state_tables import AUDIT

START = datetime(2026, 7, 1, tzinfo=ZoneInfo("Asia/Tokyo"))
FILE = """
[workspace]
timezone = "Asia/Tokyo"
[source]
url = "dir:."
[source.tables]
leads = "SELECT * FROM 'leads.csv'"
campaigns = "SELECT * FROM 'campaigns.csv'"
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "kizashi.toml").write_text(FILE, encoding="utf-8")
    (tmp_path / "leads.csv").write_text("lead_id,created_at\nL1,2026-01-01\n")
    (tmp_path / "campaigns.csv").write_text(
        "campaign_id,starts_on\nspring-webinar,2026-07-01\nslashes,2026/07/01\nopen,\nodd,soon\n"
    )
    return load_workspace(tmp_path, environ={})


@pytest.fixture
def state(workspace: Workspace) -> Iterator[State]:
    opened = open_state(workspace)
    yield opened
    opened.close()


def expectation(
    at: datetime, team: str = "marketing", campaign: str = "spring-webinar", **values: float
) -> Expectation:
    return Expectation(campaign, team, at, values or {"mqls": 120.0})


def test_a_campaign_begins_at_midnight_where_the_workspace_is(workspace: Workspace) -> None:
    assert campaign_start(workspace, "spring-webinar") == START
    assert campaign_start(workspace, "slashes") == START
    assert campaign_start(workspace, "open") is None
    assert campaign_start(workspace, "odd") is None


def test_a_campaign_nobody_knows_is_refused_with_the_nearest(workspace: Workspace) -> None:
    with pytest.raises(ExpectationError, match="such as 'spring-webinar'"):
        campaign_start(workspace, "spring-webiner")
    with pytest.raises(ExpectationError, match="no campaign '' among 4"):
        campaign_start(workspace, "")


@pytest.mark.parametrize(("before", "kind"), [(timedelta(microseconds=1), "locked"), (timedelta(days=90), "locked")])
def test_until_the_start_it_counts(state: State, before: timedelta, kind: str) -> None:
    assert register_expectation(state, expectation(START - before), START) == kind


def test_from_the_start_on_it_is_refused_and_nothing_is_kept(state: State) -> None:
    with pytest.raises(ExpectationError, match="which began on 2026-07-01"):
        register_expectation(state, expectation(START), START)
    assert list_expectations(state) == []


def test_one_that_is_late_is_kept_on_request_and_told_apart(state: State) -> None:
    assert register_expectation(state, expectation(START), START, takes_late=True) == "late"
    assert len(list_expectations(state)) == 1
    with state.reading() as connection:
        (row,) = connection.execute(sa.select(AUDIT).where(AUDIT.c.action == "expectation_registered")).mappings()
    assert row["outcome"] == "late"


def test_where_no_start_is_known_all_are_in_time(state: State) -> None:
    assert register_expectation(state, expectation(START + timedelta(days=900)), None) == "locked"


def test_one_without_a_number_is_refused(state: State) -> None:
    with pytest.raises(ExpectationError, match="--mqls, --sqls, --won or --revenue"):
        register_expectation(state, Expectation("spring-webinar", "sales", START - timedelta(1), {}), START)


def test_a_later_one_stands_beside_the_first(state: State) -> None:
    first = expectation(START - timedelta(days=9), mqls=120.0, revenue=0.0)
    second = expectation(START - timedelta(days=2), mqls=60.0)
    other = expectation(START - timedelta(days=5), "sales", "open", won=4.0)
    for one in (second, other, first):
        register_expectation(state, one, START)
    assert [one.values for one in list_expectations(state)] == [first.values, other.values, second.values]
    assert list_expectations(state, "open") == [other]
    assert list_expectations(state, "nothing") == []
    assert list_expectations(state)[0].registered_at == first.registered_at


def test_a_source_may_give_dates_as_dates(tmp_path: Path) -> None:
    file = FILE.replace("SELECT * FROM 'campaigns.csv'", "SELECT 'a' AS campaign_id, DATE '2026-07-01' AS starts_on")
    (tmp_path / "kizashi.toml").write_text(file, encoding="utf-8")
    (tmp_path / "leads.csv").write_text("lead_id,created_at\nL1,2026-01-01\n")
    found = campaign_start(load_workspace(tmp_path, environ={}), "a")
    assert found is not None
    assert found.date() == date(2026, 7, 1)
