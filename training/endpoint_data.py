"""What one endpoint learns from: settled rows, rows still open, and how far back the past still teaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from features.feature import Direction, Shape
from features.known import DAY_US
from models.timing import learn_timing
from training.splits import Fold

__all__ = ["SETTLED", "EndpointData", "Reading", "Sample"]

Matrix = NDArray[np.float64]
HALF_LIVES = (360.0, 180.0)
MIN_WATCHED = 0.02
"""Share of the horizon for which an open row must have been watched to teach anything."""
FEWEST_WITHOUT, WITHOUT_PER_OUTCOME = 20_000, 5.0
"""Rows without an outcome that a fold keeps: so many, and so many for each row with one. The variance of a regression
of rare outcomes grows by one over the second (King and Zeng 2001, 5.2), and by less where rows of one lead repeat."""


@dataclass(frozen=True)
class Reading:
    """How the past is read.

    Parameters
    ----------
    with_open
        Rows whose horizon is not over teach what came so far, beside an offset for the time that is left.
    half_life_days
        Age at which a row weighs half; None for equal weights.
    """

    with_open: bool
    half_life_days: float | None

    def __str__(self) -> str:
        """Return it in words, as settings show it."""
        rows = "settled and open rows" if self.with_open else "settled rows"
        return rows if self.half_life_days is None else f"{rows}, half-life {self.half_life_days:g} days"


SETTLED = Reading(with_open=False, half_life_days=None)


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows to learn from.

    Parameters
    ----------
    rows
        Row numbers of the endpoint's data, shape (m,).
    happened
        Labels, shape (m,): inside the horizon, or inside the days for which an open row was watched.
    offset
        What those days add to the logit, shape (m,): 0 for settled rows, below 0 for open ones.
    weights
        Shape (m,): a row that stands for others that were left out weighs as many; None for equal weights.
    population
        How many rows these stand for.
    """

    rows: NDArray[np.int64]
    happened: NDArray[np.bool_]
    offset: Matrix
    weights: Matrix | None
    population: int

    @property
    def kept(self) -> float:
        """Share of the rows that are kept."""
        return len(self.rows) / max(self.population, 1)

    def with_offset_times(self, factor: float) -> Self:
        """Return the sample with all offsets times ``factor``."""
        return replace(self, offset=self.offset * factor)


@dataclass(frozen=True)
class EndpointData:
    """Training rows of one endpoint, in time order.

    Parameters
    ----------
    outcome, horizon_days
        The endpoint.
    matrix
        Features, shape (n, n_features).
    happened
        An outcome was recorded inside the horizon, shape (n,); settled where ``is_mature``.
    days
        Days to the first recorded outcome, infinite where none was, shape (n,).
    is_mature
        Shape (n,): the label is settled by the end of the observed span.
    as_of_us
        Moments of the rows, microseconds, shape (n,).
    until_us
        End of the observed span, microseconds.
    lead
        Lead number of each row, shape (n,).
    drawn
        An even number from 0 to 1 of each row, as :func:`training.drawing.even_draw` gives it, shape (n,).
    shapes, directions
        How each feature is spread, and its monotone sign.
    folds
        Time-forward folds.
    ages
        Numbers of the features that say how old and how silent a lead is, age first; empty where all leads are scored
        at one age.
    """

    outcome: str
    horizon_days: float
    matrix: Matrix
    happened: NDArray[np.bool_]
    days: Matrix
    is_mature: NDArray[np.bool_]
    as_of_us: NDArray[np.int64]
    until_us: int
    lead: NDArray[np.int64]
    drawn: Matrix
    shapes: Sequence[Shape]
    directions: tuple[Direction, ...]
    folds: tuple[Fold, ...]
    ages: NDArray[np.int64]

    @property
    def settled(self) -> int:
        """How many rows have a settled label."""
        return int(self.is_mature.sum())

    @property
    def mature_us(self) -> NDArray[np.int64]:
        """When each label was settled, microseconds, shape (n,)."""
        return self.as_of_us + round(self.horizon_days * DAY_US)

    @property
    def has_open(self) -> bool:
        """Whether some fold has open rows to learn from."""
        return any(len(fold.open) for fold in self.folds if fold.is_searched)

    def outcomes(self, rows: NDArray[np.int64] | None = None) -> int:
        """Count the leads with a settled outcome, among all rows or some: a lead with several rows counts once."""
        chosen = np.flatnonzero(self.is_mature) if rows is None else rows
        return len(np.unique(self.lead[chosen][self.happened[chosen]]))

    def half_lives(self) -> tuple[float, ...]:
        """Return the half-lives worth trying: those that the history is long enough to tell apart from none."""
        span = float(self.as_of_us.max() - self.as_of_us.min()) / DAY_US
        return tuple(days for days in HALF_LIVES if span >= days)

    def watched_days(self, rows: NDArray[np.int64], until_us: int) -> Matrix:
        """Return for how many days rows were watched by a moment, shape of ``rows``."""
        return (until_us - self.as_of_us[rows]) / DAY_US

    def age_of(self, rows: NDArray[np.int64]) -> tuple[int, Matrix] | None:
        """Return the number of the feature that is a lead's age, and the ages of rows in days; None without it."""
        return (int(self.ages[0]), self.matrix[rows, self.ages[0]]) if self.ages.size else None

    def sample(self, reading: Reading, fold: Fold | None = None) -> Sample:
        """Return the rows to learn from, labels as they were at the start of the fold's test period.

        Of very many rows a fold keeps those with an outcome and a part of the others (King and Zeng 2001).

        Parameters
        ----------
        reading
            Which rows, and how they weigh.
        fold
            None for all rows, as they are at the end of the observed span.
        """
        until = self.until_us if fold is None else fold.start_us
        settled = np.flatnonzero(self.is_mature) if fold is None else fold.train
        rows, happened, offset = settled, self.happened[settled], np.zeros(len(settled))
        if reading.with_open:
            open_ = np.flatnonzero(~self.is_mature) if fold is None else fold.open
            open_ = open_[self.watched_days(open_, until) >= MIN_WATCHED * self.horizon_days]
            watched = self.watched_days(open_, until)
            rows = np.concatenate([settled, open_])
            happened = np.concatenate([happened, self.days[open_] < watched])
            capped = np.concatenate([np.full(len(settled), self.horizon_days), watched])
            timing = learn_timing(self.days[rows], np.minimum(capped, self.horizon_days), self.horizon_days)
            offset = np.concatenate([offset, timing.at(watched)])
        weights = None
        if reading.half_life_days is not None:
            weights = 0.5 ** (self.watched_days(rows, until) / reading.half_life_days)
            weights /= weights.mean()
        whole = Sample(rows, happened, offset, weights, len(rows))
        return whole if fold is None else self._thinned(whole)

    def _thinned(self, whole: Sample) -> Sample:
        """Keep every row with an outcome and a drawn part of the others, which weigh as many as they stand for.

        Folds alone are thinned, where settings are searched; the models that score learn from every row.
        """
        without = int((~whole.happened).sum())
        share = max(FEWEST_WITHOUT, WITHOUT_PER_OUTCOME * float(whole.happened.sum())) / max(without, 1)
        if share >= 1.0:
            return whole
        drawn = self.drawn[whole.rows] < share
        kept = np.flatnonzero(whole.happened | drawn)
        weights = np.where(whole.happened, 1.0, 1.0 / share) * (1.0 if whole.weights is None else whole.weights)
        return Sample(whole.rows[kept], whole.happened[kept], whole.offset[kept], weights[kept], whole.population)
