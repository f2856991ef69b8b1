"""The jump at a cut-off: the effect that made it is found, none is found where there is none, and steering shows."""

from __future__ import annotations

import numpy as np
import pytest

from models.discontinuity import Jump, Sides, bandwidth_for, jump_at


def sides_of(seed: int, *, effect: float = 0.3, count: int = 6000, at: float = 0.0, follows: bool = True) -> Sides:
    """Points rise with what sells, so that leads above would sell more often anyway; not all above are handed over."""
    rng = np.random.default_rng(seed)
    points = np.round(rng.normal(0, 30, count)) - at
    handed = rng.random(count) < np.where((points >= 0) & follows, 0.85, 0.1)
    chance = 0.15 + 0.002 * np.clip(points, -60, 60) + effect * handed
    return Sides(points, handed, rng.random(count) < chance, rng.integers(0, count // 2, count))


def found_in(sides: Sides) -> Jump:
    bandwidth = bandwidth_for(sides.distance)
    assert bandwidth is not None
    return jump_at(sides, bandwidth, seed=1)


def test_the_effect_is_found_though_the_rule_is_followed_in_part() -> None:
    found = found_in(sides_of(1))
    assert found.handed.value == pytest.approx(0.75, abs=0.1)
    assert found.effect.low < 0.3 < found.effect.high
    assert found.effect.value == pytest.approx(found.happened.value / found.handed.value)
    assert found.bunching.low < 0 < found.bunching.high
    assert (found.below, found.above) == sides_of(1).within(found.bandwidth).counts


def test_intervals_hold_the_effect_about_as_often_as_they_say() -> None:
    found = [found_in(sides_of(seed, effect=0.2, count=3000)) for seed in range(20)]
    assert 15 <= sum(one.effect.low < 0.2 < one.effect.high for one in found) <= 20  # 18 are expected


def test_no_effect_is_told_where_the_rule_is_not_followed() -> None:
    found = found_in(sides_of(2, follows=False))
    assert found.handed.low_95 < 0
    assert np.isnan(found.effect.value)
    assert np.isfinite(found.happened.value)


def test_points_that_are_steered_above_the_cut_off_are_noticed() -> None:
    sides = sides_of(3)
    near = (sides.distance < 0) & (sides.distance >= -8) & (np.arange(len(sides.distance)) % 2 == 0)
    steered = np.where(near, 1.0 - sides.distance % 3, sides.distance)
    assert found_in(Sides(steered, sides.handed, sides.happened, sides.account)).bunching.low > 0


def test_a_bandwidth_has_a_hundred_leads_on_either_side_or_there_is_none() -> None:
    few = np.concatenate([np.arange(99.0), -1.0 - np.arange(5000.0)])
    assert bandwidth_for(few) is None
    wide = np.concatenate([np.arange(100.0) * 50, -1.0 - np.arange(5000.0)])
    found = bandwidth_for(wide)
    assert found is not None
    assert (wide[wide >= 0] < found).sum() >= 100
