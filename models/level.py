"""The shift of logits at which their mean probability is a given share."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

__all__ = ["shift_to"]

Matrix = NDArray[np.float64]
REACH = 60.0
STEPS = 30
CLOSE = 1e-10


def shift_to(logits: Matrix, share: float, weights: Matrix | None = None, *, times: Matrix | None = None) -> float:
    """Return by how much to shift logits so that their mean probability is ``share``.

    Newton's method on the log-odds of the mean, which are almost straight in the shift; where that does not settle,
    bisection.

    Parameters
    ----------
    logits
        Shape (n,), n from 1.
    share
        Between 0 and 1, both excluded.
    weights
        Of the rows in the mean, shape (n,); None for equal ones.
    times
        What each row's shift is multiplied by, above 0, shape (n,); None where all are shifted alike.

    Raises
    ------
    ValueError
        When the share is none or all, which no shift gives.

    Examples
    --------
    >>> bool(np.isclose(shift_to(np.array([0.0, 0.0]), 0.8), np.log(4)))
    True
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"no shift gives a share of {share}")
    wanted, shift = float(logit(share)), 0.0
    each = 1.0 if times is None else times
    for _ in range(STEPS):
        p = expit(logits + shift * each)
        mean = float(np.average(p, weights=weights))
        rise = (
            float(np.average(p * (1.0 - p) * each, weights=weights)) / (mean * (1.0 - mean))
            if 0.0 < mean < 1.0
            else 0.0
        )
        if rise < CLOSE:
            break
        step = (wanted - float(logit(mean))) / rise
        shift += step
        if abs(step) < CLOSE:
            return shift

    def excess(tried: float) -> float:
        return float(np.average(expit(logits + tried * each), weights=weights)) - share

    reach = (REACH + float(np.abs(logits).max())) / float(np.min(each))
    return float(cast(float, brentq(excess, -reach, reach, xtol=CLOSE)))
