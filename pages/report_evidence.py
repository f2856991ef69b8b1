"""The evidence of a model report for a sceptic, as plain data: one dataclass a section.

Everything has a default that means "not computed", which the page says in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pages.estimate import Estimate

__all__ = [
    "BacktestRun",
    "CensoredRow",
    "Curve",
    "CurveBin",
    "CutOffRow",
    "Evidence",
    "HandOffReport",
    "LeakRow",
    "LevelRow",
    "LevelState",
    "MonthCount",
    "MonthRow",
    "OriginRow",
    "Pooled",
    "ReliabilityReport",
    "RevenueReport",
    "RevenueTenth",
    "SegmentRow",
]


@dataclass(frozen=True)
class MonthCount:
    """What became of one month's rows: mature ones, mature leads with the outcome, and mature rows with it."""

    mature: int
    leads_with: int
    rows_with: int


@dataclass(frozen=True)
class MonthRow:
    """Rows of one calendar month (``YYYY-MM``, workspace time), and their leads, by outcome."""

    month: str
    rows: int
    leads: int
    counts: Mapping[str, MonthCount]


@dataclass(frozen=True)
class ReliabilityReport:
    """CORP reliability curve of one endpoint with its 90% consistency band, and where predictions lie.

    ``miscalibration`` is that part of the Brier score; a calibrated model shows ``null`` of it on average by chance
    and stays below ``null_95`` in 95 of 100 cases. ``outside`` is the share of leads at which the curve
    leaves the band.
    """

    outcome: str
    predicted: tuple[float, ...]
    recalibrated: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    miscalibration: float
    null: float
    null_95: float
    outside: float


@dataclass(frozen=True)
class LevelRow:
    """Outcomes over expected ones in a group of unseen leads: exact Poisson interval, and pulled to all leads' ratio.

    ``kind`` is ``segment``, an attribute's name, ``age`` or ``month``; ``is_off`` tells that the ratio is off also
    after Holm's correction for the number of groups (level 10%).
    """

    outcome: str
    kind: str
    group: str
    leads: int
    observed: int
    expected: float
    ratio: Estimate
    shrunk: Estimate
    is_off: bool


@dataclass(frozen=True)
class SegmentRow:
    """How well one group of unseen leads is ranked; ``is_weak`` after Holm's correction (level 10%).

    ``captured`` is the share of the group's outcomes among the best-scored tenth of all leads.
    """

    outcome: str
    kind: str
    group: str
    leads: int
    outcomes: int
    auc: Estimate
    log_loss: float
    base_log_loss: float
    captured: Estimate
    is_weak: bool


@dataclass(frozen=True)
class CurveBin:
    """Leads with similar values: mean value, how it is written, share of leads, and points (mean, 5% to 95%)."""

    value: float
    label: str
    share: float
    points: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """What one feature adds to a score by its value.

    ``title`` and ``unit`` by language; ``is_level`` for the values of an attribute, which have no order.
    ``is_exact`` tells that no member lets the feature act together with others, so that all leads of one
    value have the same points.
    """

    name: str
    title: Mapping[str, str]
    unit: Mapping[str, str]
    is_level: bool
    is_exact: bool
    mean_points: float
    bins: tuple[CurveBin, ...]
    missing: CurveBin | None = None


@dataclass(frozen=True)
class LeakRow:
    """One check of the leak sentinel; ``status`` is passed, attention, failed, not_computable or not_run."""

    check: str
    status: str
    found: str


@dataclass(frozen=True)
class OriginRow:
    """One method on the unseen rows of one test period (``start`` as ISO date)."""

    outcome: str
    start: str
    method: str
    leads: int
    outcomes: int
    auc: Estimate | None
    log_loss: Estimate | None
    ratio: Estimate | None


@dataclass(frozen=True)
class Pooled:
    """One method on all unseen rows; ``*_gain``: what kizashi has over it on the same draws of accounts."""

    outcome: str
    method: str
    auc: Estimate | None
    log_loss: Estimate | None
    captured: Estimate | None
    auc_gain: Estimate | None
    log_loss_gain: Estimate | None
    captured_gain: Estimate | None


@dataclass(frozen=True)
class BacktestRun:
    """The workspace's newest backtest: its MLflow run, and its pooled measures by outcome, method and measure."""

    run_id: str
    name: str
    origins: str
    measures: Mapping[str, Mapping[str, Mapping[str, Estimate]]]


