"""Our own writes are told from news."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from crm.config_crm import CrmConfig
from crm.echo import is_echo
from crm.sending import due, settle
from crm.state import State
from crm.state_tables import LEDGER
from tests.fakes.made_scores import NOW_US, made_score, made_state, queue

HUBSPOT = CrmConfig(kind="hubspot", token="a-token-for-tests")
TRYTON = CrmConfig(kind="tryton", url="https://crm.example.com", token="a-token", database="crm")


@pytest.fixture
def state(tmp_path: Path) -> Generator[State]:
    opened = made_state(tmp_path)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"ml_lead_score": "12"}, True),
        ({"ml_lead_score": "12", "ml_lead_reasons": "x", "lastmodifieddate": "2026-11-02T09:00:00Z"}, True),
        ({"ml_lead_score": "12", "industry": "bank"}, False),
        ({"lifecyclestage": "customer"}, False),
        ({}, False),
    ],
)
def test_only_our_own_fields(state: State, changed: dict[str, Any], expected: bool) -> None:
    with state.reading() as connection:
        assert is_echo(connection, "crm", HUBSPOT, "1", changed) is expected


@pytest.mark.parametrize(("value", "expected"), [(0.1235, True), ("0.1235", True), (0.2, False), (None, False)])
def test_a_field_that_people_write_as_well_is_ours_by_its_value(state: State, value: Any, expected: bool) -> None:
    with state.writing() as connection:
        connection.execute(sa.insert(LEDGER).values(**ledger_row(1, p_won=0.123456)))
    queue(state, TRYTON, [made_score("1", 1, p_won=0.123456)])
    with state.writing() as connection:
        settle(connection, "crm", due(connection, "crm", now_us=NOW_US, limit=9), now_us=NOW_US)
        assert is_echo(connection, "crm", TRYTON, "1", {"conversion_probability": value}) is expected
        assert not is_echo(connection, "crm", TRYTON, "2", {"conversion_probability": value})


def ledger_row(seq: int, **more: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for column in LEDGER.columns:
        if not column.nullable:
            kind = column.type.python_type
            values[column.name] = kind() if kind is not str else "[]"
    return {**values, "seq": seq, "lead_id": "1", **more}
