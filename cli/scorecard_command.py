"""``kizashi scorecard``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from cli.options import DONE, command_options, open_workspace
from cli.output import TerminalProgress, print_entry, print_json, print_paragraph, print_table
from models.scorecard_words import row_words
from pages.scorecard_page import Measured
from pages.words import load_words
from training.scorecard_files import card_page, write_scorecard
from training.scorecard_run import MadeScorecard, make_scorecard

__all__ = ["scorecard"]

MIN_ROWS = 20


@click.command()
@click.option("--model-version", "alias", default="champion", show_default=True, help="Alias or version.")
@click.option(
    "--points-per-doubling",
    type=click.Choice(["3", "5", "10"]),
    default="5",
    show_default=True,
    help="Points that double the odds.",
)
@click.option(
    "--max-rows",
    type=click.IntRange(min=MIN_ROWS),
    default=60,
    show_default=True,
    help="Rows that the card may have.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write the card's files to this folder.")
@command_options
def scorecard(
    folder: Path, as_json: bool, alias: str, points_per_doubling: str, max_rows: int, out: Path | None
) -> int:
    """Make a points table that a marketing-automation tool can run, and measure how far it agrees with the model.

    The card is learned from the tables as they were known when the version was trained, in whole points, from counts,
    last times and fields alone. With --out it is written as CSV, Markdown in English and Japanese, SQL and JSON, with
    the exact points of the version itself beside it.
    """
    workspace = open_workspace(folder)
    made = make_scorecard(
        workspace,
        alias=alias,
        points_per_doubling=float(points_per_doubling),
        max_rows=max_rows,
        now=datetime.now(UTC),
        progress=TerminalProgress(quiet=as_json),
    )
    files = [] if out is None else write_scorecard(made, out)
    if as_json:
        print_json({**made.to_json(), "files": [str(path) for path in files]})
        return DONE
    show_scorecard(made)
    for path in files:
        print_paragraph(f"Written: {path}")
    return DONE


def show_scorecard(made: MadeScorecard) -> None:
    """Print the card and its agreement."""
    card, risk = made.card, made.at_risk
    rows = [(str(row.points), row_words(row, "en", card.facts.booleans)) for row in card.rows]
    print_paragraph("")
    print_table(f"Scorecard of version {made.model.version}", ("points ", "condition"), rows)
    print_paragraph("")
    outcome = "SQL" if card.outcome == "sql" else "a win"
    print_entry(
        "Points", f"speak of {outcome} within {card.horizon_days:g} days; {card.points_per_doubling:g} double the odds"
    )
    if made.has_few_outcomes:
        print_entry(
            "Few", f"{made.fit.outcomes} leads with the outcome: below 100, rounding to whole points costs ranking"
        )
    mql = "no lead is an MQL" if card.mql_points is None else f"{card.mql_points} points or more"
    print_entry(
        "MQL",
        f"{mql}: {risk.by_card[1]:,} of {risk.leads:,} leads at risk on {risk.as_of[:10]}, "
        f"{risk.by_line[1]:,} by the line in force",
    )
    bands = [f"{grade} from {cutoff}" for grade, cutoff in zip("ABC", card.cutoffs, strict=True) if cutoff is not None]
    print_entry("Grades", ", ".join([*bands, "D below"]))
    print_paragraph("")
    _show_agreement(made)
    if made.exact.tree_weight > 0:
        print_entry(
            "Exact",
            f"the table of the version itself is exact for {1 - made.exact.tree_weight:.0%} of its weight; the trees "
            "of the shallow member act together and are given by their mean size",
        )


def _show_agreement(made: MadeScorecard) -> None:
    words = load_words("en")
    page = card_page(made, "en")
    title = f"Card and model on {made.agreement.leads:,} leads, {made.agreement.outcomes:,} with the outcome"
    seen = "that neither had seen" if made.agreement.is_unseen else "that the model had seen"
    rows = [
        (words(f"scorecard.measures.{m.name}"), *(_interval(m, part) for part in ("card", "model", "difference")))
        for m in page.measured
    ]
    print_table(f"{title}, {seen} (90% interval)", ("", "scorecard ", "model ", "difference "), rows)


def _interval(measured: Measured, part: str) -> str:
    found: tuple[float, float, float] | None = getattr(measured, part)
    if found is None:
        return ""
    value, low, high = found
    return f"{value:.3f}" if low != low else f"{value:.3f} ({low:.3f} to {high:.3f})"
