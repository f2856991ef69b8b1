"""Going through changes by time misses nothing, wherever it is cut off and however many records share a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from crm.clients.time_paging import Asked, Listing, changes

START = datetime(2026, 3, 1, tzinfo=UTC)
TICK, SIZE = timedelta(seconds=1), 3


def listing(moments: list[int]) -> Listing:
    """Records by number, each changed so many tenths of a second after the start; shown in whole seconds."""
    held = [{"id": str(number), "at": START + timedelta(milliseconds=100 * at)} for number, at in enumerate(moments, 1)]

    def page(asked: Asked) -> list[dict[str, object]]:
        found = [one for one in held if asked.low <= one["at"] < asked.high]
        if asked.after_id is None:
            return sorted(found, key=lambda one: (one["at"], int(str(one["id"]))))[: asked.size]
        behind = [one for one in found if int(str(one["id"])) > int(asked.after_id)]
        return sorted(behind, key=lambda one: int(str(one["id"])))[: asked.size]

    return Listing(
        page,
        lambda one: one["at"].replace(microsecond=0),
        lambda one: str(one["id"]),
        TICK,
        SIZE,
    )


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(0, 40))
def test_every_record_comes_also_after_a_cut(moments: list[int], cut_after: int) -> None:
    listed, until = listing(moments), START + timedelta(seconds=5)
    wanted = {str(number) for number, at in enumerate(moments, 1) if at < 50}
    found: set[str] = set()
    at = None
    for place, page in enumerate(changes(listed, START, until)):
        if place == cut_after:
            break
        found |= {str(one["id"]) for one in page.records}
        at = page.at
    for page in changes(listed, START, until, at):
        found |= {str(one["id"]) for one in page.records}
    assert found == wanted


def test_pages_are_not_read_twice_where_nothing_shares_a_time() -> None:
    pages = list(changes(listing([10 * at for at in range(10)]), START, START + timedelta(minutes=1)))
    assert [one["id"] for page in pages for one in page.records] == [str(number) for number in range(1, 11)]
