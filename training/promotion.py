"""Before a promotion: the gate on the rows that both versions share, and which leads would cross the line."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false
from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from crm.config import Workspace
from crm.known import to_micros
from crm.progress import Progress
from crm.store import Tables
from crm.workspace_tables import open_tables
from models.champions import Promotion, promote_version
from models.gate import alone, decide_next, leak_condition, own_condition
from models.registry import (
    MODEL,
    ModelVersion,
    find_version,
    list_versions,
    load_model,
    open_store,
    require_registry,
    run_folder,
)
from models.scoring import LoadedModel
from models.unseen import UNSEEN_FOLDER, read_unseen, row_key
from models.verdict import Condition, Verdict
from training.gate_record import GATE_TAG, LEAKS_TAG, RECIPE_TAG
from training.migration import Migration, migrate, write_migration
from training.unseen import issued_rows, known_by, pair_rows

__all__ = ["Asked", "ask_gate", "carry_out"]

WEEKS = 4
DEFAULT_SHARE = 0.10
REPORT_TAG = "kizashi.gate_report"


@dataclass(frozen=True)
class Asked:
    """What the gate says of a version, and what its promotion would change.

    Parameters
    ----------
    version, champion
        The version, and the champion that it would replace; None where there is no other.
    verdict
        Of the gate.
    migration
        Leads that would cross the line; None without a champion.
    file
        Where those leads are listed.
    """

    version: str
    champion: str | None
    verdict: Verdict
    migration: Migration | None
    file: Path | None

    def to_json(self) -> dict[str, Any]:
        """Return the answer as plain JSON."""
        return {
            "version": self.version,
            "champion": self.champion,
            "gate": self.verdict.to_json(),
            "migration": None if self.migration is None else self.migration.to_json(with_leads=True),
            "migration_file": None if self.file is None else str(self.file),
        }


@dataclass(frozen=True)
class _Side:
    """One version as the gate sees it."""

    version: ModelVersion
    model: LoadedModel
    unseen: pa.Table | None
    trained_us: int


def ask_gate(workspace: Workspace, name: str, *, as_of: datetime | None, now: datetime, progress: Progress) -> Asked:
    """Judge a version against the champion on identical rows, and list the leads that would cross the line.

    Nothing is changed in the registry. Without a champion the version is judged alone (docs/adr/0008).

    Parameters
    ----------
    workspace
        Whose registry and tables.
    name
        Version number or alias.
    as_of
        Moment at which leads at risk are scored by both, after which no outcome exists; None for the end of the
        observed span.
    now
        The clock, for reading the tables.
    progress
        Where to report.

    Raises
    ------
    RegistryError
        When there is no such version.
    BundleError
        When files of either version are not those that were registered.
    """
    require_registry(workspace)
    with open_store(workspace) as client:
        challenger = find_version(client, name)
        champion = next((item for item in list_versions(client) if "champion" in item.aliases), None)
        folders = {item.version: run_folder(client, item.run_id) for item in (challenger, champion) if item is not None}
    others = (own_condition(_tag(challenger, GATE_TAG)), leak_condition(_tag(challenger, LEAKS_TAG)))
    if champion is None or champion.version == challenger.version:
        return Asked(challenger.version, None, alone(others), None, None)
    sides = [_side(workspace, item, folders[item.version]) for item in (champion, challenger)]
    with open_tables(workspace, now, progress) as tables:
        with progress.step("Asking the gate") as step:
            verdict = _verdict(workspace, tables, (sides[0], sides[1]), others, as_of)
            step.note("passed" if verdict.passed else f"{len(verdict.reasons)} conditions not met")
        with progress.step("Scoring leads with both versions") as step:
            migration = migrate(workspace, tables, sides[0].model, sides[1].model, as_of)
            file = write_migration(workspace, migration)
            step.note(f"{migration.up:,} would come up, {migration.down:,} go down")
    return Asked(challenger.version, champion.version, verdict, migration, file)


def _tag(version: ModelVersion, name: str) -> dict[str, Any]:
    return json.loads(version.tags.get(name, "{}"))


def _side(workspace: Workspace, version: ModelVersion, artifacts: Path) -> _Side:
    model = load_model(workspace, alias=version.version)
    told = _tag(version, GATE_TAG).get("trained_at") or model.bundle.trained_until.replace("Z", "+00:00")
    trained = datetime.fromisoformat(told)
    trained = trained if trained.tzinfo else trained.replace(tzinfo=UTC)
    return _Side(version, model, read_unseen(artifacts, version.tags), to_micros(trained))


def _verdict(
    workspace: Workspace,
    tables: Tables,
    sides: tuple[_Side, _Side],
    others: tuple[Condition, ...],
    as_of: datetime | None,
) -> Verdict:
    champion, challenger = sides
    for side, what in ((champion, "champion"), (challenger, "challenger")):
        if side.unseen is None:
            missing = Condition(
                "enough rows",
                "failed",
                f"version {side.version.version}, the {what}, kept no predictions of unseen leads",
                "predictions kept by both; train again, or promote with --force and a reason",
            )
            return alone((*others, missing))
    said = [_everything_said(workspace, tables, side, as_of) for side in sides]
    rows = pair_rows(said[0], said[1], share=_share(champion.model), champion_trained_us=champion.trained_us)
    recipes = [side.version.tags.get(RECIPE_TAG) for side in (champion, challenger)]
    return decide_next(rows, is_refresh=recipes[0] is not None and recipes[0] == recipes[1], others=others)


def _everything_said(workspace: Workspace, tables: Tables, side: _Side, as_of: datetime | None) -> pa.Table:
    """Return what the folds said of the past, and what the version as it was shipped says of what came later."""
    kept = side.unseen
    assert kept is not None  # noqa: S101 - the caller looked
    if as_of is not None:
        kept = known_by(kept, workspace.config.outcome, to_micros(as_of))
    later = issued_rows(tables, workspace.config, side.model.bundle, (side.trained_us, as_of), row_key(workspace))
    return kept if later is None else pa.concat_tables([kept, later])


def _share(model: LoadedModel) -> float:
    """Return the share of the leads at risk that sales can start on in four weeks; a tenth where none is given."""
    line = model.line
    if line.capacity_per_week is None or not line.leads_at_risk:
        return DEFAULT_SHARE
    return min(line.capacity_per_week * WEEKS / line.leads_at_risk, 1.0)


def carry_out(workspace: Workspace, asked: Asked, *, force_reason: str | None, now: datetime) -> Promotion:
    """Promote what the gate lets through, or what a person forces, and log verdict and migration with the version.

    What is logged names no lead.

    Parameters
    ----------
    workspace
        Whose registry.
    asked
        As :func:`ask_gate` gives it.
    force_reason
        Why the gate is overruled; None to obey it.
    now
        When, for the registry's history.
    """
    with open_store(workspace) as client:
        version = find_version(client, asked.version)
        gate = {
            **asked.verdict.to_json(),
            "champion": asked.champion,
            "asked_at": now.isoformat(),
            "forced": force_reason,
        }
        folder = run_folder(client, version.run_id) / UNSEEN_FOLDER
        _write_json(folder / "verdict.json", gate)
        if asked.migration is not None:
            _write_json(folder / "migration.json", asked.migration.to_json(with_leads=False))
        short = {
            "champion": asked.champion,
            "passed": asked.verdict.passed,
            "at": now.isoformat(timespec="seconds"),
            "conditions": {item.name: item.status for item in asked.verdict.conditions},
        }
        client.set_model_version_tag(MODEL, asked.version, REPORT_TAG, json.dumps(short))
    return promote_version(workspace, asked.version, asked.verdict, force_reason=force_reason, now=now)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False, default=str) + "\n", encoding="utf-8"
    )
