"""What each measure says in plain words: its value as written, and a verdict that its interval allows."""

from __future__ import annotations

import math

from pages.formats import Formats
from pages.report_data import EndpointReport, Estimate
from pages.words import Words

__all__ = ["METRICS", "Verdict", "metric_text", "verdict_of"]

METRICS = (
    "auc",
    "lift_at_10",
    "average_precision",
    "log_loss",
    "brier",
    "observed_over_expected",
    "calibration_slope",
    "ece",
    "ece_null",
)

Verdict = tuple[str, str]
"""Text and tone: ``good``, ``care`` or ``plain``."""


def metric_text(name: str, value: float | None, formats: Formats) -> str:
    """Return a measure's value with its unit."""
    if value is None or not math.isfinite(value):
        return formats.words("common.none")
    if name in ("ece", "ece_null"):
        return formats.percentage_points(value)
    if name == "lift_at_10":
        return formats.times(value)
    if name == "average_precision":
        return formats.percent(value)
    digits = {"auc": 3, "log_loss": 4, "brier": 4}.get(name, 2)
    return formats.number(value, digits)


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
    if estimate is None or name in ("ece_null", "average_precision"):
        return "", "plain"
    if name in ("log_loss", "brier"):
        return _against_base(estimate, endpoint.base.get(name), words)
    if name == "ece":
        return _against_chance(estimate, endpoint.metrics.get("ece_null"), words)
    if estimate.low is None or estimate.high is None:
        return words("verdict.unknown"), "plain"
    if name in ("auc", "lift_at_10"):
        kind, chance = ("ranking", 0.5) if name == "auc" else ("lift", 1.0)
        good = estimate.low > chance
        return words(f"verdict.{kind}_{'good' if good else 'unclear'}"), "good" if good else "care"
    return _around_one("calibration" if name == "observed_over_expected" else "slope", estimate, words)


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
    better = estimate.value < base
    return words(f"verdict.base_{'better' if better else 'worse'}"), "good" if better else "care"


def _against_chance(estimate: Estimate, null: Estimate | None, words: Words) -> Verdict:
    if null is None or not math.isfinite(null.value):
        return "", "plain"
    ceiling = null.high if null.high is not None else null.value * 1.5
    within = estimate.value <= ceiling
    return words(f"verdict.ece_{'good' if within else 'unclear'}"), "good" if within else "care"
