"""What a reader has to know of a run: notes, quarantine, tables that are not there."""

# pyarrow publishes no types.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import pyarrow.compute as pc

from crm.store import Tables
from training.exclusions import exclusion_notes
from training.learn import Learned
from training.report.parts import ReportParts

__all__ = ["absent_tables", "quarantine_reasons", "run_notes"]

OPTIONAL = {
    "touches": "behaviour: windows, recency, decay",
    "opportunities": "amounts of wins from the data",
    "stages": "funnel stages, the old MQL rule",
    "hand_offs": "when leads left marketing, follow-up",
    "lead_changes": "attributes that change over time",
    "content": "which content helps a deal",
    "expectations": "campaign expectations against results",
}


def absent_tables(tables: Tables) -> tuple[tuple[str, str], ...]:
    """Return what could not be computed, each with the table that would allow it."""
    return tuple((what, name) for name, what in OPTIONAL.items() if not tables.has(name))


def quarantine_reasons(tables: Tables) -> tuple[tuple[str, str, int], ...]:
    """Return table, kind of reason and number of rows in quarantine."""
    rows = tables.quarantine()
    if rows.num_rows == 0:
        return ()
    # Reasons end in the offending value; the report counts kinds and shows no values.
    kinds = pc.replace_substring_regex(rows.column("reason"), ":.*$", "")
    counted = rows.append_column("kind", kinds).group_by(["table", "kind"]).aggregate([("row", "count")]).to_pylist()
    return tuple(sorted((str(c["table"]), str(c["kind"]), int(c["row_count"])) for c in counted))


def run_notes(parts: ReportParts) -> tuple[str, ...]:
    """Return what holds for this run alone, in sentences."""
    notes = exclusion_notes(parts.data.excluded)
    if parts.learned.won_from_sql:
        notes.append("Fewer than 50 wins are mature: wins are ranked as SQLs, at the level of the wins so far.")
        if not parts.data.won.is_mature.any():
            notes.append("No lead was watched for the whole horizon of won: chances of a win are too low as yet.")
    if parts.bundle.score_outcome == "sql":
        notes.append("Fewer than 100 wins are mature: the score speaks of SQL.")
    if parts.learned.amount.method == "configured":
        notes.append("No win has an amount: every win counts as [value] default_amount.")
    if parts.drawn[0].capacity_per_week is None:
        notes.append("No [value] capacity_per_week is set: every lead with a positive expected value is an MQL.")
    if parts.bundle.basis == "if_worked":
        notes.append(
            "The expected value is what working a lead adds. Outcomes as things were run do not judge it, so old rule "
            "and new line are not compared."
        )
    return (*parts.tables.notes, *notes, *_of_endpoints(parts.learned))


def _of_endpoints(learned: Learned) -> list[str]:
    """Say what each endpoint is made of, and whether its level follows the newest leads."""
    said = [*learned.choices.items(), *learned.levels.items()]
    return [f"{'SQL' if name == 'sql' else 'Won'}: {sentence}" for name, one in said for sentence in one.sentences]
