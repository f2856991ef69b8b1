"""Training rows with counts, ages, skewed numbers and flags, some missing, whose truth is known."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from features.feature import Shape

Matrix = NDArray[np.float64]
SHAPES: tuple[Shape, ...] = ("count", "days", "number", "flag", "number")
NUMBERS = st.one_of(
    st.just(float("nan")),
    st.sampled_from((0.0, -0.0, 1.0, -1.0, 1e-40, 1e12, -1e12)),
    st.floats(-1e3, 1e6),
)
ROWS = st.lists(st.lists(NUMBERS, min_size=len(SHAPES), max_size=len(SHAPES)), min_size=1, max_size=12).map(np.array)
"""Rows unlike those of the training: missing values, zeros of both signs, outliers."""


def rows(count: int, seed: int = 1) -> tuple[Matrix, NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    visits = rng.poisson(2.0, count).astype(float)
    days = rng.exponential(30.0, count)
    employees = np.where(rng.random(count) < 0.2, np.nan, rng.lognormal(4, 1.5, count))
    flag = (rng.random(count) < 0.3).astype(float)
    plain = np.where(rng.random(count) < 0.1, np.nan, rng.normal(0, 1, count))
    z = -2.0 + 0.8 * np.log1p(visits) - 0.03 * days + 1.2 * flag - 0.8 * np.isnan(employees) + np.nan_to_num(plain)
    return np.stack([visits, days, employees, flag, plain], axis=1), rng.random(count) < expit(z)
