"""One endpoint: a weighted mean of members' logits, calibrated, that splits exactly into one part a feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit, softmax

from models.boosted import ShallowMember, StumpsMember
from models.calibration import Calibrator
from models.logistic import LogisticMember
from models.timing import Timing, TimingByAge

__all__ = ["Endpoint", "Member", "Split", "best_weights", "log_loss_of_logit", "pull_to_equal"]

Matrix = NDArray[np.float64]
EQUAL_PULL = 1000
"""Leads with the outcome at which the weights lie half-way between equal and those that the data prefers."""


class Split(NamedTuple):
    """An endpoint's ``g``, feature by feature.

    Parameters
    ----------
    parts
        What each feature adds, shape (n, n_features).
    base
        What each lead starts from, shape (n,).
    """

    parts: Matrix
    base: Matrix

    @property
    def g(self) -> Matrix:
        """The blended logit, shape (n,)."""
        return self.parts.sum(axis=1) + self.base


class Member(Protocol):
    """What an endpoint needs of a member."""

    name: str

    def logit(self, matrix: Matrix) -> Matrix:
        """Return the logit, shape (n,)."""
        ...


@dataclass(frozen=True)
class Endpoint:
    """The model of one outcome within one horizon.

    ``logit P(outcome within d days) = calibrator(g(x)) + timing(d)``, and ``timing`` is 0 at the horizon at every age.

    Parameters
    ----------
    outcome
        ``sql`` or ``won``.
    horizon_days
        Days in which the outcome counts.
    members
        Fitted members.
    weights
        Non-negative, sum 1, one a member.
    calibrator
        From ``g`` to probability.
    timing
        How the odds grow with the days waited.
    scale
        What the blend is multiplied by, so that one unit of ``g`` is one of log-odds.
    """

    outcome: str
    horizon_days: float
    members: tuple[LogisticMember | StumpsMember | ShallowMember, ...]
    weights: tuple[float, ...]
    calibrator: Calibrator
    timing: Timing | TimingByAge
    scale: float = 1.0

    def g(self, matrix: Matrix) -> Matrix:
        """Return the blended logit, shape (n,)."""
        found = np.zeros(matrix.shape[0])
        for trees, weight in self._trees:
            found += weight * trees.own_logit(matrix)
        for logistic, weight in self._logistic:
            found += weight * logistic.logit(matrix)
        return self.scale * found

    def probability(self, matrix: Matrix) -> Matrix:
        """Return the calibrated probability, shape (n,)."""
        return self.calibrator.probability(self.g(matrix))

    def logit(self, matrix: Matrix) -> Matrix:
        """Return the calibrated logit for the horizon, shape (n,)."""
        return self.calibrator.logit(self.g(matrix))

    def probability_within(self, logit: Matrix, days: tuple[float, ...], matrix: Matrix) -> Matrix:
        """Return the probability of an outcome within each of k days, shape (n, k); NaN beyond what was observed.

        Parameters
        ----------
        logit
            What :meth:`logit` said, shape (n,).
        days
            Above 0, length k.
        matrix
            Features of the same rows, shape (n, n_features).
        """
        return expit(logit[:, None] + self.timing.over(days, matrix))

    def split(self, matrix: Matrix) -> Split:
        """Return what each feature adds to ``g``."""
        parts = np.zeros(matrix.shape)
        base = np.zeros(matrix.shape[0])
        for trees, weight in self._trees:
            own_parts, own_base = trees.own_split(matrix)
            parts += weight * own_parts
            base += weight * own_base
        for logistic, weight in self._logistic:
            parts += weight * logistic.contributions(matrix)
            base += weight * logistic.base
        return Split(self.scale * parts, self.scale * base)

    @cached_property
    def _trees(self) -> list[tuple[StumpsMember | ShallowMember, float]]:
        pairs = zip(self.members, self.weights, strict=True)
        return [(member, weight) for member, weight in pairs if not isinstance(member, LogisticMember)]

    @cached_property
    def _logistic(self) -> list[tuple[LogisticMember, float]]:
        """Return each regression once, with the weights of all that is made of it: trees often stand upon the first."""
        found: list[tuple[LogisticMember, float]] = []
        for member, weight in zip(self.members, self.weights, strict=True):
            logistic = member if isinstance(member, LogisticMember) else member.offset
            if logistic is None:
                continue
            known = next((number for number, (other, _) in enumerate(found) if other is logistic), None)
            if known is None:
                found.append((logistic, weight))
            else:
                found[known] = logistic, found[known][1] + weight
        return found


def log_loss_of_logit(z: Matrix, happened: NDArray[np.bool_]) -> float:
    """Return the mean log-loss of logits, in nats."""
    return float(-np.where(happened, log_expit(z), log_expit(-z)).mean())


def best_weights(logits: Matrix, happened: NDArray[np.bool_]) -> tuple[float, ...]:
    """Weigh members by out-of-fold log-loss.

    Parameters
    ----------
    logits
        Time-forward out-of-fold logits, shape (n, n_members).
    happened
        Labels, shape (n,).

    Returns
    -------
    tuple of float
        Non-negative, sum 1.
    """
    count = logits.shape[1]
    if count == 1:
        return (1.0,)

    def loss(free: Matrix) -> float:
        return log_loss_of_logit(logits @ softmax(free), happened)

    # The first simplex spans one unit: scipy's own, around zeros, is smaller than the tolerance.
    simplex = np.vstack([np.zeros(count), np.eye(count)])
    options = {"maxiter": 600, "xatol": 1e-3, "fatol": 1e-7, "initial_simplex": simplex}
    found = softmax(minimize(loss, np.zeros(count), method="Nelder-Mead", options=options).x)
    return tuple(float(weight) for weight in found / found.sum())


def pull_to_equal(weights: Sequence[float], outcomes: float) -> tuple[float, ...]:
    """Pull weights towards equal ones while outcomes are few.

    Parameters
    ----------
    weights
        Of least log-loss.
    outcomes
        Leads with the outcome, or without it where those are rarer, which say how far the data can be believed.
    """
    share = outcomes / (outcomes + EQUAL_PULL)
    pulled = share * np.asarray(weights) + (1 - share) / len(weights)
    return tuple(float(weight) for weight in pulled / pulled.sum())
