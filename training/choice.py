"""Which members are tried from how many outcomes, what each has earned on the future, and how that is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit

from models.blend import best_weights, log_loss_of_logit, pull_to_equal
from models.boosted import FreeMember, ShallowMember, StumpsMember
from models.logistic import LogisticMember

__all__ = ["POLICY", "Choice", "Earned", "Policy", "Saving", "choose", "policy_for", "saving"]

Matrix = NDArray[np.float64]
BEYOND_CHANCE = 2.0
"""Standard errors of log-loss that it takes to add the free trees, or to trust the best weights without a pull towards
equal ones. Weights are found on the rows that judge them, so one is not enough; gains that lasted had 2.5 to 7, those
that did not had 1.9 at most (docs/adr/0011)."""


@dataclass(frozen=True)
class Policy:
    """What is tried from how many outcomes.

    Parameters
    ----------
    outcomes
        Leads with a settled outcome from which it holds.
    members
        Names of the members, simplest first.
    sentence
        Why, as the report says it.
    """

    outcomes: int
    members: tuple[str, ...]
    sentence: str


ADDITIVE = (LogisticMember.name, StumpsMember.name)
# Below 50 wins there is no model of its own (training.prepare.MIN_OUTCOMES): wins are ranked as SQLs.
POLICY = (
    Policy(0, ADDITIVE, "few: logistic regression and stumps only"),
    Policy(100, (*ADDITIVE, ShallowMember.name), "100 or more: shallow trees too"),
    Policy(
        400,
        (*ADDITIVE, ShallowMember.name, FreeMember.name),
        "400 or more: free trees too, where they earn their place",
    ),
)


def policy_for(outcomes: int) -> Policy:
    """Return what is tried with so many outcomes.

    Examples
    --------
    >>> policy_for(99).members
    ('logistic', 'stumps')
    >>> policy_for(100).members[-1]
    'shallow'
    """
    return max((policy for policy in POLICY if policy.outcomes <= outcomes), key=lambda policy: policy.outcomes)


@dataclass(frozen=True)
class Saving:
    """Log-loss saved by one prediction over another on the same rows.

    Parameters
    ----------
    nats
        Mean over the rows; below 0 where the other is better.
    error
        Its standard error, counted by leads.
    """

    nats: float
    error: float

    @property
    def standard_errors(self) -> float:
        """The saving over its standard error; 0 where both say the same."""
        return self.nats / self.error if self.error > 0 else 0.0


def saving(lead: NDArray[np.int64], happened: NDArray[np.bool_], before: Matrix, after: Matrix) -> Saving:
    """Compare two predictions.

    Parameters
    ----------
    lead
        Lead number of each row, shape (n,): rows of one lead are not independent.
    happened
        Labels, shape (n,).
    before, after
        Logits, shape (n,).
    """
    saved = np.where(happened, log_expit(after) - log_expit(before), log_expit(-after) - log_expit(-before))
    by_lead = np.bincount(lead, saved)
    return Saving(float(saved.mean()), float(np.sqrt((by_lead**2).sum())) / len(saved))


@dataclass(frozen=True)
class Earned:
    """What one member said of the future.

    Parameters
    ----------
    name
        The member's.
    weight
        In the blend; 0 for one that was tried and left out.
    log_loss
        Alone, nats, before calibration.
    blend_saves
        What the blend saves over the member alone.
    """

    name: str
    weight: float
    log_loss: float
    blend_saves: Saving


@dataclass(frozen=True)
class Choice:
    """Which members an endpoint is made of, and by how much that did better on periods that no model had seen.

    Parameters
    ----------
    outcomes
        Leads with a settled outcome, which decide the policy.
    policy
        What was tried.
    members
        Every member that was tried.
    log_loss
        Of the blend, nats, before calibration.
    is_pulled
        Weights are pulled towards equal ones.
    free_saves
        What the free trees would save in the blend; None where they were not tried.
    """

    outcomes: int
    policy: Policy
    members: tuple[Earned, ...]
    log_loss: float
    is_pulled: bool
    free_saves: Saving | None

    @property
    def weights(self) -> tuple[float, ...]:
        """Weights of the members that stay, in order; they sum to 1."""
        return tuple(member.weight for member in self.members if member.weight > 0)

    @property
    def weights_told(self) -> str:
        """The members that stay with their weights, as progress tells them."""
        return ", ".join(f"{member.name} {member.weight:.2f}" for member in self.members if member.weight > 0)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was chosen and by how much; the report translates each."""
        best = min(self.members, key=lambda member: member.log_loss)
        saved = best.blend_saves
        text = [
            f"{self.outcomes:,} outcomes, {self.policy.sentence}.",
            f"The blend saves {saved.nats:.5f} nats of log-loss (standard error {saved.error:.5f}) "
            f"over its best member alone, {best.name}, on periods that neither had seen.",
            "Weights are pulled towards equal ones, as outcomes are too few to trust the best."
            if self.is_pulled
            else "Weights are those that did best: they beat weights pulled towards equal ones by more than chance.",
        ]
        if self.free_saves is not None:
            free = self.free_saves
            verdict = "stay" if free.standard_errors > BEYOND_CHANCE else "are left out"
            text.append(
                f"Free trees save {free.nats:.5f} nats of log-loss (standard error {free.error:.5f}) and {verdict}."
            )
        return tuple(text)

    def metrics(self) -> dict[str, float]:
        """Return the numbers under the names that MLflow keeps them by."""
        found = {"blend.log_loss": self.log_loss}
        for member in self.members:
            head = f"member.{member.name}"
            found |= {f"{head}.weight": member.weight, f"{head}.log_loss": member.log_loss}
            found |= {
                f"{head}.blend_saves": member.blend_saves.nats,
                f"{head}.blend_saves.se": member.blend_saves.error,
            }
        if self.free_saves is not None:
            found |= {"free_trees.save": self.free_saves.nats, "free_trees.save.se": self.free_saves.error}
        return found

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {**asdict(self), "sentences": list(self.sentences)}


