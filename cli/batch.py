"""Scoring many leads from the workspace's tables."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crm.config import Workspace
from crm.errors import LeadFileError
from crm.known import to_micros
from crm.progress import Progress
from crm.rules import excluded_at
from crm.scores import append_scores
from crm.store import Tables
from features.build import build_features
from models.accounts import AccountRow, best_of_accounts
from models.answers import answers
from models.decisions import decided
from models.scoring import HORIZONS_DAYS, LoadedModel, score_matrix
from pages.safe_csv import write_csv

__all__ = ["COLUMNS", "BatchScores", "score_leads", "write_scores"]

COLUMNS = (
    "lead_id",
    "as_of",
    "score",
    "p_sql",
    "p_won",
    "expected_revenue",
    "expected_value",
    "currency",
    "is_mql",
    "grade",
    "percentile",
    "reasons",
    "model_version",
    "line_version",
)
CHUNK = 20_000


@dataclass(frozen=True)
class BatchScores:
    """Scores of a batch.

    Parameters
    ----------
    records
        One record a scored row, in the order asked for; keys of :data:`COLUMNS`, the points, ``decision``,
        ``excluded_by``, ``account_id``, ``account_score`` and ``account_best_lead``.
    rejected
        Rows that could not be scored: lead_id, as_of_us, reason.
    not_kept
        How many of the records lie inside the model's training, and were not added to the scores table.
    inputs
        Features of each record as bytes, where they were asked for.
    """

    records: list[dict[str, Any]]
    rejected: pd.DataFrame
    not_kept: int = 0
    inputs: tuple[bytes, ...] = ()

    def renamed(self, names: Mapping[str, str]) -> BatchScores:
        """Return the scores with other lead ids, such as those of the caller's file for their hashes."""
        keys = ("lead_id", "account_best_lead")
        records = (
            [{**r, **{key: names.get(r[key], r[key]) for key in keys}} for r in self.records] if names else self.records
        )
        rejected = self.rejected.replace({"lead_id": dict(names)})
        return BatchScores(records, rejected, self.not_kept, self.inputs)


def score_leads(  # noqa: PLR0913 - a batch is all of these
    workspace: Workspace,
    tables: Tables,
    model: LoadedModel,
    asked: pd.DataFrame,
    now: datetime,
    progress: Progress,
    *,
    with_inputs: bool = False,
) -> BatchScores:
    """Score rows of lead_id and as_of_us, each as known at its own moment, and append them to the scores table.

    Leads that no table has, that did not exist yet at their moment, or whose moment lies in the future, are rejected
    with a reason; the others are scored, excluded ones too, though these are no MQLs. An account's score is that of its
    best lead among the rows of one moment. Scores of moments that the model had learned from are not appended: what
    reads the table judges by it.
    """
    leads = tables.table("leads").select("lead_id", "created_us", "account_id").to_pyarrow().to_pandas()
    leads = leads.set_index("lead_id")
    created_us = asked["lead_id"].map(leads["created_us"])
    reason = pd.Series("", index=asked.index, dtype=object)
    reason[created_us > asked["as_of_us"]] = "created after as_of"
    reason[asked["as_of_us"] > to_micros(now)] = "as_of lies in the future"
    reason[created_us.isna()] = "unknown lead"
    rejected = asked[reason != ""].assign(reason=reason[reason != ""])
    rows = asked[reason == ""].reset_index(drop=True)
    records: list[dict[str, Any]] = []
    inputs: list[bytes] = []
    with progress.step(f"Scoring {len(rows):,} leads", total=len(rows)) as step:
        for chunk in _chunks(rows):
            found, matrix = _score_chunk(workspace, tables, model, chunk)
            records += found
            if with_inputs:
                inputs += [row.tobytes() for row in matrix.astype(np.float32)]
            step.advance(len(chunk))
        _add_accounts(records, rows["lead_id"].map(leads["account_id"]))
        step.note(f"{len(records):,} scored" + (f", {len(rejected):,} rejected" if len(rejected) else ""))
    learned_until = np.datetime64(model.bundle.trained_until.removesuffix("Z"), "us").astype(np.int64)
    kept = [record for record, at in zip(records, rows["as_of_us"], strict=True) if at > learned_until]
    if kept:
        append_scores(workspace, _score_rows(kept), "batch", now)
    return BatchScores(records, rejected, len(records) - len(kept), tuple(inputs))


