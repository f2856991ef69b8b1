"""How many of a cohort have reached a stage by each age, where not all of it was observed for long enough.

What is estimated is the cumulative incidence (Aalen and Johansen 1978). A lead that was lost or disqualified competes
with the outcome; as the end of observation is known for everyone, it stays at risk until then, and the estimate is a
product over ages (Geskus 2011, Biometrics 67). A cohort that was observed in full thus has its plain share, to the
digit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.intervals import jeffreys

__all__ = ["Entries", "Incidence", "cumulative_incidence"]

Matrix = NDArray[np.float64]
FEWEST_AT_RISK = 5.0
SMALLEST_SHARE = 0.2
BORROWED_COHORTS = 6
HARDLY_ANYBODY = 0.05
"""Where so few are still waiting and none of them was observed for longer, the share is that which has come."""


@dataclass(frozen=True)
class Entries:
    """Who entered a stage, and what came of it.

    Parameters
    ----------
    group
        Shape (n,), integers from 0: the cohort or group of each entry.
    days
        Shape (n,): days from the entry to the outcome; infinite where none was seen.
    observed_days
        Shape (n,): days from the entry to the end of observation.
    """

    group: NDArray[np.int64]
    days: Matrix
    observed_days: Matrix

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Entries:
        """Return some of the entries."""
        return Entries(self.group[rows], self.days[rows], self.observed_days[rows])


@dataclass(frozen=True)
class Incidence:
    """Cumulative incidence by group.

    Parameters
    ----------
    horizon_days
        Age at which ``share`` is given.
    entered
        Shape (groups,): entries.
    reached
        Shape (groups,): those with the outcome inside the horizon so far, as counted.
    mature
        Shape (groups,): entries whose whole horizon was observed.
    share, low, high
        Shape (groups,): share with the outcome inside the horizon, and its 90% interval; NaN without any entry, or
        where no age is observed.
    median_days
        Shape (groups,): age by which half of those that reach it inside the horizon have; NaN without any.
    borrowed
        Shape (groups,): share of the horizon's ages at which earlier cohorts had to stand in.
    curve
        Shape (groups, bins + 1): share by age, from 0 to the horizon in equal steps.
    """

    horizon_days: float
    entered: NDArray[np.int64]
    reached: NDArray[np.int64]
    mature: NDArray[np.int64]
    share: Matrix
    low: Matrix
    high: Matrix
    median_days: Matrix
    borrowed: Matrix
    curve: Matrix

    @property
    def is_mature(self) -> NDArray[np.bool_]:
        """Shape (groups,): every entry was observed for the whole horizon."""
        return (self.mature == self.entered) & (self.entered > 0)


def cumulative_incidence(entries: Entries, groups: int, horizon_days: float, *, are_cohorts: bool = False) -> Incidence:
    """Estimate the share of each group that reaches an outcome inside a horizon.

    Ages are counted in days (equal parts of the horizon, at most a day long). An age counts for an entry once it was
    observed to its end, which keeps the estimate free of the haste of early outcomes.

    Parameters
    ----------
    entries
        Who entered; an outcome counts iff ``days < horizon_days``.
    groups
        How many groups.
    horizon_days
        Above 0.
    are_cohorts
        Groups follow each other in time: where a cohort has hardly anyone observed at an age, the cohorts before it
        stand in for it, up to :data:`BORROWED_COHORTS` of them.

    Notes
    -----
    The variance is Greenwood's; the interval is Jeffreys' at the number of entries that would give a plain share that
    variance (the effective sample size of Dorey and Korn 1987).

    Examples
    --------
    Four leads were observed for the whole horizon, of which one was won on day 3: a quarter, as counted.

    >>> days = np.array([3, np.inf, np.inf, 12])
    >>> found = cumulative_incidence(Entries(np.zeros(4, int), days, np.full(4, 40.0)), 1, 10)
    >>> float(found.share[0]), int(found.reached[0])
    (0.25, 1)
    """
    bins = int(np.ceil(horizon_days))
    width = horizon_days / bins
    happened, at_risk = _counts(entries, groups, bins, width)
    own_risk = at_risk
    borrowed = np.zeros((groups, bins), dtype=bool)
    entered = np.bincount(entries.group, minlength=groups)
    if are_cohorts:
        happened, at_risk, borrowed = _borrow(happened, at_risk, entered)
    with np.errstate(divide="ignore", invalid="ignore"):
        hazard = np.where(at_risk > 0, happened / at_risk, np.nan)
        _carry(hazard)
        spread = _typical(hazard, happened, at_risk) if are_cohorts else hazard
        growth = np.where((at_risk > 0) & (spread < 1.0), spread / (at_risk * (1.0 - spread)), 0.0)
    curve = np.zeros((groups, bins + 1))
    curve[:, 1:] = 1.0 - np.cumprod(1.0 - hazard, axis=1)
    share = curve[:, -1]
    variance = (1.0 - share) ** 2 * growth.sum(axis=1)
    low, high = _ends(share, variance, own_risk.mean(axis=1), entered)
    within = entries.days < horizon_days
    return Incidence(
        horizon_days,
        entered,
        np.bincount(entries.group[within], minlength=groups),
        np.bincount(entries.group[entries.observed_days >= horizon_days], minlength=groups),
        share,
        low,
        high,
        _median(curve, width),
        borrowed.mean(axis=1),
        curve,
    )


def _counts(entries: Entries, groups: int, bins: int, width: float) -> tuple[Matrix, Matrix]:
    """Return outcomes and entries at risk by group and age, of ages that were observed to their end."""
    seen = np.clip(np.floor(entries.observed_days / width + 1e-9), 0, bins).astype(np.int64)
    fell = np.where(np.isfinite(entries.days), np.floor(entries.days / width), bins).astype(np.int64)
    counts = fell < seen
    happened = np.zeros((groups, bins))
    np.add.at(happened, (entries.group[counts], fell[counts]), 1.0)
    # An entry is at risk at the ages before min(outcome + 1, seen).
    leaves = np.minimum(fell + 1, seen)
    left = np.zeros((groups, bins + 1))
    np.add.at(left, (entries.group, np.clip(leaves, 0, bins)), 1.0)
    total = left.sum(axis=1, keepdims=True)
    return happened, total - np.cumsum(left, axis=1)[:, :bins]


def _borrow(happened: Matrix, at_risk: Matrix, entered: NDArray[np.int64]) -> tuple[Matrix, Matrix, NDArray[np.bool_]]:
    """Put earlier cohorts in the place of one that has hardly anyone observed at an age."""
    waiting = entered[:, None] - np.cumsum(happened, axis=1) + happened
    few = (at_risk < waiting) & (at_risk < np.maximum(FEWEST_AT_RISK, SMALLEST_SHARE * waiting))
    filled_happened, filled_risk = happened.copy(), at_risk.copy()
    for cohort in range(1, len(entered)):
        for first in (max(0, cohort - BORROWED_COHORTS), 0):
            past = slice(first, cohort)
            wanted = few[cohort] & (filled_risk[cohort] == at_risk[cohort])
            risk = np.where(few[past], 0.0, at_risk[past]).sum(axis=0)
            took = wanted & (risk >= FEWEST_AT_RISK)
            filled_happened[cohort, took] = np.where(few[past], 0.0, happened[past]).sum(axis=0)[took]
            filled_risk[cohort, took] = risk[took]
    return filled_happened, filled_risk, filled_risk != at_risk


def _carry(hazard: Matrix) -> None:
    """Fill in ages at which nobody is at risk, where hardly anybody is left to wait for, or nobody at all."""
    for group, line in enumerate(hazard):
        missing = np.isnan(line)
        if missing.any() and not missing[0]:
            first = int(missing.argmax())
            if np.prod(1.0 - line[:first]) <= HARDLY_ANYBODY:
                hazard[group, first:] = np.where(missing[first:], 0.0, line[first:])


def _typical(hazard: Matrix, happened: Matrix, at_risk: Matrix) -> Matrix:
    """Return the hazard that the variance of a cohort is made of: its own where it is mature, else that of all.

    In a young cohort few outcomes have come, and by chance none at all: its own counts would tell of no spread.
    """
    total = at_risk.sum(axis=0)
    pooled = np.where(total > 0, happened.sum(axis=0) / np.maximum(total, 1.0), np.nan)
    # Nobody of a mature cohort leaves but by the outcome.
    is_mature = np.all(at_risk[:, 1:] == (at_risk - happened)[:, :-1], axis=1).reshape(-1, 1)
    return np.where(is_mature, hazard, pooled)


def _ends(share: Matrix, variance: Matrix, mean_risk: Matrix, entered: NDArray[np.int64]) -> tuple[Matrix, Matrix]:
    low, high = np.full(len(share), np.nan), np.full(len(share), np.nan)
    for group in range(len(share)):
        if not np.isfinite(share[group]) or entered[group] == 0:
            continue
        plain = share[group] * (1.0 - share[group])
        if variance[group] > 0 and plain > 0:
            size = plain / variance[group]
        else:
            size = entered[group] if share[group] > 0.5 else max(mean_risk[group], 0.0)
        low[group], high[group] = jeffreys(float(share[group] * size), float(size))
    return low, high


def _median(curve: Matrix, width: float) -> Matrix:
    found = np.full(len(curve), np.nan)
    for group, line in enumerate(curve):
        if np.isfinite(line[-1]) and line[-1] > 0:
            found[group] = width * float(np.interp(0.5 * line[-1], line, np.arange(len(line))))
    return found
