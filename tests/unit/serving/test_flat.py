"""Flat scores: one level, every name and type that Salesforce and Marketo can take."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from serving.flat import flat, read_flat
from serving.problems import ProblemError
from serving.replies import FLAT_REASONS, FlatReply

NOW = datetime(2026, 11, 5, 9, 30, tzinfo=UTC)
ANSWER: dict[str, Any] = {
    "lead_id": "L1", "as_of": "2026-11-05T09:30:00+00:00", "score": 71.5, "grade": "B", "p_sql": 0.1, "p_won": 0.02,
    "expected_revenue": 800.0, "expected_value": 310.0, "currency": "JPY", "is_mql": True, "decision": "hand_off",
    "percentile": 93.0, "reasons": ["three visits", "a download"], "model_version": "3", "line_version": "abc",
    "points": [{"signal": "visits"}], "horizons": [], "excluded_by": None, "warnings": [],
}  # fmt: skip


def test_an_answer_becomes_one_level() -> None:
    found = flat(ANSWER)
    assert FlatReply.model_validate(found).model_dump() == found
    assert list(found) == list(FlatReply.model_fields)
    assert all(isinstance(value, str | float | bool | None) for value in found.values())
    assert (found["currency_code"], found["reason_1"], found["reason_2"]) == ("JPY", "three visits", "a download")
    assert [found[f"reason_{number}"] for number in (3, 4, 5)] == [None] * 3


@pytest.mark.parametrize("count", [0, 5, 9])
def test_more_reasons_than_there_is_room_for_are_left_out(count: int) -> None:
    found = flat(ANSWER | {"reasons": [str(number) for number in range(count)]})
    kept = [found[f"reason_{number}"] for number in range(1, FLAT_REASONS + 1)]
    assert kept == [str(number) if number < count else None for number in range(FLAT_REASONS)]


def read(content: object) -> str:
    return read_flat(content if isinstance(content, bytes) else json.dumps(content).encode())


@pytest.mark.parametrize(
    ("lead_id", "asked"), [("L1", "L1"), (1_000_042, "1000042"), ("00Q5e00000A1b2CEAR", "00Q5e00000A1b2CEAR")]
)
def test_a_lead_is_asked_for_by_its_id_also_by_a_number(lead_id: object, asked: str) -> None:
    assert read({"lead_id": lead_id}) == asked


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ([], ""),
        ("L1", ""),
        ({}, "/lead_id"),
        ({"lead_id": ""}, "/lead_id"),
        ({"lead_id": None}, "/lead_id"),
        ({"lead_id": True}, "/lead_id"),
        ({"lead_id": 1.5}, "/lead_id"),
        ({"lead_id": 10**400}, "/lead_id"),
        ({"lead_id": ["L1"]}, "/lead_id"),
        ({"lead_id": "x" * 201}, "/lead_id"),
        ({"lead_id": "L1", "touches": []}, "/touches"),
    ],
)
def test_anything_else_is_refused(content: object, field: str) -> None:
    with pytest.raises(ProblemError) as caught:
        read(content)
    assert caught.value.problem.status == 422
    assert field in [error.field for error in caught.value.problem.errors]


def test_the_template_of_marketo_without_a_value_is_no_json() -> None:
    with pytest.raises(ProblemError) as caught:
        read(b'{"lead_id": }')
    assert caught.value.problem.status == 400
