"""Features that tell the date or changed their meaning are left out; seasons, trends and rare levels stay."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from features.feature import Feature
from features.lead_features import AttributeIs, AttributeNumber, LeadAge
from features.touch_features import CountIn
from features.touch_times import Recency
from pages.words import load_words
from training.clock_features import features_of_time

Matrix = NDArray[np.float64]
DAY_US = 86_400_000_000
COUNT, DAYS = 3000, 400
RNG = np.random.default_rng(4)
DAY = np.sort(RNG.uniform(0, DAYS, COUNT))
AS_OF = np.round(DAY * DAY_US).astype(np.int64)
MATURE = DAY < DAYS - 30
NEWEST = np.arange(COUNT) >= COUNT - COUNT // 10
NORMAL = RNG.normal(size=COUNT)


def reason_of(column: Matrix, feature: Feature | None = None) -> str | None:
    found = features_of_time([feature or AttributeNumber("it")], column[:, None], AS_OF, MATURE)
    return found[0].reason if found else None


@pytest.mark.parametrize(
    ("column", "word"),
    [
        (DAY, "moves with it"),
        (-np.exp(DAY / 50), "moves with it"),
        (DAY + 15 * NORMAL, "moves with it"),
        (np.where(RNG.random(COUNT) < 0.3, np.nan, DAY), "moves with it"),
        (np.sin(DAY / 60) + 0.001 * NORMAL, "share one value"),
        (NORMAL + 9.0 * NEWEST, "outside its range"),
        (np.where(NEWEST, np.nan, NORMAL), "is missing"),
        (np.where(NEWEST, 0.0, NORMAL), "one value"),
    ],
    ids=["clock", "bent clock", "noisy clock", "clock with gaps", "macro series", "new range", "gone", "stuck"],
)
def test_what_the_past_cannot_teach_is_left_out_with_the_reason(column: Matrix, word: str) -> None:
    reason = reason_of(column) or ""
    assert word in reason
    assert load_words("ja").phrase(reason) != reason


@pytest.mark.parametrize(
    ("column", "feature"),
    [
        (NORMAL, None),
        (NORMAL + DAY / 150, None),  # a trend is no clock
        (np.floor(DAY) % 7, None),
        (np.floor(DAY * 24) % 24, None),
        ((RNG.random(COUNT) < 0.02).astype(float), AttributeIs("it", "rare")),
        (((DAY > 100) & (DAY < 130) & (NORMAL > 0)).astype(float), AttributeIs("it", "campaign")),
        (np.where(NEWEST, 0.0, RNG.poisson(1.0, COUNT)), CountIn("webinar", ("webinar",), window_days=7)),
        (np.where(RNG.random(COUNT) < 0.9, np.nan, NORMAL), Recency("webinar", ("webinar",))),
        (DAY * RNG.random(COUNT) * (1 + NEWEST), LeadAge()),
        ((NEWEST & (NORMAL > 0)).astype(float), AttributeIs("it", "new source")),
        (((DAY < 350) & (NORMAL > -0.25)).astype(float), AttributeNumber("campaign")),
        (np.where(NEWEST, DAY, DAY * RNG.random(COUNT) * 0.8), Recency("download", ("download",))),
    ],
    ids=[
        "noise",
        "trend",
        "weekday",
        "hour",
        "rare",
        "ended campaign",
        "pause of webinars",
        "sparse",
        "age",
        "new level",
        "flag of an ended campaign",
        "older than ever",
    ],
)
def test_what_comes_back_or_only_drifts_stays(column: Matrix, feature: Feature | None) -> None:
    assert reason_of(column, feature) is None


def test_a_short_history_judges_no_hour_and_no_weekday() -> None:
    """In ten days each weekday comes once or twice: it looks like the date, and may be none."""
    as_of = np.sort(RNG.uniform(0, 10 * DAY_US, COUNT)).astype(np.int64)
    for column in (as_of // DAY_US % 7, as_of // (DAY_US // 4) % 4):
        features = [AttributeNumber("it")]
        assert not features_of_time(features, column[:, None].astype(float), as_of, np.ones(COUNT, dtype=bool))


def test_few_rows_are_no_evidence() -> None:
    few = slice(0, 60)
    assert not features_of_time([AttributeNumber("it")], DAY[few, None], AS_OF[few], MATURE[few])
