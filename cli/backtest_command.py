"""``kizashi backtest``."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from cli.options import DONE, as_of_option, command_options, open_workspace, parse_moment
from cli.output import TerminalProgress, print_json, print_paragraph, print_table
from crm.workspace_tables import open_tables
from models.intervals import Interval
from training.backtest import backtest as run_backtest
from training.backtest_measures import Compared
from training.backtest_result import OURS, Backtest
from training.backtest_tracking import log_backtest

__all__ = ["backtest", "show_backtest"]

NAMES = {
    "random": "chance",
    "recency": "newest touch first",
    "old_rule": "old rule (stage mql)",
    "odoo": "Odoo 18 naive Bayes",
    "logistic": "logistic regression",
    "lightgbm": "LightGBM defaults",
    "flaml": "FLAML, one minute",
}
Column = tuple[str, str, int]
QUALITY: Sequence[Column] = (
    ("AUC", "auc", 3),
    ("log-loss, nats", "log_loss", 4),
    ("observed / expected", "observed_over_expected", 2),
    ("lift of the best tenth", "lift_at_10", 1),
)
CAPTURED: Sequence[Column] = (
    ("wins caught a window", "captured_wins", 1),
    ("share of wins", "captured_wins_share", 2),
    ("revenue caught a window", "captured_revenue", 0),
    ("share of revenue", "captured_revenue_share", 2),
)
GAINS: Sequence[Column] = (
    ("AUC", "auc", 3),
    ("log-loss, nats", "log_loss", 4),
    ("share of wins", "captured_wins_share", 2),
    ("share of revenue", "captured_revenue_share", 2),
)


@click.command()
@click.option(
    "--origins",
    type=click.IntRange(1, 26),
    default=6,
    show_default=True,
    help="Moments of the past, four weeks apart, at which to train and test.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for backtest.csv and backtest.json; they are kept in MLflow in any case.",
)
@as_of_option
@command_options
def backtest(folder: Path, as_json: bool, as_of: str | None, origins: int, out: Path | None) -> int:
    """Train at moments of the past with what was known then, and test against baselines on what came next."""
    workspace = open_workspace(folder)
    moment = parse_moment(as_of, workspace)
    progress = TerminalProgress(quiet=as_json)
    with open_tables(workspace, datetime.now(UTC), progress) as tables:
        found = run_backtest(tables, workspace.config, as_of=moment, origins=origins, progress=progress)
    with progress.step("Logging to MLflow") as step, tempfile.TemporaryDirectory() as temporary:
        run_id = log_backtest(workspace, found, Path(temporary) if out is None else out)
        step.note(f"run {run_id[:8]}")
    if as_json:
        print_json({"run_id": run_id, **found.to_json()})
    else:
        show_backtest(found, out)
    return DONE


def show_backtest(found: Backtest, out: Path | None) -> None:
    """Print the pooled tables of a backtest, what they say, and where the files lie."""
    first, last = found.origins[0], found.origins[-1]
    tested = sum(origin.tested for origin in found.origins)
    wins, sqls = (sum(origin.happened[outcome] for origin in found.origins) for outcome in ("won", "sql"))
    print_paragraph(
        f"\n{len(found.origins)} origins, {first.as_of:%Y-%m-%d} to {last.as_of:%Y-%m-%d}, each tested on the leads "
        f"at risk in the four weeks after it:\n{tested:,} rows, {wins:,} won, {sqls:,} SQL. "
        "In brackets the 90% interval over accounts.\n"
    )
    worked = sum(origin.worked for origin in found.origins) / len(found.origins)
    deals = sum(origin.deals for origin in found.origins) / len(found.origins)
    revenue = sum(origin.revenue for origin in found.origins) / len(found.origins)
    won = found.pooled["won"]
    _table("Won: order and probabilities", won.measures, QUALITY)
    _table(
        f"Won: what a list of {worked:,.0f} leads a window catches, of {deals:,.1f} deals with {revenue:,.0f} "
        f"{found.currency}",
        won.measures,
        CAPTURED,
    )
    _table("SQL: order and probabilities", found.pooled["sql"].measures, QUALITY)
    _table("Won: kizashi less each baseline", won.gains, GAINS)
    for sentence in _readings(won):
        print_paragraph(sentence)
    for note in found.notes:
        print_paragraph(f"Note: {note}")
    if out is not None:
        print_paragraph(f"Every origin and measure: {out / 'backtest.csv'} and backtest.json.")


def _table(title: str, measures: Mapping[str, Mapping[str, Interval]], columns: Sequence[Column]) -> None:
    rows = [
        (NAMES.get(method, method), *(_words(found.get(name), digits) for _, name, digits in columns))
        for method, found in measures.items()
    ]
    print_table(title, ("method", *(f"{label} " for label, *_ in columns)), rows)
    print_paragraph("")


def _words(interval: Interval | None, digits: int) -> str:
    if interval is None or not math.isfinite(interval.value):
        return "-"
    shown = f"{interval.value:,.{digits}f}"
    if not math.isfinite(interval.low):
        return shown
    return f"{shown} [{interval.low:,.{digits}f}, {interval.high:,.{digits}f}]"


def _readings(won: Compared) -> list[str]:
    """Say of which baselines the difference in log-loss, or in order where they claim no probability, is no chance."""
    better, open_ = list[str](), list[str]()
    for method, gains in won.gains.items():
        loss = gains.get("log_loss")
        is_better = loss.high < 0 if loss is not None else gains["auc"].low > 0
        (better if is_better else open_).append(NAMES.get(method, method))
    parts = []
    if better:
        parts.append(f"{OURS} is better than: {', '.join(better)} (beyond chance, by log-loss or else AUC).")
    if open_:
        parts.append(f"Not shown to be better than: {', '.join(open_)}.")
    return parts
