"""When each person first reached each stage, against the definition in plain Python, and its edges."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.journeys import PASSED, journeys, persons_of
from crm.known import from_micros, to_micros
from crm.tables import STAGES
from tests.histories import DAY, MICROSECOND, NOW, START, Row, Rows, tables_of

SETTINGS = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
LEAD = {"lead_id": "a", "created_at": START, "account_id": "A", "source": "web"}


def stage(name: str, day: float, lead: str = "a", recorded: float | None = None) -> Row:
    at = START + day * DAY
    return {"lead_id": lead, "stage": name, "entered_at": at, "recorded_at": START + (recorded or day) * DAY}


def found(rows: Rows, as_of: datetime = NOW) -> pd.DataFrame:
    with tables_of(rows) as tables:
        return journeys(tables, as_of)


def days(frame: pd.DataFrame, column: str, row: int = 0) -> float:
    return float((frame[column].iloc[row] - to_micros(START)) / to_micros(datetime.fromisoformat("1970-01-02T00:00Z")))


def test_skipped_stages_count_as_passed_but_for_the_mql() -> None:
    frame = found({"leads": [LEAD], "stages": [stage("closed_won", 9)]})
    assert [days(frame, f"{name}_us") for name in ("accepted", "sql", "opportunity", "won")] == [9, 9, 9, 9]
    assert np.isnan(frame["mql_us"].iloc[0])
    assert frame["path"].tolist() == ["closed_won"]


def test_no_stage_is_passed_before_an_earlier_one() -> None:
    frame = found({"leads": [LEAD], "stages": [stage("mql", 1), stage("opportunity", 3), stage("sql", 5)]})
    assert days(frame, "sql_us") == days(frame, "opportunity_us") == 3
    assert frame["path"].tolist() == ["mql>opportunity>sql"]


def test_opportunities_rule_wins_and_revenue_and_count_once() -> None:
    deal = {"opportunity_id": "d", "account_id": "A", "created_at": START + 2 * DAY, "closed_at": START + 8 * DAY}
    rows: Rows = {
        "leads": [LEAD, {**LEAD, "lead_id": "b"}, {**LEAD, "lead_id": "late", "created_at": START + 5 * DAY}],
        "stages": [stage("closed_won", 4)],
        "opportunities": [{**deal, "is_won": True, "amount": 100.0, "currency": "USD", "recorded_at": START + 8 * DAY}],
    }
    frame = found(rows).set_index("person_id")
    assert frame["revenue"].to_dict() == {"a": 50.0, "b": 50.0, "late": 0.0}
    assert frame["wins"].to_dict() == {"a": 1, "b": 1, "late": 0}
    assert days(frame, "won_us") == 8  # not day 4, when only the stage says so
    assert np.isnan(frame.loc["late", "won_us"])


def test_merged_leads_are_one_person_from_the_recording_of_the_merge_on() -> None:
    rows: Rows = {
        "leads": [LEAD, {**LEAD, "lead_id": "b", "created_at": START + DAY, "source": "event"}],
        "stages": [stage("mql", 3, "b"), stage("sql", 6, "a")],
        "lead_merges": [{"from_lead_id": "b", "into_lead_id": "a", "recorded_at": START + 7 * DAY}],
    }
    before, after = found(rows, START + 7 * DAY - MICROSECOND), found(rows, START + 7 * DAY)
    assert before["person_id"].tolist() == ["a", "b"]
    assert after[["person_id", "leads", "source"]].to_numpy().tolist() == [["a", 2, "web"]]
    assert (days(after, "mql_us"), days(after, "sql_us")) == (3, 6)
    with tables_of(rows) as tables:
        assert persons_of(tables, to_micros(NOW))["person_id"].tolist() == ["a", "a"]


def test_without_any_mql_the_first_hand_off_stands_for_it() -> None:
    offs = [
        {"hand_off_id": "h2", "lead_id": "a", "handed_off_at": START + 4 * DAY, "owner": "Y", "recorded_at": NOW},
        {"hand_off_id": "h1", "lead_id": "a", "handed_off_at": START + 2 * DAY, "owner": "X", "recorded_at": NOW},
    ]
    frame = found({"leads": [LEAD], "hand_offs": offs})
    assert days(frame, "mql_us") == days(frame, "handed_off_us") == 2
    assert frame["owner"].tolist() == ["X"]
    with_mql = found({"leads": [LEAD, {**LEAD, "lead_id": "b"}], "hand_offs": offs, "stages": [stage("mql", 1, "b")]})
    assert np.isnan(with_mql["mql_us"].iloc[0])


def test_leads_alone_are_enough() -> None:
    frame = found({"leads": [{"lead_id": "a", "created_at": START}]})
    assert len(frame) == 1
    assert frame[[f"{name}_us" for name in PASSED]].isna().all(axis=None)
    assert frame["revenue"].isna().all()  # nothing says what a win would bring


@st.composite
def histories(draw: st.DrawFn) -> dict[str, list[Row]]:
    pick = st.sampled_from
    ids = [f"L{number}" for number in range(draw(st.integers(1, 3)))]
    day = st.integers(0, 20)
    rows: dict[str, list[Row]] = {
        "leads": [{"lead_id": name, "created_at": START, "account_id": draw(pick(("A", None)))} for name in ids]
    }
    drawn = draw(st.lists(st.tuples(pick(ids), pick(STAGES), day, day), max_size=8, unique_by=lambda row: row[:3]))
    rows["stages"] = [
        {"lead_id": lead, "stage": name, "entered_at": START + at * DAY, "recorded_at": START + (at + wait) * DAY}
        for lead, name, at, wait in drawn
    ]
    offs = draw(st.lists(st.tuples(pick(ids), day, day), max_size=3))
    rows["hand_offs"] = [
        {
            "hand_off_id": f"h{number}",
            "lead_id": lead,
            "handed_off_at": START + at * DAY,
            "recorded_at": START + (at + wait) * DAY,
        }
        for number, (lead, at, wait) in enumerate(offs)
    ]
    return rows


def _until(rows: Rows, as_of: datetime) -> dict[str, list[Row]]:
    """Delete what was recorded, or happened, later: it must not have counted."""
    kept: dict[str, list[Row]] = {"leads": list(rows["leads"])}
    for name, clock in (("stages", "entered_at"), ("hand_offs", "handed_off_at")):
        kept[name] = [row for row in rows[name] if row["recorded_at"] <= as_of and row[clock] < as_of]
    return kept


@SETTINGS
@given(histories(), st.integers(1, 30))
def test_what_was_recorded_later_does_not_exist(rows: dict[str, list[Row]], day: int) -> None:
    as_of = START + day * DAY
    pd.testing.assert_frame_equal(found(rows, as_of), found(_until(rows, as_of), as_of))


@SETTINGS
@given(histories())
def test_stages_are_passed_as_the_definition_says(rows: dict[str, list[Row]]) -> None:
    frame = found(rows).set_index("person_id")
    later = {"accepted": ("accepted", "sql", "opportunity", "closed_won"), "sql": ("sql", "opportunity", "closed_won")}
    later |= {"opportunity": ("opportunity", "closed_won"), "won": ("closed_won",)}
    for lead in rows["leads"]:
        own = [row for row in rows["stages"] if row["lead_id"] == lead["lead_id"] and row["recorded_at"] <= NOW]
        for name, stages in later.items():
            moments = [row["entered_at"] for row in own if row["stage"] in stages]
            got: Any = frame.loc[lead["lead_id"], f"{name}_us"]
            assert (from_micros(got) if got == got else None) == min(moments, default=None)


def test_a_stage_of_this_very_moment_is_not_known_yet() -> None:
    rows: Rows = {"leads": [LEAD], "stages": [stage("sql", 3)]}
    assert np.isnan(found(rows, START + 3 * DAY)["sql_us"].iloc[0])
    assert days(found(rows, START + 3 * DAY + timedelta(seconds=1)), "sql_us") == pytest.approx(3)
