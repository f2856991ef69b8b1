"""What each feature adds to the score, as a function of its value: the points table of a registered version.

The logistic member and the stumps are additive, so their part of the table is exact. The trees of the shallow member
let features act together: their part of a score is known lead by lead alone (TreeSHAP), and only its size is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.spec import FeatureSet
from models.boosted import FreeMember, ShallowMember, StumpsMember
from models.bundle import Bundle
from models.logistic import LogisticMember
from models.scoring import CENTRE, points_per_logit
from models.step_functions import StepFunction

__all__ = ["BentLine", "ExactFeature", "ExactPoints", "PointsRow", "exact_points"]

Matrix = NDArray[np.float64]
QUANTILES = 21
MAX_TREE_ROWS = 2_000
FORMULA = (
    "points(x) = steps(x) + sum over lines of slope * (z - center) - missing * missing_share + sum over knots "
    "(knot, offset, weight) of weight * (max(z - knot, 0) - offset), with z = clip(ln(1 + max(x, 0)) if is_log else x, "
    "low, high); for a missing x a line gives missing * (1 - missing_share). Steps hold from above a threshold up to "
    "the next. base and the points of all features are the score, but for the trees of the shallow member"
)


@dataclass(frozen=True)
class BentLine:
    """A logistic member's part of one feature: a line that bends at knots, over values that may be logged.

    ``points(x) = slope * (z - center) + missing * (0 - missing_share) + sum(weight * (max(z - knot, 0) - offset))``
    with ``z = clip(x or ln(1 + max(x, 0)), low, high)``; for a missing value ``missing * (1 - missing_share)``.

    Parameters
    ----------
    is_log
        Whether ``z`` is ``ln(1 + max(x, 0))``.
    low, high, center
        Range and mean of ``z`` in training.
    slope
        Points per unit of ``z``.
    missing, missing_share
        Points of being missing, and the share of missing values in training.
    knots
        Triples (knot, offset, weight in points per unit of ``z`` above the knot).
    """

    is_log: bool
    low: float
    high: float
    center: float
    slope: float
    missing: float
    missing_share: float
    knots: tuple[tuple[float, float, float], ...]

    def __call__(self, column: Matrix) -> Matrix:
        """Return the points of a column, shape (n,)."""
        z = np.clip(np.log1p(np.maximum(column, 0.0)) if self.is_log else column, self.low, self.high)
        found = self.slope * (z - self.center) - self.missing * self.missing_share
        for knot, offset, weight in self.knots:
            found = found + weight * (np.maximum(z - knot, 0.0) - offset)
        return np.where(np.isnan(column), self.missing * (1.0 - self.missing_share), found)


@dataclass(frozen=True)
class ExactFeature:
    """What one feature adds, in points: steps of the stumps and bent lines of logistic members.

    Parameters
    ----------
    name, signal
        Of the feature.
    steps
        Thresholds and points between them; None where no stump asks for the feature.
    lines
        Bent lines.
    trees
        Mean absolute part of the shallow member's trees, points, over training rows. Not in :meth:`points`.
    """

    name: str
    signal: str
    steps: StepFunction | None
    lines: tuple[BentLine, ...]
    trees: float

    def points(self, column: Matrix) -> Matrix:
        """Return the points of a column, shape (n,)."""
        found = np.zeros(column.shape) if self.steps is None else self.steps(column)
        for line in self.lines:
            found = found + line(column)
        return found


@dataclass(frozen=True)
class PointsRow:
    """One row of the table.

    Parameters
    ----------
    signal, feature
        What it is about.
    kind
        ``step``: the points of every value above ``low`` and up to ``high``; ``at``: the points at this very value,
        on a grid of the training's quantiles, as the function is not constant between; ``missing``; ``trees``: the mean
        absolute part of the shallow member's trees.
    low, high
        Unit of the feature; None for no end.
    points
        Points.
    """

    signal: str
    feature: str
    kind: str
    low: float | None
    high: float | None
    points: float


@dataclass(frozen=True)
class ExactPoints:
    """The exact table of a version.

    Parameters
    ----------
    model_version
        Version in the registry.
    score_outcome
        What the score speaks of.
    base
        What every lead starts from, points, the shallow member's own start included.
    members
        Name and weight of each member.
    features
        What each feature adds, in the bundle's order.
    """

    model_version: str
    score_outcome: str
    base: float
    members: tuple[tuple[str, float], ...]
    features: tuple[ExactFeature, ...]

    @property
    def tree_weight(self) -> float:
        """Weight of the members that are not additive, 0 to 1; the table is all of the score where it is 0."""
        return sum(weight for name, weight in self.members if name in (ShallowMember.name, FreeMember.name))

    def points(self, matrix: Matrix) -> Matrix:
        """Return the additive part of each feature, shape (n, n_features)."""
        return np.stack([f.points(matrix[:, number]) for number, f in enumerate(self.features)], axis=1)

    def rows(self, matrix: Matrix) -> list[PointsRow]:
        """List the table; ``matrix``, shape (n, n_features), gives the quantiles at which bent lines are shown."""
        return [row for number, feature in enumerate(self.features) for row in _rows(feature, matrix[:, number])]

    def to_json(self) -> dict[str, Any]:
        """Return the table as plain JSON, from which :meth:`from_json` adds up the same points."""
        return {
            "model_version": self.model_version,
            "score_outcome": self.score_outcome,
            "formula": FORMULA,
            "base": self.base,
            "members": [{"member": name, "weight": weight} for name, weight in self.members],
            "features": [
                {
                    "feature": feature.name,
                    "signal": feature.signal,
                    "steps": None
                    if feature.steps is None
                    else {
                        "thresholds": feature.steps.thresholds.tolist(),
                        "points": feature.steps.values.tolist(),
                        "missing": feature.steps.missing,
                    },
                    "lines": [{**vars(line), "knots": [list(knot) for knot in line.knots]} for line in feature.lines],
                    "trees_mean_absolute": feature.trees,
                }
                for feature in self.features
            ],
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(
            str(item["model_version"]),
            str(item["score_outcome"]),
            float(item["base"]),
            tuple((str(member["member"]), float(member["weight"])) for member in item["members"]),
            tuple(_feature_from_json(feature) for feature in item["features"]),
        )


def exact_points(bundle: Bundle, model_version: str, matrix: Matrix) -> ExactPoints:
    """Return what each feature adds to the score of a version.

    Parameters
    ----------
    bundle
        The model.
    model_version
        Its version.
    matrix
        Training rows in the bundle's features, shape (n, n_features), over which the part of the trees is averaged.
    """
    endpoint = bundle.score_endpoint
    unit = points_per_logit() * endpoint.scale
    count = len(bundle.features.features)
    lines: list[list[BentLine]] = [[] for _ in range(count)]
    steps: list[StepFunction | None] = [None] * count
    trees = np.zeros(count)
    base = 0.0
    sample = matrix[np.unique(np.linspace(0, len(matrix) - 1, min(MAX_TREE_ROWS, len(matrix))).astype(np.int64))]
    for member, weight in zip(endpoint.members, endpoint.weights, strict=True):
        logistic = member if isinstance(member, LogisticMember) else member.offset
        if logistic is not None:
            base += weight * logistic.base
            for number in range(count):
                lines[number] += _bent_line(logistic, number, unit * weight)
        if isinstance(member, StumpsMember):
            base += weight * member.constant
            for number, step in member.steps.items():
                scaled = StepFunction(step.thresholds, step.values * unit * weight, step.missing * unit * weight)
                steps[number] = scaled
        elif isinstance(member, ShallowMember):
            shares = np.asarray(member.booster.predict(sample, pred_contrib=True, num_threads=1))
            base += weight * float(shares[0, -1])
            trees += unit * weight * np.abs(shares[:, :-1]).mean(axis=0)
    return ExactPoints(
        model_version,
        bundle.score_outcome,
        CENTRE + unit * base - points_per_logit() * bundle.g50,
        tuple((member.name, weight) for member, weight in zip(endpoint.members, endpoint.weights, strict=True)),
        tuple(_features(bundle.features, steps, lines, trees)),
    )


def _features(
    features: FeatureSet, steps: Sequence[StepFunction | None], lines: Sequence[Sequence[BentLine]], trees: Matrix
) -> list[ExactFeature]:
    return [
        ExactFeature(feature.name, feature.signal, steps[number], tuple(lines[number]), float(trees[number]))
        for number, feature in enumerate(features.features)
    ]


def _bent_line(member: LogisticMember, number: int, unit: float) -> list[BentLine]:
    """Return a logistic member's part of one feature; nothing where it gives the feature no weight."""
    form = member.transform
    share = float(form.missing_share[number])
    hinges = np.flatnonzero((form.hinge_feature == number) & (member.hinge_weights != 0))
    slope = unit * float(member.weights[number] / form.scale[number])
    missing = unit * float(member.missing_weights[number]) if share > 0 else 0.0
    knots = tuple(
        (
            float(form.hinge_knot[h]),
            float(form.hinge_center[h]),
            unit * float(member.hinge_weights[h] / form.hinge_scale[h]),
        )
        for h in hinges
    )
    if slope == 0 and missing == 0 and not knots:
        return []
    ends = (float(form.low[number]), float(form.high[number]), float(form.center[number]))
    return [BentLine(bool(form.is_log[number]), *ends, slope, missing, share, knots)]


