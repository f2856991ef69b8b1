"""One training run from end to end: what it says, what it leaves behind, and what it refuses."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crm.errors import LeakError, TooFewOutcomesError
from crm.known import from_micros
from crm.scores import read_scores
from models.registry import find_version, list_versions, load_model, open_store
from models.scoring import score_matrix
from tests.model.conftest import DEMO, KEY, NOW, Copy, Trained, train_in

DAY = timedelta(days=1)
START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def run(trained: Trained) -> Mapping[str, Any]:
    """The run as MLflow holds it."""
    with open_store(trained.workspace) as client:
        found = client.get_run(trained.result.run_id)
        folder = Path(found.info.artifact_uri.removeprefix("file://"))
        return {
            "params": found.data.params,
            "metrics": found.data.metrics,
            "tags": found.data.tags,
            "files": {path.name: path for path in folder.iterdir()},
        }


@pytest.mark.slow
def test_the_answer_holds_what_is_promised(trained: Trained) -> None:
    found = json.loads(json.dumps(trained.result.to_json(), allow_nan=False))
    assert {"model_version", "run_id", "cutoff", "rows", "outcomes", "metrics", "line", "gate", "is_champion"} <= set(
        found
    )
    assert found["level"] == {name: update.to_json() for name, update in trained.result.levels.items()}
    assert found["level"]["sql"]["factor"] == 1.0, "the simulated world stays as it is"
    assert found["model_version"] == "1"
    assert found["rows"]["snapshots"] >= found["rows"]["sql"] >= found["rows"]["won"] > 0
    assert found["outcomes"]["sql"] >= 50
    for outcome in ("sql", "won"):
        auc = found["metrics"][outcome]["auc"]
        assert 0 < auc["low"] <= auc["value"] <= auc["high"] <= 1
        assert {"log_loss", "brier", "ece", "lift_at_10", "calibration_slope"} <= set(found["metrics"][outcome])
    assert found["line"]["capacity_per_week"] == 20
    assert found["line"]["crossings_per_week"] <= 20
    assert found["line"]["price"] >= 0
    assert len(found["line"]["version"]) == 12


@pytest.mark.slow
def test_every_interval_holds_its_value(trained: Trained, run: Mapping[str, Any]) -> None:
    metrics = run["metrics"]
    lows = [name for name in metrics if name.endswith(".low")]
    assert len(lows) > 10
    for low in lows:
        name = low.removesuffix(".low")
        assert metrics[low] <= metrics[name] <= metrics[f"{name}.high"], name


@pytest.mark.slow
def test_one_line_version_everywhere(trained: Trained) -> None:
    version = trained.result.to_json()["line"]["version"]
    loaded = load_model(trained.workspace, environ={"KIZASHI_SIGNING_KEY": KEY})
    assert loaded.line.version == version
    assert set(read_scores(trained.workspace).to_pandas()["line_version"].dropna()) == {version}


@pytest.mark.slow
def test_unseen_scores_are_on_the_scale_of_the_version(trained: Trained) -> None:
    """Two rows with one probability have one score, unseen or not."""
    bundle = trained.result.bundle
    chance = f"p_{bundle.score_outcome}"
    found = read_scores(trained.workspace).to_pandas().dropna(subset=[chance]).drop_duplicates(chance)
    scores = score_matrix(bundle, trained.result.line, trained.result.data.matrix)
    served = getattr(scores, chance)
    order = np.argsort(served)
    inside = found[chance].between(*np.quantile(served, [0.05, 0.999]))
    expected = np.interp(found[chance][inside], served[order], np.clip(scores.score_unclipped[order], 0, 100))
    assert inside.sum() > 100
    np.testing.assert_allclose(found["score"][inside], expected, atol=0.3)


@pytest.mark.slow
def test_it_ranks_unseen_leads_and_becomes_champion(trained: Trained) -> None:
    result = trained.result
    assert result.judged["sql"].metrics["auc"].low > 0.6
    assert result.verdict.passed
    assert result.is_champion
    with open_store(trained.workspace) as client:
        assert find_version(client, "champion").version == result.model_version
        assert find_version(client, "challenger").version == result.model_version


@pytest.mark.slow
def test_predictions_are_calibrated_on_unseen_periods(trained: Trained) -> None:
    ratio = trained.result.judged["sql"].metrics["observed_over_expected"]
    assert 0.75 < ratio.value < 1.33
    bundle, data = trained.result.bundle, trained.result.data
    rows = data.sql.is_mature
    # On its own rows the level is exact by construction.
    assert bundle.sql.probability(data.matrix[rows]).mean() == pytest.approx(data.sql.happened[rows].mean(), abs=1e-6)


@pytest.mark.slow
def test_the_run_holds_parameters_metrics_and_data(trained: Trained, run: Mapping[str, Any]) -> None:
    assert run["params"]["score_outcome"] == trained.result.bundle.score_outcome
    assert run["params"]["feature_fingerprint"] == trained.result.data.features.fingerprint
    assert float(run["params"]["capacity_per_week"]) == 20
    shares = [float(v) for name, v in run["params"].items() if name.startswith("sql.") and name.endswith(".weight")]
    assert sum(shares) == pytest.approx(1.0, abs=1e-3)
    assert any("auc" in name for name in run["metrics"])
    assert all(np.isfinite(value) for value in run["metrics"].values())
    assert len(run["tags"]["kizashi.data_digest"]) >= 12
    choice = json.loads(run["files"]["choice.json"].read_text(encoding="utf-8"))
    tried = {member["name"]: member for member in choice["sql"]["members"]}
    assert set(tried) >= {"logistic", "stumps", "shallow"}
    for name, member in tried.items():
        assert run["metrics"][f"sql.member.{name}.log_loss"] == member["log_loss"]
        assert run["metrics"][f"sql.member.{name}.blend_saves.se"] == member["blend_saves"]["error"] > 0
    assert not trained.result.data.dropped_for_time
    data = json.loads(run["files"]["data.json"].read_text(encoding="utf-8"))
    assert data["snapshots"] == len(trained.result.data.snapshots.as_of_us)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_run_holds_the_report_in_both_languages(run: Mapping[str, Any], language: str) -> None:
    text = run["files"][f"report.{language}.html"].read_text(encoding="utf-8")
    assert text.lstrip().lower().startswith("<!doctype html")
    assert f'lang="{language}"' in text
    assert ("The blend saves" in text) == (language == "en")
    assert "nan" not in text.lower().split()
    assert "http://" not in text.replace("http://www.w3.org", "")


@pytest.mark.slow
def test_the_version_says_what_it_is_and_what_its_files_are(trained: Trained) -> None:
    with open_store(trained.workspace) as client:
        (version,) = list_versions(client)
        description = client.get_model_version("kizashi", version.version).description
    assert "AUC" in description
    assert "MQL line" in description
    assert "Gate: passes" in description
    assert {"kizashi.files", "kizashi.fingerprint", "kizashi.gate", "kizashi.signature"} <= set(version.tags)
    assert "data/bundle/model.json" in json.loads(version.tags["kizashi.files"])
    assert json.loads(version.tags["kizashi.gate"])["gate_passed"] == 1.0


@pytest.mark.slow
def test_scores_hold_one_unseen_score_a_row(trained: Trained) -> None:
    found = read_scores(trained.workspace).to_pandas()
    assert set(found["origin"]) == {"out_of_fold"}
    assert set(found["model_version"]) == {"1"}
    assert not found.duplicated(["lead_id", "as_of"]).any()
    assert found["score"].between(0, 100).all()
    assert found[["score", "p_sql"]].notna().all().all()
    # A row whose win was not mature in any fold has no unseen chance to win, and so no value.
    valued = found[found["expected_value"].notna()]
    assert len(valued) > 0
    assert (valued["is_mql"].astype(bool) == (valued["expected_value"] > trained.result.line.threshold)).all()
    assert found.loc[found["expected_value"].isna(), "is_mql"].isna().all()
    # Scores of the past: none is of the first rows, which only taught.
    assert found["as_of"].min() > from_micros(int(trained.result.data.snapshots.as_of_us[0]))


@pytest.mark.slow
def test_a_loaded_version_scores_as_the_trained_one(trained: Trained) -> None:
    loaded = load_model(trained.workspace, environ={"KIZASHI_SIGNING_KEY": KEY})
    matrix = trained.result.data.matrix[:300]
    one = score_matrix(trained.result.bundle, trained.result.line, matrix)
    two = score_matrix(loaded.bundle, loaded.line, matrix)
    assert one.score_unclipped.tobytes() == two.score_unclipped.tobytes()
    assert one.expected_value.tobytes() == two.expected_value.tobytes()
    np.testing.assert_allclose(two.points.sum(axis=1) + two.base, two.score_unclipped, atol=1e-9)


# Small workspaces of CSV files, for what the demo cannot show.

FILES = """
[source]
url = "dir:."
[source.tables]
leads = "SELECT * FROM read_csv('leads.csv')"
touches = "SELECT * FROM read_csv('touches.csv')"
stages = "SELECT * FROM read_csv('stages.csv')"
[outcome]
sql_horizon_days = 30
won_horizon_days = 30
[snapshots]
creation = true
[columns]
known_at_creation = ["size", "region", "told"]
[value]
default_amount = 1000
"""


def write_workspace(folder: Path, seed: int, *, leads: int = 900, told: bool = False, until: int = 10_000) -> Path:
    """Leads whose outcomes were drawn without a look at anything; ``told`` adds a column that knows them."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[dict[str, Any]]] = {"leads": [], "touches": [], "stages": []}
    for number in range(leads):
        day = number * 700 / leads
        created = START + timedelta(days=day)
        happened = rng.random() < 0.15
        row = {
            "lead_id": f"L{number}",
            "created_at": created.isoformat(),
            "size": round(float(rng.lognormal(3, 1)), 2),
            "region": rng.choice(["east", "west", "south"]),
        }
        if told:
            row["told"] = "signed" if happened else rng.choice(["open", "shut"])
        touches = [
            {
                "lead_id": f"L{number}",
                "happened_at": (created - timedelta(days=float(rng.exponential(5)))).isoformat(),
                "kind": rng.choice(["visit", "download"]),
            }
            for _ in range(int(rng.integers(0, 4)))
        ]
        entered = day + float(rng.uniform(1, 25))
        if day <= until:
            tables["leads"].append(row)
            tables["touches"] += touches
        if happened and entered <= until:
            stage = {"lead_id": f"L{number}", "stage": "sql", "entered_at": (START + entered * DAY).isoformat()}
            tables["stages"].append(stage)
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("moments", ["creation = true", ""])
def test_a_model_of_noise_never_becomes_champion(tmp_path: Path, seed: int, moments: str) -> None:
    """Nor where leads are scored at many ages, where their age alone ranks them."""
    found = train_in(write_workspace(tmp_path, seed), FILES.replace("creation = true", moments))
    assert not found.result.is_champion
    assert not found.result.verdict.passed
    metrics = found.result.judged["sql"].metrics
    assert metrics.get("auc_same_age", metrics["auc"]).low_95 <= 0.5
    assert ("auc_same_age" in metrics) is (moments == "")
    with open_store(found.workspace) as client:
        (version,) = list_versions(client)
    assert version.aliases == ("challenger",)


