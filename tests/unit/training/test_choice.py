"""Members earn their place on the future: by more than chance, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from pages.words import load_words
from training.choice import POLICY, Choice, choose, policy_for, saving

COUNT = 6000
LEAD = np.arange(COUNT)


def said(free_knows: float, shallow_knows: float = 0.0) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.bool_]]:
    """Three members that see the same signal with noise of their own, and one that may see another one too."""
    rng = np.random.default_rng(3)
    seen, hidden = rng.normal(size=(2, COUNT))
    happened = rng.random(COUNT) < expit(-1.5 + seen + hidden)
    logits = {name: -1.3 + 0.8 * seen + rng.normal(0, 0.3, COUNT) for name in ("logistic", "stumps", "shallow", "free")}
    logits["free"] += free_knows * hidden
    logits["shallow"] += shallow_knows * hidden
    return logits, happened


def chosen(free_knows: float, shallow_knows: float = 0.0) -> Choice:
    logits, happened = said(free_knows, shallow_knows)
    outcomes = int(happened.sum())
    return choose(logits, happened, LEAD, tested=outcomes, outcomes=outcomes)


@pytest.mark.parametrize(("outcomes", "members"), [(50, 2), (99, 2), (100, 3), (399, 3), (400, 4), (90_000, 4)])
def test_more_members_are_tried_with_more_outcomes(outcomes: int, members: int) -> None:
    assert len(policy_for(outcomes).members) == members
    assert [policy.outcomes for policy in POLICY] == sorted(policy.outcomes for policy in POLICY)


def test_free_trees_that_know_no_more_are_left_out() -> None:
    found = chosen(free_knows=0.0)
    assert len(found.weights) == 3
    assert sum(found.weights) == pytest.approx(1.0)
    assert {m.name: m.weight for m in found.members}["free"] == 0.0
    assert found.sentences[-1].endswith("are left out.")


def test_free_trees_that_see_what_the_others_miss_stay_and_weigh_the_most() -> None:
    found = chosen(free_knows=0.9)
    assert found.free_saves is not None
    assert found.free_saves.standard_errors > 2
    assert len(found.weights) == 4
    assert max(found.members, key=lambda m: m.weight).name == "free"
    assert found.log_loss <= min(m.log_loss for m in found.members)


def test_weights_are_pulled_towards_equal_ones_unless_the_future_says_otherwise_beyond_chance() -> None:
    assert chosen(free_knows=0.0).is_pulled
    sure = chosen(free_knows=0.0, shallow_knows=0.9)
    assert not sure.is_pulled
    assert {m.name: m.weight for m in sure.members}["shallow"] > 0.8


def test_rows_of_one_lead_are_one_witness() -> None:
    logits, happened = said(0.9)
    alone = saving(LEAD, happened, logits["stumps"], logits["free"])
    together = saving(LEAD // 6, happened, logits["stumps"], logits["free"])
    assert together.nats == alone.nats
    four_times = saving(
        np.repeat(LEAD, 4), np.repeat(happened, 4), np.repeat(logits["stumps"], 4), np.repeat(logits["free"], 4)
    )
    assert four_times.standard_errors == pytest.approx(alone.standard_errors)
    assert saving(LEAD, happened, logits["free"], logits["free"]).standard_errors == 0.0


@pytest.mark.parametrize("free_knows", [0.0, 0.9])
@pytest.mark.parametrize("outcomes", [60, 150, 900])
def test_the_report_says_what_was_chosen_in_japanese_too(free_knows: float, outcomes: int) -> None:
    logits, happened = said(free_knows)
    kinds = policy_for(outcomes).members
    found = choose({k: logits[k] for k in kinds}, happened, LEAD, tested=outcomes, outcomes=outcomes)
    for sentence in found.sentences:
        translated = load_words("ja").phrase(f"Won: {sentence}")
        assert translated.startswith("Won：")
