"""``kizashi push``: tell the CRMs the scores that they do not have yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli.options import ATTENTION, DONE, REFUSED, command_options, open_workspace
from cli.output import TerminalProgress, print_error, print_json, print_paragraph, print_table
from crm.clients.opening import open_client
from crm.clients.waiting import Waiting
from crm.config import Workspace
from crm.dead_letters import DeadLetter, dead_letters, requeue_dead_letters
from crm.delivery import Deliverer, PushSummary
from crm.errors import CrmError, WorkspaceError
from crm.leases import holder_name
from crm.progress import Progress
from crm.sending import backlogs
from crm.state import State, open_state

__all__ = ["push"]

MOST_SHOWN = 20


@click.command()
@click.option("--crm", "name", metavar="NAME", help="Only this CRM of the workspace file.  [default: all]")
@click.option("--retry-dead", is_flag=True, help="Send the scores again that a CRM has refused.")
@click.option("--dead-letters", "only_list", is_flag=True, help="List the refused scores and why; send nothing.")
@command_options
def push(folder: Path, as_json: bool, name: str | None, retry_dead: bool, only_list: bool) -> int:
    """Tell the CRMs of [crm.NAME] the scores that they do not have yet.

    Scores are queued when they are issued; the service sends them as well while it runs. The exit code is 3 while there
    are refused scores that a person should look at, and 1 when a CRM could not be told.
    """
    if retry_dead and only_list:
        raise click.UsageError("--retry-dead sends, --dead-letters only lists; name one of them.")
    workspace = open_workspace(folder)
    names = _names(workspace, name)
    state = open_state(workspace)
    try:
        if only_list:
            return _list_dead(state, names, as_json)
        return _push_all(workspace, state, names, retry_dead=retry_dead, as_json=as_json)
    finally:
        state.close()


def _names(workspace: Workspace, name: str | None) -> list[str]:
    known = [name for name, config in workspace.config.crm.items() if config.write_back]
    if name is None and known:
        return known
    if name in known:
        return [name]
    raise WorkspaceError(
        found=f"no [crm.{name or 'NAME'}] in kizashi.toml",
        expected=f"one of {', '.join(known)}" if known else "a CRM to tell",
        fix="name it, or add a section as docs/how-to/write-scores-back.md shows",
    )


def _push_all(workspace: Workspace, state: State, names: Sequence[str], *, retry_dead: bool, as_json: bool) -> int:
    """Push each CRM; one that refuses us does not keep the others from being told."""
    progress = TerminalProgress(quiet=as_json)
    done: list[PushSummary] = []
    failed: dict[str, str] = {}
    for name in names:
        try:
            done.append(_push_one(workspace, state, name, progress, retry_dead=retry_dead))
        except CrmError as error:
            failed[name] = str(error)
    with state.reading() as connection:
        dead = dead_letters(connection, names)
    if as_json:
        print_json(
            {
                "pushed": [summary.to_json() for summary in done],
                "failed": failed,
                "dead_letters": [_to_json(letter) for letter in dead],
            }
        )
    else:
        _show(done, dead)
        for message in failed.values():
            print_error(message)
    if failed or any(summary.stopped or summary.is_busy for summary in done):
        return REFUSED
    return ATTENTION if dead else DONE


def _push_one(workspace: Workspace, state: State, name: str, progress: Progress, *, retry_dead: bool) -> PushSummary:
    now, waiting = datetime.now(UTC), Waiting()
    if retry_dead:
        with state.writing() as connection:
            requeue_dead_letters(connection, name, now_us=round(now.timestamp() * 1e6))
    client = open_client(name, workspace.config.crm[name], waiting=waiting, secrets=workspace.secrets)
    deliverer = Deliverer(state, name, client, waiting, holder_name())
    try:
        return deliverer.run_once(now, progress)
    finally:
        deliverer.close()


def _show(done: Sequence[PushSummary], dead: Sequence[DeadLetter]) -> None:
    for summary in done:
        if summary.is_busy:
            print_paragraph(f"{summary.crm}: another process is telling it scores; {summary.waiting:,} wait.")
            continue
        text = f"{summary.crm}: {summary.sent:,} told, {summary.waiting:,} wait, {summary.dead:,} refused in all."
        print_paragraph(text + (f" It ended early: {summary.stopped}." if summary.stopped else ""))
    if dead:
        _show_dead(dead)


def _show_dead(dead: Sequence[DeadLetter]) -> None:
    rows = [(letter.crm, letter.lead_id, _moment(letter.failed_us), letter.message) for letter in dead[:MOST_SHOWN]]
    print_table("Refused scores", ["CRM", "lead", "when", "what the CRM said"], rows)
    more = f" ({len(dead) - MOST_SHOWN:,} more: --json)" if len(dead) > MOST_SHOWN else ""
    print_paragraph(f"Put right what the CRM objects to, then: kizashi push --retry-dead{more}")


def _list_dead(state: State, names: Sequence[str], as_json: bool) -> int:
    with state.reading() as connection:
        dead = dead_letters(connection, names)
        behind = backlogs(connection, names)
    if as_json:
        print_json(
            {
                "dead_letters": [_to_json(letter) for letter in dead],
                "waiting": {each.crm: each.waiting for each in behind},
            }
        )
    elif dead:
        _show_dead(dead)
    else:
        print_paragraph("No refused scores.")
    return ATTENTION if dead else DONE


def _to_json(letter: DeadLetter) -> dict[str, Any]:
    named = asdict(letter)
    return {**named, "failed_at": _moment(named.pop("failed_us"))}


def _moment(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="seconds")
