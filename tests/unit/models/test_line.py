"""The line: crossings, the smallest price that fits, grades, percentiles and the document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.errors import BundleError
from models.line import Line, Replay, crossings, set_price

QUICK = settings(max_examples=150, deadline=None, derandomize=True)
WEEKS = 3


def line(**changes: Any) -> Line:
    fields: Mapping[str, Any] = {
        "price": 100.0,
        "margin": 0.5,
        "touch_cost": 20.0,
        "capacity_per_week": 5.0,
        "currency": "EUR",
        "quantiles": tuple(float(q) for q in range(101)),
        "median_mql_value": 300.0,
        "equivalent_p_won": 0.01,
        "crossings_per_week": 4.5,
        "weeks": 8,
        "leads_at_risk": 1000,
        "set_as_of": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Line(**{**fields, **changes})


def replay_of(rows: list[tuple[int, int, float]], weeks: int = WEEKS) -> Replay:
    lead, week, value = (np.array([row[part] for row in rows]) for part in range(3))
    return Replay(
        lead.astype(np.int64),
        week.astype(np.int64),
        value.astype(np.float64),
        tuple(f"2026-01-{1 + 7 * number:02d}" for number in range(weeks)),
    )


def brute_force(rows: list[tuple[int, int, float]], price: float, weeks: int = WEEKS) -> list[int]:
    """Count first crossings lead by lead, as a person would."""
    counts = [0] * weeks
    for number in {lead for lead, _, _ in rows}:
        above = [week for lead, week, value in rows if lead == number and value > max(price, 0.0)]
        if above and min(above) > 0:
            counts[min(above) - 1] += 1
    return counts


values = st.one_of(st.sampled_from((-5.0, 0.0, 1.0, 2.0, 3.0)), st.floats(-10, 100))
replays = st.lists(st.tuples(st.integers(0, 8), st.integers(0, WEEKS), values), min_size=1, max_size=40)


def test_a_lead_crosses_once_and_not_when_it_was_above_before() -> None:
    rows = [
        *[(0, 1, 5.0), (0, 2, 50.0), (0, 3, 60.0)],  # crosses in week 2, once
        *[(1, 0, 50.0), (1, 1, 5.0), (1, 2, 50.0)],  # was above before
        *[(2, 1, 50.0), (2, 2, 5.0), (2, 3, 50.0)],  # falls below and comes back: once
        *[(3, 0, 5.0), (3, 3, 50.0)],
        *[(4, 2, 10.0)],  # at the price is not above it
    ]
    replay = replay_of(rows)
    assert crossings(replay, replay.expected_revenue, 10.0).tolist() == [1, 1, 1]


@QUICK
@given(replays, st.sampled_from((-3.0, 0.0, 1.0, 2.5, 50.0)))
def test_crossings_equal_those_counted_by_hand(rows: list[tuple[int, int, float]], price: float) -> None:
    replay = replay_of(rows)
    assert crossings(replay, replay.expected_revenue, price).tolist() == brute_force(rows, price)


@QUICK
@given(replays, st.sampled_from((0.1, 1 / 3, 0.5, 1.0, 2.0)))
def test_price_is_the_smallest_that_fits(rows: list[tuple[int, int, float]], capacity: float) -> None:
    replay = replay_of(rows)
    price, curve = set_price(replay, replay.expected_revenue, capacity)
    # The count changes only where some value is left behind, so zero and the values are all the prices there are.
    prices = sorted({0.0, *(value for _, _, value in rows if value > 0)})
    fitting = [p for p in prices if sum(brute_force(rows, p)) / WEEKS <= capacity]
    assert price == fitting[0]
    assert crossings(replay, replay.expected_revenue, price).mean() <= capacity
    assert [p for p, _ in curve] == sorted(p for p, _ in curve)


def test_the_smallest_price_is_found_among_many_values() -> None:
    rng = np.random.default_rng(1)
    rows = [(number, int(rng.integers(1, 4)), float(value)) for number, value in enumerate(rng.lognormal(3, 2, 5000))]
    replay = replay_of(rows)
    price, curve = set_price(replay, replay.expected_revenue, 7.0)
    assert crossings(replay, replay.expected_revenue, price).sum() == 21
    assert price in replay.expected_revenue
    assert len(curve) <= 500


@QUICK
@given(replays, st.sampled_from((0.25, 1.0, 2.0)))
def test_half_of_the_leads_tell_what_all_of_them_do(rows: list[tuple[int, int, float]], capacity: float) -> None:
    twice = replay_of([*rows, *((lead + 9, week, value) for lead, week, value in rows)])
    half = replace(replay_of(rows), share=0.5)
    found = [set_price(replay, replay.expected_revenue, capacity) for replay in (twice, half)]
    assert found[0][0] == found[1][0]
    np.testing.assert_allclose(found[0][1][0][1], found[1][1][0][1])


def test_no_capacity_or_enough_of_it_gives_a_price_of_zero() -> None:
    replay = replay_of([(0, 1, 5.0), (1, 2, 7.0)])
    assert set_price(replay, replay.expected_revenue, None)[0] == 0.0
    assert set_price(replay, replay.expected_revenue, 2.0)[0] == 0.0


def test_where_no_lead_is_worth_working_the_price_is_zero() -> None:
    replay = replay_of([(0, 1, -5.0), (1, 2, 0.0)])
    assert set_price(replay, replay.expected_revenue, 1.0) == (0.0, ((0.0, 0.0),))
    assert crossings(replay, replay.expected_revenue, 0.0).tolist() == [0, 0, 0]


def test_threshold_is_never_below_zero() -> None:
    assert line(price=-50.0).threshold == 0.0
    assert line(price=12.0).threshold == 12.0


def test_expected_value_is_margin_less_cost() -> None:
    assert line().expected_value(np.array([0.0, 100.0])).tolist() == [-20.0, 30.0]


def test_grades_part_mqls_at_their_median_and_others_at_zero() -> None:
    found = line().grades(np.array([301.0, 300.0, 100.5, 100.0, 0.1, 0.0, -1.0]))
    assert found.tolist() == ["A", "B", "B", "C", "C", "D", "D"]
    assert line(median_mql_value=None).grades(np.array([101.0, 100.0])).tolist() == ["A", "C"]


def test_percentile_counts_those_below() -> None:
    found = line(quantiles=tuple(np.linspace(20.0, 70.0, 101))).percentile(np.array([-5.0, 20.0, 45.0, 70.0, 99.0]))
    assert found == pytest.approx([0.0, 0.0, 50.0, 100.0, 100.0])


@QUICK
@given(st.floats(-1e6, 1e6), st.none() | st.floats(0.1, 500), st.none() | st.floats(-10, 1e7))
def test_a_document_reads_back_as_written(price: float, capacity: float | None, median: float | None) -> None:
    wanted = line(price=price, capacity_per_week=capacity, median_mql_value=median)
    found = Line.model_validate_json(wanted.model_dump_json())
    assert found == wanted
    assert found.version == wanted.version


def test_a_document_is_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "new" / "line.json"
    line(agreed_by=("Ana",)).save(path)
    assert Line.load(path) == line(agreed_by=("Ana",))


def test_version_follows_the_definition_and_not_who_agreed() -> None:
    assert line().version == line(agreed_by=("Ana", "Ben")).version
    assert line().version != line(price=101.0).version
    assert line().version != line(model_version="2").version


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"price": 1}', "\u30ea\u30fc\u30c9"],
    ids=["empty", "cut", "list", "null", "partial", "words"],
)
def test_a_broken_document_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "line.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match=r"line\.json"):
        Line.load(path)


def test_a_document_with_an_unknown_key_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "line.json"
    path.write_text(json.dumps({**json.loads(line().model_dump_json()), "extra": 1}), encoding="utf-8")
    for place in (path, tmp_path / "none.json", tmp_path):
        with pytest.raises(BundleError):
            Line.load(place)
