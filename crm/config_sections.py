"""The sections of the workspace file, each a frozen model of its own; :mod:`crm.config` puts them together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from crm.config_values import (
    Capacity,
    Currency,
    Days,
    Flag,
    Moment,
    Real,
    Section,
    Select,
    TableName,
    Whole,
    Zone,
)

__all__ = [
    "ColumnsConfig",
    "LineConfig",
    "OutcomeConfig",
    "SnapshotsConfig",
    "SourceConfig",
    "ValueConfig",
    "WorkspaceSection",
]

LAGGED = ("touches", "stages", "opportunities", "hand_offs")


class WorkspaceSection(Section):
    """``[workspace]``: what holds for the whole workspace.

    Attributes
    ----------
    name
        What reports and the model's card call the workspace.
    timezone
        Zone of the business: its days and weeks, and of times without one where the source names none.
    currency
        Currency of every amount shown; others are brought to it by ``fx_rates``.
    language
        Language of reports, reasons and the board.
    hash_ids
        Replace ids of leads and accounts by a hash keyed with ``KIZASHI_ID_KEY``.
    """

    name: str = "kizashi"
    timezone: Zone = "UTC"
    currency: Currency = "USD"
    language: Literal["en", "ja"] = "en"
    hash_ids: Flag = False


STATE_URL = "state:"
"""URL of a workspace whose rows are all posted or pulled."""


class SourceConfig(Section):
    """``[source]``: where the raw tables are, and one SELECT a table in that engine's dialect.

    Attributes
    ----------
    url
        ``dir:FOLDER`` (relative to the workspace), ``demo://``, a database's URL, or ``state:`` where every row is
        posted to the service or pulled from a CRM.
    timezone
        Zone of times that carry none; the workspace's unless given.
    lag
        Hours between an event and its recording, by table (touches, stages, opportunities, hand_offs), where the source
        stores no ``recorded_at``.
    tables
        One SELECT a table, in the source's own SQL.
    order_only
        The data has no dates: its times are positions in an order, nothing more.
    """

    url: str
    timezone: Zone | None = None
    lag: Mapping[TableName, Annotated[Real, Field(ge=0, le=24 * 365)]] = Field(default_factory=dict)
    tables: Mapping[TableName, Select] = Field(default_factory=dict)
    order_only: Flag = False

    @model_validator(mode="after")
    def _has_leads(self) -> SourceConfig:
        is_demo = self.url.startswith("demo:")
        if is_demo and self.tables:
            raise ValueError("tables: the simulator of demo:// makes its own tables; leave [source.tables] out")
        if self.url == STATE_URL and self.tables:
            raise ValueError(
                "tables: there is nothing to SELECT from where the url is state:; leave [source.tables] out"
            )
        if "leads" not in self.tables and not is_demo and self.url != STATE_URL:
            raise ValueError("tables: a SELECT for 'leads' is missing")
        return self

    @model_validator(mode="after")
    def _lags_apply(self) -> SourceConfig:
        idle = [name for name in self.lag if name not in LAGGED]
        if idle:
            raise ValueError(f"lag.{idle[0]}: rows of this table have no lag; expected one of {', '.join(LAGGED)}")
        return self


class ColumnsConfig(Section):
    """``[columns]``: which attributes of a lead may be used.

    An attribute without history in ``lead_changes`` is used only if ``known_at_creation`` lists it.

    Attributes
    ----------
    known_at_creation
        Columns of ``leads`` that hold the value at creation, not today's.
    ignore
        Columns that are never used.
    allow_personal
        Columns whose name or values look personal and are not.
    """

    known_at_creation: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    allow_personal: tuple[str, ...] = ()


class OutcomeConfig(Section):
    """``[outcome]``: horizons in days, and the span in which outcomes were recorded.

    Attributes
    ----------
    sql_horizon_days
        Days after a snapshot in which an SQL counts.
    won_horizon_days
        Days after a snapshot in which a win counts.
    observed_from
        Outcomes before this moment were not recorded; earlier snapshots do not train. Workspace time zone.
    observed_until
        Last moment at which outcomes were recorded; the newest recorded outcome unless given. Never in the future.
        Workspace time zone.
    """

    sql_horizon_days: Days = 30
    won_horizon_days: Days = 90
    observed_from: Moment | None = None
    observed_until: Moment | None = None

    @model_validator(mode="after")
    def _in_order(self) -> OutcomeConfig:
        if self.observed_from and self.observed_until and self.observed_from >= self.observed_until:
            raise ValueError("observed_from does not lie before observed_until")
        return self


class SnapshotsConfig(Section):
    """``[snapshots]``: at which moments leads are scored for training.

    Without any key: at creation and at six ages drawn by a hash of the lead, while it is at risk.

    Attributes
    ----------
    creation
        When the lead is created or recycled.
    after_days
        So many days after that.
    touch_kinds
        At each touch of these kinds.
    weekly
        Each week at the hour at which the observed span ends.
    decisions
        At each MQL, or at each hand-off where the data has no MQLs.
    random_per_lead
        At so many ages, drawn by a hash of the lead.
    """

    creation: Flag = False
    after_days: tuple[Days, ...] = ()
    touch_kinds: tuple[str, ...] = ()
    weekly: Flag = False
    decisions: Flag = False
    random_per_lead: Annotated[Whole, Field(ge=0, le=20)] = 0

    @property
    def is_default(self) -> bool:
        """True when the file names no moment at all."""
        return self == SnapshotsConfig()


class ValueConfig(Section):
    """``[value]``: what a win is worth and what working a lead costs, in workspace currency.

    Attributes
    ----------
    margin
        Share of the revenue of a win that is earned.
    touch_cost
        Cost of working one lead.
    capacity_per_week
        Leads that sales can start on in a week, one number or one a team.
    default_amount
        Amount of a win where the data has none.
    hours_per_lead
        Hours of sales that working one lead takes, so that reports can speak of hours.
    basis
        What the expected value speaks of: ``as_run``, what comes of a lead as things are run, or ``if_worked``, what
        working it adds to that of leaving it alone, where hand-offs tell it.
    """

    margin: Annotated[Real, Field(gt=0, le=1)] = 1.0
    touch_cost: Annotated[Real, Field(ge=0)] = 0.0
    capacity_per_week: Capacity = None
    default_amount: Annotated[Real, Field(gt=0)] | None = None
    hours_per_lead: Annotated[Real, Field(gt=0, le=1_000)] | None = None
    basis: Literal["as_run", "if_worked"] = "as_run"

    @property
    def weekly_capacity(self) -> float | None:
        """Leads that sales can start on in a week, over all teams; None when not given."""
        if isinstance(self.capacity_per_week, Mapping):
            return float(sum(self.capacity_per_week.values()))
        return self.capacity_per_week


class LineConfig(Section):
    """``[line]``: how decisions keep to the MQL line; all of it is off unless given.

    Attributes
    ----------
    hysteresis
        A lead becomes an MQL above the line raised by this share, and stays one until it is at or below the line
        lowered by it.
    band_share
        In a band around the line, the chance that a lead gets the other decision than the line gives it, so that what
        a hand-off brings about can be measured.
    band_width
        Half the width of the band, as a share of the line. At least the hysteresis.
    review_days
        So many days after it is set, both teams look at the line again.
    """

    hysteresis: Annotated[Real, Field(ge=0, lt=1)] = 0.0
    band_share: Annotated[Real, Field(gt=0, le=0.5)] | None = None
    band_width: Annotated[Real, Field(gt=0, lt=1)] | None = None
    review_days: Days = 90

    @model_validator(mode="after")
    def _is_one_band(self) -> LineConfig:
        if (self.band_share is None) != (self.band_width is None):
            raise ValueError(
                "band_share and band_width: one is given without the other; give both, or none for no band"
            )
        if self.band_width is not None and self.band_width < self.hysteresis:
            raise ValueError(
                f"band_width: {self.band_width:g} is below the hysteresis of {self.hysteresis:g}, so that decisions "
                "would flicker between the two"
            )
        return self
