"""Decisions: the propensity is the frequency, and nobody goes back and forth at the line."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.decisions import Decision, decide, draw_of
from models.line import Line
from models.line_terms import Band
from tests.unit.models.test_line import line

QUICK = settings(max_examples=150, deadline=None, derandomize=True)
WIDTH, SHARE = 0.25, 0.2
values = st.floats(-50.0, 300.0)
histories = st.lists(values, min_size=1, max_size=12)
draws = st.floats(0.0, 1.0, exclude_max=True)
hysteresis = st.sampled_from([0.0, 0.1, 0.25])


def made(inertia: float = 0.0, band: Band | None = None, price: float = 100.0) -> Line:
    return line(price=price, hysteresis=inertia, band=band)


def follow(drawn: Line, history: list[float], draw: float) -> list[Decision]:
    found: list[Decision] = []
    for value in history:
        found.append(decide(drawn, found[-1] if found else None, value, draw))
    return found


@QUICK
@given(values, draws)
def test_without_memory_and_band_a_decision_is_the_line(value: float, draw: float) -> None:
    found = decide(made(), None, value, draw)
    assert found.decision == ("hand_off" if value > 100.0 else "keep")
    assert found.propensity == float(value > 100.0)


@QUICK
@given(histories, hysteresis)
def test_the_propensity_is_the_share_of_draws_that_hand_off(history: list[float], inertia: float) -> None:
    drawn = made(inertia, Band(share=SHARE, width=WIDTH))
    grid = (np.arange(200) + 0.5) / 200
    ends = [follow(drawn, history, float(draw))[-1] for draw in grid]
    assert len({end.propensity for end in ends}) == 1  # the draw changes what is done, not what is known of it
    assert np.mean([end.decision == "hand_off" for end in ends]) == pytest.approx(ends[0].propensity, abs=1e-9)
    assert {end.propensity for end in ends} <= {0.0, SHARE, 1 - SHARE, 1.0}


@QUICK
@given(histories, draws, hysteresis, st.booleans())
def test_inside_the_hysteresis_nothing_flickers(
    history: list[float], draw: float, inertia: float, has_band: bool
) -> None:
    assume(inertia > 0)
    drawn = made(inertia, Band(share=SHARE, width=WIDTH) if has_band else None)
    inside = [100.0 * (1 - inertia + 2 * inertia * min(max(value / 300.0, 0.01), 1.0)) for value in history]
    for start in (50.0, 180.0):
        found = follow(drawn, [start, *inside], draw)
        assert len({one.decision for one in found[1:]}) == 1


@QUICK
@given(histories, draws, hysteresis)
def test_a_lead_leaves_only_below_the_lower_edge(history: list[float], draw: float, inertia: float) -> None:
    found = follow(made(inertia), history, draw)
    for (before, after), value in zip(pairwise(found), history[1:], strict=True):
        if before.decision == "hand_off" and after.decision == "keep":
            assert value <= 100.0 * (1 - inertia)
        if before.decision == "keep" and after.decision == "hand_off":
            assert value > 100.0 * (1 + inertia)


@QUICK
@given(values, draws)
def test_at_a_line_of_nought_nothing_is_drawn(value: float, draw: float) -> None:
    found = decide(made(0.1, Band(share=SHARE, width=WIDTH), price=0.0), None, value, draw)
    assert found.propensity == float(value > 0)


def test_draws_are_even_and_change_with_the_line_and_the_key() -> None:
    found = np.sort([draw_of(f"L{number:05d}", "abc") for number in range(4000)])
    assert ((found >= 0) & (found < 1)).all()
    assert np.abs(found - (np.arange(4000) + 0.5) / 4000).max() < 0.03  # Kolmogorov's bound at 1 in 1,000
    assert draw_of("L1", "abc") == draw_of("L1", "abc")
    assert len({draw_of("L1", "abc"), draw_of("L1", "abd"), draw_of("L1", "abc", b"key"), draw_of("L1a", "bc")}) == 4


def test_a_band_narrower_than_the_hysteresis_is_refused() -> None:
    with pytest.raises(ValidationError, match="flicker"):
        made(0.3, Band(share=SHARE, width=WIDTH))


def test_documents_of_before_keep_their_version_and_signatures_do_not_change_it() -> None:
    plain = line()
    # Computed before a document could say more: scores that were issued name it.
    assert plain.version == "1862311042b7"
    assert plain.model_copy(update={"agreed_by": ("A, B",)}).version == plain.version
    assert made(0.1).version != plain.version
