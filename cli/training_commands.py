"""``kizashi check``, ``train``, ``retrain``, ``promote`` and ``rollback``."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import click

from cli.check import run_check, show_check, show_excluded
from cli.options import ATTENTION, DONE, REFUSED, as_of_option, command_options, open_workspace, parse_moment
from cli.output import TerminalProgress, print_entry, print_json, print_paragraph, print_table
from cli.show_line import show_line
from crm.config import Workspace
from models.champions import promote_version, roll_back
from models.intervals import Interval
from models.registry import saved_line
from training.train import TrainResult
from training.train import train as run_training

__all__ = ["check", "promote", "retrain", "rollback", "show_result", "train"]


@click.command()
@as_of_option
@command_options
def check(folder: Path, as_json: bool, as_of: str | None) -> int:
    """Tell whether the tables can carry a model: quarantine, readiness, leaks.

    Exit code 0 when they can, 1 when training would be refused, 3 when rows went to quarantine, a setting has no
    effect, or a check for leaks wants a person to look (docs/how-to/check-for-leaks.md).
    """
    workspace = open_workspace(folder)
    progress = TerminalProgress(quiet=as_json)
    found = run_check(workspace, parse_moment(as_of, workspace), datetime.now(UTC), progress)
    if as_json:
        print_json(found.to_json())
    else:
        show_check(found)
    if found.refusals:
        return REFUSED
    return ATTENTION if found.warnings else DONE


@click.command()
@as_of_option
@command_options
def train(folder: Path, as_json: bool, as_of: str | None) -> int:
    """Train a version, log it to MLflow and register it as challenger; the first that passes the gate is champion."""
    workspace = open_workspace(folder)
    result = run_training(
        workspace,
        as_of=parse_moment(as_of, workspace),
        now=datetime.now(UTC),
        progress=TerminalProgress(quiet=as_json),
    )
    if as_json:
        print_json(result.to_json())
    else:
        show_result(result)
    return DONE


def _interval_words(interval: Interval | None, digits: int) -> str:
    if interval is None:
        return ""
    if not math.isfinite(interval.low):
        return f"{interval.value:.{digits}f}"
    return f"{interval.value:.{digits}f} ({interval.low:.{digits}f} to {interval.high:.{digits}f})"


def show_result(result: TrainResult) -> None:
    """Print what a training run came to."""
    names = (
        ("auc", "AUC (0.5 is chance)", 3),
        ("auc_same_age", "AUC among leads of one age", 3),
        ("lift_at_10", "lift of the best tenth, times", 1),
        ("log_loss", "log-loss, nats", 3),
        ("observed_over_expected", "observed / expected", 2),
        ("ece", "calibration error (ECE)", 3),
        ("ece_null_95", "ECE that chance alone reaches", 3),
    )
    judged = [result.judged[outcome] for outcome in ("sql", "won")]
    tested = [f"{int(j.happened.sum()):,} of {len(j.happened):,}" for j in judged]
    rows = [("outcomes among leads tested", *tested)]
    rows += [
        (label, *(_interval_words(j.metrics.get(name), digits) for j in judged))
        for name, label, digits in names
        if any(name in j.metrics for j in judged)
    ]
    print_paragraph("")
    print_table("On periods that the model had not seen (90% interval)", ("", "SQL", "won"), rows)
    show_excluded(result.data.excluded)
    print_paragraph("")
    show_line(result.line)
    state = "champion" if result.is_champion else "challenger"
    print_paragraph(f"\nRegistered as version {result.model_version}, {state}.")
    for reason in result.verdict.reasons:
        print_entry("Gate", f"not champion, because {reason}.")


@click.command()
@click.option("--auto", is_flag=True, help="Promote the new version when it passes the gate.")
@as_of_option
@command_options
def retrain(folder: Path, as_json: bool, auto: bool, as_of: str | None) -> int:
    """Check, train and put the new version to the gate; exit code 3 when a person must look.

    Sources of files and databases are read as they are; there is nothing to pull.
    """
    workspace = open_workspace(folder)
    now = datetime.now(UTC)
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
    verdict, promoted = result.verdict, result.is_champion
    if not promoted and auto and verdict.passed:
        outcome = promote_version(workspace, result.model_version, force_reason=None, now=now)
        verdict, promoted = outcome.verdict, outcome.promoted
    if as_json:
        print_json({**result.to_json(), "promoted": promoted, "reasons": list(verdict.reasons)})
    else:
        show_result(result)
        if promoted:
            _say_which_line(workspace, result.model_version)
        else:
            why = (
                "; ".join(verdict.reasons) or "promotion waits for a person: 'kizashi promote', or retrain with --auto"
            )
            print_paragraph(f"Not promoted: {why}.")
    return DONE if promoted else ATTENTION


def _say_which_line(workspace: Workspace, version: str) -> None:
    """Say so where a line that was saved by hand belongs to another version: values of two models do not compare."""
    if workspace.line_path.is_file() and saved_line(workspace, version) is None:
        print_paragraph(
            f"The line saved by 'kizashi line --save' was set for another version. Version {version} has its own line, "
            "from [value]; to keep the agreed capacity, run 'kizashi line --capacity N --save' again."
        )


@click.command()
@click.argument("version", default="challenger")
@click.option("--force", is_flag=True, help="Promote although the gate objects; needs --reason.")
@click.option("--reason", help="Why the gate is overruled; kept in the registry.")
@command_options
def promote(folder: Path, as_json: bool, version: str, force: bool, reason: str | None) -> int:
    """Make a version champion (default: the challenger), if the gate lets it."""
    if force and not reason:
        raise click.UsageError("--force needs --reason, which is kept in the registry.")
    workspace = open_workspace(folder)
    outcome = promote_version(workspace, version, force_reason=reason if force else None, now=datetime.now(UTC))
    if as_json:
        print_json({"version": outcome.version, "promoted": outcome.promoted, "reasons": list(outcome.verdict.reasons)})
    elif outcome.promoted:
        print_paragraph(
            f"Version {outcome.version} is champion."
            + (f" It replaces version {outcome.replaced}." if outcome.replaced else "")
        )
        _say_which_line(workspace, outcome.version)
    else:
        print_paragraph(f"Version {outcome.version} was not promoted: {'; '.join(outcome.verdict.reasons)}.")
    return DONE if outcome.promoted else REFUSED


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
