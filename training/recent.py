"""The level of late: what recent leads did so far, against what the model expected of them by now.

A model's level is an average over its history. When the world drifts, the newest leads say so first, though most of
them are still open: *observed* counts those with the outcome so far, *expected* sums what the model says for the days
that each was watched (temporal recalibration, Booth et al. 2020; methods 2.1). One cohort misleads, so the update has
to earn its place: replayed at several origins of the past it must have brought the level of the next period closer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import chi2

from features.known import DAY_US
from models.blend import log_loss_of_logit
from models.timing import Timing, TimingByAge
from training.endpoint_data import MIN_WATCHED, EndpointData

__all__ = ["LevelUpdate", "Origin", "Reason", "Recent", "Seen", "cohort_days", "decide_update", "look_at_recent"]

Matrix = NDArray[np.float64]
COHORT_DAYS = 60.0
MAX_SHARE = 0.25
Reason = Literal["earned", "confirmed", "follows_sql"]
WHY: dict[Reason, str] = {
    "earned": "At moments of the past, following has brought the level of the next period closer.",
    "confirmed": "The newest settled period and the leads since then are off to the same side, beyond chance.",
    "follows_sql": "The level of SQL, which every win passes through, has moved.",
}
PRIOR_LEADS = 20.0
"""Leads with the outcome that the prior counts for."""
MIN_ORIGINS = 3
ENDS = (0.05, 0.95)


@dataclass(frozen=True)
class Seen:
    """Rows with the outcome so far, rows that the model expected to have it by then, and the leads behind the first.

    Rows and not leads are compared: a lead that converts leaves, and has fewer rows than one that stays.
    """

    observed: float
    expected: float
    leads: int

    def __add__(self, other: Seen) -> Seen:
        """Return both together, of different leads."""
        return Seen(self.observed + other.observed, self.expected + other.expected, self.leads + other.leads)


@dataclass(frozen=True)
class Recent:
    """What the newest leads did so far.

    Parameters
    ----------
    seen
        The counts.
    prior
        Ratio to which few leads are pulled: 1, or for won that of SQL.
    """

    seen: Seen
    prior: float

    @property
    def ratio(self) -> float:
        """Observed over expected; 1 where nothing was expected."""
        return self.seen.observed / self.seen.expected if self.seen.expected > 0 else 1.0

    @property
    def interval(self) -> tuple[float, float]:
        """Exact 90% Poisson interval of the ratio, by the number of leads with the outcome (methods 2.1)."""
        leads, each = self.seen.leads, self.seen.observed / max(self.seen.leads, 1)
        if self.seen.expected <= 0:
            return 0.0, np.inf
        low = float(chi2.ppf(ENDS[0], 2 * leads)) / 2 if leads else 0.0
        high = float(chi2.ppf(ENDS[1], 2 * leads + 2)) / 2
        return low * each / self.seen.expected, high * max(each, 1.0) / self.seen.expected

    @property
    def factor(self) -> float:
        """What the odds are multiplied by: the ratio, pulled to the prior; 1 where the interval holds 1.

        Where the prior is not 1, another endpoint has shown that the level moved, and no interval is asked.
        """
        low, high = self.interval
        if self.prior == 1.0 and low <= 1.0 <= high:
            return 1.0
        return (self.ratio * self.seen.leads + PRIOR_LEADS * self.prior) / (self.seen.leads + PRIOR_LEADS)


@dataclass(frozen=True)
class Origin:
    """One origin of the past at which the update was tried.

    Parameters
    ----------
    start_us
        When its test period begins, microseconds.
    recent
        What the newest leads had done by then.
    plain, updated
        Expected outcomes of the test period without and with the update.
    happened
        Outcomes of the test period, in rows.
    leads
        Leads with one of them.
    """

    start_us: int
    recent: Recent
    plain: float
    updated: float
    happened: float
    leads: int

    @property
    def settled(self) -> Recent:
        """What became of the test period, whose labels are settled, as of leads that were seen."""
        return Recent(Seen(self.happened, self.plain, self.leads), 1.0)


@dataclass(frozen=True)
class LevelUpdate:
    """Whether the level follows the newest leads, and why.

    Parameters
    ----------
    recent
        What the newest leads did by the end of the observed span.
    origins
        Where it was tried.
    error_plain, error_updated
        Mean over the origins of ``|log (observed / expected)|`` without and with the update.
    loss_plain, loss_updated
        Log-loss of their test rows, nats. These four are NaN without any origin.
    """

    recent: Recent
    origins: tuple[Origin, ...]
    error_plain: float
    error_updated: float
    loss_plain: float
    loss_updated: float

    @property
    def has_earned(self) -> bool:
        """Whether it brought level and log-loss of the next period closer, over at least three origins."""
        return (
            len(self.origins) >= MIN_ORIGINS
            and self.error_updated < self.error_plain
            and self.loss_updated < self.loss_plain
        )

    @property
    def is_confirmed(self) -> bool:
        """Whether two cohorts say the same beyond chance: the newest settled period, and the leads after it.

        An update that was never called for cannot have earned its place: the first drift of a history would be missed.
        One cohort misleads, two that follow each other seldom do. Where updates were called for and did harm, the
        newest settled period has to be off by more than that harm.
        """
        if not self.origins:
            return False
        harm = len(self.origins) * max(self.error_updated - self.error_plain, 0.0)
        sides = [_side(self.origins[-1].settled.interval), _side(self.recent.interval)]
        is_clear = _off(self.origins[-1], lambda origin: origin.plain) > harm
        return is_clear and sides[0] != 0 and sides[0] == sides[1]

    @property
    def reason(self) -> Reason | None:
        """Why the level may follow the newest leads; None where it stays.

        ``follows_sql``: the SQLs that every outcome passes through have moved, which pulls few outcomes along, and
        gives way to many.
        """
        if self.has_earned:
            return "earned"
        if self.is_confirmed:
            return "confirmed"
        return "follows_sql" if self.recent.prior != 1.0 else None

    @property
    def factor(self) -> float:
        """What the odds of the final model are multiplied by."""
        return 1.0 if self.reason is None else self.recent.factor

    @property
    def sentences(self) -> tuple[str, ...]:
        """Why the level moved and by how much, in English; nothing where it stays."""
        seen = self.recent.seen
        if self.reason is None or self.factor == 1.0:
            return ()
        return (
            f"The level follows the newest leads: {seen.observed:,.0f} outcomes so far where {seen.expected:,.0f} were "
            f"expected, so the odds are multiplied by {self.factor:.2f}.",
            WHY[self.reason],
        )

    def to_json(self) -> dict[str, Any]:
        """Return the decision as plain JSON: factor, reason (null where the level stays), counts and origins."""
        seen = self.recent.seen
        return {
            "factor": self.factor,
            "reason": None if self.factor == 1.0 else self.reason,
            "observed": seen.observed,
            "expected": seen.expected,
            "origins": len(self.origins),
        }

    def factor_at(self, start_us: int) -> float:
        """Return the factor at the newest origin that does not lie after a moment; 1 before the first."""
        past = [origin.recent.factor for origin in self.origins if origin.start_us <= start_us]
        return past[-1] if past and self.has_earned else 1.0


def cohort_days(data: EndpointData) -> float:
    """Return how far back the newest leads reach: a horizon and sixty days, a quarter of the history at most."""
    span = float(data.as_of_us.max() - data.as_of_us.min()) / DAY_US
    return max(data.horizon_days, min(data.horizon_days + COHORT_DAYS, span * MAX_SHARE))


def look_at_recent(
    data: EndpointData, rows: NDArray[np.int64], logit_of: Matrix, timing: Timing | TimingByAge, until_us: int
) -> Seen:
    """Count what the newest of some rows did by a moment, and what a model expected of them by then.

    Parameters
    ----------
    data
        The endpoint's rows.
    rows
        Row numbers, shape (m,).
    logit_of
        Calibrated logits of these rows for the whole horizon, shape (m,).
    timing
        Of the same model.
    until_us
        The moment.

    """
    watched = data.watched_days(rows, until_us)
    chosen = (watched <= cohort_days(data)) & (watched >= MIN_WATCHED * data.horizon_days)
    rows, waited = rows[chosen], np.minimum(watched[chosen], data.horizon_days)
    came = data.days[rows] < waited
    expected = float(expit(logit_of[chosen] + timing.of_rows(waited, data.matrix[rows])).sum())
    return Seen(float(came.sum()), expected, len(np.unique(data.lead[rows][came])))


def decide_update(
    recent: Recent,
    origins: Sequence[tuple[int, Recent, NDArray[np.bool_], Matrix, int]],
) -> LevelUpdate:
    """Judge the update by what it would have done at each origin.

    Parameters
    ----------
    recent
        At the end of the observed span.
    origins
        In time order: start of each test period in microseconds, what the newest leads had done by then, labels and
        calibrated logits of the rows of the period, and how many leads had the outcome among them.
    """
    if not origins:
        return LevelUpdate(recent, (), np.nan, np.nan, np.nan, np.nan)
    shown: list[Origin] = []
    for start, found, happened, z, leads in origins:
        expected = [float(expit(logits).sum()) for logits in (z, z + np.log(found.factor))]
        shown.append(Origin(start, found, expected[0], expected[1], float(happened.sum()), leads))
    labels = np.concatenate([happened for _, _, happened, _, _ in origins])
    plain = np.concatenate([z for *_, z, _ in origins])
    updated = np.concatenate([z + np.log(found.factor) for _, found, _, z, _ in origins])
    return LevelUpdate(
        recent,
        tuple(shown),
        _error(shown, lambda origin: origin.plain),
        _error(shown, lambda origin: origin.updated),
        log_loss_of_logit(plain, labels),
        log_loss_of_logit(updated, labels),
    )


def _side(interval: tuple[float, float]) -> int:
    """Return 1 where an interval lies above 1, -1 where it lies below, and 0 where it holds 1."""
    return int(interval[0] > 1.0) - int(interval[1] < 1.0)


def _error(origins: Sequence[Origin], expected: Callable[[Origin], float]) -> float:
    """Return the mean of ``|log (observed / expected)|``; half an outcome more on both sides keeps it finite."""
    return float(np.mean([_off(item, expected) for item in origins]))


def _off(origin: Origin, expected: Callable[[Origin], float]) -> float:
    return abs(float(np.log((origin.happened + 0.5) / (expected(origin) + 0.5))))
