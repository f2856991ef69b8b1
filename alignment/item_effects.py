"""What each content item does: users beside leads that otherwise read, do and are the same.

Each lead gets a reading profile (:mod:`alignment.reading_profile`); the item in question stays in it, so that the
profile accounts for what its own use says of the lead. Users are compared with leads of the same profile, activity,
age, source and attributes that used the same other items: residuals of use on residuals of outcome (Robinson 1988,
Econometrica 56). What the estimates scatter beyond chance is systematic error, and widens every interval (Schuemie and
others 2018, PNAS 115; Efron 2004, JASA 99). Items are found with false discoveries held (Benjamini and Hochberg 1995,
JRSS B 57).
"""

# SciPy publishes no types of its sparse matrices.
# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportUnknownParameterType=false, reportOperatorIssue=false, reportAttributeAccessIssue=false, reportReturnType=false, reportArgumentType=false

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit
from scipy.stats import false_discovery_control, norm
from sklearn.linear_model import LogisticRegression

from alignment.reading_profile import MOST_DIRECTIONS, reading_profile

__all__ = ["EffectSettings", "Uses", "item_effects"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_RIDGE = 2.0
"""On covariates with unit variance."""
_OTHERS_RIDGE = 4.0
"""The effects of other items have a standard deviation of about half a log-odds."""
_MOST_LOGIT = 15.0
_MOST_EXPLAINED = 0.95
_NULL_SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
_SPREADS = (0.2, 0.4, 0.8)
_ERRORS = np.linspace(0.02, 0.5, 25)
_PRIOR_ERROR = 0.1
"""Grids of the two-groups model: share of items that do nothing, spread of the effects of the others, and spread of the
systematic error, with its half-normal prior; the last three in log-odds."""


@dataclass(frozen=True)
class Uses:
    """Who used what before the landmark; a pair of lead and column occurs once.

    Parameters
    ----------
    lead, column
        Positions of the lead and of the item.
    count
        How often.
    leads
        Number of leads.
    names
        Names of the columns.
    is_item
        False for columns that only describe leads, such as chats, which show no item.
    """

    lead: Ints
    column: Ints
    count: Floats
    leads: int
    names: tuple[str, ...]
    is_item: Bools

    def matrix(self) -> sparse.csr_matrix:
        """Return the counts, shape (leads, columns)."""
        return sparse.csr_matrix((self.count, (self.lead, self.column)), shape=(self.leads, len(self.names)))


@dataclass(frozen=True)
class EffectSettings:
    """How effects are estimated and told.

    Parameters
    ----------
    level
        Level of the intervals.
    false_discovery_rate
        Share of the items called found that may be wrong.
    fewest_users
        With fewer users, or fewer leads that are none, there is too little to tell.
    fewest_outcomes
        So too with fewer outcomes expected among the users.
    fewest_items
        With fewer items, what a lead reads otherwise says too little to compare readers by.
    most_directions
        Most directions of a reading profile.
    """

    level: float = 0.90
    false_discovery_rate: float = 0.10
    fewest_users: int = 20
    fewest_outcomes: float = 3.0
    fewest_items: int = 8
    most_directions: int = MOST_DIRECTIONS


@dataclass(frozen=True)
class _Nuisance:
    """Outcome model without items: design, chance p, and what the items' scores need.

    ``slopes`` projects the items' use on the design, weighted with ``p * (1 - p)``.
    """

    design: Floats
    chance: Floats
    residual: Floats
    weight: Floats
    slopes: Floats


@dataclass(frozen=True)
class _Scores:
    """Scores of all items, their information, and the sums of squared scores by group."""

    score: Floats
    information: Floats
    robust: Floats


def item_effects(
    uses: Uses,
    covariates: Floats,
    outcome: Bools,
    groups: Ints,
    settings: EffectSettings | None = None,
) -> pd.DataFrame:
    """Estimate what using each item did to the share of leads with the outcome.

    Parameters
    ----------
    uses
        Who used what before the landmark.
    covariates
        What else was known of each lead at its landmark, shape (n, k), k may be 0; without an intercept.
    outcome
        Whether the outcome came within the horizon after the landmark, shape (n,).
    groups
        Account of each lead; negative for none, shape (n,).
    settings
        How effects are told.

    Returns
    -------
    pd.DataFrame
        One row an item, in the order of the columns: item, users, rate (of the users), comparison (rate of
        comparable leads without it), effect (rate - comparison), low, high, p_value, q_value, is_found,
        systematic (part of the interval's standard error that is no chance) and reason (``few``: too few
        users or outcomes to tell; ``library``: too few items; ``inseparable``: its users differ from all
        others; empty when told). All
        shares of one; NaN where nothing can be told.
    """
    told = settings or EffectSettings()
    use = uses.matrix()
    used = (use > 0).astype(np.float64).tocsc()[:, np.flatnonzero(uses.is_item)]
    names = [name for name, is_item in zip(uses.names, uses.is_item, strict=True) if is_item]
    users = np.asarray(used.sum(axis=0)).ravel()
    table = pd.DataFrame({"item": pd.Series(names, dtype=str), "users": users.astype(np.int64)})
    with np.errstate(invalid="ignore", divide="ignore"):
        table["rate"] = (used.T @ outcome.astype(np.float64)) / users
    reason = np.full(len(names), "few", dtype=object)
    estimates = np.full((3, len(names)), np.nan)  # effect, standard error, systematic
    if len(names) < told.fewest_items:
        reason[users >= told.fewest_users] = "library"
    elif 0 < outcome.sum() < len(outcome):
        profile = reading_profile(use, told.most_directions)
        estimates, reason = _estimate(used, np.hstack([covariates, profile]), outcome, groups, told)
    return _tell(table, estimates, reason, told)


def _estimate(
    used: sparse.csc_matrix, covariates: Floats, outcome: Bools, groups: Ints, settings: EffectSettings
) -> tuple[Floats, NDArray[np.object_]]:
    """Return (effect, standard error, systematic part) of every item, NaN where there is a reason why not."""
    nuisance = _fit_nuisance(used, covariates, outcome)
    users = np.asarray(used.sum(axis=0)).ravel()
    expected = used.T @ nuisance.chance
    few = (np.minimum(users, len(outcome) - users) < settings.fewest_users) | (expected < settings.fewest_outcomes)
    scores = _score_items(used, nuisance, groups)
    raw = used.T @ nuisance.weight
    spread = raw - raw**2 / nuisance.weight.sum()
    inseparable = ~few & (np.diag(scores.information) < (1.0 - _MOST_EXPLAINED) * spread)
    reason = np.where(few, "few", np.where(inseparable, "inseparable", "")).astype(object)
    estimates = np.full((3, len(users)), np.nan)
    rows = np.flatnonzero(reason == "")
    if len(rows):
        log_odds, variance = _solve(scores, rows)
        systematic = _systematic_variance(log_odds, variance)
        per_log_odds = raw[rows] / users[rows]
        estimates[:, rows] = per_log_odds * np.stack(
            [log_odds, np.sqrt(variance + systematic), np.full(len(rows), np.sqrt(systematic))]
        )
    return estimates, reason


def _fit_nuisance(used: sparse.csc_matrix, covariates: Floats, outcome: Bools) -> _Nuisance:
    design = _standardise(covariates)
    chance = _fitted_chance(design[:, 1:], outcome)
    weight = chance * (1.0 - chance)
    weighted = design * weight[:, None]
    penalty = np.full(design.shape[1], _RIDGE)
    penalty[0] = 1e-6
    slopes = np.linalg.solve(weighted.T @ design + np.diag(penalty), (used.T @ weighted).T)
    return _Nuisance(design, chance, outcome - chance, weight, slopes)


def _fitted_chance(covariates: Floats, outcome: Bools) -> Floats:
    if not covariates.shape[1]:
        return np.full(len(outcome), outcome.mean())
    fitted = LogisticRegression(C=1.0 / _RIDGE, solver="newton-cholesky", max_iter=200).fit(covariates, outcome)
    return expit(_capped(fitted.decision_function(covariates)))


def _standardise(covariates: Floats) -> Floats:
    """Return an intercept and the columns that vary, with mean zero and unit variance."""
    known = np.nan_to_num(covariates, nan=0.0, posinf=0.0, neginf=0.0)
    spread = known.std(axis=0)
    varies = spread > 1e-9 * (1.0 + np.abs(known).max(axis=0, initial=0.0))
    known = (known[:, varies] - known[:, varies].mean(axis=0)) / spread[varies]
    return np.hstack([np.ones((len(known), 1)), known])


def _capped(log_odds: Floats) -> Floats:
    return np.clip(log_odds, -_MOST_LOGIT, _MOST_LOGIT)


def _score_items(used: sparse.csc_matrix, nuisance: _Nuisance, groups: Ints) -> _Scores:
    """Score the items' residuals of use on the outcome's residuals; nothing of size leads x items is dense."""
    slopes, design, residual = nuisance.slopes, nuisance.design, nuisance.residual
    weighted = design * nuisance.weight[:, None]
    cross = slopes.T @ (used.T @ weighted).T
    own = np.asarray((used.T @ used.multiply(nuisance.weight[:, None]).tocsc()).todense())
    information = own - cross - cross.T + slopes.T @ (weighted.T @ design) @ slopes
    score = used.T @ residual - slopes.T @ (design.T @ residual)
    member = _membership(groups)
    use_sums = (member @ used.multiply(residual[:, None]).tocsr()).tocsr()
    design_sums = member @ (design * residual[:, None])
    cross = slopes.T @ (use_sums.T @ design_sums).T
    robust = np.asarray((use_sums.T @ use_sums).todense()) - cross - cross.T
    return _Scores(score, information, robust + slopes.T @ (design_sums.T @ design_sums) @ slopes)


def _membership(groups: Ints) -> sparse.csr_matrix:
    """Return the matrix that sums by group; a lead without one is a group of its own."""
    alone = groups < 0
    known = np.unique(groups[~alone], return_inverse=True)[1]
    count = int(known.max(initial=-1)) + 1
    row = np.empty(len(groups), np.int64)
    row[~alone] = known
    row[alone] = count + np.arange(int(alone.sum()))
    shape = (count + int(alone.sum()), len(groups))
    return sparse.csr_matrix((np.ones(len(groups)), (row, np.arange(len(groups)))), shape=shape)


def _solve(scores: _Scores, rows: Ints) -> tuple[Floats, Floats]:
    """Return each item's effect in log-odds given the others (theirs shrunk towards nothing), and its variance.

    The variance is the larger one of the model's and the groups': the latter is too small with few users.
    """
    information = scores.information[np.ix_(rows, rows)]
    robust = scores.robust[np.ix_(rows, rows)]
    inverse = np.linalg.inv(information + _OTHERS_RIDGE * np.eye(len(rows)))
    weights = inverse / (1.0 - _OTHERS_RIDGE * np.diag(inverse))[:, None]
    by_model = np.sum((weights @ information) * weights, axis=1)
    by_group = np.sum((weights @ robust) * weights, axis=1)
    return weights @ scores.score[rows], np.maximum(by_model, by_group)


def _systematic_variance(log_odds: Floats, variance: Floats) -> float:
    """Return the mean posterior variance of the systematic error, learned from how the estimates scatter.

    Most items do nothing, so that their estimates should scatter by chance alone. What they scatter more is
    systematic error. With few items the prior speaks: an error of about a tenth of a log-odds.
    """
    share, spread, error = (grid.ravel() for grid in np.meshgrid(_NULL_SHARES, _SPREADS, _ERRORS, indexing="ij"))
    narrow = np.sqrt(variance[:, None] + error**2)
    wide = np.sqrt(narrow**2 + spread**2)
    density = share * norm.pdf(log_odds[:, None], scale=narrow) + (1.0 - share) * norm.pdf(
        log_odds[:, None], scale=wide
    )
    log_posterior = np.log(np.maximum(density, 1e-300)).sum(axis=0) - 0.5 * (error / _PRIOR_ERROR) ** 2
    weight = np.exp(log_posterior - log_posterior.max())
    return float(weight @ error**2 / weight.sum())


def _tell(
    table: pd.DataFrame, estimates: Floats, reason: NDArray[np.object_], settings: EffectSettings
) -> pd.DataFrame:
    effect, error, systematic = estimates
    reach = norm.ppf(0.5 + settings.level / 2.0) * error
    table["comparison"] = np.clip(table["rate"] - effect, 0.0, 1.0)
    table["effect"] = np.clip(effect, -1.0, 1.0)
    table["low"], table["high"] = np.maximum(effect - reach, -1.0), np.minimum(effect + reach, 1.0)
    table["p_value"] = 2.0 * norm.sf(np.abs(effect) / error)
    table["q_value"] = _q_values(table["p_value"].to_numpy())
    table["is_found"] = table["q_value"].to_numpy() <= settings.false_discovery_rate
    table["systematic"] = systematic
    table["reason"] = reason
    return table


def _q_values(p_values: Floats) -> Floats:
    """Return the q-values; NaN stays NaN and does not count."""
    known = np.isfinite(p_values)
    found = np.full(len(p_values), np.nan)
    if known.any():
        found[known] = false_discovery_control(p_values[known], method="bh")
    return found