def test_a_column_that_tells_the_outcome_is_refused(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, 4, told=True)
    with pytest.raises(LeakError, match="told"):
        train_in(folder, FILES)
    assert not (folder / "mlruns" / "mlflow.db").exists()


def test_too_few_outcomes_are_refused(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, 5, leads=150)
    with pytest.raises(TooFewOutcomesError) as caught:
        train_in(folder, FILES)
    assert 0 < caught.value.missing < 50


@pytest.mark.slow
def test_an_earlier_moment_sees_nothing_later(tmp_path: Path) -> None:
    """Training as of a day equals training on the files of that day."""
    cut = 600
    whole = write_workspace(tmp_path / "whole", 6, leads=1200)
    past = write_workspace(tmp_path / "past", 6, leads=1200, until=cut)
    as_of = START + cut * DAY
    one = train_in(whole, FILES, as_of=as_of).result
    two = train_in(past, FILES, as_of=as_of).result
    assert one.data.seen == two.data.seen
    assert one.data.snapshots.as_of_us.max() <= int(as_of.timestamp() * 1e6)
    assert one.data.features == two.data.features
    assert one.data.matrix.tobytes() == two.data.matrix.tobytes()
    assert (one.data.sql.happened == two.data.sql.happened).all()
    assert (
        one.bundle.sql.probability(one.data.matrix).tobytes() == two.bundle.sql.probability(two.data.matrix).tobytes()
    )
    assert one.line.model_dump() == two.line.model_dump()


@pytest.mark.slow
def test_training_twice_gives_the_same_model_and_a_second_version_waits(trained: Trained, copy: Copy) -> None:
    second = train_in(copy.workspace.folder, DEMO, now=NOW + DAY)
    one, two = (found.result.bundle.won.probability(trained.result.data.matrix) for found in (trained, second))
    assert one.tobytes() == two.tobytes()
    assert trained.result.is_champion
    assert (second.result.model_version, second.result.is_champion) == ("2", False)
    assert set(read_scores(second.workspace).column("model_version").to_pylist()) == {"1", "2"}
