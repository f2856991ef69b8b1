"""What a lead reads as a whole: the main directions in which the mixes of items that leads use differ.

Leads that use decision-stage content are nearer to a purchase anyway. What brought them there is hidden, but it shows
in everything a lead uses, and so it can be made up for (Wang and Blei 2019, JASA 114; Miao, Hu, Ogburn and Zhou 2023,
JASA 118, on when; Wang, Zhao, Hastie and Owen 2017, Annals of Statistics 45).
"""

# SciPy publishes no types of its sparse matrices.
# pyright: reportUnknownParameterType=false, reportOperatorIssue=false, reportAttributeAccessIssue=false, reportOptionalSubscript=false

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["MOST_DIRECTIONS", "reading_profile"]

Matrix = NDArray[np.float64]
MOST_DIRECTIONS = 5
_DIAGONAL_STEPS = 10
_CLEAR = 2.0
"""By which factor a direction must stand out from chance."""
_TYPICAL_TOUCHES = 5.0


def reading_profile(counts: sparse.csr_matrix, most_directions: int = MOST_DIRECTIONS) -> Matrix:
    """Describe by which mix of items each lead stands out; no outcome is looked at.

    Parameters
    ----------
    counts
        How often each lead used each item, shape (leads, items).
    most_directions
        Most directions that are kept; those that chance could have made are left out, but for the first.

    Returns
    -------
    ndarray
        Shape (leads, few): how much was used, and the place in each direction, as a sum and as a mean over the uses.

    Notes
    -----
    The counts' departures from the common mix, in units of chance, are decomposed into directions shared by several
    items. The diagonal of their covariance, where an item's own noise lies, is completed from those directions (Zhang,
    Cai and Wu 2022, Annals of Statistics 50).
    """
    total = np.asarray(counts.sum(axis=1)).ravel()
    everything = total.sum()
    if everything == 0 or counts.shape[1] < 3:
        return np.log1p(total)[:, None]
    share = np.asarray(counts.sum(axis=0)).ravel() / everything
    scale = np.where(share > 0, 1.0 / np.sqrt(np.where(share > 0, share, 1.0)), 0.0)
    cross = np.asarray((counts.T @ counts).todense())
    along = counts.T @ total
    cross = cross - np.outer(along, share) - np.outer(share, along) + (total @ total) * np.outer(share, share)
    directions = _directions(cross * np.outer(scale, scale) / everything, counts.shape[0], most_directions)
    loadings = scale[:, None] * directions
    place = counts @ loadings - total[:, None] * (share @ loadings)
    mean = place / (total + _TYPICAL_TOUCHES)[:, None]
    activity = np.log1p(total)[:, None]
    return np.hstack([activity, activity**2, place, mean, mean[:, :1] ** 2, mean[:, :1] * activity])


def _directions(covariance: Matrix, leads: int, most: int) -> Matrix:
    """Return the directions that stand out from chance, at least one; shape (items, few)."""
    items = len(covariance)
    chance = 2.0 * np.sqrt(items / leads) + items / leads
    off = covariance - np.diag(np.diag(covariance))
    few = int(np.clip(np.sum(np.linalg.eigvalsh(off) > _CLEAR * chance), 1, most))
    completed = off
    vectors = np.zeros((items, few))
    for _ in range(_DIAGONAL_STEPS):
        values, vectors = np.linalg.eigh(completed)
        values, vectors = np.maximum(values[-few:], 0.0), vectors[:, -few:]
        completed = off + np.diag((vectors**2) @ values)
    return vectors[:, ::-1]