@dataclass(frozen=True)
class CensoredRow:
    """The newest test period judged twice: on leads whose horizon is over, and on all, weighted for follow-up."""

    outcome: str
    leads: int
    leads_open: int
    mature: Mapping[str, Estimate]
    weighted: Mapping[str, Estimate]
    followed: float


@dataclass(frozen=True)
class RevenueTenth:
    """A tenth of unseen leads by expected revenue: expected and actual revenue a lead."""

    tenth: int
    leads: int
    expected: float
    actual: Estimate


@dataclass(frozen=True)
class RevenueReport:
    """Expected against actual revenue of unseen leads, workspace currency.

    ``ratio`` is actual over expected with an account-cluster interval; ``gini`` says how well leads are ordered by what
    they brought. ``now`` is what all leads at risk together are expected to bring, by chance alone; ``value_quantiles``
    are the expected value of leads at risk and the range that holds 80% of what such a lead brings.
    """

    leads: int
    wins: int
    unpriced: int
    expected: float
    actual: float
    ratio: Estimate
    gini: Estimate
    tenths: tuple[RevenueTenth, ...]
    now: Estimate | None = None
    leads_now: int = 0
    value_now: Estimate | None = None


@dataclass(frozen=True)
class CutOffRow:
    """Leads around the old rule's cut-off, inside one bandwidth in points.

    ``handed`` and ``happened`` are by how much the shares of hand-offs and of SQLs jump at the cut-off, ``effect`` the
    second over the first, ``bunching`` the logarithm of the density of leads above over that below.
    """

    bandwidth: float
    below: int
    above: int
    handed: Estimate
    happened: Estimate
    effect: Estimate
    bunching: Estimate


@dataclass(frozen=True)
class HandOffReport:
    """What hand-offs tell: of how many, and what working a lead changes.

    ``slopes`` and ``slopes_left`` are how much fit, engagement and freshness count if a lead is handed off and if it is
    left alone, 1 being as much as things are run; empty without a term, for which ``missing`` gives the reason.
    ``overlap`` is the share of snapshots with a chance of a hand-off of at least 2%. The ``cut_off`` rows compare leads
    around so many ``points`` of the old rule, whose SQLs count for ``days`` from creation; ``cut_off_missing`` says why
    there are none.
    """

    hand_offs: int
    sqls: int
    wins: int
    decides: bool
    missing: str
    cut_off_missing: str
    slopes: tuple[float, ...] = ()
    slopes_left: tuple[float, ...] = ()
    overlap: float | None = None
    points: float | None = None
    days: float | None = None
    cut_off: tuple[CutOffRow, ...] = ()


@dataclass(frozen=True)
class LevelState:
    """Whether the level of an endpoint follows the newest leads, by which factor of the odds, and why.

    Parameters
    ----------
    outcome
        ``sql`` or ``won``.
    factor
        What the odds are multiplied by; 1 where the level stays.
    origins
        Periods of the past in which following was tried.
    reason
        Why it may follow: it did better there (``earned``), two cohorts show the same (``confirmed``), or the SQLs have
        moved (``follows_sql``); None where it may not.
    """

    outcome: str
    factor: float
    origins: int
    reason: Literal["earned", "confirmed", "follows_sql"] | None


@dataclass(frozen=True)
class Evidence:
    """All of it."""

    months: tuple[MonthRow, ...] = ()
    reliability: tuple[ReliabilityReport, ...] = ()
    levels: tuple[LevelRow, ...] = ()
    segments: tuple[SegmentRow, ...] = ()
    curves: tuple[Curve, ...] = ()
    leaks: tuple[LeakRow, ...] = ()
    origins: tuple[OriginRow, ...] = ()
    pooled: tuple[Pooled, ...] = ()
    backtest: BacktestRun | None = None
    censored: tuple[CensoredRow, ...] = ()
    revenue: RevenueReport | None = None
    level_states: tuple[LevelState, ...] = ()
    hand_offs: HandOffReport | None = None
    has_old_rule: bool = True
    line_values: tuple[tuple[float, float, float], ...] = field(default=())
    """Triples (price of the line, first crossings a week, expected value a week of those that cross)."""
