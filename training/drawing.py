"""Drawing rows by hashes of their numbers: the same tables draw the same rows, on any machine."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["draw_accounts", "even_draw"]


def even_draw(lead: NDArray[np.int64], as_of_us: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return an even number from 0 to 1 for each moment of a lead, the same one for the same numbers.

    Parameters
    ----------
    lead
        Lead number of each row, shape (n,).
    as_of_us
        Moment of each row, microseconds since 1970 UTC, shape (n,).
    """
    names = pd.util.hash_array(as_of_us) ^ pd.util.hash_array(lead)
    return pd.util.hash_array(names) / 2.0**64


def draw_accounts(group: NDArray[np.int64], most: int) -> NDArray[np.bool_]:
    """Return which rows to keep, so that about ``most`` stay and every account stays or goes as a whole, shape (n,).

    Parameters
    ----------
    group
        Account number of each row, shape (n,).
    most
        Rows to keep; all of them where there are no more.
    """
    if len(group) <= most:
        return np.ones(len(group), dtype=bool)
    return pd.util.hash_array(group) / 2.0**64 < most / len(group)
