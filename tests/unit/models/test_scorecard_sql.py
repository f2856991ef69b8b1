"""The SELECT gives every lead the points that the scorer gives it, at every moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.known import to_micros
from crm.simulator import SimulatorSettings, simulate
from crm.store import Tables
from features.build import build_features
from features.feature import Feature
from features.lead_features import AttributeIs, AttributeNumber, LeadAge
from features.learn import learn_features
from features.touch_features import CountIn
from features.touch_times import Recency
from models.scorecard import Scorecard
from models.scorecard_entries import Entry, LevelEntry, LevelGroup, RangeEntry
from models.scorecard_sql import scorecard_sql
from tests.histories import COLUMNS, History, moments_of, raw_tables_of, several, tables_of, together
from training.scorecard_run import table_facts
from training.scorecard_trees import COUNT_EDGES, DAY_EDGES

ATTRIBUTES = ("source", "industry", "company_size", "job_level", "country", "region", "employees")


def entries_of(features: Sequence[Feature], seed: int) -> list[Entry]:
    """Make an entry of every feature, with drawn edges and points, and one of every attribute's values."""
    rng = np.random.default_rng(seed)
    found: list[Entry] = []
    levels: dict[str, list[str]] = {}
    for feature in features:
        if isinstance(feature, AttributeIs):
            levels.setdefault(feature.attribute, []).append(feature.level)
        elif isinstance(feature, CountIn | Recency | LeadAge | AttributeNumber):
            edges: Sequence[float] = COUNT_EDGES if isinstance(feature, CountIn) else DAY_EDGES
            if isinstance(feature, AttributeNumber):
                edges = (0.0,) if feature.attribute == "newsletter" else (0.0, 2.5, 10.0, 22.0, 250.0, 3e4)
            kept = [edge for edge in edges if rng.random() < 0.6] or [edges[0]]
            points = rng.integers(0, 40, len(kept) + 1).tolist()
            missing = 0 if isinstance(feature, CountIn | LeadAge) else int(rng.integers(0, 40))
            found.append(RangeEntry(feature, tuple(kept), tuple(points), missing))
    for attribute, values in levels.items():
        half = len(values) // 2
        groups = (LevelGroup(tuple(values[:half]), int(rng.integers(0, 40))), LevelGroup((values[-1],), 3))
        found.append(LevelEntry(attribute, tuple(g for g in groups if g.levels), 17, int(rng.integers(0, 40))))
    return found


def both(tables: Tables, card: Scorecard, as_of: datetime) -> tuple[dict[str, int], dict[str, int]]:
    """Score every lead that there is by then with the SELECT and with the scorer."""
    sql = scorecard_sql(card).replace(":as_of,", "?,").replace("CAST(:as_of", f"CAST('{as_of.isoformat()}'")
    ran = tables.backend.raw_sql(sql).fetchall()  # type: ignore[attr-defined]
    leads = tables.table("leads").to_pyarrow().to_pylist()
    ids = [row["lead_id"] for row in leads if row["created_at"] <= as_of]
    moments = moments_of((lead, to_micros(as_of)) for lead in ids)
    points = card.points(build_features(tables, moments, card.features)).tolist() if ids else []
    return {str(lead): int(number) for lead, number in ran}, dict(zip(ids, points, strict=True))


def card_of(entries: Sequence[Entry], tables: Tables) -> Scorecard:
    return Scorecard(tuple(entries), 5.0, 0.0, 1.0, "sql", 30.0, facts=table_facts(tables))


@pytest.fixture(scope="module")
def simulated() -> Tables:
    tables = simulate(SimulatorSettings(leads=900, seed=7))
    return raw_tables_of(
        dict(tables), now=datetime(2026, 9, 1, tzinfo=UTC), columns={"known_at_creation": list(ATTRIBUTES)}
    )


@pytest.mark.parametrize(("seed", "zone"), [(1, "UTC"), (2, "Asia/Tokyo"), (3, "America/New_York")])
def test_select_and_scorer_agree_on_hundreds_of_simulated_leads(simulated: Tables, seed: int, zone: str) -> None:
    as_of = datetime(2026, 4, 1, 9, 30, tzinfo=UTC) + timedelta(days=20 * seed)
    leads = simulated.table("leads").to_pyarrow().to_pylist()
    moments = moments_of((row["lead_id"], to_micros(as_of)) for row in leads if row["created_at"] <= as_of)
    learned = learn_features(simulated, moments, to_micros(as_of))
    features = [feature for feature in learned.features if feature.is_exportable]
    card = card_of(entries_of(features, seed), simulated)
    assert card.facts.has_merges
    assert card.facts.histories
    simulated.backend.raw_sql(f"SET TimeZone = '{zone}'")  # type: ignore[attr-defined]
    try:
        by_select, by_scorer = both(simulated, card, as_of)
    finally:
        simulated.backend.raw_sql("SET TimeZone = 'UTC'")  # type: ignore[attr-defined]
    assert len(by_select) > 500
    assert len(set(by_select.values())) > 50
    assert by_select == by_scorer


DRAWN: tuple[Feature, ...] = (
    CountIn("visit", ("visit",), window_days=7),
    CountIn("rare thing", ("rare thing",), window_days=90),
    CountIn("visit", ("visit",)),
    Recency("download", ("download",)),
    Recency("any"),
    LeadAge(),
    AttributeNumber("employees"),
    AttributeNumber("newsletter"),
    AttributeNumber("seats"),
    *(AttributeIs("industry", level) for level in ("Software", "Retail", "日本語", "O'Hara")),
    *(AttributeIs("plan", level) for level in ("gold", "silver")),
    *(AttributeIs("region", level) for level in ("east", "west")),
)


def _fits(feature: Feature, types: Mapping[str, str]) -> bool:
    """Tell whether a feature would be learned from attributes of these types."""
    kind = types.get(getattr(feature, "attribute", ""), "")
    if isinstance(feature, AttributeIs):
        return kind == "text"
    return kind in ("number", "boolean") if isinstance(feature, AttributeNumber) else True


@given(several(3), st.integers(0, 1000))
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_select_and_scorer_agree_on_drawn_histories(many: list[History], seed: int) -> None:
    """Merged leads, late recordings, values that were emptied or are no numbers, borders of windows."""
    with tables_of(together(history.rows for history in many), **COLUMNS) as tables:
        types = {attribute.name: attribute.type for attribute in tables.used_attributes}
        card = card_of(entries_of([f for f in DRAWN if _fits(f, types)], seed), tables)
        for as_of in many[0].as_of:
            by_select, by_scorer = both(tables, card, as_of)
            assert by_select == by_scorer


def test_a_card_without_touches_reads_leads_alone() -> None:
    sql = scorecard_sql(Scorecard((LevelEntry("source", (LevelGroup(("web",), 4),)),), 5.0, 0.0, 1.0, "won", 90.0))
    assert "touches" not in sql
    assert "lead_changes" not in sql
    assert "RECURSIVE" not in sql
    assert sql.count(":as_of") == 2  # once to be replaced, once in the comment that says so
