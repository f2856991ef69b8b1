"""What ``kizashi promote`` shows: the conditions of the gate, and who crosses the line."""

from __future__ import annotations

from pathlib import Path

from cli.output import print_entry, print_paragraph, print_table
from models.verdict import Status, Verdict
from training.migration import GRADES, Migration, Moved

__all__ = ["show_gate", "show_migration"]

SHOWN_SEGMENTS = 8
SHOWN_LEADS = 5
STATUS: dict[Status, str] = {
    "passed": "passed",
    "failed": "FAILED",
    "not_enough": "not enough to tell",
    "reported": "",
}


def show_gate(verdict: Verdict) -> None:
    """Print each condition with what was found and its limit, and on which rows they rest."""
    rows = [(item.name, STATUS[item.status], item.found, item.limit) for item in verdict.conditions]
    print_table("The gate", ("condition", "verdict", "found", "limit"), rows)
    if verdict.basis is not None:
        print_entry("Rows", verdict.basis.words)


def show_migration(found: Migration, file: Path | None) -> None:
    """Print how many leads cross the line because the model changes, by grade and segment, and the largest changes."""
    print_paragraph(
        f"Because the model changes, at {found.as_of:%Y-%m-%d %H:%M} UTC and with the same facts: of {found.leads:,} "
        f"leads at risk {found.up:,} become MQLs, {found.down:,} cease to be, {found.stay:,} stay MQLs."
    )
    for note in found.notes:
        print_paragraph(f"Note: {note}")
    rows = [(old, *(f"{count:,}" for count in row)) for old, row in zip(GRADES, found.grades, strict=True)]
    columns = (f"version {found.champion}", *(f"{grade} " for grade in GRADES))
    print_table(f"Grades: version {found.champion} by row, {found.challenger} by column", columns, rows)
    moving = [item for item in found.by_segment if item.up or item.down][:SHOWN_SEGMENTS]
    if moving:
        cells = [(i.name, f"{i.leads:,}", f"{i.mqls:,}", f"{i.up:,}", f"{i.down:,}") for i in moving]
        print_table("By segment and source", ("", "leads ", "MQLs before ", "up ", "down "), cells)
    if found.moved:
        cells = [cell for move in found.moved[:SHOWN_LEADS] for cell in _cells(move)]
        columns = ("lead", "", "grade", f"value {found.currency} ", "strongest reasons")
        print_table("The largest changes of value", columns, cells)
    if file is not None:
        print_entry("All", f"{len(found.moved):,} leads that cross, with their reasons: {file}")


def _cells(move: Moved) -> list[tuple[str, ...]]:
    said = [", ".join(reasons[:2]) or "nothing that stands out" for reasons in move.reasons]
    return [
        (move.lead_id, "before", move.grades[0], f"{move.values[0]:,.0f}", said[0]),
        ("", move.direction, move.grades[1], f"{move.values[1]:,.0f}", said[1]),
    ]
