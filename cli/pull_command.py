"""``kizashi pull``: take over what changed in the CRMs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from cli.options import DONE, REFUSED, command_options, open_workspace, parse_moment
from cli.output import TerminalProgress, print_error, print_json, print_paragraph
from crm.clients.waiting import Waiting
from crm.config import Workspace
from crm.errors import CrmError, WorkspaceError
from crm.held import HeldRows
from crm.pulling import Puller, PullSummary
from crm.state import open_state
from crm.workspace_teller import workspace_teller

__all__ = ["pull", "pull_all"]


@click.command()
@click.option("--crm", "name", metavar="NAME", help="Only this CRM of the workspace file.  [default: all]")
@click.option(
    "--since",
    metavar="T",
    help="Take over what changed from this moment on (ISO 8601).  [default: a little before the last pull]",
)
@command_options
def pull(folder: Path, as_json: bool, name: str | None, since: str | None) -> int:
    """Take over what changed in the CRMs of [crm.NAME] since the last pull: leads, history, stages, deals, touches.

    What is read is stored page by page: one that was cut off goes on where it ended. A service that runs scores the
    leads again that something new is known of. The exit code is 1 when a CRM could not be read.
    """
    workspace, now = open_workspace(folder), datetime.now(UTC)
    moment = parse_moment(since, workspace, not_after=now, option="--since")
    names = _names(workspace, name)
    done, failed = pull_all(workspace, names, now, since=moment, progress=TerminalProgress(quiet=as_json))
    if as_json:
        print_json({"pulled": [summary.to_json() for summary in done], "failed": failed})
    else:
        for summary in done:
            _show(summary)
        for message in failed.values():
            print_error(message)
    return REFUSED if failed else DONE


def pull_all(
    workspace: Workspace, names: Sequence[str], now: datetime, *, since: datetime | None, progress: TerminalProgress
) -> tuple[list[PullSummary], dict[str, str]]:
    """Pull from some CRMs; one that cannot be read does not keep the others from being read.

    Returns
    -------
    tuple
        What each brought, and by name what went wrong.
    """
    done: list[PullSummary] = []
    failed: dict[str, str] = {}
    state = open_state(workspace)
    rows = HeldRows(workspace, state)
    try:
        rows.refresh()
        puller = Puller(state, workspace_teller(workspace), rows, Waiting(), workspace.secrets)
        for name in names:
            try:
                done.append(puller.pull(name, now, since=since, progress=progress))
            except CrmError as error:
                failed[name] = str(error)
    finally:
        rows.close()
        state.close()
    return done, failed


def _names(workspace: Workspace, name: str | None) -> list[str]:
    known = [name for name, config in workspace.config.crm.items() if config.pull]
    if name is None and known:
        return known
    if name in known:
        return [name]
    raise WorkspaceError(
        found=f"no [crm.{name or 'NAME'}] to pull from in kizashi.toml",
        expected=f"one of {', '.join(known)}" if known else "a CRM to read",
        fix="name it, or add a section as docs/how-to/pull-from-a-crm.md shows",
    )


def _show(summary: PullSummary) -> None:
    new = ", ".join(f"{number:,} {table.replace('_', ' ')}" for table, number in summary.new.items()) or "nothing"
    went_on = " It went on where the last pull was cut off." if summary.is_resumed else ""
    print_paragraph(
        f"{summary.crm}: {summary.records:,} records looked at; new: {new}. {summary.rescored:,} leads are to be "
        f"scored again.{went_on}"
    )
    if summary.quarantined:
        print_paragraph(f"{summary.quarantined:,} rows cannot be used; 'kizashi check' says why.")
    for note in summary.notes:
        print_paragraph(f"Note: {note}.")
