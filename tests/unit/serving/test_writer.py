"""The one writer: together where it can, each alone where one fails, and nothing half."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from crm.config import load_workspace
from crm.errors import StateError
from crm.state import State, open_state
from crm.state_tables import TOLD
from serving.writer import Writer

WAIT_S = 20


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    (tmp_path / "kizashi.toml").write_text('[source]\nurl = "state:"\n', encoding="utf-8")
    opened = open_state(load_workspace(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def writer(state: State) -> Iterator[Writer]:
    opened = Writer(state)
    yield opened
    opened.close()


def add(lead_id: str, source: str = "") -> sa.Insert:
    row = {"lead_id": lead_id, "created_us": 1, "recorded_us": 1, "arrived_us": 1, "origin": "posted", "source": source}
    return sa.insert(TOLD["leads"]).values(row)


def leads(state: State) -> set[str]:
    with state.reading() as connection:
        return set(connection.execute(sa.select(TOLD["leads"].c.lead_id)).scalars())


def submit(writer: Writer, lead_id: str, *, fails: bool = False, source: str = "") -> Future[str]:
    def work(connection: sa.Connection) -> str:
        connection.execute(add(lead_id, source))
        if fails:
            raise ZeroDivisionError
        return lead_id

    return writer.submit(work)


def test_what_is_submitted_is_committed_when_the_future_is_done(writer: Writer, state: State) -> None:
    assert submit(writer, "a").result(WAIT_S) == "a"
    assert leads(state) == {"a"}


def test_one_that_fails_takes_nothing_of_the_others_with_it(writer: Writer, state: State) -> None:
    holds, gate = threading.Event(), threading.Event()

    def hold(connection: sa.Connection) -> None:
        holds.set()
        gate.wait(WAIT_S)

    held = writer.submit(hold)
    assert holds.wait(WAIT_S)
    futures = [submit(writer, "a"), submit(writer, "b", fails=True), submit(writer, "a"), submit(writer, "c")]
    gate.set()  # the four wait together now, and are one commit
    held.result(WAIT_S)
    assert futures[0].result(WAIT_S) == "a"
    with pytest.raises(ZeroDivisionError):
        futures[1].result(WAIT_S)
    with pytest.raises(StateError):  # the key is there
        futures[2].result(WAIT_S)
    assert futures[3].result(WAIT_S) == "c"
    assert leads(state) == {"a", "c"}


def test_a_full_disk_refuses_and_keeps_nothing_half(writer: Writer, state: State) -> None:
    submit(writer, "before").result(WAIT_S)

    def is_full(connection: sa.Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    writer.submit(is_full).result(WAIT_S)
    with pytest.raises(StateError, match="nothing of this request was kept"):
        submit(writer, "large", source="x" * 1_000_000).result(WAIT_S)
    assert leads(state) == {"before"}


def test_a_read_only_disk_refuses(writer: Writer, state: State) -> None:
    submit(writer, "before").result(WAIT_S)

    def forbid(connection: object, record: object, proxy: object) -> None:
        connection.execute("PRAGMA query_only = ON")  # type: ignore[attr-defined] # pyright: ignore

    event.listen(state.engine, "checkout", forbid)
    with pytest.raises(StateError):
        submit(writer, "after").result(WAIT_S)
    assert leads(state) == {"before"}


def test_closing_finishes_what_waits_and_takes_nothing_more(state: State) -> None:
    writer = Writer(state)
    futures = [submit(writer, f"lead-{number}") for number in range(200)]
    writer.close()
    assert all(future.done() for future in futures)
    assert len(leads(state)) == 200
    with pytest.raises(StateError):
        submit(writer, "late")


def test_what_nobody_waits_for_any_more_is_left_out_and_the_writer_goes_on(writer: Writer, state: State) -> None:
    is_begun, may_end = threading.Event(), threading.Event()

    def hold(connection: sa.Connection) -> None:
        is_begun.set()
        may_end.wait(WAIT_S)

    writer.submit(hold)
    assert is_begun.wait(WAIT_S)
    left = submit(writer, "a")
    assert left.cancel()
    may_end.set()
    assert submit(writer, "b").result(WAIT_S) == "b"
    assert leads(state) == {"b"}
