"""What earns points on the integer scorecard: ranges of a feature, values of an attribute, and the rows of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.feature import Feature
from features.lead_features import AttributeIs, AttributeMissing
from features.spec import feature_from_json

__all__ = ["CardRow", "Entry", "LevelEntry", "LevelGroup", "RangeEntry", "entry_from_json"]

Matrix = NDArray[np.float64]
Points = NDArray[np.int64]


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


def entry_from_json(item: Mapping[str, Any]) -> Entry:
    """Read what an entry's ``to_json`` wrote."""
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
