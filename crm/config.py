"""The workspace file, ``kizashi.toml``, as one frozen model.

Unknown keys are refused and every mistake is reported at once, each with its place. ``${NAME}`` and
``${NAME:-default}`` stand for environment variables in ``[source] url`` only, never in SQL; :func:`mask_secrets`
keeps what they held out of messages, logs and MLflow.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crm.config_problems import describe_problems
from crm.config_values import (
    Capacity,
    Currency,
    Days,
    Flag,
    Moment,
    Real,
    Select,
    TableName,
    Whole,
    Zone,
    in_zone,
)
from crm.errors import ConfigError, WorkspaceError

__all__ = [
    "ColumnsConfig",
    "OutcomeConfig",
    "ServeConfig",
    "SnapshotsConfig",
    "SourceConfig",
    "ValueConfig",
    "Workspace",
    "WorkspaceConfig",
    "load_workspace",
    "mask_secrets",
]

FILE_NAME = "kizashi.toml"
LAGGED = ("touches", "stages", "opportunities", "hand_offs")
_MOMENTS = ("observed_from", "observed_until")
MAX_FILE_BYTES = 1_000_000


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkspaceSection(_Section):
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


class SourceConfig(_Section):
    """``[source]``: where the raw tables are, and one SELECT a table in that engine's dialect.

    Attributes
    ----------
    url
        ``dir:FOLDER`` (relative to the workspace), ``demo://`` or a database's URL.
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
        if "leads" not in self.tables and not is_demo:
            raise ValueError("tables: a SELECT for 'leads' is missing")
        return self

    @model_validator(mode="after")
    def _lags_apply(self) -> SourceConfig:
        idle = [name for name in self.lag if name not in LAGGED]
        if idle:
            raise ValueError(f"lag.{idle[0]}: rows of this table have no lag; expected one of {', '.join(LAGGED)}")
        return self


class ColumnsConfig(_Section):
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


class OutcomeConfig(_Section):
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


class SnapshotsConfig(_Section):
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


class ValueConfig(_Section):
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
    """

    margin: Annotated[Real, Field(gt=0, le=1)] = 1.0
    touch_cost: Annotated[Real, Field(ge=0)] = 0.0
    capacity_per_week: Capacity = None
    default_amount: Annotated[Real, Field(gt=0)] | None = None

    @property
    def weekly_capacity(self) -> float | None:
        """Leads that sales can start on in a week, over all teams; None when not given."""
        if isinstance(self.capacity_per_week, Mapping):
            return float(sum(self.capacity_per_week.values()))
        return self.capacity_per_week


class ServeConfig(_Section):
    """``[serve]``: limits of the HTTP service.

    Attributes
    ----------
    port
        Port that it listens on.
    max_body_bytes
        Largest body of a request.
    max_batch
        Most leads in one request.
    """

    port: Annotated[Whole, Field(ge=1, le=65535)] = 3000
    max_body_bytes: Annotated[Whole, Field(ge=1_000, le=100_000_000)] = 4_000_000
    max_batch: Annotated[Whole, Field(ge=1, le=1_000)] = 1_000


class WorkspaceConfig(_Section):
    """The whole of ``kizashi.toml``."""

    workspace: WorkspaceSection = WorkspaceSection()
    source: SourceConfig
    columns: ColumnsConfig = ColumnsConfig()
    outcome: OutcomeConfig = OutcomeConfig()
    snapshots: SnapshotsConfig = SnapshotsConfig()
    value: ValueConfig = ValueConfig()
    serve: ServeConfig = ServeConfig()

    @model_validator(mode="before")
    @classmethod
    def _zone_of_moments(cls, raw: object) -> object:
        """Give moments without a zone that of the workspace, as ``--as-of`` has it."""
        if not isinstance(raw, dict):
            return raw
        outcome, workspace = raw.get("outcome"), raw.get("workspace")
        zone = workspace.get("timezone", "UTC") if isinstance(workspace, dict) else "UTC"
        if not isinstance(outcome, dict):
            return raw
        placed = {key: in_zone(value, zone) if key in _MOMENTS else value for key, value in outcome.items()}
        return {**raw, "outcome": placed}

    @property
    def source_timezone(self) -> str:
        """Zone of times that carry none."""
        return self.source.timezone or self.workspace.timezone


class Workspace(_Section):
    """A folder with a ``kizashi.toml`` and what kizashi wrote beside it."""

    folder: Path
    config: WorkspaceConfig
    secrets: tuple[str, ...] = Field(default=(), repr=False)

    @property
    def tables_folder(self) -> Path:
        """Where the tables that kizashi writes (``scores``, ``quarantine``) lie."""
        return self.folder / ".kizashi" / "tables"

    @property
    def line_path(self) -> Path:
        """The MQL line in force after ``kizashi line``; the model's own line lies in its bundle."""
        return self.folder / ".kizashi" / "line.json"

    @property
    def tracking_uri(self) -> str:
        """MLflow's store of this workspace, as an absolute SQLite URL."""
        return f"sqlite:///{self.folder / 'mlruns' / 'mlflow.db'}"

    @property
    def artifacts_folder(self) -> Path:
        """Where MLflow keeps this workspace's artifacts."""
        return self.folder / "mlruns" / "artifacts"


