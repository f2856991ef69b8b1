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
from typing import Any

from pydantic import Field, ValidationError, model_validator

from crm.config_crm import CRM_SECRETS, CrmConfig, CrmName
from crm.config_old_rule import OldRuleConfig
from crm.config_problems import describe_problems
from crm.config_retention import RetentionConfig
from crm.config_sections import (
    ColumnsConfig,
    LineConfig,
    OutcomeConfig,
    SnapshotsConfig,
    SourceConfig,
    ValueConfig,
    WorkspaceSection,
)
from crm.config_serve import SERVE_SECRETS, ServeConfig
from crm.config_sla import DispositionsConfig, SignsConfig, SlaConfig
from crm.config_values import Predicate, RuleName, Section, in_zone
from crm.errors import ConfigError, WorkspaceError
from crm.expressions import ExpressionError, columns_of

__all__ = [
    "ColumnsConfig",
    "LineConfig",
    "OldRuleConfig",
    "OutcomeConfig",
    "RetentionConfig",
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
_MOMENTS = ("observed_from", "observed_until")
MAX_FILE_BYTES = 1_000_000


class WorkspaceConfig(Section):
    """The whole of ``kizashi.toml``.

    Attributes
    ----------
    segments
        Groups of leads that line and report tell apart: an SQL expression each over columns of a lead as known at the
        moment, true for its leads. A lead may be in several.
    exclude
        Leads that are neither trained on, nor counted, nor handed off (customers, competitors, staff, students, opted
        out): an SQL expression each over columns of a lead. A column without history leaves a lead out at every moment.
    sla
        What was agreed on hand-off and follow-up; None where nothing was, and hand-offs are measured by the defaults.
    """

    workspace: WorkspaceSection = WorkspaceSection()
    source: SourceConfig
    columns: ColumnsConfig = ColumnsConfig()
    outcome: OutcomeConfig = OutcomeConfig()
    snapshots: SnapshotsConfig = SnapshotsConfig()
    value: ValueConfig = ValueConfig()
    line: LineConfig = LineConfig()
    segments: Mapping[RuleName, Predicate] = Field(default_factory=dict)
    exclude: Mapping[RuleName, Predicate] = Field(default_factory=dict)
    old_rule: OldRuleConfig = OldRuleConfig()
    serve: ServeConfig = ServeConfig()
    retention: RetentionConfig = RetentionConfig()
    sla: SlaConfig | None = None
    dispositions: DispositionsConfig = DispositionsConfig()
    signs: SignsConfig = SignsConfig()
    crm: Mapping[CrmName, CrmConfig] = Field(default_factory=dict)

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

    @model_validator(mode="after")
    def _columns_of_rules(self) -> WorkspaceConfig:
        """Refuse expressions that take one column for two things, or that look for ids where there are hashes."""
        try:
            columns_of((*self.exclude.values(), *self.segments.values()))
        except ExpressionError as error:
            raise ValueError(f"exclude: {error} (of [exclude] and [segments])") from None
        if self.workspace.hash_ids:
            self._refuse_ids()
        return self

    @model_validator(mode="after")
    def _segments_of_sla(self) -> WorkspaceConfig:
        unknown = [name for name in (self.sla.segments if self.sla else ()) if name not in self.segments]
        if unknown:
            raise ValueError(
                f"sla.segments: no segment {unknown[0]!r}; [segments] has {', '.join(self.segments) or 'none'}"
            )
        return self

    @model_validator(mode="after")
    def _hooks_can_be_checked(self) -> WorkspaceConfig:
        """Refuse webhooks of HubSpot without the address that their signatures cover."""
        signed = [name for name, crm in self.crm.items() if crm.kind == "hubspot" and crm.hook_secret]
        if signed and not self.serve.public_url:
            raise ValueError(
                f"crm.{signed[0]}.hook_secret: HubSpot signs the address that it calls; give it as [serve] public_url"
            )
        return self

    def _refuse_ids(self) -> None:
        told = [name for name, config in self.crm.items() if config.write_back]
        if told:
            raise ValueError(
                f"crm.{told[0]}: ids are hashed (hash_ids = true), so no record of the CRM can be found by them; set "
                "write_back = false"
            )
        rule = self.old_rule
        read = {f"segments.{name}": set(columns_of((sql,))) for name, sql in self.segments.items()}
        read |= {f"exclude.{name}": set(columns_of((sql,))) for name, sql in self.exclude.items()}
        read["old_rule.attributes"] = set(rule.attributes)
        read["old_rule.sql"] = set(rule.expression.columns) if rule.expression else set()
        for place, columns in read.items():
            if hashed := columns & {"lead_id", "account_id"}:
                raise ValueError(
                    f"{place}: {min(hashed)} is hashed (hash_ids = true), so it equals nothing that could be written "
                    "here; select a column of the source that says what is meant"
                )

    @property
    def source_timezone(self) -> str:
        """Zone of times that carry none."""
        return self.source.timezone or self.workspace.timezone


class Workspace(Section):
    """A folder with a ``kizashi.toml`` and what kizashi wrote beside it."""

    folder: Path
    config: WorkspaceConfig
    secrets: tuple[str, ...] = Field(default=(), repr=False)

    @property
    def tables_folder(self) -> Path:
        """Where the tables that kizashi writes (``scores``, ``quarantine``) lie."""
        return self.folder / ".kizashi" / "tables"

    @property
    def state_path(self) -> Path:
        """The service's state where it is a file."""
        return self.folder / ".kizashi" / "state.db"

    @property
    def line_path(self) -> Path:
        """The MQL line in force after ``kizashi line``; the model's own line lies in its bundle."""
        return self.folder / ".kizashi" / "line.json"

    @property
    def board_folder(self) -> Path:
        """Where ``kizashi align`` writes the board, and the service reads it."""
        return self.folder / ".kizashi" / "board"

    def gain_path(self, version: str) -> Path:
        """Which leads the unseen weeks of a version are; their numbers lie in its bundle."""
        return self.folder / ".kizashi" / "gain" / f"{version}.parquet"

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
    _expand_all(raw, environ, secrets, problems)
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


def _expand_all(raw: dict[str, Any], environ: Mapping[str, str], secrets: list[str], problems: list[str]) -> None:
    """Put environment variables into URLs and secret fields: ``[source] url``, ``[serve]`` and ``[crm.NAME]``."""
    places: list[tuple[str, Any, tuple[str, ...]]] = [
        ("source", raw.get("source"), ("url",)),
        ("serve", raw.get("serve"), SERVE_SECRETS),
    ]
    crms = raw.get("crm")
    if isinstance(crms, dict):
        places += [(f"crm.{name}", section, CRM_SECRETS) for name, section in crms.items()]
    for where, section, keys in places:
        if not isinstance(section, dict):
            continue
        for key in keys:
            if isinstance(section.get(key), str):
                section[key] = _expand(section[key], f"{where}.{key}", environ, secrets, problems)


def _expand(text: str, place: str, environ: Mapping[str, str], secrets: list[str], problems: list[str]) -> str:
    def value(match: re.Match[str]) -> str:
        name: str = match["name"]
        default: str | None = match["default"]
        found = environ.get(name, default)
        if found is None:
            problems.append(f"{place}: environment variable {name} is not set; set it or write ${{{name}:-default}}")
            return ""
        if name in environ and not Path(found).is_dir():
            secrets.append(found)
        return found

    return re.sub(r"\$\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}", value, text)
