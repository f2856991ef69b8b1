"""How many points each value of a feature adds to a score, and how many leads have such a value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.feature import Feature, Language
from features.lead_features import AttributeIs, AttributeMissing, AttributeNumber, AttributeOther
from models.bundle import Bundle
from models.feature_titles import feature_title, feature_unit
from models.scoring import points_per_logit
from pages.report_evidence import Curve, CurveBin
from training.report.parts import ReportParts

__all__ = ["feature_curves"]

Matrix = NDArray[np.float64]
SHOWN = 12
SAMPLE = 4_000
BINS = 16
LANGUAGES: tuple[Language, ...] = ("en", "ja")


@dataclass(frozen=True)
class _Drawn:
    """Values and points of one thing to draw; ``level`` numbers an attribute's values, None for a number."""

    features: tuple[Feature, ...]
    values: Matrix
    points: Matrix
    level: NDArray[np.int64] | None

    @property
    def weight(self) -> float:
        return float(np.abs(self.points - self.points.mean()).mean())


def feature_curves(parts: ReportParts) -> tuple[Curve, ...]:
    """Return the curves of the dozen features that move scores most, over judged leads.

    The points of a lead are those that its score holds: the additive members' own, and TreeSHAP's part of the shallow
    member, which lets features act together. So leads of one value may differ; each bin has the mean and where 90% of
    its leads lie. The levels of an attribute are one curve.
    """
    data = parts.data
    judged = np.flatnonzero(data.snapshots.is_judged)
    rows = judged[np.unique(np.linspace(0, len(judged) - 1, min(SAMPLE, len(judged))).astype(np.int64))]
    if not len(rows):
        return ()
    matrix = data.matrix[rows]
    points = points_per_logit() * parts.bundle.score_endpoint.split(matrix)[0]
    drawn = sorted(_drawn(parts.bundle, matrix, points), key=lambda item: -item.weight)
    exact = {member.name for member in parts.bundle.score_endpoint.members} <= {"logistic", "stumps"}
    return tuple(_curve(item, is_exact=exact) for item in drawn[:SHOWN] if item.weight > 0)


def _drawn(bundle: Bundle, matrix: Matrix, points: Matrix) -> list[_Drawn]:
    """Put the flags of one attribute together; everything else stands for itself."""
    flags: dict[str, list[int]] = {}
    found: list[_Drawn] = []
    for number, feature in enumerate(bundle.features.features):
        if isinstance(feature, AttributeIs | AttributeOther | AttributeMissing):
            flags.setdefault(feature.attribute, []).append(number)
        else:
            found.append(_Drawn((feature,), matrix[:, number], points[:, number], None))
    numbers = {f.attribute: n for n, f in enumerate(bundle.features.features) if isinstance(f, AttributeNumber)}
    for attribute, columns in flags.items():
        if attribute in numbers:  # only its being missing is a flag
            continue
        on = matrix[:, columns] == 1.0
        level = np.where(on.any(axis=1), on.argmax(axis=1), len(columns))
        features = tuple(bundle.features.features[number] for number in columns)
        found.append(_Drawn(features, level.astype(np.float64), points[:, columns].sum(axis=1), level))
    return found


def _curve(item: _Drawn, *, is_exact: bool) -> Curve:
    feature = item.features[0]
    titles = {language: feature_title(feature, language) for language in LANGUAGES}
    units = {language: "" if item.level is not None else feature_unit(feature, language) for language in LANGUAGES}
    present = ~np.isnan(item.values)
    bins = _level_bins(item) if item.level is not None else _number_bins(item, present)
    missing = None if present.all() else _bin(item, ~present, "")
    name = str(getattr(feature, "attribute", "")) if item.level is not None else feature.name
    return Curve(name, titles, units, item.level is not None, is_exact, item.weight, tuple(bins), missing)


def _level_bins(item: _Drawn) -> list[CurveBin]:
    if item.level is None:
        return []
    names = [_level_name(feature) for feature in item.features] + ["~other"]
    numbers = np.unique(item.level)
    found = [_bin(item, item.level == number, names[int(number)]) for number in numbers]
    return sorted(found, key=lambda part: -part.points)


def _level_name(feature: Feature) -> str:
    if isinstance(feature, AttributeIs):
        return feature.level
    return "~missing" if isinstance(feature, AttributeMissing) else "~other"


def _number_bins(item: _Drawn, present: NDArray[np.bool_]) -> list[CurveBin]:
    """Cut values into bins of about equal size; each value is a bin of its own where there are few."""
    values = item.values[present]
    distinct = np.unique(values)
    if len(distinct) > BINS:
        edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], method="nearest"))
    else:
        edges = distinct[:-1]
    number = np.searchsorted(edges, item.values, side="left")
    masks = (present & (number == place) for place in range(len(edges) + 1))
    return [_bin(item, mask, "") for mask in masks if mask.any()]


def _bin(item: _Drawn, mask: NDArray[np.bool_], label: str) -> CurveBin:
    points = item.points[mask]
    value = float(item.values[mask].mean())
    low, high = np.quantile(points, [0.05, 0.95])
    return CurveBin(value, label, float(mask.mean()), float(points.mean()), float(low), float(high))
