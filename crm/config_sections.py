"""The sections of the workspace file, each a frozen model of its own; :mod:`crm.config` puts them together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from crm.config_values import (
    Capacity,
    Currency,
    Days,
    Flag,
    Moment,
    Points,
    Real,
    Select,
    TableName,
    Whole,
    Zone,
)
from crm.expressions import Expression, ExpressionError, parse_expression
from crm.tables import STAGES

__all__ = [
    "ColumnsConfig",
    "JwtConfig",
    "LineConfig",
    "OldRuleConfig",
    "OutcomeConfig",
    "Section",
    "ServeConfig",
    "SnapshotsConfig",
    "SourceConfig",
    "ValueConfig",
    "WorkspaceSection",
]

LAGGED = ("touches", "stages", "opportunities", "hand_offs")


class Section(BaseModel):
    """A table of the file: frozen, and without any key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class OldRuleConfig(Section):
    """``[old_rule]``: the MQL definition to be replaced: points, an expression, or the stage in the data.

    Without any key: the stage ``mql`` of the data, where there is one.

    Attributes
    ----------
    stage
        A lead is an MQL once it has entered this stage.
    threshold
        A lead is an MQL from so many points on.
    touches
        Points of each touch by the lead, by kind.
    attributes
        Points of each value, by attribute: ``[old_rule.attributes.job_level]`` with ``vp = 15``.
    window_days
        A touch counts for so many days; for ever unless given.
    sql
        An expression over columns of a lead: true for an MQL, or a number of points where there is a threshold.
    """

    stage: str | None = None
    threshold: Points | None = None
    touches: Mapping[str, Points] = Field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, Points]] = Field(default_factory=dict)
    window_days: Days | None = None
    sql: str | None = None

    @property
    def form(self) -> Literal["stage", "points", "sql"]:
        """Which of the three definitions it is."""
        if self.sql is not None:
            return "sql"
        return "points" if self.touches or self.attributes else "stage"

    @property
    def expression(self) -> Expression | None:
        """The expression of ``sql``, understood; None without one."""
        if self.sql is None:
            return None
        return parse_expression(self.sql, "boolean" if self.threshold is None else "number")

    @model_validator(mode="after")
    def _is_one_definition(self) -> OldRuleConfig:
        has_points = bool(self.touches or self.attributes)
        if sum((self.stage is not None, has_points, self.sql is not None)) > 1:
            raise ValueError("expected one definition: stage, or points of touches and attributes, or sql")
        if self.stage is not None and self.stage not in STAGES:
            raise ValueError(f"stage: {self.stage!r} is none of {', '.join(STAGES)}")
        if has_points and self.threshold is None:
            raise ValueError("threshold: how many points make a lead an MQL is missing")
        if self.threshold is not None and self.form == "stage":
            raise ValueError(
                "threshold: there are no points that it could be compared with; give touches or attributes"
            )
        if self.window_days is not None and not self.touches:
            raise ValueError("window_days: only points of touches have a window")
        if self.sql is not None:
            try:
                _ = self.expression
            except ExpressionError as error:
                raise ValueError(f"sql: {error}") from None
        return self


SERVE_SECRETS = ("state_url", "public_url", "hook_secret")
"""Keys of ``[serve]`` in which environment variables are put."""
_WEBHOOK_KEY = r"^whsec_([A-Za-z0-9+/]{4}){8,}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
"""At least 24 bytes in base64, as Standard Webhooks asks for."""


JwtAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"
]
"""Signatures with a public key; one with a shared key would let whoever reads the public keys sign."""


def _check_place_of_keys(text: str) -> str:
    if not text.strip() or ("://" in text and not text.startswith("https://")):
        raise ValueError("expected an https address, or a file of the workspace")
    return text


class JwtConfig(Section):
    """``[serve.jwt]``: whose access tokens are accepted beside API keys (OAuth client credentials).

    Attributes
    ----------
    issuer
        Who signs them: the claim ``iss``, to the letter.
    audience
        What the service is called there: one of the claim ``aud``.
    jwks
        The issuer's public keys: an https address, or a file in the workspace.
    algorithms
        Signatures that are accepted. Only those whose keys may be public are to be had.
    scope_claim
        The claim with the scopes, a text or a list: ``scope``, ``scp``, ``roles``. Its words are the scopes of API
        keys; others are passed over.
    """

    issuer: Annotated[str, Field(min_length=1)]
    audience: Annotated[str, Field(min_length=1)]
    jwks: Annotated[str, AfterValidator(_check_place_of_keys)]
    algorithms: Annotated[tuple[JwtAlgorithm, ...], Field(min_length=1)] = ("RS256", "ES256")
    scope_claim: Annotated[str, Field(min_length=1)] = "scope"


class BotsConfig(Section):
    """``[serve.bots]``: which posted clicks no person made.

    Attributes
    ----------
    links
        So many links of a lead, opened within ``seconds`` of one another, are the work of a program.
    seconds
        Width of such a burst to either side.
    upon_sending_seconds
        A click or an opening sooner than this after its mail was sent (touches of kind email_sent or email_delivered).
    """

    links: Annotated[Whole, Field(ge=2, le=100)] = 4
    seconds: Annotated[Real, Field(ge=0, le=600)] = 5.0
    upon_sending_seconds: Annotated[Real, Field(ge=0, le=600)] = 2.0


class ServeConfig(Section):
    """``[serve]``: limits of the HTTP service, and where it keeps what it is told.

    Attributes
    ----------
    port
        Port that it listens on.
    max_body_bytes
        Largest body of a request.
    max_batch
        Most leads in one request.
    state_url
        A PostgreSQL database that keeps the state; by default the file ``.kizashi/state.db``.
    durability
        ``process``: what was acknowledged survives the end of the process, however it ends; a loss of power may take
        the newest transactions of a state that is a file. ``power``: not even that, at the price of a wait for the disk
        at every commit.
    public_url
        How callers reach the service from outside, without a path: signatures of webhooks cover it.
    hook_secret
        Secret of Standard Webhooks (``whsec_...``) that senders to ``/v1/hooks/generic`` sign with.
    rescore_at
        Local time at which all leads at risk are scored anew; none for never.
    rate_per_minute
        Most requests of one key in any 60 seconds; the probes are not counted.
    log
        ``text``, or ``json`` for one JSON object a line.
    jwt
        Whose access tokens are accepted beside API keys.
    bots
        Which posted clicks no person made.
    """

    port: Annotated[Whole, Field(ge=1, le=65535)] = 3000
    max_body_bytes: Annotated[Whole, Field(ge=1_000, le=100_000_000)] = 4_000_000
    max_batch: Annotated[Whole, Field(ge=1, le=1_000)] = 1_000
    state_url: Annotated[str, Field(pattern=r"^postgres(ql)?://")] | None = None
    durability: Literal["process", "power"] = "process"
    public_url: Annotated[str, Field(pattern=r"^https?://[^/?#]+$")] | None = None
    hook_secret: Annotated[str, Field(pattern=_WEBHOOK_KEY)] | None = Field(default=None, repr=False)
    bots: BotsConfig = BotsConfig()
    rescore_at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = "03:00"
    rate_per_minute: Annotated[Whole, Field(ge=1, le=10_000_000)] = 6_000
    log: Literal["text", "json"] = "text"
    jwt: JwtConfig | None = None
