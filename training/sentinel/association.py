"""How strongly a flag goes with an outcome, guarded against chance and against what time or source explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import beta, norm, rankdata

__all__ = [
    "MIN_LEADS",
    "MIN_OWNERS",
    "Counted",
    "Odds",
    "auc_of",
    "bound",
    "count_levels",
    "is_telling",
    "stratified_odds",
]

Flags = NDArray[np.bool_]
Codes = NDArray[np.int64]

MIN_LEADS = 20
"""Fewer leads with a value convict nobody."""
MIN_OWNERS = 10
"""Nor do leads of fewer accounts: what an account reaches, all its leads may share."""
TELLING_RATE = 0.90
RARE_BASE = 0.20
CHANCE = 0.01
"""Chance of any false alarm among all flags that are tried together (Bonferroni)."""


@dataclass(frozen=True)
class Counted:
    """Leads that have one level, and how many of them have the outcome; ``base`` is the rate of all leads."""

    leads: int
    wins: int
    base: float

    @property
    def rate(self) -> float:
        """Share of the leads with the level that have the outcome."""
        return self.wins / self.leads if self.leads else 0.0

    @property
    def low(self) -> float:
        """Lower 95% bound of the rate (Jeffreys)."""
        return bound(self.wins, self.leads)


@dataclass(frozen=True)
class Odds:
    """Odds ratio of a flag and an outcome, inside strata (Mantel-Haenszel), with a lower and upper bound."""

    ratio: float
    low: float
    high: float

    @property
    def strength(self) -> float:
        """How far from 1 the ratio surely is, whichever way; 1 when it may be none."""
        return max(self.low, 1.0 / self.high if self.high > 0 else 1.0, 1.0)


def bound(wins: int, rows: int, chance: float = 0.05) -> float:
    """Return the one-sided lower Jeffreys bound of a rate.

    Examples
    --------
    >>> round(bound(20, 20), 2), round(bound(0, 20), 2)
    (0.91, 0.0)
    """
    return float(beta.ppf(chance, wins + 0.5, rows - wins + 0.5)) if rows else 0.0


def is_telling(counted: Counted, *, rare: float = RARE_BASE) -> bool:
    """Tell whether surely more than nine in ten leads with a level have an outcome that few leads have.

    Honest signals of intent do not go so far: of the best leads, sales loses some, and some are still open.
    """
    return counted.base < rare and counted.leads >= MIN_LEADS and counted.low > TELLING_RATE


def count_levels(lead: Codes, level: Codes, happened: Flags) -> tuple[Codes, Codes]:
    """Count the leads that have each level, and those among them with the outcome.

    Parameters
    ----------
    lead, level
        Lead number and level number of each row, shape (n,).
    happened
        By lead number, shape (n_leads,).

    Returns
    -------
    leads, wins
        Shape (n_levels,).
    """
    size = len(happened)
    pairs = pd.unique(level * size + lead)
    levels, leads = pairs // size, pairs % size
    count = int(level.max(initial=-1)) + 1
    return (
        np.bincount(levels, minlength=count).astype(np.int64),
        np.bincount(levels, happened[leads].astype(np.float64), minlength=count).astype(np.int64),
    )


def stratified_odds(flag: Flags, happened: Flags, strata: Codes, *, tests: int = 1) -> Odds:
    """Return the odds ratio of a flag and an outcome among leads of one stratum.

    The bounds hold for all ``tests`` flags tried together. Source: Mantel and Haenszel 1959; variance of the log by
    Robins, Breslow and Greenland 1986. Half a lead is spread over every cell, so that an empty one gives a finite
    ratio.

    Parameters
    ----------
    flag, happened, strata
        Shape (n,).
    tests
        How many flags are tried.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> flag, strata = rng.random(4000) < 0.5, rng.integers(0, 4, 4000)
    >>> stratified_odds(flag, rng.random(4000) < 0.1, strata).strength
    1.0
    >>> stratified_odds(flag, rng.random(4000) < np.where(flag, 0.4, 0.05), strata).strength > 5
    True
    """
    count = int(strata.max(initial=0)) + 1
    sizes = np.bincount(strata, minlength=count).astype(np.float64)

    def cell(mask: Flags) -> NDArray[np.float64]:
        return np.bincount(strata[mask], minlength=count) + 0.5 * sizes / max(len(strata), 1)

    a, b, c, d = cell(flag & happened), cell(flag & ~happened), cell(~flag & happened), cell(~flag & ~happened)
    n = np.maximum(a + b + c + d, 1e-9)
    r, s, p, q = a * d / n, b * c / n, (a + d) / n, (b + c) / n
    top, bottom = r.sum(), s.sum()
    variance = (
        (p * r).sum() / (2 * top**2) + (p * s + q * r).sum() / (2 * top * bottom) + (q * s).sum() / (2 * bottom**2)
    )
    log_ratio = float(np.log(top / bottom))
    reach = float(norm.isf(CHANCE / 2 / max(tests, 1)) * np.sqrt(variance))
    low, ratio, high = (float(np.exp(np.clip(log_ratio + step, -30.0, 30.0))) for step in (-reach, 0.0, reach))
    return Odds(ratio, low, high)


def auc_of(scores: NDArray[np.float64], happened: Flags) -> float:
    """Return the share of pairs that the scores put in the right order; NaN without both kinds of leads."""
    wins = int(happened.sum())
    if wins in (0, len(happened)):
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[happened].sum() - wins * (wins + 1) / 2) / (wins * (len(happened) - wins)))
