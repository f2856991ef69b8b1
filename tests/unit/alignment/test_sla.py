"""The SLA as it was kept: hand-offs one by one, and percentiles against a query written by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd
import pytest

from alignment.findings import find_alignment
from alignment.sla import CLOCKS, SlaReport, breaches_at, percentiles
from crm.known import to_micros
from crm.progress import Silent
from crm.simulator import OBSERVED_UNTIL, parse_demo_url, simulate
from tests.histories import Row, config_of, raw_tables_of, tables_of
from tests.scenes import scores_of

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
UNTIL = datetime(2026, 3, 13, 12, tzinfo=UTC)  # a Friday
MONDAY = datetime(2026, 3, 2, 10, tzinfo=UTC)


def off(name: str, at: datetime = MONDAY, recorded: datetime | None = None, **values: Any) -> Row:
    return {"hand_off_id": name, "lead_id": name, "handed_off_at": at, "recorded_at": recorded or at, **values}


def call(lead: str, at: datetime, kind: str = "call") -> Row:
    return {
        "touch_id": f"{lead}{at}",
        "lead_id": lead,
        "happened_at": at,
        "recorded_at": at,
        "kind": kind,
        "actor": "sales",
    }


def report(offs: list[Row], touches: list[Row] = (), stages: list[Row] = (), **sections: Any) -> SlaReport:  # pyright: ignore[reportArgumentType]
    leads = [
        {"lead_id": name, "created_at": MONDAY - 10 * DAY} for name in dict.fromkeys(row["lead_id"] for row in offs)
    ]
    visit = {
        "touch_id": "v",
        "lead_id": leads[0]["lead_id"],
        "happened_at": MONDAY - DAY,
        "kind": "visit",
        "actor": "lead",
    }
    rows = {"leads": leads, "hand_offs": offs, "touches": [{**visit, "recorded_at": MONDAY - DAY}, *touches]}
    rows |= {"stages": list(stages)} if stages else {}
    sections = {"sla": {}, "outcome": {"observed_until": UNTIL}, **sections}
    with tables_of(rows, now=UNTIL + DAY, **sections) as tables:
        found = find_alignment(tables, config_of(**sections), UNTIL, scores_of(rows, None), None, Silent())
    assert found.reports.sla is not None
    return found.reports.sla


def hours_of(found: SlaReport, clock: str) -> dict[str, float]:
    ids = found.hand_offs["hand_off_id"]
    return {str(name): float(hours) for name, hours in zip(ids, found.clocks[clock].hours, strict=True)}


def test_the_clock_stops_at_the_first_touch_by_sales_after_the_hand_off() -> None:
    touches = [call("a", MONDAY - HOUR), call("a", MONDAY + 5 * HOUR), call("a", MONDAY + 3 * HOUR)]
    assert hours_of(report([off("a")], touches), "contact") == {"a": 3.0}


def test_kinds_that_are_no_contact_do_not_stop_it() -> None:
    touches = [call("a", MONDAY + HOUR, "email_sent"), call("a", MONDAY + 2 * HOUR)]
    assert hours_of(report([off("a")], touches, sla={"contact_kinds": ["call"]}), "contact") == {"a": 2.0}


def test_a_night_and_a_weekend_do_not_count() -> None:
    friday_evening = datetime(2026, 3, 6, 20, tzinfo=UTC)
    found = report([off("a", friday_evening)], [call("a", datetime(2026, 3, 9, 9, 30, tzinfo=UTC))])
    assert hours_of(found, "contact") == {"a": 0.5}


def test_each_team_is_measured_in_its_own_hours() -> None:
    """10:00 in London is 19:00 in Tokyo, where the day is over."""
    offs = [off("a", team="london"), off("b", team="tokyo")]
    touches = [call("a", MONDAY + 16 * HOUR), call("b", MONDAY + 16 * HOUR)]
    sla = {"hours_of_team": {"tokyo": {"timezone": "Asia/Tokyo"}}}
    assert hours_of(report(offs, touches, sla=sla), "contact") == {"a": 8.0, "b": 2.0}


def test_a_lead_given_back_owes_no_contact_any_more_and_was_answered() -> None:
    back = {"disposition": "rejected", "disposition_reason": "no_need", "recorded": MONDAY + 2 * HOUR}
    found = report([off("a"), off("a", **back), off("b")], [call("b", MONDAY + HOUR)])
    assert hours_of(found, "accept") == {"a": 2.0, "b": np.inf}
    clock = found.clocks["contact"]
    at = found.hand_offs["hand_off_id"].tolist().index("a")
    assert (clock.hours[at], clock.observed_hours[at]) == (np.inf, 2.0)
    assert "a" not in found.breaches["hand_off_id"].tolist()


def test_without_any_touch_by_sales_an_acceptance_stands_for_the_contact() -> None:
    found = report([off("a"), off("a", recorded=MONDAY + 6 * HOUR, accepted_at=MONDAY + 4 * HOUR)])
    assert found.contact_is_acceptance
    assert hours_of(found, "contact") == {"a": 4.0}


def test_a_second_hand_off_has_a_clock_of_its_own() -> None:
    offs = [off("a"), off("a2", MONDAY + 3 * DAY, lead_id="a")]
    found = report(offs, [call("a", MONDAY + 3 * DAY + HOUR)])
    assert hours_of(found, "contact") == {"a": np.inf, "a2": 1.0}


def test_what_is_open_and_overdue_is_a_breach_with_its_age() -> None:
    offs = [off("old", owner="x"), off("new", UNTIL - HOUR), off("done")]
    won = {"stage": "sql", "entered_at": MONDAY + HOUR, "recorded_at": MONDAY + HOUR}
    sla = {"accept_hours": 9, "first_contact_hours": 18, "disposition_hours": 900}
    found = report(offs, [call("done", MONDAY + HOUR)], [{"lead_id": "done", **won}], sla=sla)
    rows = {(row["hand_off_id"], row["clock"]): row["overdue_hours"] for row in found.breaches.to_dict("records")}
    # From Monday 10:00 to Friday of the next week 12:00 are 83 hours of work.
    assert rows == {("old", "accept"): pytest.approx(74.0), ("old", "contact"): pytest.approx(65.0)}


def test_hand_offs_from_before_the_agreement_are_no_breaches() -> None:
    found = report([off("old"), off("new", MONDAY + 2 * DAY)], sla={"effective_on": date(2026, 3, 4)})
    assert set(found.breaches["hand_off_id"]) == {"new"}


def test_grades_have_their_own_terms() -> None:
    sla = config_of(sla={"first_contact_hours": 20, "band": {"A": {"first_contact_hours": 2}}}).sla
    assert sla is not None
    assert (sla.terms_of("A").first_contact_hours, sla.terms_of("B").first_contact_hours) == (2, 20)
    assert sla.terms_of("A").accept_hours == sla.accept_hours


def test_delays_of_systems_and_of_people_are_told_apart() -> None:
    mql = {"stage": "mql", "entered_at": MONDAY - 5 * HOUR, "recorded_at": MONDAY - 5 * HOUR}
    offs = [off(name, recorded=MONDAY + 2 * HOUR) for name in "abc"]
    touches = [call(name, MONDAY + 3 * HOUR) for name in "abc"]
    found = report(offs, touches, [{"lead_id": name, **mql} for name in "abc"])
    assert found.system_hours == (7.0, 7.0, 7.0)
    assert found.human_hours == (1.0, 1.0, 1.0)


def test_a_term_is_kept_up_to_its_last_minute() -> None:
    touches = [call("a", MONDAY + 2 * HOUR), call("b", MONDAY + 2 * HOUR + timedelta(seconds=1))]
    found = report([off("a"), off("b")], touches, sla={"first_contact_hours": 2})
    kept = next(row for row in found.kept if row.clock == "contact" and row.dimension == "all")
    assert kept.share == 0.5


def test_a_hand_off_that_was_handed_on_is_measured_until_then_and_owed_by_the_next_owner() -> None:
    """Recycled and handed off again: each has its own acceptance, end and MQL, and the first owes nothing any more."""
    again = MONDAY + 3 * DAY
    stages = [("mql", MONDAY - HOUR), ("recycled", MONDAY + DAY), ("mql", again - HOUR), ("accepted", again + 2 * HOUR)]
    rows = [{"lead_id": "a", "stage": name, "entered_at": at, "recorded_at": at} for name, at in stages]
    offs = [off("a1", lead_id="a", owner="one"), off("a2", again, lead_id="a", owner="two")]
    found = report(offs, [call("a", again + 4 * HOUR)], rows)
    assert hours_of(found, "accept") == {"a1": np.inf, "a2": 2.0}
    assert hours_of(found, "contact") == {"a1": np.inf, "a2": 4.0}
    assert found.clocks["contact"].observed_hours[0] == pytest.approx(27.0)  # three working days, not until today
    assert found.clocks["disposition"].hours[0] < np.inf
    assert "a1" not in found.breaches["hand_off_id"].tolist()
    assert found.system_hours[2] == pytest.approx(1.0)


def test_an_sql_of_the_second_owner_is_not_the_firsts() -> None:
    again = MONDAY + 3 * DAY
    sql = {"lead_id": "a", "stage": "sql", "entered_at": again + HOUR, "recorded_at": again + HOUR}
    found = report([off("a1", lead_id="a"), off("a2", again, lead_id="a")], [call("a", again + HOUR)], [sql])
    offs = found.hand_offs.set_index("hand_off_id")
    assert np.isnan(offs.loc["a1", "sql_us"])
    assert np.isfinite(offs.loc["a2", "sql_us"])


def test_a_disposition_is_an_answer_and_the_first_one_stops_the_clock() -> None:
    said = [
        off("a", recorded=MONDAY + at * HOUR, disposition=what) for at, what in ((2, "qualified"), (5, "disqualified"))
    ]
    found = report([off("a"), *said], [call("a", MONDAY + HOUR)])
    assert hours_of(found, "accept") == {"a": 2.0}
    assert hours_of(found, "disposition") == {"a": 2.0}


def test_touches_by_sales_that_are_recorded_later_change_nothing() -> None:
    offs = [off("a"), off("a", recorded=MONDAY + 3 * HOUR, accepted_at=MONDAY + 2 * HOUR)]
    late = {**call("a", MONDAY + HOUR), "recorded_at": UNTIL + HOUR}
    assert report(offs, [late]).contact_is_acceptance
    assert hours_of(report(offs, [late]), "contact") == {"a": 2.0}


def test_before_the_first_touch_by_sales_acceptances_stand_for_contacts() -> None:
    """A team that began to log calls in June is not condemned for May."""
    offs = [off("a"), off("a", recorded=MONDAY + 3 * HOUR, accepted_at=MONDAY + 2 * HOUR), off("b", MONDAY + 2 * DAY)]
    assert hours_of(report(offs, [call("b", MONDAY + 2 * DAY + HOUR)]), "contact") == {"a": 2.0, "b": 1.0}


def test_breaches_grow_with_the_clock_although_nothing_is_recorded() -> None:
    offs, touches = [off("a"), off("b", MONDAY + HOUR)], [call("a", MONDAY - HOUR)]
    leads = [{"lead_id": name, "created_at": MONDAY - 10 * DAY} for name in "ab"]
    rows = {"leads": leads, "hand_offs": offs, "touches": touches}
    with tables_of(rows, now=UNTIL + DAY, sla={}) as tables:
        found = find_alignment(tables, config_of(sla={}), None, scores_of(rows, None), None, Silent()).reports
    assert found.sla is not None
    assert found.sla.breaches.empty  # when the data ends, an hour had passed at most
    late = breaches_at(found.sla, found.people, float(to_micros(UNTIL)))
    assert set(late.loc[late["hand_off_id"] == "a", "clock"]) == {"accept", "contact"}
    assert late["overdue_hours"].max() == pytest.approx(74.0)


ORACLE = """
WITH days AS (SELECT unnest(generate_series(DATE '2025-12-01', DATE '2026-07-02', INTERVAL 1 DAY))::DATE AS day),
calendar AS (
    SELECT team, (day + TIME '09:00') AT TIME ZONE zone AS opens, (day + TIME '18:00') AT TIME ZONE zone AS closes
    FROM days, (VALUES ('inside_sales', 'America/New_York'), ('field_sales', 'Asia/Tokyo')) AS zones(team, zone)
    WHERE isodow(day) <= 5
),
newest AS (
    SELECT * FROM hand_offs QUALIFY row_number() OVER (PARTITION BY hand_off_id ORDER BY recorded_at DESC) = 1
),
watched AS (
    SELECT o.hand_off_id, o.team, o.handed_off_at AS start, min(t.happened_at) AS contact,
        any_value(CASE WHEN o.disposition IN ('disqualified', 'recycled') THEN o.recorded_at END) AS given_back
    FROM newest o LEFT JOIN touches t
        ON t.lead_id = o.lead_id AND t.actor = 'sales' AND t.happened_at >= o.handed_off_at AND t.recorded_at <= $until
    WHERE o.handed_off_at >= $since GROUP BY ALL
),
spans AS (
    SELECT hand_off_id, team, start, contact IS NOT NULL AS happened,
        coalesce(contact, least(coalesce(given_back, $until), $until)) AS stop FROM watched
),
measured AS (
    SELECT s.team, s.happened, coalesce(sum(epoch(least(c.closes, s.stop)) - epoch(greatest(c.opens, s.start)))
        FILTER (WHERE c.opens IS NOT NULL), 0) / 3600 AS hours
    FROM spans s LEFT JOIN calendar c ON c.team = s.team AND c.closes > s.start AND c.opens < s.stop
    GROUP BY s.hand_off_id, s.team, s.happened
),
steps AS (
    SELECT a.team, a.hours, count(*) FILTER (WHERE b.hours = a.hours AND b.happened) AS events, count(*) AS at_risk
    FROM (SELECT DISTINCT team, round(hours, 6) AS hours FROM measured WHERE happened) a
    JOIN (SELECT team, round(hours, 6) AS hours, happened FROM measured) b ON b.team = a.team AND b.hours >= a.hours
    GROUP BY a.team, a.hours
),
curve AS (
    SELECT team, hours, 1 - product(1 - events / at_risk) OVER (PARTITION BY team ORDER BY hours) AS done FROM steps
)
SELECT team, min(hours) FILTER (WHERE done >= 0.5 - 1e-12) AS p50, min(hours) FILTER (WHERE done >= 0.7 - 1e-12) AS p70
FROM curve GROUP BY team ORDER BY team
"""


def test_percentiles_equal_a_query_written_by_hand() -> None:
    """On the simulator: business hours by overlap of spans, and Kaplan and Meier's product, in SQL alone."""
    raw = simulate(parse_demo_url("demo://?leads=3000&seed=5"))
    zones = {"hours": {"timezone": "America/New_York"}, "hours_of_team": {"field_sales": {"timezone": "Asia/Tokyo"}}}
    sections = {"sla": zones, "outcome": {"observed_until": OBSERVED_UNTIL}}
    with raw_tables_of(raw, now=OBSERVED_UNTIL + DAY, **sections) as tables:
        scores = scores_of({"leads": []}, None)
        found = find_alignment(tables, config_of(**sections), OBSERVED_UNTIL, scores, None, Silent())
    sla = found.reports.sla
    assert sla is not None
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for name in ("hand_offs", "touches"):
        connection.register(name, raw[name])
    since = datetime.fromisoformat(sla.weeks.starts[0]).replace(tzinfo=ZoneInfo("UTC"))
    values = {"since": since.isoformat(), "until": OBSERVED_UNTIL.isoformat()}
    query = ORACLE.replace("$since", f"TIMESTAMPTZ '{values['since']}'").replace(
        "$until", f"TIMESTAMPTZ '{values['until']}'"
    )
    expected = {row[0]: row[1:] for row in connection.execute(query).fetchall()}
    offs = sla.hand_offs.reset_index(drop=True)
    for team, wanted in expected.items():
        rows = (offs["team"] == team).to_numpy()
        clock = sla.clocks["contact"]
        got = percentiles(clock.hours[rows], clock.observed_hours[rows], (0.5, 0.7))
        assert got == pytest.approx(wanted, abs=1e-4), team
        kept = next(row for row in sla.kept if (row.clock, row.group) == ("contact", team))
        assert kept.percentile_hours[0] == pytest.approx(wanted[0], abs=1e-4)
        assert kept.hand_offs == rows.sum() > 50


def test_percentiles_that_were_not_reached_are_said_to_be_none() -> None:
    assert np.isnan(percentiles(np.array([]), np.array([]))).all()
    assert np.isnan(percentiles(np.array([np.inf]), np.array([3.0]))).all()
    assert percentiles(np.array([1.0, np.inf]), np.array([5.0, 5.0]), (0.5, 0.9))[0] == 1.0


def test_no_hand_off_in_the_weeks_shown_is_no_error() -> None:
    found = report([off("a", MONDAY - 9 * DAY)])
    assert len(found.hand_offs) == 1
    old = report([off("a", datetime(2025, 1, 6, 10, tzinfo=UTC))])
    assert old.hand_offs.empty
    assert old.breaches.empty
    assert all(np.isnan(row.share) for row in old.kept if row.dimension == "all")
    assert {row.clock for row in old.kept} == set(CLOCKS)
    assert isinstance(old.breaches, pd.DataFrame)
