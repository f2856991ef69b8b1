"""What a backtest tests on: origins, the leads at risk in the weeks after each, and what became of them."""

# pandas-stubs types a column of a frame as all that it may be.
# pyarrow publishes no types.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false
from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from crm.config import OutcomeConfig, WorkspaceConfig
from crm.errors import PastOnlyError
from crm.known import to_micros
from crm.outcomes import Labels, Observation, Outcome, label_moments, outcome_events
from crm.persons import person_numbers
from crm.store import Tables
from features.known import DAY_US
from training.snapshots import Snapshots, first_moments

__all__ = ["STEP_DAYS", "HeldOut", "hold_out", "settle_origins"]

Matrix = NDArray[np.float64]
STEP_DAYS = 28


def settle_origins(seen: Observation, config: OutcomeConfig, count: int) -> tuple[datetime, ...]:
    """Space origins four weeks apart, oldest first.

    The newest is the last one for which every label of its test window ``[T, T + 28 days)`` was mature, so that no lead
    is judged on an outcome that could still happen.

    Parameters
    ----------
    seen
        The observed span of the run.
    config
        Whose longer horizon has to fit behind the newest window.
    count
        How many.
    """
    horizon = timedelta(days=max(config.sql_horizon_days, config.won_horizon_days))
    step = timedelta(days=STEP_DAYS)
    newest = seen.observed_until - horizon - step
    return tuple(newest - number * step for number in reversed(range(count)))


@dataclass(frozen=True)
class HeldOut:
    """Test rows of all origins, one a lead and origin, in time order.

    Parameters
    ----------
    snapshots
        Each lead at the first moment of the window at which it was at risk.
    origin
        Number of the origin of each row, shape (n,).
    sql, won
        Labels as recorded by the run's moment.
    person
        Leads that were merged by the run's moment are one person, shape (n,).
    wins, revenue
        What working the person would have captured, shape (n,): deals, and their amounts in workspace currency. All
        rows of a person in one window hold the same numbers, which count once a person. A deal of an account alone is
        shared by the persons that it belongs to.
    unpriced
        Won deals without an amount, which count with ``[value] default_amount``, or with nothing where there is none.
    """

    snapshots: Snapshots
    origin: NDArray[np.int64]
    sql: Labels
    won: Labels
    person: NDArray[np.int64]
    wins: Matrix
    revenue: Matrix
    unpriced: int

    def rows_of(self, origin: int) -> NDArray[np.int64]:
        """Return the rows of one origin whose labels are both mature."""
        return np.flatnonzero((self.origin == origin) & self.sql.is_mature & self.won.is_mature)

    def moments_of(self, rows: NDArray[np.int64]) -> pa.Table:
        """Return row_id, counted anew, lead_id and as_of_us of some rows."""
        chosen = self.snapshots.moments.take(pa.array(rows))
        return chosen.set_column(0, "row_id", pa.array(np.arange(len(rows)), pa.int64()))

    def labels(self, outcome: Outcome) -> Labels:
        """Return the labels of one endpoint."""
        return self.sql if outcome == "sql" else self.won


def hold_out(tables: Tables, config: WorkspaceConfig, origins: tuple[datetime, ...], seen: Observation) -> HeldOut:
    """List the leads at risk in the test window of each origin, and label them with what the run knows.

    Raises
    ------
    PastOnlyError
        When no lead was at risk in any window.
    """
    step = timedelta(days=STEP_DAYS)
    snapshots = first_moments(tables, [(origin, origin + step) for origin in origins], seen)
    if len(snapshots.as_of_us) == 0:
        raise PastOnlyError(
            found=f"no lead at risk from {origins[0]:%Y-%m-%d} to {origins[-1] + step:%Y-%m-%d}",
            expected="leads whose outcomes have had their whole horizon",
            fix="give a longer history, or a later --as-of",
        )
    starts = np.array([to_micros(origin) for origin in origins])
    events = outcome_events(tables, seen.as_of)

    def label(outcome: Outcome, days: float) -> Labels:
        return label_moments(tables, snapshots.moments, events, seen, outcome=outcome, horizon_days=days)

    sql, won = label("sql", config.outcome.sql_horizon_days), label("won", config.outcome.won_horizon_days)
    person = person_numbers(tables, snapshots.moments.column("lead_id").to_pylist(), to_micros(seen.as_of))
    origin = np.searchsorted(starts, snapshots.as_of_us, side="right") - 1
    rows = pd.DataFrame(
        {
            "lead_id": snapshots.moments.column("lead_id").to_pylist(),
            "as_of_us": snapshots.as_of_us,
            "origin": origin,
            "person": person,
        }
    )
    deals = _deals(rows, events[events["outcome"] == "won"], round(won.horizon_days * DAY_US))
    unpriced = int(deals.loc[deals["amount"].isna(), ["origin", "deal"]].drop_duplicates().shape[0])
    deals["amount"] = deals["amount"].fillna(deals["share"] * (config.value.default_amount or 0.0))
    return HeldOut(
        snapshots,
        origin.astype(np.int64),
        sql,
        won,
        person,
        _of_persons(rows, deals, "share"),
        _of_persons(rows, deals, "amount"),
        unpriced,
    )


def _deals(rows: pd.DataFrame, won: pd.DataFrame, horizon_us: int) -> pd.DataFrame:
    """List the won deals inside the horizon of each row: origin, person, row, deal, amount, share of the deal.

    A win without an opportunity is the person's own. A lead that was merged has its own part of an account's deal and
    that of its twin, as one person would.
    """
    pairs = rows.assign(row=np.arange(len(rows))).merge(won[["lead_id", "at_us", "amount", "opportunity_id"]])
    inside = (pairs["at_us"] >= pairs["as_of_us"]) & (pairs["at_us"] < pairs["as_of_us"] + horizon_us)
    pairs = pairs[inside]
    own = "person " + pairs["person"].astype(str)
    pairs = pairs.assign(deal=pairs["opportunity_id"].where(pairs["opportunity_id"].notna(), own))
    found = pairs.groupby(["origin", "person", "row", "deal"], as_index=False)["amount"].sum(min_count=1)
    holders = found.groupby(["origin", "deal"])["person"].transform("nunique")
    return found.assign(share=1.0 / holders)


def _of_persons(rows: pd.DataFrame, deals: pd.DataFrame, column: str) -> Matrix:
    """Add up a column of the deals by row, and give all rows of a person in a window the largest sum."""
    by_row = deals.groupby(["origin", "person", "row"], as_index=False)[column].sum()
    best = by_row.groupby(["origin", "person"])[column].max().rename("best").reset_index()
    found = rows[["origin", "person"]].merge(best, on=["origin", "person"], how="left")["best"]
    return found.fillna(0.0).to_numpy(dtype=np.float64)
