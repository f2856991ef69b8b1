"""L8: whether features, and scores that were issued, are what the tables give today for the same moments."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false, reportArgumentType=false
from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from crm.config import Workspace
from crm.errors import BundleError, RegistryError
from crm.known import to_micros
from crm.scores import read_scores
from crm.store import Tables
from features.build import build_features
from features.history import known_leads
from features.spec import FeatureSet
from models.registry import load_model
from models.scoring import score_matrix
from training.prepare import TrainingData
from training.sentinel.verdict import Figure, LeakVerdict, Trace, not_computable, settle

__all__ = ["check_replay"]

SAMPLE = 200
MAX_SCORES = 2_000
MAX_MISMATCH = 0.001
CLOSE = 1e-6
ASKED = LeakVerdict(
    "L8",
    "Replay",
    "Do both computations of the features agree, and do the tables of today still give the scores that were issued, "
    "but for one row in 1,000?",
    "passed",
    "",
)


def check_replay(tables: Tables, data: TrainingData | None, workspace: Workspace | None) -> LeakVerdict:
    """Give the verdict on replay.

    Parameters
    ----------
    tables
        The workspace's tables.
    data
        Snapshots, of which some are computed again one by one; None when there are none.
    workspace
        Whose issued scores are computed again; None to leave them out.
    """
    traces: list[Trace] = []
    figures: list[Figure] = []
    said: list[str] = []
    if data is not None and data.features.features:
        rows, wrong = _features(tables, data)
        figures.append(Figure("snapshots computed both ways", float(rows), "snapshots"))
        said.append(f"{rows:,} snapshots computed both ways, {wrong:,} differ")
        if wrong > MAX_MISMATCH * rows:
            traces.append(
                Trace(
                    "features",
                    "failed",
                    f"{wrong:,} of {rows:,} snapshots have other features when computed one by one",
                    "Report this: the service would score leads otherwise than training does.",
                )
            )
    if workspace is not None:
        found = _scores(tables, workspace)
        if isinstance(found, str):
            said.append(found)
        else:
            figures.append(Figure("issued scores computed again", float(found[0]), "scores"))
            said.append(f"{found[0]:,} issued scores computed again, {found[1]:,} differ")
            traces += _differing(*found)
    if not figures:
        return not_computable(ASKED, "; ".join(said) or "there are no snapshots and no issued scores")
    return settle(ASKED, traces, clean="; ".join(said), figures=figures)


def _features(tables: Tables, data: TrainingData) -> tuple[int, int]:
    """Compute some snapshots again, one by one, and count those that differ."""
    count = len(data.snapshots.as_of_us)
    rows = np.unique(np.linspace(0, count - 1, min(SAMPLE, count)).astype(np.int64))
    ids = [str(lead) for lead in data.snapshots.moments.column("lead_id").take(pa.array(rows)).to_pylist()]
    leads = known_leads(tables, set(ids))
    wrong = sum(
        not np.allclose(
            data.features.row(leads[lead], int(data.snapshots.as_of_us[row])),
            data.matrix[row],
            rtol=CLOSE,
            atol=CLOSE,
            equal_nan=True,
        )
        for row, lead in zip(rows, ids, strict=True)
    )
    return len(rows), wrong


def _scores(tables: Tables, workspace: Workspace) -> tuple[int, int, str] | str:
    """Compute the newest issued scores again; how many, how many differ, of which version, or why there are none."""
    issued = read_scores(workspace)
    if issued.num_rows == 0:
        return "no score was issued yet"
    frame = issued.select(["lead_id", "as_of", "issued_at", "model_version", "p_sql", "origin"]).to_pandas()
    frame = frame[frame["origin"].isin(["batch", "served"]) & frame["p_sql"].notna()]
    frame = frame[frame["lead_id"].isin(set(_known(tables)))]
    if not len(frame):
        return "no issued score is of a lead that the tables have"
    version = str(frame.sort_values("issued_at", kind="stable")["model_version"].iloc[-1])
    frame = frame[frame["model_version"] == version].tail(MAX_SCORES).reset_index(drop=True)
    try:
        model = load_model(workspace, alias=version, with_saved_line=False)
    except (RegistryError, BundleError) as error:
        return f"issued scores cannot be computed again: version {version} does not load ({error.found})"
    matrix = build_features(tables, _moments(frame), FeatureSet(model.bundle.features.features))
    again = score_matrix(model.bundle, model.line, matrix).p_sql
    wrong = int((~np.isclose(again, frame["p_sql"].to_numpy(dtype=float), rtol=1e-6, atol=1e-9)).sum())
    return len(frame), wrong, version


def _known(tables: Tables) -> list[str]:
    return tables.table("leads").select("lead_id").to_pyarrow().column("lead_id").to_pylist()


def _moments(frame: pd.DataFrame) -> pa.Table:
    return pa.table(
        {
            "row_id": pa.array(np.arange(len(frame)), pa.int64()),
            "lead_id": pa.array(frame["lead_id"].astype(str), pa.string()),
            "as_of_us": pa.array([to_micros(moment.to_pydatetime()) for moment in frame["as_of"]], pa.int64()),
        }
    )


def _differing(count: int, wrong: int, version: str) -> list[Trace]:
    if wrong <= MAX_MISMATCH * count:
        return []
    return [
        Trace(
            "the past",
            "failed",
            f"{wrong:,} of {count:,} scores that version {version} issued come out otherwise from the tables of today: "
            "rows were added or changed with a recorded_at that lies before they were known",
            "Give each row the recorded_at at which the source really had it, or set [source.lag] to its delay.",
        )
    ]
