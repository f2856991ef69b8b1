"""Drawing rows in a way that hangs on the row alone, so that it is drawn or not whichever other rows there are."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["even_draw"]


def even_draw(lead: NDArray[np.int64], as_of_us: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return an even number from 0 to 1 for each moment of a lead, always the same one.

    Parameters
    ----------
    lead
        Lead number of each row, shape (n,).
    as_of_us
        Moment of each row, microseconds since 1970 UTC, shape (n,).
    """
    names = pd.util.hash_array(as_of_us) ^ pd.util.hash_array(lead)
    return pd.util.hash_array(names) / 2.0**64
