"""Erasing a lead from everything that kizashi keeps, with a receipt; and noting that a lead objects.

What stays is a keyed hash, the tombstone, by which no source and no request brings the lead back. The source itself and
the CRM are the customer's: there the lead is erased by whoever keeps them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from sqlite3 import Error as SqliteError
from typing import Any

import sqlalchemy as sa

from crm.audit import Action, AuditRow, write_audit
from crm.config import Workspace
from crm.erasure_files import clean_pages, erase_files, erase_mirror, leads_in_files, mirror_merges, still_naming
from crm.erasure_hooks import erase_hooks
from crm.erasure_rows import erase_rows, linked_leads, stop_scoring
from crm.errors import ErasureError
from crm.known import to_micros
from crm.lead_files import files_alone, remove_unfinished
from crm.lead_hashes import lead_hash, stored_ids, versions_that_saw
from crm.parsing import BLANKS, is_plain
from crm.state import State, state_secret
from crm.state_tables import OBJECTIONS, TOMBSTONES
from crm.upserts import insert_into

__all__ = ["Asker", "Receipt", "erase_lead", "erase_listed", "note_objection", "plan_erasure"]

MAX_ID = 200


@dataclass(frozen=True)
class Asker:
    """Who asks for it: a key's id, or ``cli``, and the request in which."""

    key_id: str = "cli"
    request_id: str = "-"


@dataclass(frozen=True)
class Receipt:
    """What was done.

    Parameters
    ----------
    lead_id
        The lead that was asked about.
    leads
        It and every lead that is the same person by merges, all of them treated alike.
    done_at
        When, ISO 8601.
    removed
        Rows by place.
    model_versions
        Versions that had learned from one of the leads; their models hold no ids.
    remaining
        Files that still name one of them and are to be made anew.
    notes
        What else to know or to do.
    dry_run
        True: nothing was changed.
    """

    lead_id: str
    leads: tuple[str, ...]
    done_at: str
    removed: dict[str, int]
    model_versions: tuple[str, ...]
    remaining: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as what JSON has."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def erase_lead(
    state: State,
    workspace: Workspace,
    lead_id: str,
    *,
    now: datetime,
    asker: Asker | None = None,
    merges: Collection[tuple[str, str]] = (),
) -> Receipt:
    """Erase a lead and every lead that is the same person.

    It may be asked again at any time, also for a lead that nothing is known of: its tombstone keeps it out.

    Parameters
    ----------
    state
        Of the workspace.
    workspace
        Whose files are gone through as well.
    lead_id
        As the CRM has it.
    now
        The clock. Timezone-aware.
    asker
        For the audit.
    merges
        Pairs of leads that are one person beside those that state and mirror know of.

    Raises
    ------
    ErasureError
        When the id is none, or a file cannot be rewritten; asking again goes on from there.
    """
    names = _names(workspace, lead_id)
    secret = state_secret(workspace)
    known = [*merges, *mirror_merges(workspace)]
    with state.writing(alone=True) as connection:
        leads = linked_leads(connection, names, known)
        hashes = [lead_hash(secret, lead) for lead in leads]
        removed = _from_state(connection, workspace, leads, hashes, dry_run=False)
        _list_hashes(connection, TOMBSTONES, hashes, now)
        _audit(connection, "erasure", hashes, now, asker or Asker())
    try:
        with files_alone(workspace):
            remove_unfinished(workspace.folder / ".kizashi")
            removed |= erase_mirror(workspace, leads, dry_run=False) | erase_files(workspace, leads, dry_run=False)
            in_the_way = clean_pages(state, workspace.state_path, leads)
    except (OSError, ValueError, SqliteError) as error:
        raise ErasureError(
            found=f"a file that cannot be rewritten ({type(error).__name__}); the state is erased already",
            expected=f"files under '{workspace.folder / '.kizashi'}' that can be written, and free space",
            fix="make room or mend the rights, and ask for the same erasure again",
        ) from error
    receipt = _receipt(workspace, names[0], leads, removed, now)
    return receipt if in_the_way is None else replace(receipt, notes=(*receipt.notes, in_the_way))


def erase_listed(workspace: Workspace, erased: Collection[str]) -> int:
    """Take leads out of this machine's files that a process on another one has erased from the common state.

    Parameters
    ----------
    workspace
        Whose files.
    erased
        Hashes of the tombstones.

    Returns
    -------
    int
        Leads that were still in a file here.
    """
    secret = state_secret(workspace)
    with files_alone(workspace):
        remove_unfinished(workspace.folder / ".kizashi")
        gone = [lead for lead in sorted(leads_in_files(workspace)) if lead_hash(secret, lead) in erased]
        if gone:
            erase_mirror(workspace, gone, dry_run=False)
            erase_files(workspace, gone, dry_run=False)
    return len(gone)


