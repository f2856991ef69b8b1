"""A body gives the same features as the tables it was made of: what is served is what was trained."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from crm.config import Workspace, WorkspaceConfig
from crm.intake import take_in
from crm.known import from_micros
from crm.progress import Silent
from crm.simulator import OBSERVED_UNTIL
from crm.sources import open_source
from crm.store import Tables
from features.build import build_features
from features.history import known_lead
from features.known import DAY_US
from features.learn import learn_features
from features.spec import FeatureSet
from serving.bodies import read_score
from serving.checks import wrong_fields
from serving.lead_from_body import lead_from_body
from serving.reading import Reading
from serving.strict_json import parse_json
from tests.histories import moments_of

CONFIG = WorkspaceConfig.model_validate({"source": {"url": "demo://?leads=600&seed=11"}})
LEADS = 60
LATER = OBSERVED_UNTIL + timedelta(days=400)


@pytest.fixture(scope="module")
def tables() -> Any:
    workspace = Workspace(folder=Path("/nowhere"), config=CONFIG)
    with open_source(workspace) as source, take_in(source, CONFIG, now=LATER, progress=Silent()) as taken:
        yield taken


@pytest.fixture(scope="module")
def moments(tables: Tables) -> pa.Table:
    """Leads of every age and account, those with merges left out: a body does not tell of merges."""
    merged = tables.table("lead_merges").to_pyarrow().to_pydict() if tables.has("lead_merges") else {}
    touched = {*merged.get("from_lead_id", []), *merged.get("into_lead_id", [])}
    rows = tables.table("leads").select("lead_id", "account_id", "created_us").to_pyarrow().to_pylist()
    accounts = {row["account_id"] for row in rows if row["lead_id"] in touched} - {None}
    alone = [row for row in rows if row["lead_id"] not in touched and row["account_id"] not in accounts]
    step = max(len(alone) // LEADS, 1)
    ages = (0, 1, 20, 90, 300)
    return moments_of(
        (row["lead_id"], row["created_us"] + ages[number % len(ages)] * DAY_US + 1)
        for number, row in enumerate(alone[::step])
    )


@pytest.fixture(scope="module")
def features(tables: Tables, moments: pa.Table) -> FeatureSet:
    return learn_features(tables, moments, 2**62)


def rows_of(tables: Tables, name: str, lead_ids: list[str]) -> list[dict[str, Any]]:
    table = tables.table(name)
    return table.filter(table.lead_id.isin(lead_ids)).to_pyarrow().to_pylist()


def body_of(tables: Tables, features: FeatureSet, lead_id: str, as_of_us: int) -> bytes:
    """Write a lead down as a CRM would send it: everything it has, the future included."""
    (row,) = rows_of(tables, "leads", [lead_id])
    history = known_lead(tables, lead_id)
    leads = tables.table("leads")
    others: list[dict[str, Any]] = []
    if row["account_id"] is not None:
        account = leads.filter(leads.account_id == row["account_id"]).to_pyarrow().to_pylist()
        others = [other for other in account if other["lead_id"] != lead_id]
    touches = [
        {
            "touch_id": touch["touch_id"],
            "lead_id": touch["lead_id"],
            "happened_at": from_micros(touch["happened_us"]).isoformat(),
            "recorded_at": from_micros(touch["recorded_us"]).isoformat(),
            "kind": touch["kind"],
            "actor": touch["actor"],
            "content_id": touch["content_id"] and touch["content_id"] + "?utm_source=mail",
            "value": touch["value"],
        }
        for touch in rows_of(tables, "touches", [lead_id, *(other["lead_id"] for other in others)])
    ]
    lead = {name: history.attribute(name, as_of_us) for name in features.attributes}
    lead |= {
        "lead_id": lead_id,
        "created_at": from_micros(row["created_us"]).isoformat(),
        "account_id": row["account_id"],
    }
    stages = [
        {
            "stage": stage["stage"],
            "entered_at": from_micros(stage["entered_us"]).isoformat(),
            "recorded_at": from_micros(stage["recorded_us"]).isoformat(),
        }
        for stage in rows_of(tables, "stages", [lead_id])
    ]
    account_leads = [
        {"lead_id": other["lead_id"], "created_at": from_micros(other["created_us"]).isoformat()} for other in others
    ]
    content = {"lead": lead, "touches": touches, "stages": stages, "account_leads": account_leads}
    return json.dumps(content | {"as_of": from_micros(as_of_us).isoformat()}).encode()


def test_a_body_gives_the_features_of_its_tables(tables: Tables, moments: pa.Table, features: FeatureSet) -> None:
    trained = build_features(tables, moments, features)
    reading = Reading.of(features, CONFIG)
    rows = moments.to_pylist()
    served = []
    for row in rows:
        body = read_score(parse_json(body_of(tables, features, row["lead_id"], row["as_of_us"])))
        assert wrong_fields(body, reading, LATER) == []
        lead = lead_from_body(body, reading, LATER)
        # Nothing is missing or ignored; a replay holds later touches, and levels too rare to be known by name.
        assert [w for w in lead.warnings if "later" not in w.message and "by name" not in w.message] == []
        assert lead.as_of_us == row["as_of_us"]
        served.append(features.row(lead.known, lead.as_of_us))
    np.testing.assert_allclose(np.stack(served), trained, rtol=1e-9, atol=1e-9)


def test_the_leads_compared_have_what_features_read(tables: Tables, moments: pa.Table, features: FeatureSet) -> None:
    matrix = build_features(tables, moments, features)
    lively = {name for name, column in zip(features.names, matrix.T, strict=True) if len(np.unique(column)) > 1}
    assert len(moments) >= LEADS
    assert {"visit_count_30d", "any_decay_14d", "account_any_count_90d", "account_leads_count"} <= lively
    assert any(name.startswith("mql_age") for name in lively)
