"""What a win brings: the amount given a win, in workspace currency.

Two parts: the probability of winning is the endpoint's; here is ``E[amount | won] = share * exp(mu(x) + s^2 / 2) *
scale`` with ``mu`` from ridge regression of the log amount (:mod:`models.amount_fit`), ``s^2`` the residual variance of
the winners out of fold, ``share`` the part of wins that brought anything, and ``scale`` the rescaling check of
methods 3.

One distribution gives the mean, the spread and the interval: a win brings nothing with probability ``1 - share``, else
``scale`` times a lognormal amount with ``mu`` and ``s^2``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from models.transform import LinearParts, Transform

__all__ = ["LEVELS", "AmountModel"]

Matrix = NDArray[np.float64]
LEVELS = np.arange(1, 20) / 20
"""Where the quantiles of few amounts are kept."""


@dataclass(frozen=True)
class AmountModel:
    """The amount of a win.

    Parameters
    ----------
    method
        ``two_part``, ``mean`` (too few wins with an amount) or ``configured`` (none).
    mean
        Amount for every lead unless ``two_part``.
    transform, intercept, weights
        Ridge regression of the log amount; None and empty unless ``two_part``.
    log_range
        Lowest and highest log amount in training; predictions stay inside.
    residual_variance, positive_share, scale
        As in the formula above.
    rescaling
        Amounts won over amounts predicted out of fold, before ``scale``: outside 0.9 to 1.1 it becomes the scale.
    alpha
        Penalty that blocked cross-validation chose.
    deviation
        Standard deviation of the amount of a win, workspace currency, for ``mean``; 0 for ``configured``.
    quantiles
        For ``mean``: quantiles of the amount of the next win at 5%, 10%, ... 95%, None where the wins are too few to
        tell. Empty for the others.
    reads_engagement
        All features are read; where False, only those that say who the lead is.
    lost_deals
        Leads whose lost deals taught what amounts hang on, beside the wins; 0 where lost deals were not read.
    out_of_fold
        Predictions for the training rows by models that did not see them, shape (n,); not kept in the bundle.
    out_of_fold_rank
        The same over the level of the amounts that each of these models saw, shape (n,): what to rank by. A block of
        large amounts is left out of its own level and would rank last for that alone. Not kept in the bundle.
    """

    method: Literal["two_part", "mean", "configured"]
    mean: float
    transform: Transform | None = None
    intercept: float = 0.0
    weights: Matrix | None = None
    log_range: tuple[float, float] = (0.0, 0.0)
    residual_variance: float = 0.0
    positive_share: float = 1.0
    scale: float = 1.0
    rescaling: float = 1.0
    alpha: float = 0.0
    deviation: float = 0.0
    quantiles: tuple[float | None, ...] = ()
    reads_engagement: bool = True
    lost_deals: int = 0
    out_of_fold: Matrix | None = None
    out_of_fold_rank: Matrix | None = None

    def expected(self, matrix: Matrix) -> Matrix:
        """Return the expected amount given a win, shape (n,)."""
        if self._linear is None:
            return np.full(matrix.shape[0], self.mean)
        mu = np.clip(self.intercept + self._linear(matrix).sum(axis=1), *self.log_range)
        return self.positive_share * np.exp(mu + self.residual_variance / 2) * self.scale

    @cached_property
    def _linear(self) -> LinearParts | None:
        if self.transform is None or self.weights is None:
            return None
        none = np.zeros(len(self.weights)), np.zeros(len(self.transform.hinge_feature))
        return LinearParts(self.transform, self.weights, *none)

    def interval(self, matrix: Matrix, level: float = 0.8) -> tuple[Matrix, Matrix]:
        """Return between which amounts the wins of leads lie, each end of shape (n,).

        As many wins are below the lower end as above the upper one, unless more than that bring nothing: then the
        lower end is 0, and the upper one is such that the interval holds its level. NaN where nothing is known of the
        spread: a configured amount, or wins too few for the level. The width is that of single wins around the
        prediction; how well the prediction itself is known is not in it.
        """
        return self.interval_around(self.expected(matrix), level)

    def interval_around(self, expected: Matrix, level: float = 0.8) -> tuple[Matrix, Matrix]:
        """Return the interval of wins whose expected amounts are given, shape (n,), as in :meth:`interval`.

        Examples
        --------
        >>> model = AmountModel("two_part", 0.0, residual_variance=0.25)
        >>> low, high = model.interval_around(np.array([1000.0]))
        >>> round(float(low[0])), round(float(high[0]))
        (465, 1675)
        """
        tails = ((1 - level) / 2, (1 + level) / 2)
        if self.method != "two_part":
            known = np.array([np.nan if value is None else value for value in self.quantiles])
            ends = [_between(known, tail) for tail in tails]
            return np.full(len(expected), ends[0]), np.full(len(expected), ends[1])
        if 1 - self.positive_share >= tails[0]:  # wins without an amount fill the lower tail and more
            tails = (0.0, level)
        low, high = (expected / self.positive_share * self._quantile_over_mean(tail) for tail in tails)
        return low, high

    def _quantile_over_mean(self, tail: float) -> float:
        """Return a quantile of the amount of a win over the mean of the amounts above zero."""
        above = (tail - (1 - self.positive_share)) / self.positive_share
        if above <= 0:
            return 0.0
        deviation = float(np.sqrt(self.residual_variance))
        return float(np.exp(ndtri(above) * deviation - self.residual_variance / 2))

    def mean_square(self, expected: Matrix) -> Matrix:
        """Return ``E[amount^2 | won]`` of wins whose expected amounts are given, shape (n,)."""
        if self.method != "two_part":
            return expected**2 + self.deviation**2
        # share * (scale * exp(mu + s^2))^2, where expected = share * scale * exp(mu + s^2 / 2)
        return expected**2 * np.exp(self.residual_variance) / self.positive_share

    def draw(self, expected: Matrix, rng: np.random.Generator) -> Matrix:
        """Draw amounts of wins whose expected amounts are given, shape (n,); few wins are taken as lognormal."""
        if self.method == "two_part":
            variance, share = self.residual_variance, self.positive_share
        else:
            variance, share = float(np.log1p((self.deviation / self.mean) ** 2)) if self.deviation else 0.0, 1.0
        size, z = expected / share, rng.standard_normal(len(expected))
        amounts = size * np.exp(np.sqrt(variance) * z - variance / 2)
        return amounts * (rng.random(len(expected)) < share)

    def to_json(self) -> dict[str, Any]:
        """Return the model as plain JSON."""
        left_out = ("transform", "weights", "out_of_fold", "out_of_fold_rank")
        item = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in left_out}
        if self.transform is not None and self.weights is not None:
            item["transform"] = self.transform.to_json()
            item["weights"] = self.weights.tolist()
        return item

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        built = ("transform", "weights", "log_range", "quantiles")
        plain = {key: value for key, value in item.items() if key not in built}
        transform, weights = None, None
        if "transform" in item:
            transform = Transform.from_json(item["transform"])
            weights = np.asarray(item["weights"], dtype=np.float64)
        low, high = item["log_range"]
        return cls(
            **plain,
            transform=transform,
            weights=weights,
            log_range=(float(low), float(high)),
            quantiles=tuple(item["quantiles"]),
        )


def _between(quantiles: Matrix, tail: float) -> float:
    """Return the quantile at a tail probability from those at :data:`LEVELS`; NaN outside."""
    if not len(quantiles) or not LEVELS[0] - 1e-9 <= tail <= LEVELS[-1] + 1e-9:
        return float("nan")
    nearest = int(np.abs(LEVELS - tail).argmin())
    return float(quantiles[nearest] if abs(LEVELS[nearest] - tail) < 1e-9 else np.interp(tail, LEVELS, quantiles))
