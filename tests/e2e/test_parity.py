"""The file that `kizashi score` writes and the service's answer to a body are the same numbers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm.config import load_workspace
from crm.intake import take_in
from crm.known import from_micros, to_micros
from crm.progress import Silent
from crm.simulator import OBSERVED_UNTIL
from crm.sources import open_source
from crm.store import Tables
from features.known import DAY_US
from models.registry import load_model
from serving.scorer import Scorer
from tests.e2e.command import kizashi
from tests.e2e.conftest import Trained
from tests.given import score_one
from tests.service.test_parity import body_of

pytestmark = pytest.mark.slow

LEADS = 60
AGES = (0, 1, 20, 90, 300)
LATER = OBSERVED_UNTIL + timedelta(days=400)
NUMBERS = ("score", "p_sql", "p_won", "expected_revenue", "expected_value", "percentile")
END_US = to_micros(OBSERVED_UNTIL)  # the command refuses moments to come
WORDS = ("lead_id", "currency", "is_mql", "grade", "reasons", "model_version", "line_version")


@pytest.fixture(scope="module")
def scorer(trained: Trained) -> Scorer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow calls what SQLAlchemy deprecated
        workspace = load_workspace(trained.folder)
        return Scorer(load_model(workspace), workspace.config)


@pytest.fixture(scope="module")
def tables(trained: Trained) -> Iterator[Tables]:
    workspace = load_workspace(trained.folder)
    with (
        open_source(workspace) as source,
        take_in(source, workspace.config, now=LATER, progress=Silent()) as taken,
    ):
        yield taken


@pytest.fixture(scope="module")
def asked(tables: Tables) -> list[dict[str, Any]]:
    """Leads of every age; accounts with merged leads are left out, as a body does not tell of merges."""
    merges = tables.table("lead_merges").to_pyarrow().to_pydict()
    merged = {*merges["from_lead_id"], *merges["into_lead_id"]}
    rows = tables.table("leads").select("lead_id", "account_id", "created_us").to_pyarrow().to_pylist()
    accounts = {row["account_id"] for row in rows if row["lead_id"] in merged} - {None}
    alone = [row for row in rows if row["lead_id"] not in merged and row["account_id"] not in accounts]
    return [
        {"lead_id": row["lead_id"], "as_of_us": min(row["created_us"] + AGES[number % len(AGES)] * DAY_US + 1, END_US)}
        for number, row in enumerate(alone[:: len(alone) // LEADS][:LEADS])
    ]


@pytest.fixture(scope="module")
def written(
    trained: Trained, asked: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("parity")
    moments = pa.array([row["as_of_us"] for row in asked], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"lead_id": [row["lead_id"] for row in asked], "as_of": moments}), folder / "in.parquet")
    ran = kizashi("score", "--leads", "in.parquet", "--out", "out.parquet", "--workspace", trained.folder, cwd=folder)
    assert ran.code == 0, ran.err
    return pq.read_table(folder / "out.parquet").to_pylist()


@pytest.fixture(scope="module")
def answered(scorer: Scorer, tables: Tables, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    features = scorer.model.bundle.features
    return [score_one(scorer, body_of(tables, features, row["lead_id"], row["as_of_us"]), None, LATER) for row in asked]


def test_a_body_is_answered_with_the_numbers_of_the_file(
    asked: list[dict[str, Any]], written: list[dict[str, Any]], answered: list[dict[str, Any]]
) -> None:
    assert len(written) == len(answered) == LEADS
    for name in NUMBERS:
        np.testing.assert_allclose(
            [answer[name] for answer in answered], [row[name] for row in written], rtol=1e-9, atol=1e-9, err_msg=name
        )
    for row, answer, wanted in zip(written, answered, asked, strict=True):
        assert {name: answer[name] for name in WORDS} == {name: row[name] for name in WORDS}
        assert answer["as_of"] == row["as_of"].isoformat() == from_micros(wanted["as_of_us"]).isoformat()
        # The bodies hold what the leads did later as well: it is named, and left out.
        assert all("happened at as_of or later" in warning["message"] for warning in answer["warnings"])


def test_points_sum_to_the_score_before_clipping(answered: list[dict[str, Any]]) -> None:
    for answer in answered:
        points = {
            group: [p["points"] for p in answer["points"] if p["group"] == group] for group in ("fit", "engagement")
        }
        assert sum(points["fit"]) == pytest.approx(answer["fit_points"], abs=1e-9)
        assert sum(points["engagement"]) == pytest.approx(answer["engagement_points"], abs=1e-9)
        total = answer["base"] + sum(point["points"] for point in answer["points"])
        assert total == pytest.approx(answer["score_unclipped"], abs=1e-9)
        assert answer["score"] == min(max(answer["score_unclipped"], 0.0), 100.0)


def test_the_leads_compared_differ(answered: list[dict[str, Any]]) -> None:
    assert len({round(answer["score"], 6) for answer in answered}) > LEADS / 2
    assert len({answer["grade"] for answer in answered}) > 1
