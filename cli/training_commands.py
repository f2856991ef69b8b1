"""``kizashi check`` and ``train``."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import click

from cli.check import run_check, show_check, show_excluded
from cli.options import ATTENTION, DONE, REFUSED, as_of_option, command_options, open_workspace, parse_moment
from cli.output import TerminalProgress, print_entry, print_json, print_paragraph, print_table
from cli.show_line import show_line
from models.intervals import Interval
from training.train import TrainResult
from training.train import train as run_training

__all__ = ["check", "show_result", "train"]


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
    for name, choice in result.choices.items():
        sentences = (*choice.sentences, *(result.levels[name].sentences if name in result.levels else ()))
        print_entry({"sql": "SQL"}.get(name, name), " ".join(sentences))
    for one in result.data.dropped_for_time:
        print_entry("Left out", f"{one.name}, which {one.reason}.")
    print_paragraph("")
    show_line(result.line)
    state = "champion" if result.is_champion else "challenger"
    print_paragraph(f"\nRegistered as version {result.model_version}, {state}.")
    for reason in result.verdict.reasons:
        print_entry("Gate", f"not champion, because {reason}.")