def _rows(feature: ExactFeature, column: Matrix) -> list[PointsRow]:
    found: list[PointsRow] = []
    if feature.lines:
        present = column[~np.isnan(column)]
        grid = np.unique(np.quantile(present, np.linspace(0, 1, QUANTILES), method="nearest")) if present.size else []
        found += [
            PointsRow(feature.signal, feature.name, "at", float(x), float(x), float(points))
            for x, points in zip(grid, feature.points(np.asarray(grid, dtype=np.float64)), strict=True)
        ]
    elif feature.steps is not None:
        edges = [None, *(float(edge) for edge in feature.steps.thresholds), None]
        found += [
            PointsRow(feature.signal, feature.name, "step", edges[i], edges[i + 1], float(points))
            for i, points in enumerate(feature.steps.values)
        ]
    if found and np.isnan(column).any():
        at_missing = float(feature.points(np.array([np.nan]))[0])
        found.append(PointsRow(feature.signal, feature.name, "missing", None, None, at_missing))
    if feature.trees > 0:
        found.append(PointsRow(feature.signal, feature.name, "trees", None, None, feature.trees))
    return found


def _feature_from_json(item: Mapping[str, Any]) -> ExactFeature:
    steps = item["steps"]
    return ExactFeature(
        str(item["feature"]),
        str(item["signal"]),
        None
        if steps is None
        else StepFunction(
            np.asarray(steps["thresholds"], dtype=np.float64),
            np.asarray(steps["points"], dtype=np.float64),
            float(steps["missing"]),
        ),
        tuple(_line_from_json(line) for line in item["lines"]),
        float(item["trees_mean_absolute"]),
    )


def _line_from_json(item: Mapping[str, Any]) -> BentLine:
    knots = tuple((float(knot), float(offset), float(weight)) for knot, offset, weight in item["knots"])
    names = ("low", "high", "center", "slope", "missing", "missing_share")
    numbers = {name: float(item[name]) for name in names}
    return BentLine(is_log=bool(item["is_log"]), knots=knots, **numbers)
