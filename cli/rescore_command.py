"""``kizashi rescore``: all leads at risk scored now, and what moved written down and queued for the CRMs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import sqlalchemy as sa

from cli.batch import BatchScores, score_leads
from cli.options import DONE, command_options, open_workspace
from cli.output import TerminalProgress, print_json, print_paragraph
from cli.scoring_commands import read_tables
from crm.config import Workspace
from crm.known import to_micros
from crm.mirror import write_mirror
from crm.outcomes import leads_at_risk
from crm.progress import Progress
from crm.state import State, open_state, state_secret
from crm.state_tables import CURRENT_SCORES
from crm.store import Tables
from models.kept_bundle import load_champion
from models.scoring import LoadedModel
from serving.issuing import Issue, Issuer, input_hmac

__all__ = ["rescore"]

AT_ONCE = 500
"""Scores in one transaction: a service that runs beside this waits some tens of milliseconds at most."""
OPEN = ("hand_off", "keep", "held_by_band")


@click.command()
@command_options
def rescore(folder: Path, as_json: bool) -> int:
    """Score all leads at risk now; issue what moved and queue it for the CRMs.

    Scores fall without a touch, too. A running service does this every night ([serve] rescore_at); without one, call it
    from cron. The copy of the source from which the service reads is made anew on the way.
    """
    workspace, now = open_workspace(folder), datetime.now(UTC)
    progress = TerminalProgress(quiet=as_json)
    model = load_champion(workspace)
    state = open_state(workspace)
    try:
        with read_tables(workspace, now, progress) as tables:
            write_mirror(workspace, tables, progress)
            asked = _asked(state, tables, now)
            found = score_leads(workspace, tables, model, asked, now, progress, with_inputs=True)
        issued = _issue(workspace, state, model, found, asked, now, progress)
    finally:
        state.close()
    moved = [answer for answer in issued if answer["decision"] == "hand_off"]
    if as_json:
        print_json({"scored": len(found.records), "issued": len(issued), "hand_off": len(moved)})
    else:
        print_paragraph(
            f"{len(found.records):,} leads scored, {len(issued):,} scores moved and were issued, {len(moved):,} "
            "of them to hand off."
        )
    return DONE


def _asked(state: State, tables: Tables, now: datetime) -> pd.DataFrame:
    """List the leads at risk, and those that the queue still shows although sales has them by now."""
    at_risk = leads_at_risk(tables, now)[["lead_id", "as_of_us"]].assign(is_with_sales=False)
    with state.reading() as connection:
        query = sa.select(CURRENT_SCORES.c.lead_id).where(CURRENT_SCORES.c.decision.in_(OPEN))
        shown = set(connection.execute(query).scalars())
    known = set(tables.table("leads").lead_id.to_pyarrow().to_pylist())
    gone = sorted((shown & known) - set(at_risk["lead_id"]))
    others = pd.DataFrame({"lead_id": gone, "as_of_us": np.int64(to_micros(now)), "is_with_sales": True})
    return pd.concat([at_risk, others], ignore_index=True) if gone else at_risk


def _issue(  # noqa: PLR0913 - the pieces of one command
    workspace: Workspace,
    state: State,
    model: LoadedModel,
    found: BatchScores,
    asked: pd.DataFrame,
    now: datetime,
    progress: Progress,
) -> list[dict[str, Any]]:
    secret = state_secret(workspace)
    issuer = Issuer(model.line, secret, workspace.config.crm)
    with_sales = set(asked.loc[asked["is_with_sales"], "lead_id"])
    issued: list[dict[str, Any]] = []
    pairs = list(zip(found.records, found.inputs, strict=True))
    with progress.step("Issuing what moved", total=len(pairs)) as step:
        for start in range(0, len(pairs), AT_ONCE):
            part = pairs[start : start + AT_ONCE]
            with state.writing() as connection:
                issued += issuer.issue(connection, _issues(part, with_sales, secret, now), only_moved=True)
            step.advance(len(part))
        step.note(f"{len(issued):,} moved")
    return issued


def _issues(
    part: Sequence[tuple[Mapping[str, Any], bytes]], with_sales: set[str], secret: bytes, now: datetime
) -> list[Issue]:
    return [
        Issue(
            answer=record,
            as_of_us=to_micros(now),
            issued_us=to_micros(now),
            excluded_by=record["excluded_by"],
            is_with_sales=record["lead_id"] in with_sales,
            is_stored=True,
            account_id=record["account_id"],
            input_hmac=input_hmac(secret, features),
            origin="batch",
            request_id="rescore",
        )
        for record, features in part
    ]
