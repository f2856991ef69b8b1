"""What a lead is worth if sales works it now, and if it is left alone: the follow-up term.

``p_sql`` and ``p_won`` say what happens as things are run. They hold the chance that somebody will hand the lead over,
and what the people who decide that look at. The follow-up term says what a hand-off would do (methods 5.4): two levels
and a few slopes upon what the endpoints know already. With ``fit``, ``engagement`` and ``freshness`` the sums of an
endpoint's parts over the features of each kind::

    logit P(outcome | handed off now) = a1 + b1_fit * fit + b1_engagement * engagement + b1_freshness * freshness
    logit P(outcome | left alone)     = a0 + b0_fit * fit + ...

If handed off, ``own(x)`` is added to both outcomes: a strongly shrunk regression of the hand-offs' SQLs on all
features, beside what the arm says. It tells what moves a worked lead and hardly one that is left to itself, such as
what was read long ago.

All slopes are 1 where follow-up does no more than move the level. They are pulled there by a normal prior, so that few
hand-offs change little. For won, the logit is the mean of what the SQL endpoint's sums and the won endpoint's say, as
wins are few and every win passes through an SQL.

It holds as far as the features tell why a lead was handed over and another was not; it cannot see what a salesperson
saw. Where no lead like this one was ever handed over (``propensity`` below :data:`MIN_PROPENSITY`) it is an
extrapolation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from features.spec import FeatureSet
from models.blend import Endpoint, Split
from models.logistic import LogisticMember

__all__ = ["GROUPS", "MIN_PROPENSITY", "Arm", "FollowUp", "IfWorked", "fit_arm", "group_sums", "sums_of"]

Matrix = NDArray[np.float64]

GROUPS = ("base_and_fit", "engagement", "freshness")
MIN_PROPENSITY = 0.02
"""Chance of a hand-off below which too few leads like this one were handed over to say what it does (methods 5.4)."""
PRIOR_PRECISION = 2.0
"""Of each slope about 1: a standard deviation of 0.7."""
LEVEL_PRECISION = 1e-3


@dataclass(frozen=True)
class Arm:
    """The chance of an outcome under one course of action, upon the group sums of one endpoint.

    Parameters
    ----------
    intercept
        Level, log-odds.
    slopes
        One a group of :data:`GROUPS`.
    """

    intercept: float
    slopes: tuple[float, ...]

    def logit(self, sums: Matrix) -> Matrix:
        """Return log-odds from group sums of shape (n, 3), shape (n,)."""
        return self.intercept + sums @ np.asarray(self.slopes)

    def moved(self, by: float) -> Arm:
        """Return the arm with its level moved by so many log-odds."""
        return Arm(self.intercept + by, self.slopes)

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Self:
        """Read what ``vars`` gave."""
        return cls(float(item["intercept"]), tuple(float(slope) for slope in item["slopes"]))


@dataclass(frozen=True)
class IfWorked:
    """Chances of n leads by course of action; every array has shape (n,).

    Parameters
    ----------
    p_sql, p_won
        If handed off now.
    p_sql_if_left, p_won_if_left
        If never handed off.
    propensity
        Chance of being handed off within the SQL horizon, as things were run.
    """

    p_sql: Matrix
    p_won: Matrix
    p_sql_if_left: Matrix
    p_won_if_left: Matrix
    propensity: Matrix

    @property
    def is_supported(self) -> NDArray[np.bool_]:
        """Leads like this one were handed over often enough to say what a hand-off does, shape (n,)."""
        return self.propensity >= MIN_PROPENSITY

    @property
    def gain_won(self) -> Matrix:
        """What a hand-off adds to the chance of a win, never below 0, shape (n,)."""
        return np.maximum(self.p_won - self.p_won_if_left, 0.0)


@dataclass(frozen=True)
class FollowUp:
    """The follow-up term of a model.

    Parameters
    ----------
    sql, sql_left
        Chance of an SQL if handed off, and if left alone, upon the SQL endpoint's sums.
    won, won_left
        Of a win: one arm upon the SQL endpoint's sums and one upon the won endpoint's, whose log-odds are averaged.
    propensity
        Chance of being handed off within the SQL horizon.
    hand_offs, sqls, wins
        Settled hand-offs that it was learned from, and their outcomes.
    decides
        The expected value is that of working the lead rather than of the lead as things are run.
    own
        What hand-offs themselves tell beyond the sums, in log-odds of an outcome if handed off; None for nothing.
    """

    sql: Arm
    sql_left: Arm
    won: tuple[Arm, Arm]
    won_left: tuple[Arm, Arm]
    propensity: LogisticMember
    hand_offs: int
    sqls: int
    wins: int
    decides: bool
    own: LogisticMember | None = None

    def if_worked(
        self, features: FeatureSet, ends: tuple[Endpoint, Endpoint], splits: tuple[Split, Split], matrix: Matrix
    ) -> IfWorked:
        """Say what becomes of leads if they are handed off now, and if never.

        Parameters
        ----------
        features
            The features.
        ends
            The endpoints of SQL and won, which the arms stand upon.
        splits
            What each endpoint's ``split`` gives of the leads.
        matrix
            Features, shape (n, n_features).
        """
        sql, won = ends
        sums = sums_of(features, splits[0]), sums_of(features, splits[1])
        own = np.zeros(len(matrix)) if self.own is None else self.own.logit(matrix)
        p_sql, p_sql_left = expit(self.sql.logit(sums[0]) + own), expit(self.sql_left.logit(sums[0]))
        p_won, p_won_left = expit(_mean_logit(self.won, sums) + own), expit(_mean_logit(self.won_left, sums))
        if sql.horizon_days >= won.horizon_days:  # a win passes through an SQL
            p_won, p_won_left = np.minimum(p_won, p_sql), np.minimum(p_won_left, p_sql_left)
        return IfWorked(p_sql, p_won, p_sql_left, p_won_left, expit(self.propensity.logit(matrix)))

    def to_json(self) -> dict[str, Any]:
        """Return the term as plain JSON."""
        return {
            "sql": vars(self.sql),
            "sql_left": vars(self.sql_left),
            "won": [vars(arm) for arm in self.won],
            "won_left": [vars(arm) for arm in self.won_left],
            "propensity": self.propensity.to_json(),
            "hand_offs": self.hand_offs,
            "sqls": self.sqls,
            "wins": self.wins,
            "decides": self.decides,
            "own": None if self.own is None else self.own.to_json(),
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        won, left = ((Arm.from_json(one), Arm.from_json(two)) for one, two in (item["won"], item["won_left"]))
        return cls(
            Arm.from_json(item["sql"]),
            Arm.from_json(item["sql_left"]),
            won,
            left,
            LogisticMember.from_json(item["propensity"]),
            int(item["hand_offs"]),
            int(item["sqls"]),
            int(item["wins"]),
            bool(item["decides"]),
            None if item.get("own") is None else LogisticMember.from_json(item["own"]),
        )


def _mean_logit(arms: tuple[Arm, Arm], sums: tuple[Matrix, Matrix]) -> Matrix:
    return 0.5 * (arms[0].logit(sums[0]) + arms[1].logit(sums[1]))


def group_sums(features: FeatureSet, endpoint: Endpoint, matrix: Matrix) -> Matrix:
    """Sum an endpoint's parts by :data:`GROUPS`, shape (n, 3); the rows sum to its ``g``.

    Freshness (age and silence) stands alone: among leads at risk it says mostly whether anything is still to come by
    itself, which a hand-off changes most.
    """
    return sums_of(features, endpoint.split(matrix))


def sums_of(features: FeatureSet, split: Split) -> Matrix:
    """Sum what :func:`group_sums` does, of a split that is known, shape (n, 3)."""
    groups = features.fit_engagement_freshness
    sums = np.stack([split.parts[:, group].sum(axis=1) for group in groups], axis=1)
    sums[:, 0] += split.base
    return sums


def fit_arm(sums: Matrix, happened: NDArray[np.bool_], weights: Matrix | None = None) -> Arm:
    """Fit level and slopes by the most probable values under a normal prior about slopes of 1.

    Parameters
    ----------
    sums
        Group sums of rows under one course of action, shape (n, 3).
    happened
        Labels, shape (n,).
    weights
        Of the rows, shape (n,); None for 1 each.
    """
    design = np.column_stack([np.ones(len(sums)), sums])
    prior = np.array([0.0, *np.ones(sums.shape[1])])
    precision = np.array([LEVEL_PRECISION, *np.full(sums.shape[1], PRIOR_PRECISION)])
    weight = np.ones(len(sums)) if weights is None else weights

    def loss(free: Matrix) -> tuple[float, Matrix]:
        z = design @ free
        value = float(np.sum(weight * (np.logaddexp(0.0, z) - happened * z)))
        slope = design.T @ (weight * (expit(z) - happened))
        return value + float(0.5 * precision @ (free - prior) ** 2), slope + precision * (free - prior)

    found = minimize(loss, prior, jac=True, method="L-BFGS-B").x
    return Arm(float(found[0]), tuple(float(slope) for slope in found[1:]))
