"""The workspace file, ``kizashi.toml``, as one frozen model.

Unknown keys are refused and every mistake is reported at once, each with its place. ``${NAME}`` and
``${NAME:-default}`` stand for environment variables in ``[source] url`` only, never in SQL; :func:`mask_secrets`
keeps what they held out of messages, logs and MLflow.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from crm.errors import ConfigError
from crm.tables import TABLES

__all__ = [
    "ColumnsConfig",
    "OldRuleConfig",
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
MAX_FILE_BYTES = 1_000_000


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is no time zone; expected an IANA name such as 'Asia/Tokyo'") from error
    return name


def _check_currency(code: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise ValueError(f"{code!r} is no currency; expected three capital letters such as 'JPY'")
    return code


def _check_select(sql: str) -> str:
    head = re.sub(r"(--[^\n]*\n|/\*.*?\*/|\s)*", "", sql, count=1, flags=re.DOTALL)[:6].upper()
    if not head.startswith(("SELECT", "WITH", "FROM", "(")):
        raise ValueError(f"expected one SELECT, found a text that starts with {sql.strip()[:20]!r}")
    if "${" in sql:
        raise ValueError("variables are not allowed in SQL; use them in [source] url")
    return sql


def _to_moment(value: object) -> object:
    """Read a TOML date or date-time; without a zone it is UTC, a date is its 00:00 UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("expected a date such as 2026-01-31 or a date-time") from None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if value is not None:
        raise ValueError("expected a date such as 2026-01-31 or a date-time")
    return value


def _check_table(name: str) -> str:
    if name not in TABLES:
        close = get_close_matches(name, TABLES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(TABLES)}"
        raise ValueError(f"unknown table; {hint}")
    return name


def _check_capacity(value: object) -> object:
    teams = value.values() if isinstance(value, dict) else (value,)
    for number in teams:
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if value is not None and not (is_number and 0 < number < math.inf):
            raise ValueError("expected a number above 0, or a table with such a number for each team")
    if value == {}:
        raise ValueError("expected a number above 0, or at least one team")
    return value