def choose(
    logits: Mapping[str, Matrix],
    happened: NDArray[np.bool_],
    lead: NDArray[np.int64],
    *,
    tested: int,
    outcomes: int,
) -> Choice:
    """Weigh members by what they said of the future.

    Parameters
    ----------
    logits
        Time-forward out-of-fold logits of each member, shape (n,), simplest member first.
    happened, lead
        Labels and lead numbers, shape (n,).
    tested
        Leads with the outcome among these rows, which say how far the weights can be believed.
    outcomes
        Leads with the outcome among all rows.
    """
    believed = float(min(tested, (~happened).sum()))

    def pull(names: Sequence[str]) -> tuple[Matrix, tuple[float, ...], tuple[float, ...]]:
        stacked = np.stack([logits[name] for name in names], axis=1)
        best = best_weights(stacked, happened)
        return stacked, best, pull_to_equal(best, believed)

    names = [name for name in logits if name != FreeMember.name]
    stacked, best, weights = pull(names)
    free = None
    if FreeMember.name in logits:
        wider = pull(list(logits))
        free = saving(lead, happened, stacked @ np.asarray(weights), wider[0] @ np.asarray(wider[2]))
        if free.standard_errors > BEYOND_CHANCE:
            names, (stacked, best, weights) = list(logits), wider
    at_best, blend = stacked @ np.asarray(best), stacked @ np.asarray(weights)
    is_pulled = saving(lead, happened, blend, at_best).standard_errors <= BEYOND_CHANCE
    weights, blend = (weights, blend) if is_pulled else (best, at_best)
    weight = dict(zip(names, weights, strict=True))
    members = tuple(
        Earned(name, weight.get(name, 0.0), log_loss_of_logit(z, happened), saving(lead, happened, z, blend))
        for name, z in logits.items()
    )
    return Choice(outcomes, policy_for(outcomes), members, log_loss_of_logit(blend, happened), is_pulled, free)
