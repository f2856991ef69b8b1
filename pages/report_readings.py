"""What each measure says in plain words: its value as written, and a verdict that its interval allows."""

from __future__ import annotations

import math

from pages.formats import Formats
from pages.report_data import EndpointReport, Estimate
from pages.words import Words

__all__ = ["METRICS", "ONLY_WHERE_COMPUTED", "Verdict", "has_interval", "metric_interval", "metric_text", "verdict_of"]

METRICS = (
    "auc",
    "auc_same_age",
    "lift_at_10",
    "average_precision",
    "log_loss",
    "brier",
    "observed_over_expected",
    "calibration_slope",
    "ece",
    "ece_null",
    "ece_null_95",
)
ONLY_WHERE_COMPUTED = ("auc_same_age", "ece_null_95")
"""Measures that need no row where they were not computed: one that does not apply, one that only bounds another."""

Verdict = tuple[str, str]
"""Text and tone: ``good``, ``care`` or ``plain``."""


def metric_text(name: str, value: float | None, formats: Formats) -> str:
    """Return a measure's value with its unit."""
    if value is None or not math.isfinite(value):
        return formats.words("common.none")
    if name in ("ece", "ece_null", "ece_null_95"):
        return formats.percentage_points(value)
    if name == "lift_at_10":
        return formats.times(value)
    if name in ("average_precision", "coverage"):
        return formats.percent(value)
    digits = {"auc": 3, "auc_same_age": 3, "log_loss": 4, "brier": 4}.get(name, 2)
    return formats.number(value, digits)


def has_interval(estimate: Estimate) -> bool:
    """Tell whether a measure comes with an interval, and not with its own value twice."""
    ends = (estimate.low, estimate.high)
    return all(end is not None and math.isfinite(end) for end in ends) and estimate.low != estimate.high


def metric_interval(name: str, estimate: Estimate, formats: Formats) -> str:
    """Return a measure's 90% interval with its unit, or a dash where there is none."""
    if not has_interval(estimate):
        return formats.words("common.blank")
    ends = [end for end in (estimate.low, estimate.high) if end is not None]
    if name == "lift_at_10":
        return formats.words("common.times", n=formats.interval(*(formats.number(end, 1) for end in ends)))
    return formats.interval(*(metric_text(name, end, formats) for end in ends))


def verdict_of(name: str, endpoint: EndpointReport, words: Words) -> Verdict:
    """Return what a measure's interval allows to say; without an interval nothing is said but that.

    Examples
    --------
    >>> from pages.words import load_words
    >>> low_ends = {"auc": Estimate(0.7, 0.64, 0.76)}
    >>> endpoint = EndpointReport("won", 90.0, 0, 0, 0, 0, low_ends, {}, (), (), (), {}, "platt", ())
    >>> verdict_of("auc", endpoint, load_words("en"))
    ('Better than chance', 'good')
    """
    estimate = endpoint.metrics.get(name)
    if (
        estimate is None
        or not math.isfinite(estimate.value)
        or name in ("ece_null", "ece_null_95", "average_precision")
    ):
        return "", "plain"
    if name in ("log_loss", "brier"):
        return _against_base(estimate, endpoint.base.get(name), words)
    if name == "ece":
        return _against_chance(estimate, endpoint.metrics.get("ece_null_95"), words)
    if not has_interval(estimate):
        return words("verdict.unknown"), "plain"
    if name in ("auc", "auc_same_age", "lift_at_10"):
        return _above_chance(name, estimate, words)
    return _around_one("calibration" if name == "observed_over_expected" else "slope", estimate, words)


def _above_chance(name: str, estimate: Estimate, words: Words) -> Verdict:
    kind, chance = ("lift", 1.0) if name == "lift_at_10" else ("ranking", 0.5)
    good = (estimate.low or 0.0) > chance
    return words(f"verdict.{kind}_{'good' if good else 'unclear'}"), "good" if good else "care"


def _around_one(kind: str, estimate: Estimate, words: Words) -> Verdict:
    low, high = estimate.low or 0.0, estimate.high or 0.0
    if low <= 1.0 <= high:
        return words(f"verdict.{kind}_good"), "good"
    above = "calibration_low" if kind == "calibration" else "slope_high"
    below = "calibration_high" if kind == "calibration" else "slope_low"
    return words(f"verdict.{above if low > 1.0 else below}"), "care"


def _against_base(estimate: Estimate, base: float | None, words: Words) -> Verdict:
    if base is None or not math.isfinite(base):
        return "", "plain"
    if estimate.value >= base:
        return words("verdict.base_worse"), "care"
    if has_interval(estimate) and (estimate.high or 0.0) < base:
        return words("verdict.base_better"), "good"
    return words("verdict.base_lower"), "plain"


def _against_chance(estimate: Estimate, ceiling: Estimate | None, words: Words) -> Verdict:
    if ceiling is None or not math.isfinite(ceiling.value):
        return "", "plain"
    within = estimate.value <= ceiling.value
    return words(f"verdict.ece_{'good' if within else 'unclear'}"), "good" if within else "care"
