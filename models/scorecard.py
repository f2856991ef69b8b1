"""The integer scorecard: whole points for what a marketing-automation tool can evaluate, and its scorer.

An entry gives points for a range of one feature, or for the value of one attribute; the points of all entries add up.
The smallest points of each entry are 0, so that a rule which does not apply needs no row. Methods 6: 5 points double
the odds, and ``p = sigmoid(intercept + slope * points * ln 2 / points_per_doubling)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from crm.errors import BundleError
from features.spec import FeatureSet
from models.scorecard_entries import CardRow, Entry, entry_from_json

__all__ = ["Scorecard", "TableFacts"]

Matrix = NDArray[np.float64]
Points = NDArray[np.int64]
FORMAT = 1


@dataclass(frozen=True)
class TableFacts:
    """What the SQL has to know of the workspace's tables.

    Parameters
    ----------
    booleans
        Attributes that are yes or no.
    histories
        Type of each attribute whose later values are in ``lead_changes``.
    at_creation
        Attributes whose value at creation is in ``leads``.
    has_merges
        There are merges, after which a lead owns the touches of another.
    """

    booleans: frozenset[str] = frozenset()
    histories: tuple[tuple[str, str], ...] = ()
    at_creation: frozenset[str] = frozenset()
    has_merges: bool = False


@dataclass(frozen=True)
class Scorecard:
    """A points table in whole numbers that scores leads as the tool will.

    Parameters
    ----------
    entries
        What earns points.
    points_per_doubling
        Points that double the odds.
    intercept, slope
        ``logit p = intercept + slope * points * ln 2 / points_per_doubling``.
    outcome, horizon_days
        What the probability is of.
    cutoffs
        Smallest points of grades A, B and C in that order; B and better are MQLs. None where no lead is.
    facts
        What the SQL has to know.
    """

    entries: tuple[Entry, ...]
    points_per_doubling: float
    intercept: float
    slope: float
    outcome: str
    horizon_days: float
    cutoffs: tuple[int | None, int | None, int | None] = (None, None, None)
    facts: TableFacts = TableFacts()

    @cached_property
    def features(self) -> FeatureSet:
        """The features that :meth:`points` reads, in order."""
        return FeatureSet(tuple(feature for entry in self.entries for feature in entry.features))

    @property
    def rows(self) -> tuple[CardRow, ...]:
        """All rows, entry by entry."""
        return tuple(row for entry in self.entries for row in entry.rows)

    @property
    def most(self) -> int:
        """The most points that a lead can have."""
        return sum(entry.most for entry in self.entries)

    @property
    def mql_points(self) -> int | None:
        """Smallest points of an MQL."""
        return self.cutoffs[1]

    def points(self, matrix: Matrix) -> Points:
        """Return the points of leads, shape (n,), from :attr:`features`, shape (n, n_features)."""
        found, start = np.zeros(matrix.shape[0], dtype=np.int64), 0
        for entry in self.entries:
            end = start + len(entry.features)
            found += entry.score(matrix[:, start:end])
            start = end
        return found

    def logit(self, points: NDArray[Any]) -> Matrix:
        """Return the log-odds of the outcome inside its horizon, shape of ``points``."""
        return self.intercept + self.slope * np.asarray(points, dtype=np.float64) * np.log(2) / self.points_per_doubling

    def probability(self, points: NDArray[Any]) -> Matrix:
        """Return the probability of the outcome inside its horizon, shape of ``points``."""
        return expit(self.logit(points))

    def grades(self, points: NDArray[Any]) -> NDArray[np.str_]:
        """Return A, B, C or D, shape of ``points``."""
        reached = [np.asarray(points) >= (np.inf if cutoff is None else cutoff) for cutoff in self.cutoffs]
        return np.select(reached, ["A", "B", "C"], default="D").astype(np.str_)

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain JSON."""
        return {
            "format": FORMAT,
            "entries": [entry.to_json() for entry in self.entries],
            "points_per_doubling": self.points_per_doubling,
            "intercept": self.intercept,
            "slope": self.slope,
            "outcome": self.outcome,
            "horizon_days": self.horizon_days,
            "cutoffs": list(self.cutoffs),
            "facts": {
                "booleans": sorted(self.facts.booleans),
                "histories": [list(pair) for pair in self.facts.histories],
                "at_creation": sorted(self.facts.at_creation),
                "has_merges": self.facts.has_merges,
            },
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote; ``BundleError`` for another format."""
        if item.get("format") != FORMAT:
            raise BundleError(
                found=f"a scorecard of format {item.get('format')!r}",
                expected=f"format {FORMAT}",
                fix="write it again with 'kizashi scorecard'",
            )
        facts = item["facts"]
        low, middle, high = (None if cutoff is None else int(cutoff) for cutoff in item["cutoffs"])
        return cls(
            tuple(entry_from_json(entry) for entry in item["entries"]),
            float(item["points_per_doubling"]),
            float(item["intercept"]),
            float(item["slope"]),
            str(item["outcome"]),
            float(item["horizon_days"]),
            (low, middle, high),
            TableFacts(
                frozenset(facts["booleans"]),
                tuple((str(name), str(kind)) for name, kind in facts["histories"]),
                frozenset(facts["at_creation"]),
                bool(facts["has_merges"]),
            ),
        )
