"""``kizashi expect``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli.options import DONE, command_options, open_workspace
from cli.output import print_json, print_paragraph, print_table
from crm.expecting import EXPECTED, Expectation, campaign_start, list_expectations, register_expectation
from crm.state import open_state

__all__ = ["expect"]


@click.command()
@click.argument("campaign", required=False)
@click.option("--team", type=click.Choice(["marketing", "sales"]), help="Whose expectation it is.")
@click.option("--mqls", type=click.FloatRange(min=0), help="MQLs that will come of it.")
@click.option("--sqls", type=click.FloatRange(min=0), help="SQLs that will come of it.")
@click.option("--won", type=click.FloatRange(min=0), help="Wins that will come of it.")
@click.option("--revenue", type=click.FloatRange(min=0), help="Revenue of these wins, workspace currency.")
@click.option("--late", "takes_late", is_flag=True, help="Keep it although the campaign has begun; it does not count.")
@click.option("--list", "lists", is_flag=True, help="Show what was registered, of CAMPAIGN or of all.")
@command_options
def expect(folder: Path, as_json: bool, campaign: str | None, team: str | None, takes_late: bool, **given: Any) -> int:
    """Write down what a team expects of CAMPAIGN, before it begins.

    It is kept with the time and never changed; a later one stands beside it, and the newest from before the campaign's
    start counts. The board puts both teams' expectations beside the results.
    """
    workspace = open_workspace(folder)
    if given.pop("lists"):
        state = open_state(workspace)
        try:
            _show(list_expectations(state, campaign), as_json)
        finally:
            state.close()
        return DONE
    if campaign is None or team is None:
        raise click.UsageError("expected a CAMPAIGN and --team (or --list)")
    now = datetime.now(UTC)
    starts_at = campaign_start(workspace, campaign)
    values = {name: float(given[name]) for name in EXPECTED if given[name] is not None}
    expectation = Expectation(campaign, team, now, values)
    state = open_state(workspace)
    try:
        kind = register_expectation(state, expectation, starts_at, takes_late=takes_late)
    finally:
        state.close()
    if as_json:
        print_json({**_row(expectation), "counts": kind == "locked", "starts_at": starts_at and starts_at.isoformat()})
    elif kind == "late":
        print_paragraph(f"Kept. It came after the start of '{campaign}' and does not count.")
    else:
        until = "" if starts_at is None else f" until {starts_at:%Y-%m-%d}, when it begins"
        print_paragraph(f"Kept: what {team} expects of '{campaign}'. A newer one may take its place{until}.")
    return DONE


def _row(one: Expectation) -> dict[str, Any]:
    registered = one.registered_at.isoformat(timespec="seconds")
    return {"campaign_id": one.campaign_id, "team": one.team, "registered_at": registered, **one.values}


def _show(found: Any, as_json: bool) -> None:
    rows = [_row(one) for one in found]
    if as_json:
        print_json({"expectations": rows})
    elif rows:
        columns = ("campaign", "team", "registered", *(f"{name} " for name in EXPECTED))
        cells = [
            (
                row["campaign_id"],
                row["team"],
                row["registered_at"],
                *(f"{row[name]:,.0f}" if name in row else "-" for name in EXPECTED),
            )
            for row in rows
        ]
        print_table("Expectations", columns, cells)
    else:
        print_paragraph("Nothing was registered here. Expectations in the source are shown on the board.")
