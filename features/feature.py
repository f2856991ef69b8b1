"""What every kind of feature has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from features.known import Relation
from features.known_leads import KnownLeads

__all__ = ["FRESHNESS", "Direction", "Feature", "Group", "Language", "Shape", "Silent"]

Direction = Literal[-1, 0, 1]
Group = Literal["fit", "engagement"]
Language = Literal["en", "ja"]
Shape = Literal["count", "days", "number", "flag"]
Silent = Literal["never", "missing", "off"]
FRESHNESS = "freshness"
"""Signal of how old and how silent a lead is: one without the other misleads, an old lead may be silent for long."""


@dataclass(frozen=True)
class Feature(ABC):
    """One named number of a lead as of a moment.

    A subclass gives the number twice: :meth:`column` for a table of snapshots, :meth:`values` for leads in memory.
    The two must agree for every history; a hypothesis test draws histories and holds them to it.
    """

    available: ClassVar[str]
    """Why the number can be known when a lead is scored."""
    group: ClassVar[Group]
    """Whether it speaks of who the lead is (fit) or of what the lead does (engagement)."""
    shape: ClassVar[Shape]
    """How it is spread, which decides how the logistic member transforms it."""
    silent: ClassVar[Silent]
    """Which values have no words: none, missing ones, or all but 1."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Unique name, also the column's."""

    @property
    @abstractmethod
    def signal(self) -> str:
        """What it tells about, as a person would call it: features of one signal are shown as one reason."""

    @property
    @abstractmethod
    def reads(self) -> Relation:
        """Which relation of the known tables it reads."""

    @property
    def direction(self) -> Direction:
        """+1 or -1 where more may only raise or lower the score, 0 where the data decides."""
        return 0

    @property
    def is_exportable(self) -> bool:
        """Whether a marketing-automation tool can evaluate it, so that a scorecard may use it.

        Such tools count what a person did in a window, know when it was done last, and compare fields. They have no
        decay, velocity or session, do not roll an account up, and the old rule's verdict is what a card replaces.
        """
        return False

    @property
    def empty(self) -> float | None:
        """Value when the relation has no row for a snapshot; None for missing."""
        return 0.0

    @abstractmethod
    def column(self, known: ir.Table) -> ir.Value:
        """Return the number as an expression over the relation it reads (an aggregate, except for attributes)."""

    @abstractmethod
    def values(self, known: KnownLeads) -> NDArray[np.float64]:
        """Return the number of each lead at its moment, shape (n,)."""

    @abstractmethod
    def words(self, value: float, language: Language) -> str | None:
        """Say the raw fact behind a value, or None when the value is :attr:`silent` (a flag that is off)."""

    def to_json(self) -> dict[str, Any]:
        """Return the feature as plain JSON; :func:`features.spec.feature_from_json` reads it back."""
        return {"feature": type(self).__name__, **asdict(self)}
