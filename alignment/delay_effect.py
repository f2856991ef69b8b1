"""What waiting costs: the chance of an SQL by the delay of the first contact, adjusted for the score.

Contacted hand-offs alone are compared, each followed for the SQL horizon from its contact, so that nobody is given
credit for having lived long enough to be called. It is an observation and no experiment: a salesperson who calls the
promising ones first makes speed look better than it is, as far as the score does not know what the salesperson saw.
"""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from alignment.people import People
from alignment.periods import DAY_US
from models.intervals import NORMAL_90

__all__ = ["AT_DAYS", "DelayEffect", "delay_effect", "fit_delay"]

Matrix = NDArray[np.float64]
AT_DAYS = (1 / 24, 1.0, 3.0, 7.0, 14.0)
FEWEST_SQLS = 30
FEWEST_EACH = 10
"""SQLs among the hand-offs that were contacted sooner than half of them, and among the others."""


@dataclass(frozen=True)
class DelayEffect:
    """The chance of an SQL by the days from hand-off to first contact.

    Parameters
    ----------
    hand_offs, sqls
        Contacted hand-offs that are mature, and how many of them became SQLs inside the horizon from the contact.
    slope, slope_low, slope_high
        Change of the log-odds for each unit of ln(1 + days), and its 90% interval.
    share, low, high
        At each of :data:`AT_DAYS`: the share of all these hand-offs that would become SQLs at that delay.
    is_score_adjusted
        False where no hand-off was scored before: then nothing but the source is adjusted for.
    """

    hand_offs: int
    sqls: int
    slope: float
    slope_low: float
    slope_high: float
    share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    is_score_adjusted: bool


def delay_effect(people: People, offs: pd.DataFrame) -> DelayEffect | None:
    """Estimate the effect of delay; None with fewer than :data:`FEWEST_SQLS` SQLs or others, or all of one delay.

    Parameters
    ----------
    people
        Who, and as of when.
    offs
        As :func:`alignment.hand_offs.hand_offs_of` gives them.
    """
    horizon_us = people.config.outcome.sql_horizon_days * DAY_US
    contact = offs["contact_us"]
    mature = contact.notna() & (contact + horizon_us <= people.until_us) & ~(offs["sql_us"] < contact)
    rows = offs[mature]
    became = ((rows["sql_us"] - rows["contact_us"]) < horizon_us).to_numpy()
    if min(became.sum(), (~became).sum()) < FEWEST_SQLS:
        return None
    delay = ((rows["contact_us"] - rows["handed_off_us"]) / DAY_US).to_numpy(dtype="float64")
    is_late = delay > np.median(delay)
    if min(became[is_late].sum(), became[~is_late].sum()) < FEWEST_EACH:
        return None
    p_sql = rows["p_sql"].to_numpy(dtype="float64") if "p_sql" in rows else np.full(len(rows), np.nan)
    person = people.frame.iloc[rows["person"].to_numpy()]
    accounts = person["account_id"].fillna(person["person_id"])
    return fit_delay(delay, became, _adjustments(p_sql, person["source"]), pd.factorize(accounts)[0])


def _adjustments(p_sql: Matrix, source: pd.Series) -> tuple[Matrix, bool]:
    """Return the columns that are adjusted for, and whether the score is one of them."""
    known = np.isfinite(p_sql) & (p_sql > 0) & (p_sql < 1)
    score = np.where(known, logit(np.where(known, p_sql, 0.5)), 0.0)
    dummies = pd.get_dummies(source.fillna("").astype(str), drop_first=True, dtype=float).to_numpy()
    columns = [dummies]
    if known.any():
        middle = score[known].mean()
        columns += [np.where(known, score - middle, 0.0)[:, None], (~known).astype(float)[:, None]]
    matrix = np.concatenate(columns, axis=1) if columns else np.zeros((len(p_sql), 0))
    return matrix[:, matrix.std(axis=0) > 0] if len(matrix) else matrix, bool(known.any())


def fit_delay(
    delay_days: Matrix, became: NDArray[np.bool_], adjusted: tuple[Matrix, bool], accounts: NDArray[np.int64]
) -> DelayEffect:
    """Fit a logistic regression on ln(1 + days), with intervals that allow for leads of one account being alike.

    Parameters
    ----------
    delay_days
        Shape (n,), days from hand-off to first contact.
    became
        Shape (n,): an SQL followed inside the horizon.
    adjusted
        Columns to adjust for, shape (n, k), and whether the score is one of them.
    accounts
        Shape (n,), integers: rows that belong together.

    Notes
    -----
    The covariance is Huber's sandwich over accounts; shares average over the rows as they are (standardisation), with
    the interval of the delta method on the log-odds.
    """
    columns, is_scored = adjusted
    design = np.column_stack([np.ones(len(became)), np.log1p(delay_days), columns])
    fitted = LogisticRegression(C=np.inf, fit_intercept=False, max_iter=1_000, tol=1e-8).fit(design, became)
    beta = fitted.coef_[0]
    covariance = _sandwich(design, became, expit(design @ beta), accounts)
    spread = NORMAL_90 * float(np.sqrt(covariance[1, 1]))
    shares = [_share_at(design, beta, covariance, days) for days in AT_DAYS]
    return DelayEffect(
        len(became),
        int(became.sum()),
        float(beta[1]),
        float(beta[1]) - spread,
        float(beta[1]) + spread,
        tuple(share for share, _, _ in shares),
        tuple(low for _, low, _ in shares),
        tuple(high for _, _, high in shares),
        is_scored,
    )


def _sandwich(design: Matrix, became: NDArray[np.bool_], p: Matrix, accounts: NDArray[np.int64]) -> Matrix:
    bread = np.linalg.pinv((design * (p * (1.0 - p))[:, None]).T @ design)
    scores = np.zeros((int(accounts.max()) + 1, design.shape[1]))
    np.add.at(scores, accounts, design * (became - p)[:, None])
    return bread @ (scores.T @ scores) @ bread


def _share_at(design: Matrix, beta: Matrix, covariance: Matrix, days: float) -> tuple[float, float, float]:
    moved = design.copy()
    moved[:, 1] = np.log1p(days)
    p = expit(moved @ beta)
    share = float(p.mean())
    gradient = (p * (1.0 - p)) @ moved / len(p) / (share * (1.0 - share))
    spread = NORMAL_90 * float(np.sqrt(gradient @ covariance @ gradient))
    middle = float(logit(share))
    return share, float(expit(middle - spread)), float(expit(middle + spread))
