"""The shift that gives a mean: found, and found where Newton's method would run away."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from models.level import shift_to

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
LOGITS = st.lists(st.floats(-700, 700), min_size=1, max_size=30).map(np.array)


@QUICK
@given(LOGITS, st.floats(1e-6, 1 - 1e-6), st.integers(0, 2**32 - 1))
def test_the_mean_is_the_share(logits: np.ndarray, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights, times = rng.uniform(0.1, 3.0, len(logits)), rng.uniform(0.2, 5.0, len(logits))
    for given_weights, each in ((None, None), (weights, None), (weights, times)):
        shift = shift_to(logits, share, given_weights, times=each)
        mean = np.average(expit(logits + shift * (1.0 if each is None else each)), weights=given_weights)
        assert mean == pytest.approx(share, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_no_shift_gives_a_share_of_none_or_all(share: float) -> None:
    with pytest.raises(ValueError, match="no shift"):
        shift_to(np.array([0.5, -0.5]), share)
