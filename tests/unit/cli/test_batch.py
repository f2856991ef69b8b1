"""Scoring many leads: who is rejected, and what is written."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli import batch
from cli.batch import COLUMNS, score_leads, write_scores
from crm.config import Workspace
from crm.errors import LeadFileError
from crm.known import from_micros, to_micros
from crm.outcomes import leads_at_risk
from crm.progress import Silent
from tests.histories import config_of, tables_of

CREATED = datetime(2025, 1, 10, tzinfo=UTC)
ROWS = {
    "leads": [{"lead_id": name, "created_at": CREATED} for name in ("a", "b", "c")],
    "stages": [{"lead_id": "b", "stage": "sql", "entered_at": datetime(2025, 2, 1, tzinfo=UTC)}],
}
# Of the model, only the end of its training is read before rows are scored.
MODEL: Any = SimpleNamespace(bundle=SimpleNamespace(trained_until="2025-01-01T00:00:00Z"))
RECORD: dict[str, Any] = {
    "horizons": [
        {"days": 30.0, "p_sql": 0.1, "p_won": 0.02},
        {"days": 90.0, "p_sql": 0.2, "p_won": 0.05},
        {"days": 180.0, "p_sql": 0.25, "p_won": None},
        {"days": 365.0, "p_sql": None, "p_won": None},
    ],
    "lead_id": "=cmd()",
    "as_of": "2026-06-01T00:00:00+00:00",
    "score": 61.5,
    "p_sql": 0.2,
    "p_won": 0.05,
    "expected_revenue": 1000.0,
    "expected_value": -3.5,
    "currency": "JPY",
    "is_mql": False,
    "grade": "C",
    "percentile": 81.0,
    "reasons": ["+2 visits (+1.0)", "国: 日本 (-0.6)"],
    "model_version": "3",
    "line_version": "abc",
    "points": [],
    "decision": "keep",
}


def asked(*rows: tuple[str, datetime]) -> pd.DataFrame:
    return pd.DataFrame({"lead_id": [lead for lead, _ in rows], "as_of_us": [to_micros(moment) for _, moment in rows]})


class TestAtRisk:
    def test_a_lead_is_at_risk_from_creation_to_its_outcome(self) -> None:
        with tables_of(ROWS) as tables:
            for moment, leads in (
                (datetime(2025, 1, 9, tzinfo=UTC), set()),
                (datetime(2025, 1, 20, tzinfo=UTC), {"a", "b", "c"}),
                (datetime(2025, 3, 1, tzinfo=UTC), {"a", "c"}),
            ):
                found = leads_at_risk(tables, moment)
                assert set(found["lead_id"]) == leads
                assert set(found["as_of_us"]) <= {to_micros(moment)}


class TestRejection:
    @pytest.fixture
    def scored(self, monkeypatch: pytest.MonkeyPatch) -> list[pd.DataFrame]:
        """Stand in for the model; rejection comes before it."""
        seen: list[pd.DataFrame] = []

        def score(workspace: Any, tables: Any, model: Any, rows: pd.DataFrame) -> tuple[list[dict[str, Any]], Any]:
            seen.append(rows)
            records = [
                {**RECORD, "lead_id": lead, "as_of": from_micros(int(micros)).isoformat()}
                for lead, micros in zip(rows["lead_id"], rows["as_of_us"], strict=True)
            ]
            return records, np.zeros((len(rows), 2))

        monkeypatch.setattr(batch, "_score_chunk", score)
        monkeypatch.setattr(batch, "CHUNK", 2)
        return seen

    def score(self, folder: Path, rows: pd.DataFrame) -> batch.BatchScores:
        workspace = Workspace(folder=folder, config=config_of())
        with tables_of(ROWS) as tables:
            return score_leads(workspace, tables, MODEL, rows, datetime(2026, 1, 1, tzinfo=UTC), Silent())

    def test_the_others_are_scored_in_order(self, tmp_path: Path, scored: list[pd.DataFrame]) -> None:
        late, early = datetime(2025, 2, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
        rows = asked(("c", late), ("x", late), ("a", late), ("b", early), ("c", CREATED), ("a", late))
        found = self.score(tmp_path, rows)
        assert [record["lead_id"] for record in found.records] == ["c", "a", "c", "a"]
        assert found.rejected[["lead_id", "reason"]].to_numpy().tolist() == [
            ["x", "unknown lead"],
            ["b", "created after as_of"],
        ]
        assert [len(chunk) for chunk in scored] == [2, 2]

    def test_nothing_is_written_when_nobody_can_be_scored(self, tmp_path: Path, scored: list[pd.DataFrame]) -> None:
        found = self.score(tmp_path, asked(("x", CREATED)))
        assert (found.records, len(found.rejected), scored) == ([], 1, [])
        assert not list(tmp_path.rglob("*.parquet"))

    def test_scores_are_appended_to_the_table(self, tmp_path: Path, scored: list[pd.DataFrame]) -> None:
        for _ in range(2):
            self.score(tmp_path, asked(("a", CREATED), ("b", CREATED), ("c", CREATED)))
        files = list(tmp_path.rglob("*.parquet"))
        assert len(files) == 2
        rows = [row for path in files for row in pq.read_table(path).to_pylist()]
        assert [row["lead_id"] for row in rows] == ["a", "b", "c"] * 2
        assert {row["origin"] for row in rows} == {"batch"}


CHANCES = {f"{name}_{days}d": None for days in (30, 90, 180, 365) for name in ("p_sql", "p_won")}
CHANCES |= {"p_sql_30d": 0.1, "p_won_30d": 0.02, "p_sql_90d": 0.2, "p_won_90d": 0.05, "p_sql_180d": 0.25}


class TestWrite:
    def test_csv_has_the_columns_of_the_contract_and_runs_nothing(self, tmp_path: Path) -> None:
        write_scores(tmp_path / "s.CSV", [RECORD])
        with (tmp_path / "s.CSV").open(encoding="utf-8-sig", newline="") as file:
            (row,) = list(csv.DictReader(file))
        assert list(row) == [*COLUMNS, *CHANCES]
        assert (row["p_won_90d"], row["p_won_180d"]) == ("0.05", "")
        assert row["lead_id"] == "'=cmd()"
        assert row["reasons"] == "'+2 visits (+1.0) | 国: 日本 (-0.6)"
        assert (row["expected_value"], row["is_mql"], row["score"]) == ("-3.5", "False", "61.5")

    @pytest.mark.parametrize("name", ["s.parquet", "s.pq"])
    def test_parquet_keeps_types(self, tmp_path: Path, name: str) -> None:
        write_scores(tmp_path / name, [RECORD])
        table = pq.read_table(tmp_path / name)
        assert table.column_names == [*COLUMNS, *CHANCES]
        assert table.schema.field("p_sql_365d").type == pa.float64()
        assert table.schema.field("as_of").type == pa.timestamp("us", "UTC")
        (row,) = table.to_pylist()
        assert row["as_of"] == datetime(2026, 6, 1, tzinfo=UTC)
        assert {key: row[key] for key in row if key != "as_of"} == {
            key: RECORD[key] for key in COLUMNS if key != "as_of"
        } | CHANCES

    def test_no_scores_make_an_empty_file(self, tmp_path: Path) -> None:
        for name in ("s.csv", "s.parquet"):
            write_scores(tmp_path / name, [])
        assert pq.read_table(tmp_path / "s.parquet").num_rows == 0
        assert (tmp_path / "s.csv").read_text(encoding="utf-8-sig").count("\n") == 1

    def test_another_ending_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(LeadFileError, match=r"ends in \.csv or \.parquet"):
            write_scores(tmp_path / "s.xlsx", [RECORD])
