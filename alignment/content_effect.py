"""The effect of each item on SQL and on won, as the board shows it."""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from alignment.content_cohort import content_cohort
from alignment.item_effects import EffectSettings, item_effects
from alignment.people import People

__all__ = ["ItemEffect", "content_effects"]


@dataclass(frozen=True)
class ItemEffect:
    """Effect of having used one item.

    Parameters
    ----------
    users
        People of the cohort who had used it.
    rate_users, rate_matched
        Share of them, and of comparable people who had not used it, with the outcome; NaN where it is not told.
    effect, low, high
        Difference of the two, and its 90% interval, which holds what may be systematic.
    q_value
        Share of false discoveries among items at least as sure.
    is_found
        The effect is told apart from none, false discoveries held at 10%.
    reason
        Why it is not told: ``few`` users or outcomes, a ``library`` of too few items to compare readers by, or
        ``inseparable`` from other things; empty where it is.
    """

    users: int
    rate_users: float
    rate_matched: float
    effect: float
    low: float
    high: float
    q_value: float
    is_found: bool
    reason: str

    @property
    def is_measured(self) -> bool:
        """The effect is told."""
        return not self.reason


def content_effects(
    people: People, outcome: Literal["sql", "won"], settings: EffectSettings | None = None
) -> Mapping[str, ItemEffect]:
    """Return the effect of each item that anyone of the cohort had used, by content_id.

    Parameters
    ----------
    people
        Who, and as of when.
    outcome
        ``sql`` or ``won``.
    settings
        How effects are told.
    """
    cohort = content_cohort(people, outcome)
    found = item_effects(cohort.uses, cohort.covariates, cohort.outcome, cohort.groups, settings)
    return {
        str(row["item"]): ItemEffect(
            int(row["users"]),
            float(row["rate"]),
            float(row["comparison"]),
            float(row["effect"]),
            float(row["low"]),
            float(row["high"]),
            float(row["q_value"]),
            bool(row["is_found"]),
            str(row["reason"]),
        )
        for row in found.to_dict("records")
    }
