"""The scorer of a card: every row earns what it says, and nothing else does."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.errors import BundleError
from features.lead_features import AttributeNumber, LeadAge
from features.touch_features import CountIn
from features.touch_times import Recency
from models.scorecard import Scorecard, TableFacts
from models.scorecard_entries import CardRow, Entry, LevelEntry, LevelGroup, RangeEntry
from models.scorecard_words import row_words

NAN = float("nan")
VISITS = RangeEntry(CountIn("visit", ("visit",), window_days=30), (0.0, 4.0), (0, 3, 7))
LAST = RangeEntry(Recency("download", ("download",)), (7.0, 30.0), (5, 2, 0))
NEVER = RangeEntry(Recency("chat", ("chat",)), (7.0,), (4, 1), missing=1)
STAFF = RangeEntry(AttributeNumber("employees"), (50.0,), (0, 2), missing=1)
INDUSTRY = LevelEntry("industry", (LevelGroup(("software", "games"), 6), LevelGroup(("farming",), 0)), 1, 3)
CARD = Scorecard(
    (VISITS, LAST, NEVER, STAFF, INDUSTRY),
    5.0,
    -4.0,
    0.9,
    "won",
    90.0,
    (20, 12, 5),
    TableFacts(frozenset({"newsletter"}), (("industry", "text"),), frozenset({"industry"}), True),
)


def row(visits: float, last: float, chat: float, staff: float, industry: str | None) -> list[float]:
    flags = [float(industry == level) for level in ("software", "games", "farming")]
    return [visits, last, chat, staff, *flags, float(industry is None)]


@pytest.mark.parametrize(
    ("lead", "points"),
    [
        (row(0, 31, 8, 50, "farming"), 0 + 0 + 1 + 0 + 0),
        (row(4, 7, 7, 51, "games"), 3 + 5 + 4 + 2 + 6),
        (row(5, 30, NAN, NAN, None), 7 + 2 + 1 + 1 + 3),
        (row(1, NAN, 1, 1, "anything else"), 3 + 0 + 4 + 0 + 1),
    ],
)
def test_points_are_those_of_the_rows(lead: list[float], points: int) -> None:
    assert CARD.points(np.array([lead])).tolist() == [points]


def _earns(row: CardRow, value: float) -> bool:
    if np.isnan(value):
        return row.includes_missing
    if not row.is_range:
        return False
    return (row.low is None or value > row.low) and (row.high is None or value <= row.high)


VALUES = st.one_of(st.just(NAN), st.integers(-5, 60).map(float), st.floats(0, 100))


@given(
    st.lists(st.integers(0, 50).map(float), max_size=6, unique=True).map(sorted),
    st.data(),
    VALUES,
    st.sampled_from((CountIn("visit", ("visit",), window_days=7), Recency("visit", ("visit",)), AttributeNumber("a"))),
)
def test_at_most_one_row_of_a_range_applies_and_gives_its_points(
    edges: list[float], data: st.DataObject, value: float, feature: CountIn | Recency | AttributeNumber
) -> None:
    points = data.draw(st.lists(st.integers(0, 9), min_size=len(edges) + 1, max_size=len(edges) + 1))
    points[data.draw(st.integers(0, len(edges)))] = 0
    entry = RangeEntry(feature, tuple(edges), tuple(points), data.draw(st.integers(0, 9)))
    applying = [row for row in entry.rows if _earns(row, value)]
    expected = int(entry.score(np.array([[value]]))[0])
    if edges:
        assert sum(row.points for row in applying) == expected
        assert len(applying) <= 1
    assert all(row.points > 0 for row in entry.rows)
    assert 0 <= expected <= entry.most


def test_a_doubling_of_the_odds_is_worth_its_points() -> None:
    card = Scorecard((VISITS,), 5.0, -3.0, 1.0, "won", 90.0)
    p = card.probability(np.array([10, 15]))
    odds = p / (1 - p)
    assert odds[1] / odds[0] == pytest.approx(2.0)


def test_grades_follow_the_cutoffs() -> None:
    assert CARD.grades(np.array([4, 5, 12, 19, 20])).tolist() == ["D", "C", "B", "B", "A"]
    without = Scorecard((VISITS,), 5.0, 0.0, 1.0, "won", 90.0, (None, None, 2))
    assert without.grades(np.array([1, 100])).tolist() == ["D", "C"]
    assert without.mql_points is None


def test_a_card_reads_back_as_it_was_written() -> None:
    assert Scorecard.from_json(json.loads(json.dumps(CARD.to_json()))) == CARD


def test_another_format_is_refused() -> None:
    with pytest.raises(BundleError, match="a scorecard of format 7"):
        Scorecard.from_json({**CARD.to_json(), "format": 7})


def test_the_most_is_what_the_best_lead_has() -> None:
    assert CARD.most == 7 + 5 + 4 + 2 + 6
    assert CARD.points(np.array([row(9, 1, 1, 99, "software")])).tolist() == [CARD.most]


@pytest.mark.parametrize(
    ("entry", "english", "japanese"),
    [
        (VISITS, ["visits in the last 30 days: 1 to 4", "visits in the last 30 days: 5 or more"], "1〜4回"),
        (LAST, ["last download: at most 7 days ago", "last download: more than 7 days ago, at most 30"], "7日以内"),
        (NEVER, ["last chat: at most 7 days ago", "last chat: more than 7 days ago, or never"], "7日以内"),
        (STAFF, ["employees: more than 50", "employees: not given"], "50を超える"),
        (
            INDUSTRY,
            ["industry: software, games", "industry: not given", "industry: any value but software, games, farming"],
            "software、games",
        ),
        (RangeEntry(LeadAge(), (1.0,), (2, 0)), ["lead created: within 24 hours"], "リードの作成：1日以内"),
        (
            RangeEntry(Recency("any"), (1.0,), (0, 2), missing=1),
            ["last touch of any kind: more than 1 day ago", "last touch of any kind: never"],
            "1日より前",
        ),
        (RangeEntry(AttributeNumber("newsletter"), (0.0,), (0, 2)), ["newsletter: yes"], "newsletter：はい"),
        (RangeEntry(VISITS.feature, (0.0, 1.0), (2, 1, 0)), None, "0回"),
    ],
)
def test_rows_in_words(entry: Entry, english: list[str] | None, japanese: str) -> None:
    booleans = CARD.facts.booleans
    if english is not None:
        assert [row_words(row, "en", booleans) for row in entry.rows] == english
    assert japanese in row_words(entry.rows[0], "ja", booleans)
