"""Whether sales has a lead, in memory and by the tables: the two must agree at every moment."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.known import from_micros, to_micros
from crm.outcomes import leads_at_risk
from crm.simulator import parse_demo_url, simulate
from crm.store import Tables
from crm.tables import STAGES
from crm.with_sales import sales_rows
from features.history import TableRows
from tests.histories import DAY, START, raw_tables_of, tables_of

LEADS = ("a", "b", "c")


def at_risk_in_memory(tables: Tables, as_of_us: int) -> set[str]:
    source = TableRows(tables)
    names = tables.table("leads").lead_id.to_pyarrow().to_pylist()
    leads = {row["lead_id"]: row for row in source.rows("leads", "lead_id", set(names))}
    return {
        lead_id
        for lead_id, rows in sales_rows(source, leads).items()
        if leads[lead_id]["created_us"] <= as_of_us and not rows.is_with_sales(as_of_us)
    }


def at_risk_by_tables(tables: Tables, as_of_us: int) -> set[str]:
    return set(leads_at_risk(tables, from_micros(as_of_us))["lead_id"])


@pytest.fixture(scope="module")
def simulated() -> Tables:
    return raw_tables_of(simulate(parse_demo_url("demo://?leads=2000&seed=5")), now=START + 1500 * DAY)


@pytest.mark.parametrize("months_back", [1, 7, 14, 20])
def test_the_same_simulated_leads_are_at_risk(simulated: Tables, months_back: int) -> None:
    newest = simulated.table("stages").recorded_us.max().to_pyarrow().as_py()
    as_of_us = newest - round(months_back * 30 * DAY / timedelta(microseconds=1))
    found = at_risk_by_tables(simulated, as_of_us)
    assert at_risk_in_memory(simulated, as_of_us) == found
    assert found


DAYS = st.integers(0, 12)


@st.composite
def funnels(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    """Three leads of one account, and whatever may put one with sales."""

    def moment(day: int) -> Any:
        return START + day * DAY

    def late(day: int) -> Any:
        return moment(day + draw(st.integers(0, 3)))

    rows: dict[str, list[dict[str, Any]]] = {
        "leads": [
            {
                "lead_id": lead,
                "created_at": moment(draw(st.integers(0, 4))),
                "account_id": draw(st.sampled_from(["x", None])),
            }
            for lead in LEADS
        ]
    }
    stages = draw(st.lists(st.tuples(st.sampled_from(LEADS), st.sampled_from(STAGES), DAYS), max_size=6, unique=True))
    rows["stages"] = [
        {"lead_id": lead, "stage": stage, "entered_at": moment(day), "recorded_at": late(day)}
        for lead, stage, day in stages
    ]
    handed = draw(st.lists(st.tuples(st.sampled_from(LEADS), DAYS), max_size=3))
    rows["hand_offs"] = [
        {"hand_off_id": f"h{n}", "lead_id": lead, "handed_off_at": moment(day), "recorded_at": late(day)}
        for n, (lead, day) in enumerate(handed)
    ]
    deals = draw(st.lists(st.tuples(st.sampled_from([*LEADS, None]), DAYS, st.booleans()), max_size=3))
    rows["opportunities"] = [
        {
            "opportunity_id": f"o{n}",
            "lead_id": lead,
            "account_id": None if lead else "x",
            "created_at": moment(day),
            "closed_at": moment(day + 2) if won else None,
            "is_won": won or None,
            "recorded_at": late(day + 2 if won else day),
        }
        for n, (lead, day, won) in enumerate(deals)
    ]
    merges = draw(st.lists(st.tuples(st.sampled_from(LEADS), st.sampled_from(LEADS), DAYS), max_size=2))
    rows["lead_merges"] = [
        {"from_lead_id": one, "into_lead_id": other, "recorded_at": moment(day)}
        for one, other, day in merges
        if one != other
    ]
    return {name: found for name, found in rows.items() if found}


@settings(max_examples=40, deadline=None)
@given(rows=funnels(), day=st.integers(1, 16))
def test_the_two_agree_for_every_history(rows: dict[str, list[dict[str, Any]]], day: int) -> None:
    with tables_of(rows) as tables:
        as_of_us = to_micros(START + day * DAY)
        assert at_risk_in_memory(tables, as_of_us) == at_risk_by_tables(tables, as_of_us)
