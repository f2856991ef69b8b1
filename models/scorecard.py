"""The integer scorecard: whole points for what a marketing-automation tool can evaluate, and its scorer.

An entry gives points for a range of one feature, or for the value of one attribute; the points of all entries add up.
The smallest points of each entry are 0, so that a rule which does not apply needs no row. Methods 6: 5 points double
the odds, and ``p = sigmoid(intercept + slope * points * ln 2 / points_per_doubling)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from crm.errors import BundleError
from features.feature import Feature
from features.lead_features import AttributeIs, AttributeMissing
from features.spec import FeatureSet, feature_from_json

__all__ = ["CardRow", "Entry", "LevelEntry", "LevelGroup", "RangeEntry", "Scorecard", "TableFacts"]

Matrix = NDArray[np.float64]
Points = NDArray[np.int64]
FORMAT = 1


@dataclass(frozen=True)
class CardRow:
    """One row of the card: what earns its points.

    Parameters
    ----------
    feature
        The feature that is asked for; for the values of an attribute one of its flags.
    points
        Whole points, never 0.
    low, high
        Values above ``low`` and up to ``high`` earn them; None for no end.
    includes_missing
        A missing value earns them too.
    levels
        Values of the attribute that earn them.
    others_than
        Any value but these earns them; None where ``levels`` rule.
    """

    feature: Feature
    points: int
    low: float | None = None
    high: float | None = None
    includes_missing: bool = False
    levels: tuple[str, ...] = ()
    others_than: tuple[str, ...] | None = None

    @property
    def is_range(self) -> bool:
        """Whether some range of values earns the points; a missing value alone does otherwise."""
        return self.low is not None or self.high is not None


@dataclass(frozen=True)
class RangeEntry:
    """Points for ranges of one feature.

    Parameters
    ----------
    feature
        The feature.
    edges
        Rising, shape (k,): interval *i* holds ``edges[i - 1] < x <= edges[i]``.
    points
        Points of each interval, length k + 1; neighbours differ.
    missing
        Points of a missing value.
    """

    feature: Feature
    edges: tuple[float, ...]
    points: tuple[int, ...]
    missing: int = 0

    @property
    def features(self) -> tuple[Feature, ...]:
        """The one feature."""
        return (self.feature,)

    @property
    def most(self) -> int:
        """The most that it can give."""
        return max(*self.points, self.missing)

    def score(self, matrix: Matrix) -> Points:
        """Return the points of its column, shape (n, 1) to (n,)."""
        column = matrix[:, 0]
        place = np.searchsorted(self.edges, column, side="left").clip(max=len(self.edges))
        return np.where(np.isnan(column), self.missing, np.asarray(self.points, dtype=np.int64)[place])

    @property
    def rows(self) -> tuple[CardRow, ...]:
        """Its rows; nothing where the points are 0. Never having done something stands beside long ago."""
        ends = (None, *self.edges, None)
        joins = self.feature.shape == "days" and self.missing == self.points[-1]
        found = [
            CardRow(self.feature, points, low, high, includes_missing=joins and high is None)
            for points, (low, high) in zip(self.points, pairwise(ends), strict=True)
            if points
        ]
        if self.missing and not joins:
            found.append(CardRow(self.feature, self.missing, includes_missing=True))
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Return the entry as plain JSON."""
        return {
            "range": self.feature.to_json(),
            "edges": list(self.edges),
            "points": list(self.points),
            "missing": self.missing,
        }


@dataclass(frozen=True)
class LevelGroup:
    """Values of an attribute that earn the same points."""

    levels: tuple[str, ...]
    points: int


@dataclass(frozen=True)
class LevelEntry:
    """Points for the value of one text attribute.

    Parameters
    ----------
    attribute
        Its name.
    groups
        Values by points, each other points than ``others``.
    others
        Points of any other value.
    missing
        Points of no value.
    """

    attribute: str
    groups: tuple[LevelGroup, ...]
    others: int = 0
    missing: int = 0

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """All values that have a group."""
        return tuple(level for group in self.groups for level in group.levels)

    @property
    def features(self) -> tuple[Feature, ...]:
        """One flag a value, and one for none."""
        return (*(AttributeIs(self.attribute, level) for level in self.levels), AttributeMissing(self.attribute))

    @property
    def most(self) -> int:
        """The most that it can give."""
        return max(self.others, self.missing, *(group.points for group in self.groups))

    def score(self, matrix: Matrix) -> Points:
        """Return the points of its flags, shape (n, n_levels + 1) to (n,)."""
        each = [group.points for group in self.groups for _ in group.levels]
        worth = np.array([*each, self.missing], dtype=np.int64) - self.others
        return self.others + (matrix == 1).astype(np.int64) @ worth

    @property
    def rows(self) -> tuple[CardRow, ...]:
        """Its rows; nothing where the points are 0."""
        flag = AttributeIs(self.attribute)
        found = [CardRow(flag, group.points, levels=group.levels) for group in self.groups if group.points]
        if self.others:
            found.append(CardRow(flag, self.others, others_than=self.levels))
        if self.missing:
            found.append(CardRow(flag, self.missing, includes_missing=True))
        return tuple(sorted(found, key=lambda row: -row.points))

    def to_json(self) -> dict[str, Any]:
        """Return the entry as plain JSON."""
        return {
            "attribute": self.attribute,
            "groups": [{"levels": list(group.levels), "points": group.points} for group in self.groups],
            "others": self.others,
            "missing": self.missing,
        }


Entry = RangeEntry | LevelEntry


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
            tuple(_entry_from_json(entry) for entry in item["entries"]),
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


def _entry_from_json(item: Mapping[str, Any]) -> Entry:
    if "range" in item:
        edges: Sequence[float] = item["edges"]
        return RangeEntry(
            feature_from_json(item["range"]),
            tuple(float(edge) for edge in edges),
            tuple(int(points) for points in item["points"]),
            int(item["missing"]),
        )
    groups = tuple(
        LevelGroup(tuple(str(level) for level in group["levels"]), int(group["points"])) for group in item["groups"]
    )
    return LevelEntry(str(item["attribute"]), groups, int(item["others"]), int(item["missing"]))
