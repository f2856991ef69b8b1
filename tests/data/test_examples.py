"""The four examples on their real data: every row kept, and each label as an independent count of the raw files has it.

The files are not part of the repository: ``KIZASHI_EXAMPLE_DATA`` names the folder that holds them. The reference rows
(id, moment, part, label) lie in ``reference/rows`` beside it.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from crm.config import Workspace, load_workspace
from crm.intake import take_in
from crm.known import to_micros
from crm.outcomes import Labels, Observation, label_moments, observation, outcome_events
from crm.progress import Silent
from crm.sources import open_source
from crm.store import Tables
from features.build import build_features
from features.history import known_leads
from features.learn import learn_features
from tests.histories import moments_of
from training.snapshots import take_snapshots

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("KIZASHI_EXAMPLE_DATA", ROOT.parent / "shared" / "data"))
ROWS = DATA.parent / "reference" / "rows"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Example:
    """What one example's files hold, counted by hand."""

    name: str
    folder: str
    read: dict[str, int]
    train: tuple[int, int]
    test: tuple[int, int]


EXAMPLES = (
    Example("olist", "olist_funnel", {"leads": 8000, "stages": 8842, "opportunities": 842}, (2762, 255), (2019, 154)),
    Example(
        "airbnb",
        "airbnb_dublin_inquiries",
        {"leads": 7656, "touches": 28003, "stages": 5467},
        (2209, 579),
        (1442, 369),
    ),
    Example(
        "uber",
        "uber_driver_signup",
        {"leads": 54681, "lead_changes": 26264, "touches": 46030, "stages": 6137},
        (16719, 1010),
        (19237, 1079),
    ),
    Example("xeducation", "xeducation", {"leads": 9240, "stages": 3561}, (6468, 2454), (2772, 1107)),
)


@dataclass(frozen=True)
class Taken:
    """An example with its tables taken in and its reference rows."""

    example: Example
    workspace: Workspace
    tables: Tables
    rows: list[dict[str, str]]

    def seen(self) -> Observation:
        """Return the span that the example trains on."""
        outcome = self.workspace.config.outcome
        assert outcome.observed_until is not None
        return observation(self.tables, outcome, outcome.observed_until)

    def labels(self, moments: pa.Table, seen: Observation) -> Labels:
        events = outcome_events(self.tables, seen.as_of)
        days = self.workspace.config.outcome.won_horizon_days
        return label_moments(self.tables, moments, events, seen, outcome="won", horizon_days=days)


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda example: example.name)
def taken(request: pytest.FixtureRequest) -> Iterator[Taken]:
    example: Example = request.param
    reference = ROWS / f"{example.name}.csv"
    for needed in (DATA / example.folder, reference):
        if not needed.exists():
            pytest.skip(f"no {needed}; KIZASHI_EXAMPLE_DATA names the folder of the raw files")
    workspace = load_workspace(ROOT / "examples" / example.name, environ={"KIZASHI_EXAMPLE_DATA": str(DATA)})
    with reference.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (
        open_source(workspace) as source,
        take_in(source, workspace.config, now=NOW, progress=Silent()) as tables,
    ):
        yield Taken(example, workspace, tables, rows)


def test_every_row_is_kept(taken: Taken) -> None:
    counts = taken.tables.counts
    assert {name: count.read for name, count in counts.items()} == taken.example.read
    assert {name: count.kept for name, count in counts.items()} == taken.example.read
    assert taken.tables.quarantine().num_rows == 0


def test_every_attribute_is_used(taken: Taken) -> None:
    assert [attribute.name for attribute in taken.tables.attributes if attribute.refused] == []
    assert set(taken.workspace.config.columns.known_at_creation) <= {a.name for a in taken.tables.used_attributes}


def test_the_training_rows_are_the_reference_rows(taken: Taken) -> None:
    seen = taken.seen()
    snapshots = take_snapshots(taken.tables, taken.workspace.config.snapshots, seen)
    labels = taken.labels(snapshots.moments, seen)
    found = dict(
        zip(
            np.array(snapshots.moments.column("lead_id").to_pylist())[labels.is_mature].tolist(),
            labels.happened[labels.is_mature].tolist(),
            strict=True,
        )
    )
    expected = {row["id"]: row["label"] == "1" for row in taken.rows if row["part"] == "train"}
    assert found == expected
    assert (len(found), sum(found.values())) == taken.example.train


def test_every_reference_row_has_its_label(taken: Taken) -> None:
    leads = taken.tables.table("leads").select("lead_id", "created_us").to_pyarrow().to_pylist()
    created = {row["lead_id"]: row["created_us"] for row in leads}
    moments = moments_of(
        (
            row["id"],
            to_micros(datetime.fromisoformat(row["decision_time"])) if "decision_time" in row else created[row["id"]],
        )
        for row in taken.rows
    )
    labels = taken.labels(moments, Observation(None, NOW, NOW))
    assert labels.happened.tolist() == [row["label"] == "1" for row in taken.rows]
    is_test = np.array([row["part"] == "test" for row in taken.rows])
    assert (int(is_test.sum()), int(labels.happened[is_test].sum())) == taken.example.test
    if "value" in taken.rows[0]:
        amounts = [float(row["value"]) if row["label"] == "1" else 0.0 for row in taken.rows]
        np.testing.assert_allclose(labels.amount, amounts)


def test_both_computations_of_the_features_agree_on_real_leads(taken: Taken) -> None:
    seen = taken.seen()
    moments = take_snapshots(taken.tables, taken.workspace.config.snapshots, seen).moments
    features = learn_features(taken.tables, moments, to_micros(seen.as_of))
    rows = moments.take(np.random.default_rng(5).choice(moments.num_rows, 50, replace=False)).to_pylist()
    pairs = [(row["lead_id"], row["as_of_us"]) for row in rows]
    leads = known_leads(taken.tables, {lead for lead, _ in pairs})
    one = np.array([features.row(leads[lead], moment) for lead, moment in pairs])
    np.testing.assert_allclose(build_features(taken.tables, moments_of(pairs), features), one, rtol=1e-9, atol=1e-12)
    assert len(features.features) > 10
