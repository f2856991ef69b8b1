"""Features that tell the time, and features that are not today what they were when the model learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from features.feature import FRESHNESS, Feature
from features.known import DAY_US
from features.lead_features import AttributeNumber

__all__ = ["DroppedFeature", "features_of_time"]

Matrix = NDArray[np.float64]
SLICES, MIN_SLICE_ROWS, MIN_SLICE_US = 50, 20, 7 * DAY_US
"""How time is cut into slices. They last a week or longer: hours and weekdays come back and can be learned."""
TIME_SHARE = 0.98
"""Share of a feature's variance between slices of time from which on the feature is the time: all leads of one moment
have the same value, so that its effect cannot be told from that of the date."""
CLOCK_CORRELATION = 0.95
MIN_SLICES = 4
NEWEST_SHARE, MIN_NEWEST = 0.1, 50
MAX_OUTSIDE = 0.2
WENT_MISSING, WAS_THERE = 0.98, 0.5


@dataclass(frozen=True)
class DroppedFeature:
    """A feature that was left out.

    Parameters
    ----------
    name
        Of the feature.
    reason
        Why, as the report says it.
    is_of_time
        It tells the date, or is not today what it was in training.
    """

    name: str
    reason: str
    is_of_time: bool = False


def features_of_time(
    features: Sequence[Feature], matrix: Matrix, as_of_us: NDArray[np.int64], mature: NDArray[np.bool_]
) -> list[DroppedFeature]:
    """Find the features whose future the past cannot teach.

    A clock rises with the date, or has one value for all leads of a moment. What lies outside its range of training, or
    stopped being recorded, is today another thing than what was learned.

    Parameters
    ----------
    features, matrix
        Columns, shape (n, n_features).
    as_of_us
        Moments of the rows, microseconds, shape (n,), rising.
    mature
        Rows to learn from, shape (n,). The newest tenth of all rows, which are mostly open, are what will be scored.
    """
    newest = np.zeros(len(as_of_us), dtype=bool)
    newest[-max(int(len(as_of_us) * NEWEST_SHARE), 1) :] = True
    past = mature & ~newest
    is_week = int(np.ptp(as_of_us[newest])) >= MIN_SLICE_US
    if newest.sum() < MIN_NEWEST or past.sum() < MIN_NEWEST:
        return []
    slices = _slices(as_of_us[mature])
    found: list[DroppedFeature] = []
    for number, feature in enumerate(features):
        if feature.signal == FRESHNESS:
            continue  # age and silence are what other members stand on, and their range grows with every history
        column = matrix[:, number]
        reason = _clock(column[mature], as_of_us[mature], slices)
        if reason is None and is_week:
            reason = _shift(feature, column[past], column[newest])
        if reason is not None:
            found.append(DroppedFeature(feature.name, reason, is_of_time=True))
    return found


def _slices(as_of_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut the moments into slices of equal spans of time."""
    first, span = int(as_of_us.min()), int(np.ptp(as_of_us)) + 1
    count = max(min(SLICES, len(as_of_us) // MIN_SLICE_ROWS, span // MIN_SLICE_US), 1)
    return (as_of_us - first) * count // span


def _clock(column: Matrix, as_of_us: NDArray[np.int64], slices: NDArray[np.int64]) -> str | None:
    """Say why a column is a clock, or None."""
    there = ~np.isnan(column)
    present, places = column[there], slices[there]
    rows = np.bincount(places)
    rows_used = rows[rows > 0]
    if len(present) < MIN_NEWEST or present.min() == present.max():
        return None
    # By rank: a few giant values would hide what the other rows do.
    rank = rankdata(present)
    rising = float(np.corrcoef(rank, rankdata(as_of_us[there]))[0, 1])
    means = np.bincount(places, rank)[rows > 0] / rows_used
    between = float((rows_used * (means - rank.mean()) ** 2).sum() / ((rank - rank.mean()) ** 2).sum())
    if abs(rising) >= CLOCK_CORRELATION:
        return f"tells the date: it moves with it (rank correlation {rising:.2f})"
    if len(rows_used) >= MIN_SLICES and between >= TIME_SHARE:
        return (
            f"tells the date: leads of one moment share one value ({between:.0%} of its variance lies between moments)"
        )
    return None


def _shift(feature: Feature, past: Matrix, newest: Matrix) -> str | None:
    """Say how the newest rows differ from those to learn from, or None."""
    was_missing, is_missing = float(np.isnan(past).mean()), float(np.isnan(newest).mean())
    if is_missing >= WENT_MISSING and was_missing <= WAS_THERE:
        return f"is missing in {is_missing:.0%} of the newest rows, and was in {was_missing:.0%} of those before"
    before, now = past[~np.isnan(past)], newest[~np.isnan(newest)]
    if not before.size or now.size < MIN_NEWEST:
        return None
    # A new level or kind is news to learn, not another scale; and days since something grow with every history.
    has_scale = feature.shape not in ("days", "flag") and not bool(np.isin(before, (0.0, 1.0)).all())
    outside = float(((now < before.min()) | (now > before.max())).mean())
    if has_scale and outside > MAX_OUTSIDE:
        return f"lies outside its range of training in {outside:.0%} of the newest rows"
    # A level or a kind of touch may well have a pause; a number that everybody had does not become one value.
    if has_scale and isinstance(feature, AttributeNumber) and now.min() == now.max():
        had = float((before == now[0]).mean())
        if had <= WAS_THERE:
            return f"has one value in all of the newest rows, which {had:.0%} of those before had"
    return None
