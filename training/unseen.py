"""The rows that a version keeps for the gate, and the pairs that two versions have in common (docs/adr/0010)."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false, reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crm.config import OutcomeConfig, WorkspaceConfig
from crm.known import to_micros
from crm.outcomes import Labels, Outcome, label_moments, outcome_events
from crm.rules import segments_of
from crm.store import Tables
from features.build import build_features
from features.known import DAY_US
from models.bundle import Bundle
from models.paired import SIDES, PairedRows
from models.scoring import from_logits, probabilities
from models.unseen import UNSEEN_SCHEMA, row_numbers
from training.learn import Learned
from training.prepare import OUTCOMES, TrainingData, settle_observation
from training.snapshots import Snapshots, take_snapshots

__all__ = ["issued_rows", "known_by", "pair_rows", "segment_names", "unseen_probabilities", "unseen_rows"]

Matrix = NDArray[np.float64]
MIN_WINS = 100
WINDOW_US = 28 * DAY_US


def unseen_probabilities(data: TrainingData, learned: Learned, bundle: Bundle) -> tuple[Matrix, Matrix]:
    """Return p_sql and p_won of every row by the fold that had not learned from it; NaN outside the folds."""
    logits = {name: np.full(len(data.snapshots.as_of_us), np.nan) for name in OUTCOMES}
    logits["sql"][learned.sql.rows] = learned.sql.logit
    logits["won"][learned.won.rows] = learned.won.logit
    return from_logits(bundle, logits["sql"], logits["won"], data.matrix)


def unseen_rows(
    tables: Tables, config: WorkspaceConfig, data: TrainingData, learned: Learned, bundle: Bundle, key: bytes
) -> pa.Table:
    """Return the rows of a training run of which a fold's model spoke that had not learned from them.

    Parameters
    ----------
    tables, config, data, learned, bundle
        The finished run.
    key
        As :func:`models.unseen.row_key` gives it.
    """
    p_sql, p_won = unseen_probabilities(data, learned, bundle)
    rows = np.flatnonzero(~(np.isnan(p_sql) & np.isnan(p_won)))
    starts = {name: np.full(len(p_sql), np.nan) for name in OUTCOMES}
    for name, folds in learned.folds.items():
        for fold in folds:
            starts[name][fold.test] = fold.start_us
    revenue = p_won * learned.amount_unseen
    said = {"p_sql": p_sql[rows], "p_won": p_won[rows], "expected_revenue": revenue[rows]}
    said |= {f"origin_{name}_us": starts[name][rows] for name in OUTCOMES}
    labels = {name: _only(labels, rows) for name, labels in (("sql", data.sql), ("won", data.won))}
    return _Rows(tables, config, data.snapshots.only(rows), labels, said).table(bundle.amount.mean, key)


def issued_rows(
    tables: Tables, config: WorkspaceConfig, bundle: Bundle, span: tuple[int, datetime | None], key: bytes
) -> pa.Table | None:
    """Return what a version as it was shipped says of leads at moments after its training; None where none is mature.

    Parameters
    ----------
    tables, config
        The workspace.
    bundle
        The version's model.
    span
        The moment of its training, microseconds since 1970 UTC, after which nothing recorded was known to it; and the
        run's moment, after which no outcome exists, None for the end of the observed span.
    key
        As :func:`models.unseen.row_key` gives it.
    """
    trained_us, as_of = span
    seen = settle_observation(tables, config, as_of)
    horizon = min(config.outcome.sql_horizon_days, config.outcome.won_horizon_days)
    if to_micros(seen.observed_until) - trained_us <= round(horizon * DAY_US):
        return None
    every = take_snapshots(tables, config.snapshots, seen)
    snapshots = every.only(np.flatnonzero(every.as_of_us >= trained_us))
    if not len(snapshots.as_of_us):
        return None
    events = outcome_events(tables, seen.as_of)

    def label(outcome: Outcome, days: float) -> Labels:
        return label_moments(tables, snapshots.moments, events, seen, outcome=outcome, horizon_days=days)

    labels = {
        "sql": label("sql", config.outcome.sql_horizon_days),
        "won": label("won", config.outcome.won_horizon_days),
    }
    matrix = build_features(tables, snapshots.moments, bundle.features)
    p_sql, p_won = probabilities(bundle, matrix)
    said = {"p_sql": p_sql, "p_won": p_won, "expected_revenue": p_won * bundle.amount.expected(matrix)}
    start = (trained_us + (snapshots.as_of_us - trained_us) // WINDOW_US * WINDOW_US).astype(np.float64)
    said |= {"origin_sql_us": start, "origin_won_us": start}
    found = _Rows(tables, config, snapshots, labels, said).table(bundle.amount.mean, key)
    mature = labels["sql"].is_mature | labels["won"].is_mature
    return found.filter(pa.array(mature)) if mature.any() else None


def known_by(rows: pa.Table, horizons: OutcomeConfig, as_of_us: int) -> pa.Table:
    """Return kept rows as a moment knows them: later ones leave, and labels not settled by then are unknown.

    Parameters
    ----------
    rows
        As :func:`unseen_rows` gives them.
    horizons
        ``[outcome]`` of the workspace.
    as_of_us
        The moment, microseconds since 1970 UTC.
    """
    rows = rows.filter(pc.less_equal(rows.column("as_of_us"), as_of_us))
    moment = rows.column("as_of_us").to_numpy()
    for names, days in ((("sql",), horizons.sql_horizon_days), (("won", "revenue"), horizons.won_horizon_days)):
        settled = pa.array(moment + round(days * DAY_US) <= as_of_us)
        for name in names:
            column = rows.column(name)
            known = pc.if_else(settled, column, pa.scalar(None, column.type))
            rows = rows.set_column(rows.column_names.index(name), rows.schema.field(name), known)
    return rows


def _only(labels: Labels, rows: NDArray[np.int64]) -> Labels:
    columns = (labels.happened, labels.days, labels.is_mature, labels.amount)
    return Labels(labels.outcome, labels.horizon_days, *(column[rows] for column in columns))


@dataclass(frozen=True, eq=False)
class _Rows:
    """Moments, their labels, and what a version said of them."""

    tables: Tables
    config: WorkspaceConfig
    snapshots: Snapshots
    labels: Mapping[str, Labels]
    said: Mapping[str, Matrix]

    def table(self, mean_amount: float, key: bytes) -> pa.Table:
        """Return the rows as they are kept; a win without an amount brings the mean."""
        moments, as_of_us, won = self.snapshots.moments, self.snapshots.as_of_us, self.labels["won"]
        leads = moments.column("lead_id").to_pylist()
        names = [f"{lead}\x1f{moment}" for lead, moment in zip(leads, as_of_us.tolist(), strict=True)]
        columns = {
            "row": pa.array(row_numbers(names, key)),
            "lead": pa.array(row_numbers(leads, key)),
            "account": pa.array(row_numbers(_accounts(self.tables, leads), key)),
            "as_of_us": pa.array(as_of_us),
            "revenue": pa.array(np.where(won.happened, np.where(np.isnan(won.amount), mean_amount, won.amount), 0.0)),
            "segments": pa.array(segment_names(self.tables, self.config, moments), pa.list_(pa.string())),
        }
        for name, values in self.said.items():
            empty = np.isnan(values)
            kind = pa.int64() if name.startswith("origin") else pa.float64()
            columns[name] = pa.array(np.where(empty, 0, values), pa.float64(), mask=empty).cast(kind)
        for name, found in self.labels.items():
            columns[name] = pa.array(found.happened, pa.bool_(), mask=~found.is_mature)
        return pa.table([columns[field.name] for field in UNSEEN_SCHEMA], schema=UNSEEN_SCHEMA)


def _accounts(tables: Tables, leads: list[str]) -> list[str]:
    """Name each lead's account, and a lead without one as its own."""
    known = tables.table("leads").select("lead_id", "account_id").to_pyarrow().to_pandas().set_index("lead_id")
    account = known["account_id"].reindex(leads)
    return [f"lead {lead}" if pd.isna(a) else f"account {a}" for lead, a in zip(leads, account, strict=True)]


