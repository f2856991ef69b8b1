"""Old rule against new line: who is picked, who is worked, and whether the interval holds the gain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.gain import GainRows, compare_rules, new_picks, worked_picks

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
LEAD_IN, WEEKS = 3, 6


def drawn(seed: int, leads: int = 600, accounts: int = 300, skill: float = 1.0) -> tuple[GainRows, NDArray[np.float64]]:
    """Return rows of leads seen weekly from a week of their own on, and their true chance to win 1,000.

    The model sees the chance through noise, the old rule picks at random. What a lead is worth does not change.
    """
    rng = np.random.default_rng(seed)
    chance = rng.beta(0.6, 6.0, leads)
    seen = chance * np.exp(rng.normal(0, 1.0 - skill, leads)) if skill < 1 else chance
    first = rng.integers(0, LEAD_IN + WEEKS, leads)
    lead = np.concatenate([np.flatnonzero(first <= week) for week in range(LEAD_IN + WEEKS + 1)])
    week = np.concatenate([np.full((first <= w).sum(), w) for w in range(LEAD_IN + WEEKS + 1)])
    won = (rng.random(leads) < chance)[lead]
    old = (rng.random(leads) < 0.5)[lead] & (week == first[lead] + 1)
    account = rng.integers(0, accounts, leads)
    rows = GainRows(
        lead, account[lead], week, 1000.0 * seen[lead], won, won, 1000.0 * won, old,
        LEAD_IN, WEEKS, "2026-01-01", "2026-02-12", 1.0,
    )  # fmt: skip
    return rows, chance


@QUICK
@given(st.integers(0, 999), st.floats(0.0, 400.0), st.one_of(st.none(), st.floats(0.5, 60.0)))
def test_each_lead_is_picked_once_at_its_first_crossing_and_worked_in_order(
    seed: int, price: float, capacity: float | None
) -> None:
    rows, _ = drawn(seed, leads=150)
    picks = new_picks(rows, rows.expected_revenue, price)
    worked = worked_picks(rows, picks, capacity)
    assert len(np.unique(rows.lead[picks])) == len(picks)
    assert (rows.expected_revenue[picks] > price).all()
    assert (rows.week[picks] > LEAD_IN).all()
    before = (rows.week <= LEAD_IN) & (rows.expected_revenue > price)
    assert not np.isin(rows.lead[picks], rows.lead[before]).any()
    assert set(worked.tolist()) <= set(picks.tolist())
    per_week = np.bincount(rows.week[worked], minlength=LEAD_IN + WEEKS + 1)[LEAD_IN + 1 :]
    if capacity is None:
        assert len(worked) == len(picks)
    else:
        assert per_week.sum() <= capacity * WEEKS
        assert (per_week <= np.ceil(capacity)).all()
    for week in np.unique(rows.week[worked]):
        of_week = picks[rows.week[picks] == week]
        assert worked[rows.week[worked] == week].tolist() == of_week[: per_week[week - LEAD_IN - 1]].tolist()


def test_the_sums_are_those_of_the_worked_leads() -> None:
    rows, _ = drawn(3)
    found = compare_rules(rows, margin=0.5, touch_cost=20.0, capacity=10.0, draws=50)
    new = worked_picks(rows, new_picks(rows, rows.expected_revenue * 0.5 - 20.0, found.price), 10.0)
    old = worked_picks(rows, np.flatnonzero(rows.is_old & (rows.week > LEAD_IN)), 10.0)
    assert found.new.worked == len(new) / WEEKS
    assert found.new.revenue.value == pytest.approx(rows.revenue[new].sum() / WEEKS)
    assert found.new.value.value == pytest.approx((rows.revenue[new] * 0.5 - 20.0).sum() / WEEKS)
    assert found.old.won_rate.value == pytest.approx(rows.won[old].mean())
    assert found.gain.value == pytest.approx(found.new.value.value - found.old.value.value)
    both = set(rows.lead[new].tolist()) & set(rows.lead[old].tolist())
    assert found.both == pytest.approx(len(both) / WEEKS)
    assert found.both + found.only_new == pytest.approx(found.new.worked)


def test_a_sample_of_the_leads_stands_for_all_of_them() -> None:
    rows, _ = drawn(4, leads=2000, accounts=1000)
    keep = np.flatnonzero(rows.group % 2 == 0)
    half = GainRows(
        *(array[keep] for array in (rows.lead, rows.group, rows.week, rows.expected_revenue, rows.sql, rows.won)),
        rows.revenue[keep], rows.is_old[keep], LEAD_IN, WEEKS, rows.since, rows.until, 0.5,
    )  # fmt: skip
    whole, sampled = (
        compare_rules(these, margin=1.0, touch_cost=10.0, capacity=40.0, draws=50) for these in (rows, half)
    )
    assert sampled.price == pytest.approx(whole.price, rel=0.25)
    assert sampled.new.worked == pytest.approx(whole.new.worked, rel=0.15)


def test_a_rule_that_picks_nobody_has_no_rates_and_no_gain_to_speak_of() -> None:
    rows, _ = drawn(5)
    found = compare_rules(rows, margin=1.0, touch_cost=1e6, capacity=10.0, draws=20)
    assert found.new.worked == 0
    assert np.isnan(found.new.sql_rate.value)
    assert found.new.value.value == 0.0


def test_the_interval_holds_the_gain_as_often_as_it_says() -> None:
    """Truth is the chance of the leads that either rule works; the interval speaks of 90%."""
    held = 0
    for seed in range(200):
        rows, chance = drawn(1000 + seed, skill=0.5)
        found = compare_rules(rows, margin=0.5, touch_cost=20.0, capacity=12.0, draws=200)
        new = worked_picks(rows, new_picks(rows, rows.expected_revenue * 0.5 - 20.0, found.price), 12.0)
        old = worked_picks(rows, np.flatnonzero(rows.is_old & (rows.week > LEAD_IN)), 12.0)
        true = [float((500.0 * chance[rows.lead[picks]] - 20.0).sum()) / WEEKS for picks in (new, old)]
        held += found.gain.low <= true[0] - true[1] <= found.gain.high
    assert 0.85 <= held / 200 <= 0.95


def test_few_wins_make_no_interval_too_narrow_and_none_at_all_is_no_certainty() -> None:
    """A hundred leads a rule, of whom three buy: accounts drawn anew alone held the gain in 84% of such companies."""
    held, reps = 0, 300
    for seed in range(reps):
        rng = np.random.default_rng(seed)
        leads = 1200
        chance = rng.beta(1.0, 32.0, leads)
        won = rng.random(leads) < chance
        revenue = won * rng.lognormal(9.6, 0.75, leads)
        new, old = np.arange(leads) < 100, (np.arange(leads) >= 100) & (np.arange(leads) < 200)
        number = np.arange(leads)
        rows = GainRows(
            number, number, np.where(number % 7 == 0, 1, number % 12 + 2), np.where(new, 1e6, 0.0), won, won, revenue,
            old, 1, 12, "2026-01-01", "2026-03-26", 1.0,
        )  # fmt: skip
        found = compare_rules(rows, margin=1.0, touch_cost=1.0, capacity=None, draws=200)
        judged = rows.week > 1
        win = float(np.exp(9.6 + 0.75**2 / 2))
        true = win * float(chance[new & judged].sum() - chance[old & judged].sum())
        true -= float((new & judged).sum()) - float((old & judged).sum())
        assert found.gain.low < found.gain.value < found.gain.high
        held += found.gain.low <= true / 12 <= found.gain.high
    assert 0.86 <= held / reps <= 0.95
