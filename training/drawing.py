"""Drawing rows by hashes of lead ids: the same tables draw the same rows, whichever others there are."""

# pandas-stubs types a column of a frame as all that it may be.
# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false, reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["draw_accounts", "even_draw"]

LARGE = 0.01
"""Share of the wanted rows beyond which an account is drawn lead by lead: as a whole it would decide how many stay."""


def even_draw(moments: pa.Table) -> NDArray[np.float64]:
    """Return an even number from 0 to 1 for each moment of a lead, shape (n,).

    Parameters
    ----------
    moments
        lead_id, as_of_us (microseconds since 1970 UTC).
    """
    names = _hashes(moments) ^ pd.util.hash_array(moments.column("as_of_us").to_numpy())
    return pd.util.hash_array(names) / 2.0**64


def draw_accounts(group: NDArray[np.int64], moments: pa.Table, most: int) -> NDArray[np.bool_]:
    """Return which rows to keep, so that about ``most`` stay and accounts stay or go as a whole, shape (n,).

    An account of more than 1% of the wanted rows, such as a placeholder that many leads share, is drawn lead by lead.

    Parameters
    ----------
    group
        Account number of each row, shape (n,).
    moments
        lead_id of each row.
    most
        Rows to keep; all of them where there are no more.
    """
    if len(group) <= most:
        return np.ones(len(group), dtype=bool)
    lead_ids = pd.Series(moments.column("lead_id").to_pylist(), dtype=object)
    # Numbers of accounts hang on which others there are, so an account goes by its first lead's id.
    first = lead_ids.groupby(group).transform("min")
    is_large = pd.Series(group).groupby(group).transform("size").to_numpy() > LARGE * most
    names = first.where(~is_large, lead_ids).to_numpy(dtype=object)
    return pd.util.hash_array(names, categorize=True) / 2.0**64 < most / len(group)


def _hashes(moments: pa.Table) -> NDArray[np.uint64]:
    return pd.util.hash_array(np.array(moments.column("lead_id").to_pylist(), dtype=object), categorize=True)