def plan_erasure(
    state: State,
    workspace: Workspace,
    lead_id: str,
    *,
    now: datetime,
    merges: Collection[tuple[str, str]] = (),
) -> Receipt:
    """Return the receipt that :func:`erase_lead` would give, and change nothing.

    Raises
    ------
    ErasureError
        When the id is none.
    """
    names = _names(workspace, lead_id)
    secret = state_secret(workspace)
    with state.reading() as connection:
        leads = linked_leads(connection, names, [*merges, *mirror_merges(workspace)])
        hashes = [lead_hash(secret, lead) for lead in leads]
        removed = _from_state(connection, workspace, leads, hashes, dry_run=True)
    removed |= erase_mirror(workspace, leads, dry_run=True) | erase_files(workspace, leads, dry_run=True)
    return replace(_receipt(workspace, names[0], leads, removed, now), dry_run=True)


def note_objection(
    state: State, workspace: Workspace, lead_id: str, *, now: datetime, asker: Asker | None = None
) -> Receipt:
    """Note that a lead objects: from now on it is neither scored nor trained on, and nothing of it is sent to a CRM.

    What is known of it stays; erasing is another wish.

    Raises
    ------
    ErasureError
        When the id is none.
    """
    names = _names(workspace, lead_id)
    secret = state_secret(workspace)
    with state.writing(alone=True) as connection:
        leads = linked_leads(connection, names, mirror_merges(workspace))
        hashes = [lead_hash(secret, lead) for lead in leads]
        removed = stop_scoring(connection, leads)
        _list_hashes(connection, OBJECTIONS, hashes, now)
        _audit(connection, "objection", hashes, now, asker or Asker())
    return _receipt(workspace, names[0], leads, removed, now, is_gone=False)


def _names(workspace: Workspace, lead_id: str) -> tuple[str, ...]:
    plain = lead_id.strip(BLANKS)
    if not plain or len(plain) > MAX_ID or not is_plain(plain):
        raise ErasureError(
            found="an id that is empty, longer than 200 characters or with control characters",
            expected="the id of one lead",
            fix="give the id as the CRM has it",
        )
    return stored_ids(workspace, plain)


def _from_state(
    connection: sa.Connection, workspace: Workspace, leads: Sequence[str], hashes: Sequence[str], *, dry_run: bool
) -> dict[str, int]:
    removed = erase_rows(connection, leads, dry_run=dry_run)
    hooks = erase_hooks(connection, workspace, state_secret(workspace), hashes, dry_run=dry_run)
    return removed | ({"state/hook_events": hooks} if hooks else {})


def _list_hashes(connection: sa.Connection, table: sa.Table, hashes: Sequence[str], now: datetime) -> None:
    moment = "erased_us" if table is TOMBSTONES else "objected_us"
    rows = [{"lead_hash": one, moment: to_micros(now)} for one in hashes]
    connection.execute(insert_into(connection, table).on_conflict_do_nothing(), rows)


def _audit(connection: sa.Connection, action: Action, hashes: Sequence[str], now: datetime, asker: Asker) -> None:
    for one in hashes:
        write_audit(connection, AuditRow(now, asker.key_id, action, "done", asker.request_id, one))


def _receipt(
    workspace: Workspace,
    lead_id: str,
    leads: Sequence[str],
    removed: dict[str, int],
    now: datetime,
    is_gone: bool = True,
) -> Receipt:
    secret = state_secret(workspace)
    versions = versions_that_saw(workspace, [lead_hash(secret, lead) for lead in leads])
    remaining = still_naming(workspace, leads) if is_gone else []
    notes: list[str] = []
    if is_gone:
        notes.append(
            "The source and the CRM are not kizashi's: erase the lead there as well. No table takes it in any more."
        )
    if len(leads) > 1:
        notes.append("By merges several ids are one person; all of them are treated alike.")
    if versions:
        learned = f"Version{'s' if len(versions) > 1 else ''} {', '.join(versions)}"
        notes.append(f"{learned} had learned from it: train again, so that none in force has.")
    if remaining:
        notes.append("Files that still name it are to be deleted or made anew: 'kizashi align' writes the board.")
    return Receipt(lead_id, tuple(leads), now.isoformat(), removed, tuple(versions), tuple(remaining), tuple(notes))
