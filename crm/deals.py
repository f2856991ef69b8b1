"""Opportunities by lead, and what the lost ones would have brought.

It looks past a cutoff, as :mod:`crm.outcomes` does, and what it gives is learned from, never scored with.
"""

# pandas-stubs types a column of a frame as all that it may be.
# pyarrow publishes no types.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false, reportReturnType=false

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from crm.persons import shared_by_persons
from crm.recorded import newest_versions, rows_recorded
from crm.store import Tables

__all__ = ["amounts_lost", "deals_of_leads"]

DAY_US = 86_400_000_000


def deals_of_leads(tables: Tables, known_us: int) -> pd.DataFrame:
    """List the opportunities of each lead in their newest version recorded by ``known_us``.

    Returns
    -------
    pd.DataFrame
        The columns of ``opportunities``, times as whole microseconds since 1970 UTC, and ``share``. One of an account
        alone stands once for each of the account's leads created before it, with an even share.
    """
    newest = newest_versions(rows_recorded(tables, "opportunities", known_us), "opportunity_id")
    direct = newest[newest["lead_id"].notna()].assign(share=1.0)
    shared = newest[newest["lead_id"].isna()]
    if shared.empty:
        return direct
    leads = tables.table("leads").select("lead_id", "account_id", "created_us").to_pyarrow().to_pandas()
    pairs = shared.drop(columns="lead_id").merge(leads, on="account_id", suffixes=("", "_lead"))
    pairs = pairs[pairs["created_us_lead"] < pairs["created_us"]]
    pairs["share"] = 1.0 / pairs.groupby("opportunity_id")["lead_id"].transform("size")
    return pd.concat([direct, pairs], ignore_index=True)


def amounts_lost(tables: Tables, moments: pa.Table, known_us: int, *, horizon_days: float) -> NDArray[np.float64]:
    """Return what the deals that each moment's lead lost within a horizon would have brought.

    Parameters
    ----------
    tables
        The workspace's tables.
    moments
        row_id (0, 1, 2, ...), lead_id, as_of_us.
    known_us
        What was recorded later does not exist, microseconds since 1970 UTC.
    horizon_days
        Deals lost in ``[as_of, as_of + horizon)`` count.

    Returns
    -------
    NDArray[np.float64]
        Shape (n,), workspace currency, a merged person's shared by its leads; NaN where no lost deal has an amount
        above 0.
    """
    found = np.full(moments.num_rows, np.nan)
    if not tables.has("opportunities"):
        return found
    deals = deals_of_leads(tables, known_us)
    is_lost = ~deals["is_won"].fillna(True).astype(bool) & deals["closed_us"].notna() & (deals["amount"] > 0)
    lost = deals.loc[is_lost, ["lead_id", "closed_us"]].astype({"lead_id": str, "closed_us": "int64"})
    lost = shared_by_persons(lost.assign(amount=(deals["amount"] * deals["share"])[is_lost]), tables, known_us)
    asked = pd.DataFrame(
        {
            "row": np.arange(moments.num_rows),
            "lead_id": moments.column("lead_id").to_pylist(),
            "as_of_us": moments.column("as_of_us").to_numpy(),
        }
    )
    pairs = asked.astype({"lead_id": object}).merge(lost.astype({"lead_id": object}), on="lead_id")
    wait = pairs["closed_us"] - pairs["as_of_us"]
    sums = pairs[(wait >= 0) & (wait < round(horizon_days * DAY_US))].groupby("row")["amount"].sum()
    found[sums.index.to_numpy(dtype=np.int64)] = sums.to_numpy(dtype=np.float64)
    return found