def load_workspace(folder: Path, *, environ: Mapping[str, str] = os.environ) -> Workspace:
    r"""Read ``kizashi.toml`` in ``folder``.

    Parameters
    ----------
    folder
        The workspace.
    environ
        Where ``${NAME}`` in the source URL is looked up.

    Raises
    ------
    ConfigError
        With every problem of the file, each with its place.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     _ = Path(name, "kizashi.toml").write_text('[source]\nurl = "demo://"\n[value]\nmargn = 0.3\n')
    ...     try:
    ...         load_workspace(Path(name))
    ...     except ConfigError as error:
    ...         print(error.problems[0])
    line 4, value.margn: unknown key; did you mean 'margin'?
    """
    path = folder.resolve() / FILE_NAME
    text = _read(path)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(path=str(path), problems=[f"not valid TOML: {error}"]) from error
    secrets: list[str] = []
    problems: list[str] = []
    source = raw.get("source")
    if isinstance(source, dict) and isinstance(source.get("url"), str):
        source["url"] = _expand(source["url"], environ, secrets, problems)
    try:
        config = WorkspaceConfig.model_validate(raw)
    except ValidationError as error:
        problems += describe_problems(error, text, WorkspaceConfig)
        raise ConfigError(path=str(path), problems=problems) from None
    if problems:
        raise ConfigError(path=str(path), problems=problems)
    return Workspace(folder=folder.resolve(), config=config, secrets=tuple(secrets))


def mask_secrets(text: str, secrets: tuple[str, ...]) -> str:
    """Replace each secret in ``text``, and the password of any URL, by ``***``.

    Examples
    --------
    >>> mask_secrets("postgresql://app:hunter2@db/crm", ())
    'postgresql://app:***@db/crm'
    """
    for secret in sorted(secrets, key=len, reverse=True):  # a secret may begin another one
        if len(secret) >= 4:  # shorter ones would blot out ordinary words
            text = text.replace(secret, "***")
    return re.sub(r"(://[^:/@\s]*:)[^@/\s]+@", r"\1***@", text)


def _read(path: Path) -> str:
    if not path.is_file():
        raise WorkspaceError(
            found=f"no {FILE_NAME} in '{path.parent}'",
            expected="a workspace",
            fix="name its folder with --workspace; 'kizashi init' writes one",
        )
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ConfigError(path=str(path), problems=[f"the file is over {MAX_FILE_BYTES:,} bytes"])
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            path=str(path), problems=[f"byte {error.start} is not UTF-8; save the file as UTF-8"]
        ) from error


def _expand(url: str, environ: Mapping[str, str], secrets: list[str], problems: list[str]) -> str:
    def value(match: re.Match[str]) -> str:
        name: str = match["name"]
        default: str | None = match["default"]
        found = environ.get(name, default)
        if found is None:
            problems.append(f"source.url: environment variable {name} is not set; set it or write ${{{name}:-default}}")
            return ""
        if name in environ and not Path(found).is_dir():
            secrets.append(found)
        return found

    return re.sub(r"\$\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}", value, url)
