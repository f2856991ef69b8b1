"""The scores table: appended, never changed, whole files only."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from crm.config import Workspace
from crm.scores import SCORES_SCHEMA, append_scores, read_scores
from tests.histories import NOW, START, config_of


def scores(*leads: str) -> pa.Table:
    count = len(leads)
    return pa.table(
        {
            "lead_id": list(leads),
            "as_of": pa.array([START] * count, pa.timestamp("us", "UTC")),
            "model_version": ["1"] * count,
            "line_version": ["1"] * count,
            "score": pa.array([50] * count, pa.int64()),
            "is_mql": [True] * count,
        }
    )


def test_nothing_issued_is_an_empty_table(tmp_path: Path) -> None:
    found = read_scores(Workspace(folder=tmp_path, config=config_of()))
    assert (found.num_rows, found.schema) == (0, SCORES_SCHEMA)


def test_rows_are_appended_with_where_they_come_from(tmp_path: Path) -> None:
    workspace = Workspace(folder=tmp_path, config=config_of())
    append_scores(workspace, scores("a", "b"), "out_of_fold", NOW)
    path = append_scores(workspace, scores("a"), "batch", NOW + timedelta(microseconds=1))
    found = read_scores(workspace).to_pylist()
    assert [(row["lead_id"], row["origin"], row["score"]) for row in found] == [
        ("a", "out_of_fold", 50.0),
        ("b", "out_of_fold", 50.0),
        ("a", "batch", 50.0),
    ]
    assert found[2]["issued_at"] == NOW + timedelta(microseconds=1)
    assert found[0]["points"] is None
    assert path.is_relative_to(workspace.tables_folder)


def test_an_unfinished_file_is_not_read(tmp_path: Path) -> None:
    workspace = Workspace(folder=tmp_path, config=config_of())
    path = append_scores(workspace, scores("a"), "batch", NOW)
    path.with_name("later.part").write_bytes(b"half a file")
    assert read_scores(workspace).num_rows == 1


def test_scores_issued_twice_at_one_moment_are_both_kept(tmp_path: Path) -> None:
    workspace = Workspace(folder=tmp_path, config=config_of())
    for lead in "abc":
        append_scores(workspace, scores(lead), "batch", NOW)
    assert sorted(read_scores(workspace).column("lead_id").to_pylist()) == ["a", "b", "c"]
