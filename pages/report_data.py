"""The numbers that a model report shows, as plain data.

Training fills it, :mod:`pages.model_report` turns it into a page. Everything here is JSON-like: no frames, no models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pages.estimate import Estimate
from pages.report_evidence import Evidence

__all__ = [
    "AmountReport",
    "CalibrationBin",
    "DecileRow",
    "EndpointReport",
    "EquivalentRow",
    "Estimate",
    "ExcludedRow",
    "LineReport",
    "MarkRow",
    "ModelReport",
    "SignalRow",
    "TableRow",
]


@dataclass(frozen=True)
class CalibrationBin:
    """One group of leads with similar predictions: mean prediction, observed rate and its 90% Jeffreys interval."""

    predicted: float
    observed: float
    low: float
    high: float
    leads: int


@dataclass(frozen=True)
class DecileRow:
    """One tenth of the leads, best first: how many, how many outcomes, rate, and lift over the average."""

    decile: int
    leads: int
    outcomes: int
    rate: float
    lift: float


@dataclass(frozen=True)
class EndpointReport:
    """How well one endpoint is predicted on leads that the model had not seen (time-forward, one row a lead).

    ``metrics`` has the keys auc, average_precision, log_loss, brier, ece, ece_null, ece_null_95,
    observed_over_expected, calibration_slope, lift_at_10, and auc_same_age where leads are scored at several ages;
    ``base`` the same log_loss and brier of predicting the base rate, ``age_log_loss`` that of the ages alone. ``gains``
    are pairs (share of leads worked, share of outcomes found), best leads first. ``members`` maps a member's name to
    its weight and its own log-loss on the same leads. ``folds`` has one sentence a fold on what was trained and tested
    when. ``choice`` is the whole record of the choice: every member tried, what the blend saves over it, and why.
    """

    outcome: str
    horizon_days: float
    train_rows: int
    train_outcomes: int
    test_rows: int
    test_outcomes: int
    metrics: Mapping[str, Estimate]
    base: Mapping[str, float]
    calibration: tuple[CalibrationBin, ...]
    deciles: tuple[DecileRow, ...]
    gains: tuple[tuple[float, float], ...]
    members: Mapping[str, tuple[float, float]]
    calibrator: str
    folds: tuple[str, ...]
    same_as_sql: bool = False
    age_log_loss: float | None = None
    choice: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True)
class AmountReport:
    """The amount of a win: how it is estimated (``two_part``, ``mean``, ``configured``), from how many wins.

    ``coverage_80`` is the share of wins, out of fold, inside the interval that is to hold 80% of them;
    ``predicted_over_actual`` compares their mean amounts, and ``rescaling`` is actual over predicted before the model
    was rescaled. All None unless ``two_part``. ``reads_engagement`` tells whether behaviour is read too, ``lost_deals``
    how many leads with lost deals taught beside the wins.
    """

    method: str
    wins: int
    wins_with_amount: int
    mean_amount: float
    median_amount: float
    log_residual_sd: float | None
    normalised_gini: Estimate | None
    coverage_80: Estimate | None = None
    predicted_over_actual: Estimate | None = None
    rescaling: float | None = None
    reads_engagement: bool = True
    lost_deals: int = 0


@dataclass(frozen=True)
class RuleRow:
    """What one rule handed over: leads a week, picked and worked; rates of the worked ones; money and hours a week."""

    mqls: float
    worked: float
    sql_rate: Estimate
    won_rate: Estimate
    revenue: Estimate
    value: Estimate
    hours: float | None = None


@dataclass(frozen=True)
class RulesReport:
    """The old rule and the new line on the same unseen weeks.

    ``gain`` is the value of the new line less that of the old rule, a week; ``probability`` that it is above zero.
    ``both``, ``only_old`` and ``only_new`` are leads worked a week. ``gaps`` are what sets the leads worked under the
    new line alone apart from those under the old rule alone: words of a signal, and its mean points among the two.
    """

    since: str
    until: str
    weeks: int
    old: RuleRow
    new: RuleRow
    gain: Estimate
    probability: float
    both: float
    only_old: float
    only_new: float
    gaps: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True)
class MarkRow:
    """Chance to win and score (not clipped) at which a lead of the segment's mean amount meets a grade."""

    p_won: float
    score: float


@dataclass(frozen=True)
class EquivalentRow:
    """What the line means for a segment; ``all`` is every lead at risk. A mark is None where no chance is enough."""

    segment: str
    leads: int
    mqls: int
    mean_amount: float | None
    a: MarkRow | None
    b: MarkRow | None
    c: MarkRow | None


@dataclass(frozen=True)
class LineReport:
    """The MQL line and what it would have done over the replayed weeks.

    ``curve`` are pairs (price in workspace currency, first crossings a week), rising in price. ``weekly`` are pairs
    (start of week as ISO date, first crossings at the line). ``values`` are expected values (workspace currency) at the
    101 percentiles of leads at risk. ``capacity`` is None when no limit is set.
    """

    price: float
    capacity: float | None
    touch_cost: float
    margin: float
    weeks: int
    crossings_per_week: float
    leads_at_risk: int
    mqls_now: int
    equivalent_p_won: float | None
    curve: tuple[tuple[float, float], ...]
    weekly: tuple[tuple[str, float], ...]
    values: tuple[float, ...]
    grades: Mapping[str, int]
    comparison: RulesReport | None = None
    equivalents: tuple[EquivalentRow, ...] = ()


@dataclass(frozen=True)
class SignalRow:
    """How much one signal moves scores: mean absolute points over the leads, its group (fit, engagement)."""

    signal: str
    group: str
    mean_points: float
    features: int


@dataclass(frozen=True)
class TableRow:
    """What became of one table's rows."""

    table: str
    read: int
    kept: int
    identical: int
    quarantined: int


@dataclass(frozen=True)
class ExcludedRow:
    """What one rule of ``[exclude]`` leaves out.

    How many leads, how many of them with an SQL, and which columns it reads that have no history, so that their value
    of today holds for every moment.
    """

    rule: str
    leads: int
    sql: int
    columns_of_today: tuple[str, ...]


@dataclass(frozen=True)
class ModelReport:
    """Everything that a model report shows. Times are ISO 8601 in the workspace's time zone."""

    workspace: str
    model_version: str
    run_id: str
    trained_at: str
    cutoff: str
    observed_from: str | None
    observed_until: str
    timezone: str
    currency: str
    leads: int
    accounts: int
    snapshots: int
    features: int
    score_outcome: str
    tables: tuple[TableRow, ...]
    quarantine_reasons: tuple[tuple[str, str, int], ...]
    refused_columns: tuple[tuple[str, str], ...]
    dropped_features: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    not_computed: tuple[tuple[str, str], ...]
    endpoints: tuple[EndpointReport, ...]
    amount: AmountReport
    line: LineReport
    signals: tuple[SignalRow, ...]
    examples: tuple[Mapping[str, object], ...]
    git_commit: str
    kizashi_version: str
    data_digest: str
    excluded: tuple[ExcludedRow, ...] = ()
    evidence: Evidence = field(default_factory=Evidence)