def segment_names(tables: Tables, config: WorkspaceConfig, moments: pa.Table) -> list[list[str]]:
    """Name the segments of ``[segments]`` that each moment's lead belonged to, and its source."""
    found = segments_of(tables, config, moments)
    leads = moments.column("lead_id").to_pylist()
    table = tables.table("leads")
    if "source" not in table.columns:
        return [list(found.of_row(number)) for number in range(len(leads))]
    source = table.select("lead_id", "source").to_pyarrow().to_pandas().set_index("lead_id")["source"].reindex(leads)
    return [
        [*found.of_row(number), *([] if pd.isna(name) else [f"source {name}"])] for number, name in enumerate(source)
    ]


def pair_rows(champion: pa.Table, challenger: pa.Table, *, share: float, champion_trained_us: int) -> PairedRows:
    """Pair two versions by row: on wins where they share those of 100 leads, else on SQLs.

    A lead has one row an origin, its first. The labels are the challenger's, which are the newer ones.

    Parameters
    ----------
    champion, challenger
        Columns of :data:`models.unseen.UNSEEN_SCHEMA`; the later of two rows of one number counts.
    share
        Share of the leads that sales can work.
    champion_trained_us
        Rows from here on the champion spoke of as it was shipped.
    """
    sides = [table.to_pandas().drop_duplicates("row", keep="last") for table in (champion, challenger)]
    said = ["row", "p_sql", "p_won", "expected_revenue"]
    both = sides[1].merge(sides[0][said], on="row", suffixes=("_challenger", "_champion"))
    both = both.sort_values("as_of_us", kind="stable")
    kept, outcome = _on(both, "won"), "won"
    # A list is sorted by money, and before the first win nobody could say what a win brings.
    kept = kept[kept["expected_revenue_champion"].notna() & kept["expected_revenue_challenger"].notna()]
    if kept.loc[kept["won"].astype(bool), "lead"].nunique() < MIN_WINS:
        kept, outcome = _on(both, "sql"), "sql"
    by = "expected_revenue" if outcome == "won" else "p_sql"
    happened = kept[outcome].to_numpy(dtype=bool)
    names = sorted({name for names in kept["segments"] for name in names})
    return PairedRows(
        outcome,
        pd.factorize(kept["lead"])[0].astype(np.int64),
        pd.factorize(kept["account"])[0].astype(np.int64),
        pd.factorize(kept[f"origin_{outcome}_us"])[0].astype(np.int64),
        happened,
        kept["revenue"].to_numpy(dtype=np.float64) if outcome == "won" else happened.astype(np.float64),
        {side: kept[f"p_{outcome}_{side}"].to_numpy(dtype=np.float64) for side in SIDES},
        {side: kept[f"{by}_{side}"].to_numpy(dtype=np.float64) for side in SIDES},
        share,
        {name: np.array([name in names_of for names_of in kept["segments"]], dtype=bool) for name in names},
        kept["as_of_us"].to_numpy(dtype=np.int64) >= champion_trained_us,
    )


def _on(both: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """Keep the rows whose label is mature and of which both versions spoke, one a lead and origin."""
    columns = [outcome, f"p_{outcome}_champion", f"p_{outcome}_challenger"]
    kept = both[both[columns].notna().all(axis=1)]
    return kept.drop_duplicates(["lead", f"origin_{outcome}_us"], keep="first")
