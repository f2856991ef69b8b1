"""The report of a trained version: complete in both languages, with its tables as files, from numbers that agree."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.registry import open_store
from pages.words import load_words
from tests.model.conftest import Trained

pytestmark = pytest.mark.slow
EVIDENCE = ("origins", "calibration", "weak", "censored", "capacity", "revenue", "curves", "maturity", "leaks")


@pytest.fixture(scope="module")
def folder(trained: Trained) -> Path:
    """Artifacts of the run."""
    with open_store(trained.workspace) as client:
        return Path(client.get_run(trained.result.run_id).info.artifact_uri.removeprefix("file://"))


@pytest.fixture(scope="module")
def numbers(folder: Path) -> Mapping[str, Any]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def rows_of(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "tables" / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_both_pages_have_every_section_and_no_bare_key(folder: Path) -> None:
    found = []
    for language in ("en", "ja"):
        text = (folder / f"report.{language}.html").read_text(encoding="utf-8")
        found.append(re.findall(r'<section tabindex="-1" id="([\w-]+)"', text))
        assert not [key for key in load_words(language).texts if f">{key}<" in text]
        assert len(text.encode()) < 1_500_000
    assert found[0] == found[1]
    assert set(EVIDENCE) <= set(found[0])


def test_every_file_that_a_page_names_is_there(folder: Path) -> None:
    text = (folder / "report.en.html").read_text(encoding="utf-8")
    assert set(re.findall(r"tables/(\w+\.csv)", text)) == {path.name for path in (folder / "tables").iterdir()}


def test_months_and_groups_count_what_was_trained_and_tested(folder: Path, trained: Trained) -> None:
    months = rows_of(folder, "sql_months")
    assert sum(int(row["rows"]) for row in months) == len(trained.result.data.snapshots.as_of_us)
    tested = trained.result.judged["sql"]
    levels = [row for row in rows_of(folder, "sql_levels") if row["kind"] == "age"]
    assert 0 < sum(int(row["observed"]) for row in levels) <= int(tested.happened.sum())
    assert sum(float(row["expected"]) for row in levels) <= tested.probability.sum() * 1.0001


def test_pooled_figures_are_those_of_the_endpoint(folder: Path, trained: Trained) -> None:
    ours = next(row for row in rows_of(folder, "sql_methods") if row["method"] == load_words("en")("method.kizashi"))
    metrics = trained.result.judged["sql"].metrics
    for key in ("auc", "log_loss"):
        assert float(ours[key]) == pytest.approx(metrics[key].value, abs=1e-6)


def test_curves_are_the_points_of_scores(folder: Path, trained: Trained, numbers: Mapping[str, Any]) -> None:
    """Weighted by their leads, a feature's bins give the mean of the points that its leads have."""
    data, bundle = trained.result.data, trained.result.bundle
    judged = np.flatnonzero(data.snapshots.is_judged)
    parts = 5 / np.log(2) * bundle.score_endpoint.split(data.matrix[judged])[0]
    names = list(data.features.names)
    shown = [curve for curve in numbers["evidence"]["curves"] if curve["name"] in names]
    assert shown
    for curve in shown:
        bins = [*curve["bins"], *([curve["missing"]] if curve["missing"] else [])]
        assert sum(part["share"] for part in bins) == pytest.approx(1.0)
        mean = sum(part["share"] * part["points"] for part in bins)
        assert mean == pytest.approx(float(parts[:, names.index(curve["name"])].mean()), abs=0.05)


def test_the_capacity_of_the_workspace_gives_the_line(folder: Path, trained: Trained) -> None:
    row = next(row for row in rows_of(folder, "line_capacities") if float(row["capacity"]) == 20)
    assert float(row["price"]) == pytest.approx(trained.result.line.price, abs=0.01)
    assert float(row["crossings"]) == pytest.approx(trained.result.line.crossings_per_week)


def test_checks_that_training_runs_are_told_from_those_it_does_not(folder: Path) -> None:
    verdicts = {row["check"]: row["verdict"] for row in rows_of(folder, "leak_checks")}
    assert verdicts["L5"] == load_words("en")("leaks.passed")
    assert verdicts["L8"] == load_words("en")("leaks.not_run")
    assert len(verdicts) == 14
