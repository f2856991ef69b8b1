"""``kizashi score`` and ``kizashi line``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli.batch import leads_at_risk, score_leads, write_scores
from cli.lead_file import read_lead_file
from cli.options import ATTENTION, DONE, as_of_option, command_options, open_workspace, parse_moment
from cli.output import TerminalProgress, print_json, print_paragraph, print_table
from models.line import Line
from models.registry import load_model
from training.prepare import settle_observation
from training.replay import draw_line, replay_weeks
from training.train import open_tables

__all__ = ["line", "score", "show_line", "show_scores"]

SHOWN = 10


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
    moment = parse_moment(as_of, workspace) or now
    if out is not None and out.suffix.lower() not in (".csv", ".parquet", ".pq"):
        raise click.BadParameter("the name must end in .csv or .parquet", param_hint="--out")
    asked = None
    if leads_file is not None:
        asked = read_lead_file(leads_file, default_as_of=moment, timezone=workspace.config.workspace.timezone)
    progress = TerminalProgress(quiet=as_json)
    model = load_model(workspace, alias=alias)
    with open_tables(workspace, now, progress) as tables:
        rows = asked if asked is not None else leads_at_risk(tables, moment)
        found = score_leads(workspace, tables, model, rows, now, progress)
    if out is not None:
        write_scores(out, found.records)
    if len(found.rejected):
        _show_rejected(found.rejected, out)
    if as_json:
        print_json(
            {
                "scored": len(found.records),
                "rejected": len(found.rejected),
                "out": out and str(out),
                "scores": found.records if out is None else None,
            }
        )
    else:
        best = sorted(found.records, key=lambda record: -record["expected_value"])[:SHOWN]
        show_scores(f"Best {len(best)} of {len(found.records):,} leads by expected value", best)
        if out is not None:
            print_paragraph(f"\n{len(found.records):,} scores written to {out}")
    return ATTENTION if len(found.rejected) else DONE


def _show_rejected(rejected: Any, out: Path | None) -> None:
    counts = ", ".join(f"{count:,} {reason}" for reason, count in rejected["reason"].value_counts().items())
    first = ", ".join(rejected["lead_id"].astype(str).head(5))
    where = ""
    if out is not None:
        path = out.with_name(out.stem + ".rejected.csv")
        from pages.safe_csv import write_csv

        write_csv(
            path, ("lead_id", "as_of_us", "reason"), rejected[["lead_id", "as_of_us", "reason"]].to_numpy().tolist()
        )
        where = f" All of them are in {path}."
    click.echo(f"Not scored: {counts} (first: {first}).{where}", err=True)


def show_scores(title: str, records: list[dict[str, Any]]) -> None:
    """Print scored leads with their reasons."""
    currency = records[0]["currency"] if records else ""
    print_table(
        title,
        ("lead", "score ", "grade", "p(SQL) ", "p(won) ", f"value {currency} ", "reasons"),
        [
            (
                record["lead_id"],
                f"{record['score']:.0f}",
                record["grade"],
                f"{record['p_sql']:.1%}",
                f"{record['p_won']:.1%}",
                f"{record['expected_value']:,.0f}",
                "; ".join(record["reasons"]),
            )
            for record in records
        ],
    )


@click.command()
@click.option(
    "--capacity", type=click.FloatRange(min=0, min_open=True), help="Leads that sales can start on in a week."
)
@click.option("--touch-cost", type=click.FloatRange(min=0), help="Cost of working one lead, workspace currency.")
@click.option("--margin", type=click.FloatRange(min=0, min_open=True, max=1), help="Share of revenue that is kept.")
@click.option("--save", is_flag=True, help="Put this line in force for the champion; without it nothing changes.")
@as_of_option
@command_options
def line(  # noqa: PLR0913 - one parameter an option
    folder: Path,
    as_json: bool,
    capacity: float | None,
    touch_cost: float | None,
    margin: float | None,
    save: bool,
    as_of: str | None,
) -> int:
    """Set the MQL line for another capacity, cost or margin, without training again."""
    workspace = open_workspace(folder)
    given = {"capacity_per_week": capacity, "touch_cost": touch_cost, "margin": margin}
    value = workspace.config.value.model_copy(update={k: v for k, v in given.items() if v is not None})
    progress = TerminalProgress(quiet=as_json)
    model = load_model(workspace)
    now = datetime.now(UTC)
    with open_tables(workspace, now, progress) as tables:
        seen = settle_observation(tables, workspace.config, parse_moment(as_of, workspace))
        weeks = replay_weeks(tables, model.bundle, workspace.config.snapshots, seen, progress)
    drawn, _, weekly = draw_line(weeks, model.bundle, value, seen.observed_until)
    drawn = drawn.model_copy(update={"model_version": model.version})
    if save:
        drawn.save(workspace.line_path)
    if as_json:
        print_json({**drawn.model_dump(mode="json"), "version": drawn.version, "weekly": list(weekly), "saved": save})
        return DONE
    show_line(drawn)
    if not save:
        print_paragraph("\nNothing was changed; add --save to put this line in force.")
    return DONE


def show_line(drawn: Line) -> None:
    """Print a line in words."""
    capacity = "no limit" if drawn.capacity_per_week is None else f"{drawn.capacity_per_week:g} leads a week"
    equivalent = ""
    if drawn.equivalent_p_won is not None:
        equivalent = f"\n  for a lead of mean amount that is a chance to win of {drawn.equivalent_p_won:.1%}"
    print_paragraph(
        f"The MQL line\n"
        f"  a lead is an MQL when its expected value is above {drawn.threshold:,.2f} {drawn.currency}{equivalent}\n"
        f"  first crossings {drawn.crossings_per_week:.1f} a week over {drawn.weeks} weeks; "
        f"sales capacity: {capacity}\n"
        f"  margin {drawn.margin:.0%}, cost of working one lead {drawn.touch_cost:,.2f} {drawn.currency}; "
        f"{drawn.leads_at_risk:,} leads at risk on {drawn.set_as_of:%Y-%m-%d}"
    )
