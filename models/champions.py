"""Who is champion, who was, and why: promotion by the gate, and the way back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from crm.config import Workspace
from crm.errors import RegistryError
from models.registry import MODEL, find_version, list_versions, open_store, require_registry, set_alias
from models.verdict import Verdict

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Promotion", "note_champion", "promote_version", "roll_back"]

HISTORY = "kizashi.champions"
ROLLED_BACK = "rolled back from version"


@dataclass(frozen=True)
class Promotion:
    """What came of asking for a promotion."""

    version: str
    promoted: bool
    replaced: str | None
    verdict: Verdict


def promote_version(
    workspace: Workspace, name: str, verdict: Verdict, *, force_reason: str | None, now: datetime
) -> Promotion:
    """Make a version champion if the gate lets it, or if a person overrules the gate with a reason.

    Parameters
    ----------
    workspace
        Whose registry.
    name
        Version number or alias.
    verdict
        What the gate says of it.
    force_reason
        Why the gate is overruled; None to obey it.
    now
        When, for the registry's history.

    Raises
    ------
    RegistryError
        When there is no such version.
    """
    require_registry(workspace)
    with open_store(workspace) as client:
        challenger = find_version(client, name)
        champion = next((item for item in list_versions(client) if "champion" in item.aliases), None)
        same = champion is not None and champion.version == challenger.version
        if not verdict.passed and force_reason is None:
            return Promotion(challenger.version, False, None, verdict)
        set_alias(client, "champion", challenger.version)
        note_champion(client, challenger.version, now, force_reason or "passed the gate")
    return Promotion(challenger.version, True, champion.version if champion and not same else None, verdict)


def roll_back(workspace: Workspace, now: datetime) -> tuple[str, str]:
    """Make the champion before this one champion again.

    Returns
    -------
    version, left
        The champion now, and the one that it replaces.

    Raises
    ------
    RegistryError
        When there was no other champion before.
    """
    require_registry(workspace)
    with open_store(workspace) as client:
        current = find_version(client, "champion")
        earlier = _before(_history(client), current.version)
        if earlier is None:
            raise RegistryError(
                found=f"version {current.version} as the only champion so far",
                expected="a champion before it",
                fix="promote another version by its number instead: 'kizashi promote N'",
            )
        set_alias(client, "champion", earlier)
        note_champion(client, earlier, now, f"{ROLLED_BACK} {current.version}")
    return earlier, current.version


def _before(history: Sequence[Mapping[str, Any]], current: str) -> str | None:
    """Find the champion before the current one; rolling back takes a champion out of the line for good."""
    line: list[str] = []
    for item in history:
        version = str(item["version"])
        if str(item["reason"]).startswith(ROLLED_BACK) and version in line:
            del line[len(line) - line[::-1].index(version) :]
        elif not line or line[-1] != version:
            line.append(version)
    while line and line[-1] == current:
        line.pop()
    return line[-1] if line else None


def note_champion(client: MlflowClient, version: str, now: datetime, reason: str) -> None:
    """Append to the registry's own history of champions."""
    history = [*_history(client), {"version": version, "at": now.isoformat(timespec="seconds"), "reason": reason[:500]}]
    client.set_registered_model_tag(MODEL, HISTORY, json.dumps(history[-40:], ensure_ascii=False))


def _history(client: MlflowClient) -> list[dict[str, Any]]:
    return json.loads(dict(client.get_registered_model(MODEL).tags).get(HISTORY, "[]"))
