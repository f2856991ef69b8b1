"""What the gate says of a version: each condition with its figure and limit, and on which rows they rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

__all__ = ["WORDS", "Basis", "Condition", "Status", "Verdict"]

Status = Literal["passed", "failed", "not_enough", "reported"]
WORDS = {"sql": "SQLs", "won": "wins"}


@dataclass(frozen=True)
class Condition:
    """One thing that the gate asks.

    Parameters
    ----------
    name
        Short and stable, for programs.
    status
        ``passed``, ``failed``, ``not_enough`` (the rows cannot tell) or ``reported`` (no condition, a figure to know).
    found, limit
        In words, with units.
    figures
        The numbers behind it.
    """

    name: str
    status: Status
    found: str
    limit: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Basis:
    """On which rows a verdict rests.

    Parameters
    ----------
    outcome
        Endpoint that was judged.
    rows, outcomes, accounts, origins
        How many; outcomes are leads with one.
    shipped
        Rows later than the champion's training, of which it spoke as it was shipped, not by its folds.
    is_refresh
        Both versions were trained with one recipe.
    share
        Share of the leads that sales can work.
    """

    outcome: str
    rows: int
    outcomes: int
    accounts: int
    origins: int
    shipped: int
    is_refresh: bool
    share: float

    @property
    def words(self) -> str:
        """One sentence on the rows."""
        kind = "a refresh of the champion's recipe" if self.is_refresh else "another recipe than the champion's"
        return (
            f"{self.rows:,} rows of {self.accounts:,} accounts that neither version had learned from, with "
            f"{self.outcomes:,} {WORDS[self.outcome]} from {self.origins} origins. Of {self.shipped:,} rows the "
            f"champion spoke as it was shipped, of the others by its time-forward folds. The challenger is {kind}."
        )


@dataclass(frozen=True)
class Verdict:
    """Whether a version may be champion, and every reason against it.

    Parameters
    ----------
    passed
        It may.
    reasons
        Why not, one a condition.
    conditions
        All that was asked; none where a version was judged in training.
    basis
        On which rows; None where there were none to share.
    """

    passed: bool
    reasons: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    basis: Basis | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain JSON."""
        found = asdict(self)
        for condition in found["conditions"]:
            condition["figures"] = {k: v if np.isfinite(v) else None for k, v in condition["figures"].items()}
        return found