def _chunks(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for start in range(0, len(rows), CHUNK):
        yield rows.iloc[start : start + CHUNK]


def _score_chunk(
    workspace: Workspace, tables: Tables, model: LoadedModel, rows: pd.DataFrame
) -> tuple[list[dict[str, Any]], NDArray[np.float64]]:
    moments = pa.table(
        {
            "row_id": pa.array(np.arange(len(rows)), pa.int64()),
            "lead_id": pa.array(rows["lead_id"].astype(str), pa.string()),
            "as_of_us": pa.array(rows["as_of_us"].to_numpy(dtype=np.int64), pa.int64()),
        }
    )
    matrix = build_features(tables, moments, model.bundle.features)
    scores = score_matrix(model.bundle, model.line, matrix)
    language = workspace.config.workspace.language
    found = answers(
        model, scores, rows["lead_id"].astype(str).tolist(), rows["as_of_us"].to_numpy(dtype=np.int64), language
    )
    rules = excluded_at(tables, moments)
    return [decided(answer, rule) for answer, rule in zip(found, rules, strict=True)], matrix


def _add_accounts(records: list[dict[str, Any]], account_id: pd.Series) -> None:
    """Put beside each lead its account, the account's score, and the lead that gives it."""
    accounts = [None if pd.isna(account) else str(account) for account in account_id]
    rows = [
        AccountRow(account, record["lead_id"], record["as_of"], record["score"], record["decision"] != "excluded")
        for record, account in zip(records, accounts, strict=True)
    ]
    for record, account, best in zip(records, accounts, best_of_accounts(rows), strict=True):
        record["account_id"] = account
        record["account_score"] = None if best is None else best.score
        record["account_best_lead"] = None if best is None else best.lead_id


def _score_rows(records: list[dict[str, Any]]) -> pa.Table:
    keep = (
        "lead_id",
        "model_version",
        "line_version",
        "score",
        "p_sql",
        "p_won",
        "expected_revenue",
        "expected_value",
        "is_mql",
    )
    columns: dict[str, Any] = {name: [record[name] for record in records] for name in keep}
    columns["as_of"] = pa.array(
        [datetime.fromisoformat(record["as_of"]) for record in records], pa.timestamp("us", "UTC")
    )
    return pa.table(columns)


def write_scores(path: Path, records: list[dict[str, Any]]) -> None:
    """Write scores as CSV or Parquet, by the file's ending; ``LeadFileError`` when it cannot be written.

    Behind :data:`COLUMNS` stand ``p_sql_30d``, ``p_won_30d`` and so on for every horizon, empty where no history was
    watched for so long.
    """
    columns = {name: [record[name] for record in records] for name in COLUMNS} | _horizon_columns(records)
    try:
        _write_columns(path, columns)
    except OSError as error:
        raise LeadFileError(
            found=f"--out '{path}', which cannot be written ({error.strerror or error})",
            expected="a place with room for the scores",
            fix="name another file and run again; the scores themselves are in the workspace's scores table",
        ) from error


def _horizon_columns(records: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    return {
        f"{name}_{days:.0f}d": [record["horizons"][number][name] for record in records]
        for number, days in enumerate(HORIZONS_DAYS)
        for name in ("p_sql", "p_won")
    }


def _write_columns(path: Path, columns: dict[str, list[Any]]) -> None:
    if path.suffix.lower() in (".parquet", ".pq"):
        as_of = pa.array([datetime.fromisoformat(text) for text in columns["as_of"]], pa.timestamp("us", "UTC"))
        chances = {name: pa.array(columns[name], pa.float64()) for name in columns if name.startswith("p_")}
        pq.write_table(pa.table({**columns, **chances, "as_of": as_of}), path)
    elif path.suffix.lower() == ".csv":
        reasons = [" | ".join(words) for words in columns["reasons"]]
        write_csv(path, tuple(columns), zip(*{**columns, "reasons": reasons}.values(), strict=True))
    else:
        raise LeadFileError(
            found=f"--out '{path}'",
            expected="a name that ends in .csv or .parquet",
            fix="name the file so; nothing was written",
        )
