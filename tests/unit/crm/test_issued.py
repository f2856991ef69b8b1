"""Scores issued: files and ledger as one table, without replays and without leads that are not held here."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from crm.config import Workspace
from crm.issued import ISSUED_COLUMNS, issued_scores
from crm.known import to_micros
from crm.scores import append_scores
from crm.state import open_state
from crm.state_tables import LEDGER
from tests.histories import NOW, START, config_of

KINDS = {str: "", int: 0, float: 0.0, bool: False}


def ledger_row(**given: Any) -> dict[str, Any]:
    blank = {c.name: KINDS[c.type.python_type] for c in LEDGER.columns if not c.nullable and c.name != "seq"}
    at = {"as_of_us": to_micros(START), "issued_us": to_micros(NOW), "origin": "served", "is_stored": True}
    return {**blank, **at, **given}


def test_without_a_score_it_is_an_empty_table(tmp_path: Path) -> None:
    found = issued_scores(Workspace(folder=tmp_path, config=config_of()))
    assert found.num_rows == 0
    assert tuple(found.column_names) == ISSUED_COLUMNS


def test_files_and_the_ledger_are_one_table(tmp_path: Path) -> None:
    workspace = Workspace(folder=tmp_path, config=config_of())
    scores = pa.table(
        {
            "lead_id": ["a", "b"],
            "as_of": pa.array([START] * 2, pa.timestamp("us", "UTC")),
            "p_won": [0.1, 0.2],
            "model_version": ["1"] * 2,
            "line_version": ["1"] * 2,
        }
    )
    append_scores(workspace, scores, "out_of_fold", NOW - timedelta(days=1))
    state = open_state(workspace)
    with state.writing() as connection:
        for given in (
            {"lead_id": "c", "p_won": 0.3},
            {"lead_id": "d", "p_won": 0.4, "origin": "batch"},
            {"lead_id": "replayed", "origin": "replay"},
            {"lead_id": "of-a-body", "is_stored": False},
        ):
            connection.execute(sa.insert(LEDGER).values(**ledger_row(**given)))
    state.close()
    found = issued_scores(workspace)
    assert [(row["lead_id"], row["p_won"], row["origin"]) for row in found.to_pylist()] == [
        ("a", 0.1, "out_of_fold"),
        ("b", 0.2, "out_of_fold"),
        ("c", 0.3, "served"),
        ("d", 0.4, "batch"),
    ]
    assert found.to_pylist()[2]["issued_at"] == NOW
    assert found.to_pylist()[2]["as_of"] == START
