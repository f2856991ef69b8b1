"""``kizashi erase``: a lead leaves everything that kizashi keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from cli.options import ATTENTION, DONE, command_options, open_workspace
from cli.output import print_json, print_paragraph, print_table
from crm.config import Workspace
from crm.erasure import Receipt, erase_lead, plan_erasure
from crm.errors import KizashiError
from crm.lead_hashes import stored_ids
from crm.sources import open_source
from crm.state import open_state

__all__ = ["erase"]


@click.command()
@click.argument("lead_id")
@click.option("--dry-run", is_flag=True, help="Show what would be removed; change nothing.")
@command_options
def erase(folder: Path, as_json: bool, lead_id: str, dry_run: bool) -> int:
    """Erase the lead LEAD_ID, and every lead that is the same person by merges, and print a receipt.

    What is left is a keyed hash, by which neither a source nor a request brings the lead back. Exit code 3 when files
    still name it.
    """
    workspace, now = open_workspace(folder), datetime.now(UTC)
    merges, problem = _merges_of_source(workspace)
    state = open_state(workspace)
    try:
        act = plan_erasure if dry_run else erase_lead
        receipt = act(state, workspace, lead_id, now=now, merges=merges)
    finally:
        state.close()
    notes = (*receipt.notes, *([problem] if problem else []))
    if as_json:
        print_json({**receipt.to_json(), "notes": list(notes)})
    else:
        _show(receipt, notes)
    return ATTENTION if receipt.remaining and not dry_run else DONE


def _merges_of_source(workspace: Workspace) -> tuple[list[tuple[str, str]], str]:
    """Return the merges that the source knows, under every form of an id; and what to say when it cannot be asked."""
    try:
        with open_source(workspace) as source:
            if "lead_merges" not in source.tables:
                return [], ""
            rows = source.read("lead_merges").select(["from_lead_id", "into_lead_id"]).to_pylist()
    except (KizashiError, KeyError) as error:
        return (
            [],
            f"The source could not be asked for merges ({type(error).__name__}): other ids of the person may stay.",
        )
    plain = [(str(row["from_lead_id"]), str(row["into_lead_id"])) for row in rows]
    pairs = [
        pair
        for one, other in plain
        for pair in zip(stored_ids(workspace, one), stored_ids(workspace, other), strict=True)
    ]
    return pairs, ""


def _show(receipt: Receipt, notes: tuple[str, ...]) -> None:
    verb = "would be removed" if receipt.dry_run else "removed"
    if receipt.removed:
        print_table(f"Rows {verb}", ("place", "rows "), [(place, f"{n:,}") for place, n in receipt.removed.items()])
    else:
        print_paragraph("Nothing is kept of this lead." if receipt.dry_run else "Nothing was kept of this lead.")
    print_paragraph("")
    if len(receipt.leads) > 1:
        print_paragraph(f"The same person: {', '.join(receipt.leads)}")
    for path in receipt.remaining:
        print_paragraph(f"Still named in {path}")
    for note in notes:
        print_paragraph(note)
    if not receipt.dry_run:
        print_paragraph(f"Erased at {receipt.done_at}; the tombstone keeps it out.")
