"""Which leads cross the line because the model changes, not because they did something: same facts, same moment."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crm.config import Workspace
from crm.lead_files import placing_leads
from crm.rules import excluded_at
from crm.store import Tables
from features.build import build_features
from models.answers import answers
from models.scoring import LoadedModel, Scores, score_matrix
from pages.safe_csv import Value, write_csv
from training.prepare import settle_observation
from training.snapshots import moments_at_end
from training.unseen import segment_names

__all__ = ["GRADES", "Migration", "Moved", "SegmentMoves", "migrate", "write_migration"]

GRADES = ("A", "B", "C", "D")
SHOWN = 10
HEADER = (
    "lead_id", "direction", "grade_champion", "grade_challenger", "expected_value_champion",
    "expected_value_challenger", "score_champion", "score_challenger", "segments", "reasons_champion",
    "reasons_challenger",
)  # fmt: skip


@dataclass(frozen=True)
class Moved:
    """One lead that crosses the line, ``up`` or ``down``; by version its grade, value, score and reasons."""

    lead_id: str
    direction: str
    grades: tuple[str, str]
    values: tuple[float, float]
    scores: tuple[float, float]
    segments: tuple[str, ...]
    reasons: tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class SegmentMoves:
    """Leads of a segment or source: at risk, MQLs before, and how many come up and go down."""

    name: str
    leads: int
    mqls: int
    up: int
    down: int


@dataclass(frozen=True)
class Migration:
    """What a promotion changes for the leads at risk.

    Parameters
    ----------
    champion, challenger
        Versions.
    as_of
        The moment of all scores.
    leads
        At risk, excluded ones left out.
    up, down, stay
        Leads that become MQLs, that cease to be MQLs, and MQLs of both.
    grades
        Shape (4, 4): leads by grade A to D under the champion (rows) and under the challenger (columns).
    by_segment
        By segment and source.
    moved
        Leads that cross, the largest changes of value first.
    notes
        What else changes with the version than the model.
    currency
        Of the values.
    """

    champion: str
    challenger: str
    as_of: datetime
    leads: int
    up: int
    down: int
    stay: int
    grades: tuple[tuple[int, ...], ...]
    by_segment: tuple[SegmentMoves, ...]
    moved: tuple[Moved, ...]
    notes: tuple[str, ...]
    currency: str

    def to_json(self, *, with_leads: bool) -> dict[str, Any]:
        """Return the report as plain JSON; ``with_leads`` adds the ten largest changes, which name leads."""
        found = asdict(self)
        found["as_of"] = self.as_of.isoformat()
        found["grades"] = {
            old: dict(zip(GRADES, row, strict=True)) for old, row in zip(GRADES, self.grades, strict=True)
        }
        found["moved"] = found["moved"][:SHOWN] if with_leads else []
        return found


def migrate(
    workspace: Workspace, tables: Tables, champion: LoadedModel, challenger: LoadedModel, as_of: datetime | None
) -> Migration:
    """Score every lead at risk with both versions, each against its own line, at one moment.

    Parameters
    ----------
    workspace, tables
        Whose leads.
    champion, challenger
        The version in use with its line in force, and the one that may replace it.
    as_of
        The moment; None for the end of the observed span.
    """
    seen = settle_observation(tables, workspace.config, as_of)
    moments = moments_at_end(tables, seen).moments
    kept = np.array([rule is None for rule in excluded_at(tables, moments)], dtype=bool)
    moments = moments.filter(pa.array(kept))
    moments = moments.set_column(0, "row_id", pa.array(np.arange(moments.num_rows), pa.int64()))
    both = tuple(_scored(tables, moments, model) for model in (champion, challenger))
    old, new = (scores.is_mql for scores in both)
    segments = segment_names(tables, workspace.config, moments)
    crossing = np.flatnonzero(old != new)
    change = both[1].expected_value - both[0].expected_value
    crossing = crossing[np.argsort(-np.abs(change[crossing]), kind="stable")]
    grades = [[int(((both[0].grade == a) & (both[1].grade == b)).sum()) for b in GRADES] for a in GRADES]
    return Migration(
        champion.version,
        challenger.version,
        seen.observed_until,
        moments.num_rows,
        int((new & ~old).sum()),
        int((old & ~new).sum()),
        int((old & new).sum()),
        tuple(tuple(row) for row in grades),
        _by_segment(segments, old, new),
        tuple(_moved(workspace, (champion, challenger), moments, both, segments, crossing)),
        _notes(champion, challenger),
        challenger.bundle.currency,
    )


def _scored(tables: Tables, moments: pa.Table, model: LoadedModel) -> Scores:
    features = model.bundle.features
    matrix = build_features(tables, moments, features) if moments.num_rows else np.empty((0, len(features.features)))
    return score_matrix(model.bundle, model.line, matrix)


def _by_segment(segments: list[list[str]], old: NDArray[np.bool_], new: NDArray[np.bool_]) -> tuple[SegmentMoves, ...]:
    found: list[SegmentMoves] = []
    for name in sorted({name for names in segments for name in names}):
        member = np.array([name in names for names in segments], dtype=bool)
        counts = (member, member & old, member & new & ~old, member & old & ~new)
        found.append(SegmentMoves(name, *(int(count.sum()) for count in counts)))
    return tuple(sorted(found, key=lambda item: -(item.up + item.down)))


def _moved(
    workspace: Workspace,
    models: tuple[LoadedModel, LoadedModel],
    moments: pa.Table,
    both: tuple[Scores, ...],
    segments: list[list[str]],
    crossing: NDArray[np.int64],
) -> Iterator[Moved]:
    ids = moments.column("lead_id").to_pylist()
    as_of_us = moments.column("as_of_us").to_numpy()
    chosen = [ids[row] for row in crossing]
    language = workspace.config.workspace.language
    said = [
        answers(model, _of_rows(scores, crossing), chosen, as_of_us[crossing], language)
        for model, scores in zip(models, both, strict=True)
    ]
    for row, before, after in zip(crossing.tolist(), *said, strict=True):
        yield Moved(
            before["lead_id"],
            "up" if after["is_mql"] else "down",
            (before["grade"], after["grade"]),
            (before["expected_value"], after["expected_value"]),
            (before["score"], after["score"]),
            tuple(segments[row]),
            (tuple(before["reasons"]), tuple(after["reasons"])),
        )


def _of_rows(scores: Scores, rows: NDArray[np.int64]) -> Scores:
    return Scores(**{name: array[rows] for name, array in vars(scores).items()})


_BASES = {"as_run": "leads as things are run", "if_worked": "what working a lead adds"}


def _notes(champion: LoadedModel, challenger: LoadedModel) -> tuple[str, ...]:
    """Say what moves leads besides the model: the two lines may be set for other numbers."""
    words: Mapping[str, str] = {
        "capacity_per_week": "capacity a week", "touch_cost": "cost of working a lead", "margin": "margin",
    }  # fmt: skip
    notes: list[str] = []
    bases = [_BASES[model.line.basis] for model in (champion, challenger)]
    if bases[0] != bases[1]:
        notes.append(
            f"The champion values {bases[0]}, the challenger {bases[1]} ([value] basis): leads cross because another "
            "question is asked."
        )
    for name, label in words.items():
        old, new = getattr(champion.line, name), getattr(challenger.line, name)
        if old != new:
            shown = ["no limit" if value is None else f"{value:g}" for value in (old, new)]
            notes.append(
                f"The lines differ in {label} ({shown[0]} and {shown[1]}), so a part of the moves is the line's, not "
                "the model's."
            )
    return tuple(notes)


def write_migration(workspace: Workspace, found: Migration) -> Path:
    """Write every lead that crosses into ``.kizashi/migrations/``; the file names leads and stays in the workspace."""
    folder = workspace.folder / ".kizashi" / "migrations"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"version-{found.champion}-to-{found.challenger}.csv"
    with placing_leads(workspace) as erased:
        gone = erased([move.lead_id for move in found.moved]) if erased is not None else ()
        write_csv(path, HEADER, [_row(move) for move in found.moved if move.lead_id not in gone])
    return path


def _row(move: Moved) -> tuple[Value, ...]:
    return (
        move.lead_id,
        move.direction,
        *move.grades,
        *(round(value, 2) for value in (*move.values, *move.scores)),
        " | ".join(move.segments),
        *(" | ".join(reasons) for reasons in move.reasons),
    )
