"""One endpoint: a weighted mean of members' logits, calibrated, that splits exactly into one part a feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit, softmax

from models.boosted import ShallowMember, StumpsMember
from models.calibration import Calibrator
from models.logistic import LogisticMember
from models.timing import Timing

__all__ = ["Endpoint", "Member", "blend_weights", "log_loss_of_logit"]

Matrix = NDArray[np.float64]
EQUAL_PULL = 1000
"""Leads with the outcome at which the weights lie half-way between equal and those that the data prefers."""


class Member(Protocol):
    """What an endpoint needs of a member."""

    name: str

    def logit(self, matrix: Matrix) -> Matrix:
        """Return the logit, shape (n,)."""
        ...


@dataclass(frozen=True)
class Endpoint:
    """The model of one outcome within one horizon.

    ``logit P(outcome within d days) = calibrator(g(x)) + timing(d)``, and ``timing`` is 0 at the horizon.

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
    timing: Timing
    scale: float = 1.0

    def g(self, matrix: Matrix) -> Matrix:
        """Return the blended logit, shape (n,)."""
        logits = np.stack([member.logit(matrix) for member in self.members], axis=1)
        return self.scale * (logits @ np.asarray(self.weights))

    def probability(self, matrix: Matrix) -> Matrix:
        """Return the calibrated probability, shape (n,)."""
        return self.calibrator.probability(self.g(matrix))

    def logit(self, matrix: Matrix) -> Matrix:
        """Return the calibrated logit for the horizon, shape (n,)."""
        return self.calibrator.logit(self.g(matrix))

    def probability_within(self, logit: Matrix, days: float) -> Matrix:
        """Return the probability of an outcome within so many days, shape (n,); NaN beyond what was observed.

        Parameters
        ----------
        logit
            What :meth:`logit` said, shape (n,).
        days
            Above 0.
        """
        return expit(logit + self.timing.at(np.array([days]))[0])

    def split(self, matrix: Matrix) -> tuple[Matrix, Matrix]:
        """Return each feature's part of ``g``, shape (n, n_features), and the base, shape (n,); they sum to ``g``."""
        parts = np.zeros(matrix.shape)
        base = np.zeros(matrix.shape[0])
        for member, weight in zip(self.members, self.weights, strict=True):
            member_parts, member_base = member.split(matrix)
            parts += weight * member_parts
            base += weight * member_base
        return self.scale * parts, self.scale * base


def log_loss_of_logit(z: Matrix, happened: NDArray[np.bool_]) -> float:
    """Return the mean log-loss of logits, in nats."""
    return float(-np.where(happened, log_expit(z), log_expit(-z)).mean())


def blend_weights(logits: Matrix, happened: NDArray[np.bool_], *, outcomes: int | None = None) -> tuple[float, ...]:
    """Weigh members by out-of-fold log-loss, pulled towards equal weights while outcomes are few.

    Parameters
    ----------
    logits
        Time-forward out-of-fold logits, shape (n, n_members).
    happened
        Labels, shape (n,).
    outcomes
        Leads with the outcome, which say how far the data can be believed; None where each row is a lead.

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
    found = minimize(loss, np.zeros(count), method="Nelder-Mead", options=options)
    rarer = float(min(happened.sum(), (~happened).sum(), *([] if outcomes is None else [outcomes])))
    share = rarer / (rarer + EQUAL_PULL)
    weights = share * softmax(found.x) + (1 - share) / count
    return tuple(float(weight) for weight in weights / weights.sum())
