"""Rows that are told: kept once, by key, with both clocks; and again in training as they were told."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.config import load_workspace
from crm.held import HeldRows
from crm.known import to_micros
from crm.progress import Silent
from crm.state import State, open_state
from crm.state_tables import TOLD, TOLD_QUARANTINE
from crm.told import Teller
from crm.told_storing import Told
from crm.workspace_tables import open_tables
from features.history import TableRows, known_leads, leads_of_rows
from tests.histories import config_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NOW_US = to_micros(NOW)
DAY = timedelta(days=1)
Row = dict[str, Any]
LEAD: Row = {"lead_id": "a", "created_at": NOW - 30 * DAY, "account_id": "x", "industry": "retail"}
TOUCH: Row = {"lead_id": "a", "happened_at": NOW - 2 * DAY, "kind": "visit"}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    (tmp_path / "kizashi.toml").write_text('[source]\nurl = "state:"\n', encoding="utf-8")
    opened = open_state(load_workspace(tmp_path))
    yield opened
    opened.close()


def tell(state: State, table: str, *rows: Row, now: datetime = NOW, **sections: Any) -> Told:
    with state.writing() as connection:
        return Teller(config_of(**sections)).tell(connection, table, rows, "posted", to_micros(now))


def held(state: State, table: str) -> list[Row]:
    with state.reading() as connection:
        return [dict(row) for row in connection.execute(sa.select(TOLD[table])).mappings()]


def test_a_row_that_is_told_again_is_there_once(state: State) -> None:
    first, again = tell(state, "touches", TOUCH), tell(state, "touches", TOUCH, TOUCH, now=NOW + DAY)
    assert (first.stored, first.repeated) == (1, 0)
    assert (again.stored, again.repeated, again.lead_ids) == (0, 2, frozenset())
    assert again.named == {"a"}
    assert [row["arrived_us"] for row in held(state, "touches")] == [NOW_US]


def test_other_content_under_a_key_does_not_replace_the_first(state: State) -> None:
    tell(state, "touches", {**TOUCH, "touch_id": "t1"})
    told = tell(state, "touches", {**TOUCH, "touch_id": "t1", "kind": "download"}, {**TOUCH, "touch_id": "t2"})
    assert (told.conflicting, told.stored) == ((0,), 1)
    assert sorted(row["kind"] for row in held(state, "touches")) == ["visit", "visit"]


def test_a_row_that_does_not_say_when_it_was_recorded_is_recorded_when_it_arrives(state: State) -> None:
    tell(state, "touches", TOUCH, {**TOUCH, "kind": "download", "recorded_at": NOW - DAY})
    assert {row["kind"]: row["recorded_us"] for row in held(state, "touches")} == {
        "visit": NOW_US,
        "download": NOW_US - 86_400_000_000,
    }


def test_a_version_that_is_told_again_is_no_other_version(state: State) -> None:
    deal: Row = {"opportunity_id": "o", "lead_id": "a", "created_at": NOW - 9 * DAY, "amount": 5.0}
    assert tell(state, "opportunities", deal).stored == 1
    assert tell(state, "opportunities", deal, now=NOW + DAY).repeated == 1
    won = {**deal, "is_won": True, "closed_at": NOW}
    assert tell(state, "opportunities", won, now=NOW + DAY).stored == 1
    assert tell(state, "opportunities", won, now=NOW + 2 * DAY).repeated == 1
    assert sorted(row["recorded_us"] for row in held(state, "opportunities")) == [NOW_US, to_micros(NOW + DAY)]


def test_attributes_are_changes_and_only_what_changed_is_new(state: State) -> None:
    assert tell(state, "leads", LEAD).stored == 1
    same = tell(state, "leads", LEAD, now=NOW + DAY)
    assert (same.stored, same.repeated, same.lead_ids) == (0, 1, frozenset())
    other = tell(state, "leads", {**LEAD, "industry": None, "employees": 250, "is_partner": True}, now=NOW + 2 * DAY)
    assert (other.stored, other.lead_ids) == (1, {"a"})
    rows = ((row["field"], row["value"], row["recorded_us"]) for row in held(state, "lead_changes"))
    found = sorted(rows, key=lambda row: (row[0], -row[2]))
    later = to_micros(NOW + 2 * DAY)
    assert found == [
        ("employees", "250", later),
        ("industry", None, later),
        ("industry", "retail", NOW_US),
        ("is_partner", "1", later),
    ]


def test_an_account_that_is_learned_later_is_taken_over(state: State) -> None:
    tell(state, "leads", {**LEAD, "account_id": None})
    told = tell(state, "leads", {**LEAD, "account_id": "y"}, now=NOW + DAY)
    assert (told.stored, told.lead_ids) == (1, {"a"})
    assert [row["account_id"] for row in held(state, "leads")] == ["y"]


@pytest.mark.parametrize(
    ("table", "row", "reason"),
    [
        ("touches", {**TOUCH, "happened_at": NOW + 3 * DAY}, "happened_at lies in the future"),
        ("touches", {**TOUCH, "lead_id": None}, "lead_id is missing"),
        ("touches", {**TOUCH, "recorded_at": NOW - 9 * DAY}, "recorded_at lies over a day before happened_at"),
        ("touches", {**TOUCH, "lead_id": "taro@example.com"}, "an id is personal data"),
        ("stages", {"lead_id": "a", "stage": "sold", "entered_at": NOW}, "stage is none of mql, accepted, sql"),
        ("opportunities", {"opportunity_id": "o", "created_at": NOW}, "neither lead_id nor account_id"),
        ("lead_merges", {"from_lead_id": "a", "into_lead_id": "a", "recorded_at": NOW}, "into itself"),
    ],
)
def test_a_row_that_cannot_be_used_is_kept_apart_with_the_reason(
    state: State, table: str, row: Row, reason: str
) -> None:
    told = tell(state, table, row)
    assert (told.stored, len(told.quarantined)) == (0, 1)
    assert reason in told.quarantined[0][1]
    with state.reading() as connection:
        (kept,) = connection.execute(sa.select(TOLD_QUARANTINE)).mappings()
    assert reason in kept["reason"]
    assert "taro" not in str(dict(kept))


def test_attributes_that_name_a_person_are_not_kept(state: State) -> None:
    told = tell(state, "leads", {**LEAD, "email": "taro@example.com", "note": "write to taro@example.com"})
    assert told.personal == {"email", "note"}
    assert {row["field"] for row in held(state, "lead_changes")} == {"industry"}


def test_ids_are_hashed_where_the_workspace_hashes_them(state: State) -> None:
    teller = Teller(config_of(workspace={"hash_ids": True}), "key")
    with state.writing() as connection:
        teller.tell(connection, "leads", [{**LEAD, "lead_id": "taro@example.com"}], "posted", NOW_US)
    assert [row["lead_id"] for row in held(state, "leads")] == [teller.held_id("taro@example.com")]


def clicks(*contents: str, seconds: Sequence[float]) -> list[Row]:
    return [
        {**TOUCH, "kind": "email_click", "content_id": content, "happened_at": NOW - DAY + timedelta(seconds=second)}
        for content, second in zip(contents, seconds, strict=True)
    ]


@pytest.mark.parametrize(
    ("rows", "actors"),
    [
        (clicks("/a", "/b", "/c", "/d", seconds=[0, 1, 1, 2]), {"bot"}),
        (clicks("/a", "/b", "/c", seconds=[0, 1, 1]), {"lead"}),
        (clicks("/a", "/a", "/a", "/a", seconds=[0, 1, 2, 3]), {"lead"}),
        (clicks("/a", "/b", "/c", "/d", seconds=[0, 60, 120, 180]), {"lead"}),
    ],
)
def test_a_burst_of_links_is_the_work_of_a_program(state: State, rows: list[Row], actors: set[str]) -> None:
    tell(state, "touches", *rows)
    assert {row["actor"] for row in held(state, "touches")} == actors


def test_a_burst_over_several_requests_is_seen_from_its_last_link_on(state: State) -> None:
    for row in clicks("/a", "/b", "/c", "/d", "/e", seconds=[0, 1, 1, 2, 2]):
        tell(state, "touches", row)
    assert {row["content_id"]: row["actor"] for row in held(state, "touches")} == {
        "/a": "lead", "/b": "lead", "/c": "lead", "/d": "bot", "/e": "bot",
    }  # fmt: skip


def test_a_click_upon_the_sending_of_its_mail_is_no_persons(state: State) -> None:
    tell(state, "touches", {**TOUCH, "kind": "email_sent", "actor": "system", "happened_at": NOW - DAY})
    tell(state, "touches", *clicks("/a", "/b", seconds=[1, 60]))
    assert sorted((row["content_id"], row["actor"]) for row in held(state, "touches") if row["content_id"]) == [
        ("/a", "bot"),
        ("/b", "lead"),
    ]


def test_a_workspace_that_is_only_told_leads_has_touches_and_none_of_them(tmp_path: Path, state: State) -> None:
    tell(state, "leads", LEAD)
    with open_tables(load_workspace(tmp_path), NOW + DAY, Silent()) as tables:
        assert tables.counts["touches"].kept == 0
        assert not tables.has("opportunities")


MOMENTS = st.integers(0, 40).map(lambda hours: NOW - 3 * DAY + timedelta(hours=hours))
TOUCHES = st.fixed_dictionaries(
    {
        "lead_id": st.sampled_from(["a", "b", "c"]),
        "happened_at": MOMENTS,
        "kind": st.sampled_from(["visit", "download"]),
        "actor": st.sampled_from(["lead", "sales"]),
        "content_id": st.sampled_from(["/a?x=1", "/b", None]),
        "value": st.sampled_from([None, 2.0]),
    }
)
LEADS = st.fixed_dictionaries(
    {
        "lead_id": st.sampled_from(["a", "b", "c"]),
        "created_at": st.just(NOW - 3 * DAY),
        "account_id": st.sampled_from(["x", "y", None]),
        "source": st.sampled_from(["web", None]),
        "size": st.sampled_from([1, 20.5, None]),
        "industry": st.sampled_from(["retail", " it ", ""]),
    }
)


@settings(max_examples=25, deadline=None)
@given(leads=st.lists(LEADS, min_size=1, max_size=6), touches=st.lists(TOUCHES, max_size=12))
def test_what_is_held_is_what_training_reads(leads: list[Row], touches: list[Row]) -> None:
    """Every lead in memory knows what it knows by the tables, whatever was told and in whichever order."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "kizashi.toml").write_text('[source]\nurl = "state:"\n', encoding="utf-8")
        workspace = load_workspace(folder)
        state = open_state(workspace)
        for number, row in enumerate(leads):
            tell(state, "leads", row, now=NOW + timedelta(minutes=number))
        tell(state, "touches", *touches)
        with open_tables(workspace, NOW + DAY, Silent()) as tables:
            kinds = {attribute.name: attribute.type for attribute in tables.used_attributes}
            ids = {row["lead_id"] for row in leads}
            by_tables = known_leads(tables, ids)
            by_rows = leads_of_rows(HeldRows(workspace, state), ids, kinds)
            assert TableRows(tables).merges() == []
        state.close()
    for lead_id in ids:
        one, other = by_rows[lead_id], by_tables[lead_id]
        assert (one.created_us, one.changes) == (other.created_us, other.changes)
        assert sorted(one.account_leads_us or ()) == sorted(other.account_leads_us or ())
        for mine, theirs in ((one.touches, other.touches), (one.account_touches, other.account_touches)):
            assert mine is not None
            assert theirs is not None
            columns = ("happened_us", "recorded_us", "kind", "content_id")
            assert sorted(zip(*(getattr(mine, c).tolist() for c in columns), strict=True)) == sorted(
                zip(*(getattr(theirs, c).tolist() for c in columns), strict=True)
            )
