"""``kizashi promote``, ``rollback`` and ``retrain``."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli.check import run_check, show_check
from cli.options import ATTENTION, DONE, REFUSED, as_of_option, command_options, open_workspace, parse_moment
from cli.output import TerminalProgress, print_entry, print_json, print_paragraph
from cli.promotion_tables import show_gate, show_migration
from cli.training_commands import show_result
from crm.config import Workspace
from crm.errors import TooFewOutcomesError
from crm.progress import Progress
from crm.workspace_tables import open_tables
from models.champions import roll_back
from models.registry import saved_line
from training.backtest import backtest as run_backtest
from training.backtest_result import OURS, Backtest
from training.backtest_tracking import log_backtest
from training.gate_record import note_leaks
from training.promotion import Asked, ask_gate, carry_out
from training.train import train as run_training

__all__ = ["promote", "retrain", "rollback"]

SHORT_BACKTEST = 3


@click.command()
@click.argument("version", default="challenger")
@click.option("--dry-run", is_flag=True, help="Show the gate and who would cross the line; change nothing.")
@click.option("--force", is_flag=True, help="Promote although the gate objects; needs --reason.")
@click.option("--reason", help="Why the gate is overruled; kept in the registry.")
@as_of_option
@command_options
def promote(  # noqa: PLR0913 - one parameter an option
    folder: Path, as_json: bool, version: str, dry_run: bool, force: bool, reason: str | None, as_of: str | None
) -> int:
    """Make a version champion (default: the challenger), if the gate lets it.

    Shows each condition of the gate with what was found and the limit, and which leads at risk cross the line because
    the model changes. With --dry-run the exit code is 0 when the gate would let it through, and 3 when it would not.
    """
    if force and not reason:
        raise click.UsageError("--force needs --reason, which is kept in the registry.")
    workspace, now = open_workspace(folder), datetime.now(UTC)
    progress = TerminalProgress(quiet=as_json)
    asked = ask_gate(workspace, version, as_of=parse_moment(as_of, workspace), now=now, progress=progress)
    promoted = False
    if not dry_run:
        promoted = carry_out(workspace, asked, force_reason=reason if force else None, now=now).promoted
    if as_json:
        reasons = list(asked.verdict.reasons)
        print_json({**asked.to_json(), "promoted": promoted, "dry_run": dry_run, "reasons": reasons})
    else:
        _show_asked(asked)
        _say_what_was_done(workspace, asked, promoted=promoted, dry_run=dry_run)
    if dry_run:
        return DONE if asked.verdict.passed else ATTENTION
    return DONE if promoted else REFUSED


def _show_asked(asked: Asked) -> None:
    show_gate(asked.verdict)
    if asked.migration is not None:
        print_paragraph("")
        show_migration(asked.migration, asked.file)
    print_paragraph("")


def _say_what_was_done(workspace: Workspace, asked: Asked, *, promoted: bool, dry_run: bool) -> None:
    if promoted:
        replaced = f" It replaces version {asked.champion}." if asked.champion else ""
        print_paragraph(f"Version {asked.version} is champion.{replaced}")
        _say_which_line(workspace, asked.version)
    elif dry_run:
        would = "would be promoted" if asked.verdict.passed else "would not be promoted"
        print_paragraph(f"Version {asked.version} {would}; nothing was changed.")
    else:
        print_paragraph(f"Version {asked.version} was not promoted: {'; '.join(asked.verdict.reasons)}.")


def _say_which_line(workspace: Workspace, version: str) -> None:
    """Say so where a line that was saved by hand belongs to another version: values of two models do not compare."""
    if workspace.line_path.is_file() and saved_line(workspace, version) is None:
        print_paragraph(
            f"The line saved by 'kizashi line --save' was set for another version. Version {version} has its own line, "
            "from [value]; to keep the agreed capacity, run 'kizashi line --capacity N --save' again."
        )


@click.command()
@click.option("--auto", is_flag=True, help="Promote the new version when it passes the gate.")
@click.option(
    "--origins",
    type=click.IntRange(1, 26),
    default=SHORT_BACKTEST,
    show_default=True,
    help="Moments of the past of the backtest, four weeks apart.",
)
@click.option("--backtest/--no-backtest", "with_backtest", default=True, help="Whether to test on the past as well.")
@as_of_option
@command_options
def retrain(folder: Path, as_json: bool, auto: bool, origins: int, with_backtest: bool, as_of: str | None) -> int:
    """Check, train, backtest, and put the new version to the gate; exit code 3 when a person must look.

    Sources are read as they are. Where leads come from a CRM, run 'kizashi pull' before.
    """
    workspace, now = open_workspace(folder), datetime.now(UTC)
    progress = TerminalProgress(quiet=as_json)
    moment = parse_moment(as_of, workspace)
    found = run_check(workspace, moment, now, progress)
    if found.refusals:
        if as_json:
            print_json({"check": found.to_json(), "trained": False})
        else:
            show_check(found)
        return REFUSED
    result = run_training(workspace, as_of=moment, now=now, progress=progress)
    note_leaks(workspace, result.model_version, found.sentinel.verdicts)
    tested = _test_the_past(workspace, moment, origins, now, progress) if with_backtest else {}
    asked = ask_gate(workspace, result.model_version, as_of=moment, now=now, progress=progress)
    looks = [*asked.verdict.reasons, *tested.get("looks", ())]
    promoted = result.is_champion
    if not promoted and auto and not looks:
        promoted = carry_out(workspace, asked, force_reason=None, now=now).promoted
    if as_json:
        answer = {**result.to_json(), **asked.to_json(), "promoted": promoted, "reasons": looks}
        print_json({**answer, "backtest": tested or None})
    else:
        show_result(result)
        print_paragraph("")
        _show_asked(asked)
        _say_what_came(workspace, asked, looks, promoted=promoted)
    return DONE if promoted and not looks else ATTENTION


def _say_what_came(workspace: Workspace, asked: Asked, looks: list[str], *, promoted: bool) -> None:
    for text in looks:
        print_entry("Look at", f"{text}.")
    if promoted:
        print_paragraph(f"Version {asked.version} is champion.")
        _say_which_line(workspace, asked.version)
    elif looks:
        print_paragraph(f"Version {asked.version} was not promoted; a person must look.")
    else:
        print_paragraph(
            f"Version {asked.version} passes the gate and waits for a person: 'kizashi promote', or retrain --auto."
        )


def _test_the_past(
    workspace: Workspace, moment: datetime | None, origins: int, now: datetime, progress: Progress
) -> dict[str, Any]:
    """Run the short backtest and log it; name the baselines that were better beyond chance."""
    with open_tables(workspace, now, progress) as tables:
        try:
            found = run_backtest(tables, workspace.config, as_of=moment, origins=origins, progress=progress)
        except TooFewOutcomesError as error:  # a young history carries a model before it carries a backtest
            return {"run_id": None, "origins": 0, "looks": [f"no backtest: {error.found}"]}
    with progress.step("Logging the backtest") as step, tempfile.TemporaryDirectory() as folder:
        run_id = log_backtest(workspace, found, Path(folder))
        step.note(f"run {run_id[:8]}")
    return {"run_id": run_id, "origins": len(found.origins), "looks": _better_baselines(found)}


def _better_baselines(found: Backtest) -> list[str]:
    """Name each baseline whose log-loss is lower than ours, or its AUC higher, with the whole interval."""
    looks: list[str] = []
    for outcome, compared in found.pooled.items():
        for method, gains in compared.gains.items():
            loss, auc = gains.get("log_loss"), gains["auc"]
            if (loss is not None and loss.low > 0) or (loss is None and auc.high < 0):
                looks.append(f"backtest: {method} predicts {outcome} better than {OURS} beyond chance")
    return looks


@click.command()
@command_options
def rollback(folder: Path, as_json: bool) -> int:
    """Make the champion before this one champion again."""
    workspace = open_workspace(folder)
    version, left = roll_back(workspace, datetime.now(UTC))
    if as_json:
        print_json({"version": version, "left": left})
    else:
        print_paragraph(f"Version {version} is champion again; version {left} stays in the registry.")
        _say_which_line(workspace, version)
    return DONE
