"""Who the simulated leads are: firms, attributes, and the hidden intent that drives what they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crm.simulator_difficulty import DIFFICULTY, WORLD_DAYS, Difficulty, Level

__all__ = ["Bools", "Floats", "Ints", "People", "draw_codes", "draw_people", "level_values"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_YEAR_DAYS = 365.0
_SATURDAY = 5.0
_HOURS = (0.5, 0.17)  # mean and sd of the moment of a day at which leads appear


@dataclass(frozen=True)
class People:
    """One entry a lead, in order of creation; times in days since the start of the recorded world.

    ``industry``, ``size``, ``job``, ``country`` and ``source`` are positions in the levels of the difficulty,
    and true even where the CRM's field is missing. ``fit`` is the sum of the attributes' effects on the SQL
    log-odds. ``intent`` (mean about 0, sd about 1), ``firm_effect``, ``hidden_sql``, ``hidden_win`` and
    ``peak`` are never recorded; ``activity`` multiplies the number of touches and says nothing about the
    outcome.
    """

    created: Floats
    firm: Ints
    has_account: Bools
    industry: Ints
    size: Ints
    employees: Floats
    job: Ints
    country: Ints
    source: Ints
    fit: Floats
    firm_effect: Floats
    hidden_sql: Floats
    hidden_win: Floats
    intent: Floats
    activity: Floats
    peak: Floats
    scanner: Bools

    @property
    def count(self) -> int:
        """Number of leads."""
        return len(self.created)


def level_values(levels: Sequence[Level], field: str) -> Floats:
    """Return one number of every level (``weight``, ``sql``, ``points`` or ``amount``) as an array."""
    return np.array([getattr(level, field) for level in levels], dtype=np.float64)


def draw_codes(rng: np.random.Generator, weights: Floats, size: int) -> Ints:
    """Draw ``size`` positions in ``weights``, each with a chance in proportion to its weight."""
    bounds = np.cumsum(weights) / np.sum(weights)
    return np.minimum(np.searchsorted(bounds, rng.random(size), side="right"), len(weights) - 1)


def draw_people(rng: np.random.Generator, leads: int, *, drift: bool, difficulty: Difficulty = DIFFICULTY) -> People:
    """Draw the leads of a world.

    Parameters
    ----------
    rng
        Source of randomness.
    leads
        How many.
    drift
        Whether the mix of sources shifts in the last months.
    difficulty
        Parameters of the world.
    """
    created = _draw_created(rng, leads, difficulty)
    firm, has_account, firms = _draw_firms(rng, leads, difficulty)
    industry = draw_codes(rng, level_values(difficulty.industries, "weight"), firms)[firm]
    size_of_firm = draw_codes(rng, level_values(difficulty.sizes, "weight"), firms)
    bounds = np.log(np.array(difficulty.size_employees))
    log_employees = bounds[size_of_firm] + rng.random(firms) * (bounds[size_of_firm + 1] - bounds[size_of_firm])
    country = draw_codes(rng, level_values(difficulty.countries, "weight"), firms)[firm]
    firm_effect = rng.normal(0.0, difficulty.account_effect_sd, firms)[firm]
    scanner = (rng.random(firms) < difficulty.scanner_share)[firm]
    job = draw_codes(rng, level_values(difficulty.jobs, "weight"), leads)
    source = _draw_sources(rng, created, drift=drift, difficulty=difficulty)
    size = size_of_firm[firm]
    fit = (
        level_values(difficulty.industries, "sql")[industry]
        + level_values(difficulty.sizes, "sql")[size]
        + level_values(difficulty.jobs, "sql")[job]
        + level_values(difficulty.countries, "sql")[country]
    )
    return People(
        created=created,
        firm=firm,
        has_account=has_account,
        industry=industry,
        size=size,
        employees=np.floor(np.exp(log_employees))[firm],
        job=job,
        country=country,
        source=source,
        fit=fit,
        firm_effect=firm_effect,
        hidden_sql=rng.normal(0.0, difficulty.hidden_sql_sd, leads),
        hidden_win=rng.normal(0.0, difficulty.hidden_win_sd, leads),
        intent=level_values(difficulty.sources, "sql")[source] + rng.normal(0.0, difficulty.intent_sd, leads),
        activity=np.exp(rng.normal(0.0, difficulty.activity_sd, leads)),
        peak=created + _draw_peak_offset(rng, leads, difficulty),
        scanner=scanner,
    )


def _draw_created(rng: np.random.Generator, leads: int, difficulty: Difficulty) -> Floats:
    days = np.arange(WORLD_DAYS, dtype=np.float64)
    growth = 1.0 + difficulty.yearly_growth * days / _YEAR_DAYS
    # The world starts on a Monday.
    weights = np.where(days % 7.0 >= _SATURDAY, growth * difficulty.weekend_share, growth)
    day = draw_codes(rng, weights, leads)
    return np.sort(day + np.clip(rng.normal(*_HOURS, leads), 0.0, 0.9999))


def _draw_firms(rng: np.random.Generator, leads: int, difficulty: Difficulty) -> tuple[Ints, Bools, int]:
    """Give every lead a firm; a lead without account has a firm of its own that the CRM does not know."""
    accounts = max(1, round(leads * difficulty.account_share / difficulty.leads_per_account))
    has_account = rng.random(leads) < difficulty.account_share
    popularity = np.exp(rng.normal(0.0, difficulty.account_spread, accounts))
    firm = draw_codes(rng, popularity, leads)
    alone = np.flatnonzero(~has_account)
    firm[alone] = accounts + np.arange(len(alone))
    return firm, has_account, accounts + len(alone)


def _draw_sources(rng: np.random.Generator, created: Floats, *, drift: bool, difficulty: Difficulty) -> Ints:
    weights = level_values(difficulty.sources, "weight")
    early = draw_codes(rng, weights, len(created))
    late = draw_codes(rng, weights * np.array(difficulty.drift_source_factors), len(created))
    return np.where(drift & (created >= WORLD_DAYS - difficulty.drift_days), late, early)


def _draw_peak_offset(rng: np.random.Generator, leads: int, difficulty: Difficulty) -> Floats:
    early = rng.exponential(difficulty.early_peak_mean, leads)
    late = rng.gamma(2.0, difficulty.late_peak_mean / 2.0, leads)
    return np.where(rng.random(leads) < difficulty.early_peak_share, early, late)
