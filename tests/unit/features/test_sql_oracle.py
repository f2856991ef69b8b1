"""Windowed features against SQL written by hand, on one drawn workspace with merges, accounts and late recordings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from crm.known import to_micros
from crm.store import Tables
from features.build import build_features
from features.feature import Feature
from features.lead_features import AccountLeads, AttributeIs, AttributeNumber, LeadAge, StageAge
from features.spec import FeatureSet
from features.touch_features import ActiveDaysIn, CountIn, DistinctIn, SessionsIn, ValueIn
from features.touch_times import DecayedSum, Recency, Velocity
from tests.histories import DAY, START, Row, moments_of, tables_of

LEADS, TOUCHES, SPAN_DAYS = 40, 1200, 120
COMMON = """
WITH RECURSIVE chains(member, into_id, known) AS (
    SELECT from_lead_id, into_lead_id, recorded_at FROM lead_merges
    UNION
    SELECT c.member, m.into_lead_id, greatest(c.known, m.recorded_at)
    FROM chains c JOIN lead_merges m ON m.from_lead_id = c.into_id
),
asked AS (SELECT row_id, lead_id, make_timestamptz(as_of_us) AS t FROM wanted),
members AS (
    SELECT row_id, t, lead_id AS member FROM asked
    UNION ALL
    SELECT row_id, t, c.member FROM asked a JOIN chains c ON c.into_id = a.lead_id AND c.known <= a.t
),
own AS (
    SELECT m.row_id, m.t, x.*, epoch_us(m.t) - epoch_us(x.happened_at) AS age FROM members m JOIN touches x
    ON x.lead_id = m.member AND x.happened_at < m.t AND x.recorded_at <= m.t AND x.actor = 'lead'
),
peers AS (
    SELECT a.row_id, a.t, o.lead_id AS member FROM asked a JOIN leads l USING (lead_id)
    JOIN leads o ON o.account_id = l.account_id AND o.created_at <= a.t
    UNION
    SELECT a.row_id, a.t, c.member FROM asked a JOIN leads l USING (lead_id)
    JOIN leads o ON o.account_id = l.account_id AND o.created_at <= a.t
    JOIN chains c ON c.into_id = o.lead_id AND c.known <= a.t
),
others AS (
    SELECT p.row_id, p.t, x.*, epoch_us(p.t) - epoch_us(x.happened_at) AS age
    FROM (SELECT * FROM peers EXCEPT SELECT * FROM members) p JOIN touches x
    ON x.lead_id = p.member AND x.happened_at < p.t AND x.recorded_at <= p.t AND x.actor = 'lead'
)
"""
D = 86_400_000_000
# Feature, expression over one row a snapshot, and the relation it is taken over.
AGGREGATES: list[tuple[Feature, str, str]] = [
    (CountIn("any"), "count(*)", "own"),
    (CountIn("any", window_days=7), f"count(*) FILTER (age <= 7 * {D})", "own"),
    (CountIn("visit", ("visit",), window_days=30), f"count(*) FILTER (kind = 'visit' AND age <= 30 * {D})", "own"),
    (CountIn("other", ("visit", "download")), "count(*) FILTER (kind NOT IN ('visit', 'download'))", "own"),
    (ValueIn("any", window_days=30), f"coalesce(sum(value) FILTER (age <= 30 * {D}), 0)", "own"),
    (ValueIn("visit", ("visit",)), "coalesce(sum(value) FILTER (kind = 'visit'), 0)", "own"),
    (DistinctIn("any", window_days=90), f"count(DISTINCT content_id) FILTER (age <= 90 * {D})", "own"),
    (ActiveDaysIn("any", window_days=30), f"count(DISTINCT happened_at::DATE) FILTER (age <= 30 * {D})", "own"),
    (Recency("any"), f"min(age) / {D}.0", "own"),
    (Recency("visit", ("visit",)), f"min(age) FILTER (kind = 'visit') / {D}.0", "own"),
    (DecayedSum("any", half_life_days=14), f"sum(pow(2.0, -age / (14.0 * {D})))", "own"),
    (
        Velocity("any"),
        f"count(*) FILTER (age <= 7 * {D})::DOUBLE / (count(*) FILTER (age <= 30 * {D}) + 1)",
        "own",
    ),
    (
        SessionsIn("any", window_days=30),
        f"count(*) FILTER (age <= 30 * {D} AND (before IS NULL OR happened_at - before > INTERVAL 30 MINUTE))",
        "(SELECT *, lag(happened_at) OVER (PARTITION BY row_id ORDER BY happened_at) AS before FROM own)",
    ),
    (CountIn("any", scope="account"), "count(*)", "others"),
    (CountIn("visit", ("visit",), "account", 30), f"count(*) FILTER (kind = 'visit' AND age <= 30 * {D})", "others"),
    (DecayedSum("any", scope="account", half_life_days=14), f"sum(pow(2.0, -age / (14.0 * {D})))", "others"),
    (Recency("any", scope="account"), f"min(age) / {D}.0", "others"),
]
# The whole SELECT, for what is no aggregate of touches.
SELECTS: list[tuple[Feature, str]] = [
    (LeadAge(), f"SELECT row_id, (epoch_us(t) - epoch_us(created_at)) / {D}.0 FROM asked JOIN leads USING (lead_id)"),
    (
        StageAge("mql"),
        f"""SELECT row_id, min(epoch_us(t) - epoch_us(entered_at)) / {D}.0 FROM asked JOIN stages USING (lead_id)
        WHERE stage = 'mql' AND entered_at < t AND recorded_at <= t GROUP BY 1""",
    ),
    (
        AccountLeads(),
        """SELECT row_id, count(*) FROM (
            SELECT a.row_id, a.t, o.lead_id AS member FROM asked a JOIN leads l USING (lead_id)
            JOIN leads o ON o.account_id = l.account_id AND o.created_at <= a.t
            EXCEPT SELECT * FROM members
        ) p WHERE NOT EXISTS (
            SELECT 1 FROM chains c JOIN leads s ON s.lead_id = c.into_id JOIN leads l ON l.lead_id = p.member
            WHERE c.member = p.member AND c.known <= p.t AND s.account_id = l.account_id AND s.created_at <= p.t
        ) GROUP BY 1""",
    ),
    (
        AttributeNumber("employees"),
        """SELECT row_id, CASE WHEN c.lead_id IS NULL THEN l.employees ELSE c.value::DOUBLE END
        FROM asked a JOIN leads l USING (lead_id)
        ASOF LEFT JOIN (SELECT * FROM lead_changes WHERE field = 'employees') c
        ON c.lead_id = a.lead_id AND a.t >= c.recorded_at""",
    ),
    (
        AttributeIs("industry", "Retail"),
        """SELECT row_id, coalesce(CASE WHEN c.lead_id IS NULL THEN l.industry ELSE c.value END = 'Retail', false)
        FROM asked a JOIN leads l USING (lead_id)
        ASOF LEFT JOIN (SELECT * FROM lead_changes WHERE field = 'industry') c
        ON c.lead_id = a.lead_id AND a.t >= c.recorded_at""",
    ),
]
FEATURES = FeatureSet((*(feature for feature, _, _ in AGGREGATES), *(feature for feature, _ in SELECTS)))


def draw_rows(rng: np.random.Generator) -> dict[str, list[Row]]:
    def days(high: float = SPAN_DAYS) -> timedelta:
        return timedelta(microseconds=int(rng.uniform(0, high) * D))

    ids = [f"L{number}" for number in range(LEADS)]
    created = {lead: START + days(60) for lead in ids}
    touches: list[Row] = []
    for _ in range(TOUCHES):
        happened = START + days()
        for _ in range(int(rng.integers(1, 4))):  # sessions
            happened += timedelta(minutes=float(rng.choice([0, 5, 29, 40])))
            late = timedelta(days=float(rng.choice([0, 0, 0, 3, 30])))
            touches.append(
                {
                    "lead_id": str(rng.choice([*ids, "ghost"])),
                    "happened_at": happened,
                    "recorded_at": happened + late,
                    "kind": str(rng.choice(["visit", "download", "email_open", "webinar"])),
                    "actor": str(rng.choice(["lead", "lead", "lead", "sales", "bot"])),
                    "content_id": f"c{rng.integers(9)}" if rng.random() < 0.7 else None,
                    "value": float(rng.normal()) if rng.random() < 0.5 else None,
                }
            )
    leads = [
        {
            "lead_id": lead,
            "created_at": created[lead],
            "account_id": f"A{rng.integers(8)}" if rng.random() < 0.8 else None,
            "employees": float(rng.integers(1, 900)),
            "industry": str(rng.choice(["Retail", "Software"])),
        }
        for lead in ids
    ]
    changes = [
        {
            "lead_id": str(rng.choice(ids)),
            "field": field,
            "value": str(rng.choice(values)) if rng.random() < 0.8 else None,
            "recorded_at": START + days(),
        }
        for field, values in (("employees", ["5", "70"]), ("industry", ["Retail", "Farming"]))
        for _ in range(40)
    ]
    pairs = [("L1", "L0"), ("L2", "L1"), ("L3", "L4"), ("ghost", "L5"), ("L5", "L6"), ("L7", "L8"), ("L9", "L8")]
    merges = [{"from_lead_id": one, "into_lead_id": two, "recorded_at": START + days()} for one, two in pairs]
    stages = [{"lead_id": str(rng.choice(ids)), "stage": "mql", "entered_at": START + days()} for _ in range(40)]
    return {"leads": leads, "lead_changes": changes, "lead_merges": merges, "touches": touches, "stages": stages}


@pytest.fixture(scope="module")
def tables() -> Iterator[Tables]:
    rows = draw_rows(np.random.default_rng(20260101))
    with tables_of(rows, columns={"known_at_creation": ("employees", "industry")}) as tables:
        assert not tables.quarantine().num_rows
        yield tables


@pytest.fixture(scope="module")
def matrix(tables: Tables) -> NDArray[np.float64]:
    rng = np.random.default_rng(7)
    moments = [START + timedelta(days=float(rng.uniform(20, SPAN_DAYS + 40))) for _ in range(5)]
    pairs = [(f"L{number}", to_micros(moment)) for number in range(LEADS) for moment in [*moments, START + 60 * DAY]]
    wanted = moments_of(pairs)
    tables.backend.create_table("wanted", wanted)
    return build_features(tables, wanted, FEATURES)


def asked_in_sql(tables: Tables, select: str, count: int, empty: float) -> NDArray[np.float64]:
    answer = np.full(count, empty)
    connection = tables.backend.con
    for row, value in connection.execute(f"{COMMON} {select}").fetchall():
        answer[row] = np.nan if value is None else float(value)
    return answer


@pytest.mark.parametrize(("feature", "expression", "relation"), AGGREGATES, ids=lambda part: getattr(part, "name", ""))
def test_an_aggregate_of_touches_is_what_sql_says(
    tables: Tables, matrix: NDArray[np.float64], feature: Feature, expression: str, relation: str
) -> None:
    select = f"SELECT row_id, {expression} FROM {relation} GROUP BY row_id"
    expected = asked_in_sql(tables, select, len(matrix), np.nan if feature.empty is None else feature.empty)
    assert np.nanstd(expected) > 0, "the case says nothing"
    np.testing.assert_allclose(matrix[:, FEATURES.names.index(feature.name)], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("feature", "select"), SELECTS, ids=lambda part: getattr(part, "name", ""))
def test_what_a_lead_is_is_what_sql_says(
    tables: Tables, matrix: NDArray[np.float64], feature: Feature, select: str
) -> None:
    expected = asked_in_sql(tables, select, len(matrix), np.nan if feature.empty is None else feature.empty)
    assert np.nanstd(expected) > 0, "the case says nothing"
    np.testing.assert_allclose(matrix[:, FEATURES.names.index(feature.name)], expected, rtol=1e-9, atol=1e-12)