Zone = Annotated[str, AfterValidator(_check_zone)]
Currency = Annotated[str, AfterValidator(_check_currency)]
Select = Annotated[str, AfterValidator(_check_select)]
TableName = Annotated[str, AfterValidator(_check_table)]
Moment = Annotated[datetime, BeforeValidator(_to_moment)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Positive = Annotated[float, Field(gt=0)]
Days = Annotated[Real, Field(gt=0, le=3650)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkspaceSection(_Section):
    """``[workspace]``: what holds for the whole workspace."""

    name: str = "kizashi"
    timezone: Zone = "UTC"
    currency: Currency = "USD"
    language: Literal["en", "ja"] = "en"
    hash_ids: Flag = False


class SourceConfig(_Section):
    """``[source]``: where the raw tables are, and one SELECT a table in that engine's dialect.

    ``lag`` is, per table, the hours between an event and its recording where the source does not store ``recorded_at``.
    ``order_only`` says that the data has no dates and that its times are positions in an order, nothing more.
    """

    url: str
    timezone: Zone | None = None
    lag: Mapping[TableName, Annotated[Real, Field(ge=0, le=24 * 365)]] = Field(default_factory=dict)
    tables: Mapping[TableName, Select] = Field(default_factory=dict)
    order_only: Flag = False

    @model_validator(mode="after")
    def _has_leads(self) -> SourceConfig:
        if "leads" not in self.tables and not self.url.startswith("demo:"):
            raise ValueError("tables: a SELECT for 'leads' is missing")
        return self


class ColumnsConfig(_Section):
    """``[columns]``: which attributes of a lead may be used.

    An attribute without history in ``lead_changes`` is used only if ``known_at_creation`` lists it.
    """

    known_at_creation: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    allow_personal: tuple[str, ...] = ()


class OutcomeConfig(_Section):
    """``[outcome]``: horizons in days, and the span in which outcomes were recorded."""

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

    Without any key: at creation, at each MQL, and at six ages drawn by a hash of the lead, while it is at risk.
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
    """``[value]``: what a win is worth and what working a lead costs, in workspace currency."""

    margin: Annotated[Real, Field(gt=0, le=1)] = 1.0
    touch_cost: Annotated[Real, Field(ge=0)] = 0.0
    capacity_per_week: Annotated[Positive | Mapping[str, Positive] | None, BeforeValidator(_check_capacity)] = None
    default_amount: Annotated[Real, Field(gt=0)] | None = None

    @property
    def weekly_capacity(self) -> float | None:
        """Leads that sales can start on in a week, over all teams; None when not given."""
        if isinstance(self.capacity_per_week, Mapping):
            return float(sum(self.capacity_per_week.values()))
        return self.capacity_per_week


class OldRuleConfig(_Section):
    """``[old_rule]``: the MQL definition to be replaced; by default the stage ``mql`` in the data."""

    stage: Literal["mql"] = "mql"


class ServeConfig(_Section):
    """``[serve]``: limits of the HTTP service."""

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
    old_rule: OldRuleConfig = OldRuleConfig()
    serve: ServeConfig = ServeConfig()
    exclude: Mapping[str, str] = Field(default_factory=dict)

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
        found = sorted((_problem(dict(item), text) for item in error.errors(include_url=False)), key=_by_line)
        raise ConfigError(path=str(path), problems=[*problems, *found]) from None
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
        raise ConfigError(path=str(path), problems=["there is no such file; 'kizashi init' writes one"])
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
        name, default = match["name"], match["default"]
        found = environ.get(name, default)
        if found is None:
            problems.append(f"source.url: environment variable {name} is not set; set it or write ${{{name}:-default}}")
            return ""
        if name in environ and not Path(found).is_dir():
            secrets.append(found)
        return found

    return re.sub(r"\$\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}", value, url)


_WANTED = {
    "missing": "this key is required and missing",
    "model_type": "expected a table",
    "dict_type": "expected a table",
    "mapping_type": "expected a table",
    "tuple_type": "expected a list",
    "string_type": "expected a text",
    "bool_type": "expected true or false",
    "float_type": "expected a number",
    "int_type": "expected a whole number",
    "finite_number": "expected a finite number",
}


def _problem(item: dict[str, Any], text: str) -> str:
    parts = (str(part) for part in item["loc"])
    place = tuple(part for part in parts if part != "[key]" and not part.startswith(("function-", "constrained-")))
    name = ".".join(place)
    line = _line_of(place, text)
    where = f"line {line}, {name}" if line else name
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown key{_suggestion(place)}"
    message = _WANTED.get(item["type"], str(item["msg"]).removeprefix("Value error, "))
    message = message[0].lower() + message[1:].replace("Input should", "should")
    message = message.replace("input should be", "expected")
    shown = repr(item["input"]) if isinstance(item["input"], str | int | float) else ""
    is_said = shown in message or "did you mean" in message or place == ("source", "url")
    return f"{where}: {message}" if is_said or len(shown) > 40 else f"{where}: {message}, found {shown}"


def _by_line(problem: str) -> tuple[int, str]:
    number = re.match(r"line (\d+)", problem)
    return (int(number[1]), "") if number else (0, "")


def _suggestion(place: tuple[str, ...]) -> str:
    model: Any = WorkspaceConfig
    for part in place[:-1]:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        model = field.annotation if field else None
    names = list(model.model_fields) if hasattr(model, "model_fields") else []
    close = get_close_matches(place[-1], names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; expected one of {', '.join(names)}" if names else ""


def _line_of(place: tuple[str, ...], text: str) -> int | None:
    """Find the line of a key; TOML parsers keep no positions, and a place without a line is half an answer."""
    section: tuple[str, ...] = ()
    best: int | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        if header:
            section = tuple(part.strip().strip("\"'") for part in header[1].split("."))
            shorter = min(len(place), len(section))
            if place[:shorter] == section[:shorter] and (best is None or len(section) <= len(place)):
                best = number
            continue
        key = re.match(r"\s*([A-Za-z0-9_.\"'-]+)\s*=", line)
        if key:
            full = (*section, *(part.strip("\"'") for part in key[1].split(".")))
            if place[: len(full)] == full:
                return number
    return best
