"""Rows that a sender of its own posts: every column typed, everything that is wrong named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from serving.hooks.rows import POSTED_TABLES, typed_rows

AT = "2026-11-05T18:30:00+09:00"
TOUCH = {"lead_id": "L1", "happened_at": AT, "kind": "visit"}


def wrong(table: str, row: object) -> dict[str, str]:
    return {error.field: error.message for error in typed_rows(table, [row])[1]}


def test_a_touch_is_typed() -> None:
    rows, errors = typed_rows("touches", [TOUCH | {"lead_id": 7, "value": 3, "actor": "Sales"}])
    assert errors == []
    assert rows[0]["lead_id"] == "7"
    assert rows[0]["happened_at"] == datetime(2026, 11, 5, 9, 30, tzinfo=UTC)
    assert (rows[0]["value"], rows[0]["actor"], rows[0]["touch_id"]) == (3.0, "Sales", None)


@pytest.mark.parametrize(
    ("table", "row", "field", "words"),
    [
        ("touches", "visit", "/0", "object"),
        ("touches", {}, "/0/lead_id", "required"),
        ("touches", TOUCH | {"lead_id": ""}, "/0/lead_id", "1 to 200"),
        ("touches", TOUCH | {"lead_id": "x" * 201}, "/0/lead_id", "1 to 200"),
        ("touches", TOUCH | {"lead_id": "L1\r\nSet-Cookie: a=b"}, "/0/lead_id", "control"),
        ("touches", TOUCH | {"lead_id": True}, "/0/lead_id", "text"),
        ("touches", TOUCH | {"kind": 7}, "/0/kind", "text"),
        ("touches", TOUCH | {"happened_at": "2026-11-05T18:30:00"}, "/0/happened_at", "offset"),
        ("touches", TOUCH | {"happened_at": 1_793_871_000}, "/0/happened_at", "date and time"),
        ("touches", TOUCH | {"happened_at": "1969-01-01T00:00:00Z"}, "/0/happened_at", "1970"),
        ("touches", TOUCH | {"value": "3"}, "/0/value", "finite"),
        ("touches", TOUCH | {"value": True}, "/0/value", "finite"),
        ("touches", TOUCH | {"value": 10**400}, "/0/value", "finite"),
        ("touches", TOUCH | {"actor": "robot"}, "/0/actor", "one of lead"),
        ("touches", TOUCH | {"a/b": 1}, "/0/a~1b", "no column"),
        ("stages", {"lead_id": "L1", "stage": "sold", "entered_at": AT}, "/0/stage", "one of mql"),
        ("opportunities", {"opportunity_id": "O1", "created_at": AT, "is_won": 1}, "/0/is_won", "true or false"),
        ("leads", {"lead_id": "L1", "created_at": AT, "work_email": "x"}, "/0/work_email", "not taken"),
        ("leads", {"lead_id": "L1", "created_at": AT, "size": {"$gt": 1}}, "/0/size", "text, a number"),
        ("leads", {"lead_id": "L1", "created_at": AT, "size": "x" * 1001}, "/0/size", "1,000"),
        ("leads", {"lead_id": "L1", "created_at": AT, "size": float("inf")}, "/0/size", "finite"),
    ],
)
def test_what_is_wrong_is_named(table: str, row: object, field: str, words: str) -> None:
    assert words in wrong(table, row)[field]


def test_attributes_of_a_lead_pass_and_one_that_only_looks_personal_when_it_is_allowed() -> None:
    row: dict[str, Any] = {"lead_id": "L1", "created_at": AT, "size": "51-200", "web_address": "x", "n": 3, "b": None}
    assert list(wrong("leads", row)) == ["/0/web_address"]
    rows, errors = typed_rows("leads", [row], ["web_address"])
    assert errors == []
    assert rows[0]["web_address"] == "x"
    assert rows[0]["n"] == 3


@pytest.mark.parametrize("table", POSTED_TABLES)
def test_no_message_holds_what_was_sent(table: str) -> None:
    secret = "taro@example.com"
    columns = ("lead_id", "kind", "happened_at", "entered_at", "stage", "created_at", "value", "is_won")
    row = {column: [secret] for column in columns}
    assert secret not in str(wrong(table, row))
