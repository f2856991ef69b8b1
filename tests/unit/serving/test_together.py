"""Requests that come together: one scoring and one write for all, and each answered as if it had come alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from crm.errors import StateError
from features.feature import Language
from serving.asked import Asked
from serving.live import Live
from serving.runtime import Runtime
from serving.together import AT_ONCE, Together

NOW = datetime(2026, 6, 1, tzinfo=UTC)
Row = dict[str, Any]


class FakeLive:
    """Scores whatever does not start with a question mark, and remembers who was scored with whom."""

    def __init__(self, *, fails_for: str = "", in_memory: bool = True) -> None:
        self.groups: list[list[str]] = []
        self.fails_for = fails_for
        self.held = SimpleNamespace(has_all=lambda lead_ids: in_memory)
        self.issuer = SimpleNamespace(issue=lambda connection, issues: list(issues))

    def score_each(self, wanted: Sequence[tuple[str, Asked]]) -> Any:
        ids = [lead_id for lead_id, _ in wanted]
        self.groups.append(ids)
        if self.fails_for in ids:
            raise ZeroDivisionError
        issues = [
            {"lead_id": one, "asked_by": asked.request_id} for one, asked in wanted if not one.startswith("?")
        ]  # fmt: skip
        return SimpleNamespace(issues=issues, answers=lambda issued: issued)


class FakeWriter:
    def __init__(self, *, is_down: bool = False) -> None:
        self.writes = 0
        self.is_down = is_down

    async def write(self, work: Callable[[Any], list[Row]]) -> list[Row]:
        self.writes += 1
        await asyncio.sleep(0.01)
        if self.is_down:
            raise StateError(found="a full disk", expected="space", fix="make some")
        return work(None)


def asked(request_id: str, language: Language = "en") -> Asked:
    return Asked(NOW, language, request_id=request_id)


def run(
    live: FakeLive, writer: FakeWriter, use: Callable[[Callable[..., Coroutine[Any, Any, Row | None]]], Any]
) -> tuple[Any, list[Row]]:
    noted: list[Row] = []
    runtime = SimpleNamespace(writer=writer, issued=noted.extend)

    async def everything() -> Any:
        together = Together(cast(Runtime, runtime))

        def score(lead_id: str, by: str = "r", language: Language = "en") -> Coroutine[Any, Any, Row | None]:
            return together.score(cast(Live, live), lead_id, asked(by, language))

        return await use(score)

    return asyncio.run(everything()), noted


def test_a_lone_request_is_scored_and_written_at_once() -> None:
    live, writer = FakeLive(), FakeWriter()
    answer, noted = run(live, writer, lambda score: score("a", "r1"))
    assert answer == {"lead_id": "a", "asked_by": "r1"}
    assert noted == [answer]
    assert writer.writes == 1


def test_requests_of_one_moment_share_one_scoring_and_one_write() -> None:
    live, writer = FakeLive(), FakeWriter()
    answers, noted = run(live, writer, lambda score: asyncio.gather(*(score(one, f"of {one}") for one in "abcd")))
    assert live.groups == [["a", "b", "c", "d"]]
    assert writer.writes == 1
    assert answers == [{"lead_id": one, "asked_by": f"of {one}"} for one in "abcd"]
    assert noted == answers


def test_what_comes_while_a_group_is_written_is_the_next_one() -> None:
    async def use(score: Callable[..., Coroutine[Any, Any, Row | None]]) -> None:
        first = asyncio.create_task(score("a"))
        await asyncio.sleep(0.002)
        await asyncio.gather(first, score("b"), score("c"))

    live = FakeLive()
    run(live, FakeWriter(), use)
    assert live.groups == [["a"], ["b", "c"]]


def test_a_group_holds_each_lead_once_and_one_language_and_has_an_end() -> None:
    async def use(score: Callable[..., Coroutine[Any, Any, Row | None]]) -> Any:
        twice = [score("a", "r1"), score("a", "r2"), score("b", "r3", "ja")]
        return await asyncio.gather(*twice, *(score(f"n{number}", "r4", "ja") for number in range(AT_ONCE)))

    live = FakeLive()
    answers, _ = run(live, FakeWriter(), use)
    assert [len(group) for group in live.groups] == [1, 1, AT_ONCE, 1]
    assert [answer["asked_by"] for answer in answers[:3]] == ["r1", "r2", "r3"]


def test_of_a_lead_that_is_not_held_there_is_no_answer_and_no_row() -> None:
    live, writer = FakeLive(), FakeWriter()
    answers, noted = run(live, writer, lambda score: asyncio.gather(score("?"), score("a")))
    assert answers == [None, {"lead_id": "a", "asked_by": "r"}]
    assert len(noted) == 1
    run(live, writer, lambda score: score("?"))
    assert writer.writes == 1


def test_one_that_fails_fails_alone() -> None:
    live = FakeLive(fails_for="b")
    answers, _ = run(
        live, FakeWriter(), lambda score: asyncio.gather(*(score(one) for one in "abc"), return_exceptions=True)
    )
    assert [type(answer) for answer in answers] == [dict, ZeroDivisionError, dict]
    assert live.groups == [["a", "b", "c"], ["a"], ["b"], ["c"]]


def test_a_state_that_takes_nothing_is_told_to_all_and_asked_once() -> None:
    live, writer = FakeLive(), FakeWriter(is_down=True)
    answers, noted = run(
        live, writer, lambda score: asyncio.gather(score("a"), score("b"), return_exceptions=True)
    )  # fmt: skip
    assert [type(answer) for answer in answers] == [StateError, StateError]
    assert writer.writes == 1
    assert noted == []


def test_a_caller_that_has_gone_takes_nobody_with_it() -> None:
    async def use(score: Callable[..., Coroutine[Any, Any, Row | None]]) -> Any:
        gone = asyncio.create_task(score("a"))
        stays = asyncio.create_task(score("b"))
        await asyncio.sleep(0.002)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await stays

    answer, _ = run(FakeLive(), FakeWriter(), use)
    assert answer["lead_id"] == "b"


def test_rows_are_read_from_the_disk_beside_the_loop() -> None:
    live = FakeLive(in_memory=False)
    answer, _ = run(live, FakeWriter(), lambda score: score("a"))
    assert answer["lead_id"] == "a"


@pytest.mark.parametrize("starts_ms", [(0, 2, 4, 6, 8, 10), (0, 0, 0, 5, 5, 5)])
def test_callers_who_ask_again_and_again_are_answered_together(starts_ms: Sequence[int]) -> None:
    """However they begin: two halves, of which one comes while the other is written, must not stay halves."""
    live, writer = FakeLive(), FakeWriter()

    async def use(score: Callable[..., Coroutine[Any, Any, Row | None]]) -> None:
        async def caller(number: int, start_ms: int) -> None:
            await asyncio.sleep(start_ms / 1000)
            for turn in range(12):
                await score(f"{number}-{turn}")

        await asyncio.gather(*(caller(number, start_ms) for number, start_ms in enumerate(starts_ms)))

    run(live, writer, use)
    assert sum(map(len, live.groups)) == 72
    assert [len(group) for group in live.groups].count(6) >= 8


def test_who_is_left_of_a_group_is_not_waited_for_for_long() -> None:
    live, writer = FakeLive(), FakeWriter()

    async def use(score: Callable[..., Coroutine[Any, Any, Row | None]]) -> list[Row | None]:
        await asyncio.gather(score("a"), score("b"), score("c"))
        async with asyncio.timeout(5):  # whoever waited for three would wait for ever
            return [await score("d"), await score("e")]

    answers, _ = run(live, writer, use)
    assert [answer and answer["lead_id"] for answer in answers] == ["d", "e"]
    assert live.groups == [["a", "b", "c"], ["d"], ["e"]]
