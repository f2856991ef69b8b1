"""Where a pull begins, and what its place says."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from crm.pull_places import OVERLAP, Place, ended, first_place, note_place, note_read, note_unread, pull_mark
from crm.state import State
from tests.fakes.made_scores import NOW, made_state

HOUR = timedelta(hours=1)


@pytest.fixture
def state(tmp_path: Path) -> Generator[State]:
    opened = made_state(tmp_path)
    yield opened
    opened.close()


def begin(state: State, now_hours: int, since_hours: int | None = None) -> Place:
    since = None if since_hours is None else NOW + since_hours * HOUR
    with state.reading() as connection:
        return first_place(connection, "crm", NOW + now_hours * HOUR, since)


def test_the_first_pull_takes_everything_and_the_next_one_overlaps(state: State) -> None:
    first = begin(state, 0)
    assert first == Place(NOW, None)
    with state.writing() as connection:
        ended(connection, "crm", first)
    assert begin(state, 1) == Place(NOW + HOUR, NOW - OVERLAP)


def test_one_that_was_cut_off_keeps_its_beginning(state: State) -> None:
    with state.writing() as connection:
        note_place(connection, "crm", Place(NOW, None, "deals", "x"))
    resumed = begin(state, 5)
    assert resumed == Place(NOW, None, "deals", "x", is_resumed=True)
    with state.writing() as connection:
        ended(connection, "crm", resumed)
    assert begin(state, 6).since == NOW - OVERLAP  # not five hours later, when the rest was read


def test_a_stream_that_was_not_read_is_read_from_there(state: State) -> None:
    with state.writing() as connection:
        note_unread(connection, "crm", Place(NOW, None), "deals")
    first = begin(state, 0)  # it ended before anything came
    assert first == Place(NOW, None, unread={"deals": None})
    with state.writing() as connection:
        ended(connection, "crm", first)
    later = begin(state, 9)
    assert (later.since_of("deals"), later.since_of("calls")) == (None, NOW - OVERLAP)
    with state.writing() as connection:
        note_unread(connection, "crm", later, "calls")
        note_unread(connection, "crm", begin(state, 20), "calls")
        ended(connection, "crm", later)
    assert begin(state, 30).since_of("calls") == NOW - OVERLAP  # the first time counts
    with state.writing() as connection:
        note_read(connection, "crm", "deals")
    assert dict(begin(state, 30).unread) == {"calls": NOW - OVERLAP}


def test_since_never_leaves_a_gap(state: State) -> None:
    assert begin(state, 0, -9).since == NOW - 9 * HOUR
    with state.writing() as connection:
        note_place(connection, "crm", Place(NOW, None, "deals", "x"))
    assert begin(state, 1, -9) == Place(NOW + HOUR, None)
    with state.writing() as connection:
        ended(connection, "crm", Place(NOW, None))
    assert begin(state, 5, 4).since == NOW - OVERLAP
    assert begin(state, 5, -9).since == NOW - 9 * HOUR


def test_the_mark_changes_with_every_page_that_brings_something(state: State) -> None:
    marks: list[Mapping[str, int]] = []
    for is_news in (False, True, True, False):
        with state.writing() as connection:
            note_place(connection, "crm", Place(NOW, None, "deals", "x"), is_news=is_news)
        with state.reading() as connection:
            marks.append(pull_mark(connection))
    assert marks == [{}, {"crm": 1}, {"crm": 2}, {"crm": 2}]
