"""``kizashi score``."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pandas as pd

from cli.batch import BatchScores, score_leads, write_scores
from cli.lead_file import read_lead_file
from cli.options import ATTENTION, DONE, as_of_option, command_options, open_workspace, parse_moment
from cli.output import TerminalProgress, print_error, print_json, print_paragraph, print_table
from crm.config import Workspace
from crm.known import from_micros
from crm.outcomes import leads_at_risk
from crm.personal import hash_id
from crm.store import Tables
from crm.workspace_tables import open_tables
from models.registry import load_model
from pages.safe_csv import write_csv

__all__ = ["read_tables", "score", "show_scores"]

SHOWN = 10
SHOWN_REASONS = 3
_REASON = re.compile(r"(?P<words>.*) \((?P<points>[+-][\d.]+)\)", re.DOTALL)


@click.command()
@click.option(
    "--leads",
    "leads_file",
    type=click.Path(path_type=Path),
    help="CSV or Parquet with lead_id and optionally as_of; each row is scored as known at its own moment.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write scores to this .csv or .parquet file.")
@click.option("--model", "alias", default="champion", show_default=True, help="Alias or version to score with.")
@as_of_option
@command_options
def score(folder: Path, as_json: bool, leads_file: Path | None, out: Path | None, alias: str, as_of: str | None) -> int:
    """Score leads: all that are at risk, or those in a file.

    Without --as-of the moment is now. Scores are appended to the workspace's scores table. Leads that cannot be scored
    are listed with the reason, and the exit code is 3.
    """
    workspace = open_workspace(folder)
    now = datetime.now(UTC)
    moment = parse_moment(as_of, workspace, not_after=now) or now
    _check_out(out, leads_file)
    asked = None
    if leads_file is not None:
        asked = read_lead_file(leads_file, default_as_of=moment, timezone=workspace.config.workspace.timezone)
    progress = TerminalProgress(quiet=as_json)
    model = load_model(workspace, alias=alias)
    given = _hashed(asked["lead_id"].unique().tolist(), workspace) if asked is not None else {}
    with read_tables(workspace, now, progress) as tables:
        rows = asked.replace({"lead_id": given}) if asked is not None else leads_at_risk(tables, moment)
        found = score_leads(workspace, tables, model, rows, now, progress).renamed({v: k for k, v in given.items()})
    if asked is None:
        found.records.sort(key=lambda record: -record["expected_value"])
    if out is not None:
        write_scores(out, found.records)
    if len(found.rejected):
        _show_rejected(found.rejected, out)
    if as_json:
        print_json(
            {
                "scored": len(found.records),
                "rejected": len(found.rejected),
                "rejections": _rejected_rows(found.rejected),
                "out": out and str(out),
                "scores": found.records if out is None else None,
            }
        )
    else:
        where = "scored" if leads_file else f"at risk on {moment:%Y-%m-%d}"
        _show_found(found, where, out, model.version)
    return ATTENTION if len(found.rejected) else DONE


def _show_found(found: BatchScores, where: str, out: Path | None, version: str) -> None:
    """Print the best of what was scored, and where the rest went."""
    best = sorted(found.records, key=lambda record: -record["expected_value"])[:SHOWN]
    if best:
        show_scores(f"The highest expected values of {len(found.records):,} scored", best)
    else:
        print_paragraph(f"No lead was {where}.")
    if out is not None:
        print_paragraph(f"\n{len(found.records):,} scores written to {out}")
    if found.not_kept:
        print_paragraph(
            f"{found.not_kept:,} of them lie inside the training of version {version}: they are no test of it, and are "
            "not added to the workspace's scores."
        )


def _hashed(lead_ids: list[str], workspace: Workspace) -> dict[str, str]:
    """Give the hash that stands for each id of a file where the workspace hashes ids; nothing where it does not."""
    if not workspace.config.workspace.hash_ids:
        return {}
    key = os.environ.get("KIZASHI_ID_KEY", "")  # without it, reading the tables says so
    return {lead_id: hash_id(lead_id, key) for lead_id in lead_ids}


def _check_out(out: Path | None, leads_file: Path | None) -> None:
    """Refuse a place that cannot be written to before any lead is scored."""
    if out is None:
        return
    why = ""
    if out.suffix.lower() not in (".csv", ".parquet", ".pq"):
        why = "the name must end in .csv or .parquet"
    elif out.is_dir():
        why = f"'{out}' is a folder"
    elif not out.parent.is_dir():
        why = f"there is no folder '{out.parent}'"
    elif not os.access(out if out.exists() else out.parent, os.W_OK):
        why = f"'{out}' cannot be written to"
    elif leads_file is not None and out.resolve() == leads_file.resolve():
        why = "it is the file of --leads, which would be lost"
    if why:
        raise click.BadParameter(why, param_hint="--out")


def read_tables(workspace: Workspace, now: datetime, progress: TerminalProgress) -> Tables:
    """Take in the tables of a workspace in one line of progress."""
    with progress.step("Reading tables") as step:
        tables = open_tables(workspace, now, TerminalProgress(quiet=True))
        step.note(f"{tables.counts['leads'].kept:,} leads")
    return tables


def _rejected_rows(rejected: pd.DataFrame) -> list[dict[str, str]]:
    columns = (rejected[name].tolist() for name in ("lead_id", "as_of_us", "reason"))
    return [
        {"lead_id": str(lead_id), "as_of": from_micros(int(as_of_us)).isoformat(), "reason": str(reason)}
        for lead_id, as_of_us, reason in zip(*columns, strict=True)
    ]


def _show_rejected(rejected: pd.DataFrame, out: Path | None) -> None:
    counts = "; ".join(f"{reason}: {count:,}" for reason, count in rejected["reason"].value_counts().items())
    first = ", ".join(rejected["lead_id"].astype(str).head(5))
    where = ""
    if out is not None:
        path = out.with_name(out.stem + ".rejected.csv")
        write_csv(path, ("lead_id", "as_of", "reason"), [list(row.values()) for row in _rejected_rows(rejected)])
        where = f" They are all in {path}."
    rows = "1 row" if len(rejected) == 1 else f"{len(rejected):,} rows"
    print_error(
        f"Not scored: {rows} ({counts}). {'The first leads' if len(rejected) > 5 else 'Leads'}: {first}.{where}"
    )


def show_scores(title: str, records: list[dict[str, Any]]) -> None:
    """Print scored leads, each with the reasons that count most."""
    currency = records[0]["currency"] if records else ""
    rows: list[tuple[str, ...]] = []
    for record in records:
        reasons = _strongest(record["reasons"]) or [("", "nothing that stands out")]
        lead = (
            record["lead_id"],
            f"{record['score']:.0f}",
            record["grade"],
            f"{record['p_sql']:.1%}",
            f"{record['p_won']:.1%}",
            f"{record['expected_value']:,.0f}",
        )
        rows += [(*(lead if number == 0 else ("",) * len(lead)), *reason) for number, reason in enumerate(reasons)]
    columns = ("lead", "score ", "grade", "p(SQL) ", "p(won) ", f"value {currency} ", "points ", "reasons")
    print_table(title, columns, rows)


def _strongest(reasons: list[str]) -> list[tuple[str, str]]:
    """Part words from points and keep the few that weigh most, strongest first."""
    found = [match.group("points", "words") for text in reasons if (match := _REASON.fullmatch(text))]
    return sorted(found, key=lambda reason: -abs(float(reason[0])))[:SHOWN_REASONS]  # pyright: ignore[reportReturnType] - parts of two
