"""Whether a workspace's tables can carry a model, and what to do where they cannot."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pyarrow.compute as pc

from cli.output import print_entry, print_paragraph, print_table
from crm.attributes import NO_HISTORY
from crm.config import Workspace
from crm.errors import KizashiError, TooFewOutcomesError
from crm.progress import Progress
from crm.store import Attribute, TableCount
from training.exclusions import ExcludedLeads, count_excluded, exclusion_notes
from training.leaks import Suspect, find_suspects
from training.prepare import TrainingData, prepare, settle_observation
from training.train import open_tables

__all__ = ["CheckResult", "run_check", "show_check", "show_excluded"]

SHOWN_REASONS = 12
NAMES = {"sql": "SQL", "won": "won"}


@dataclass(frozen=True)
class CheckResult:
    """What ``kizashi check`` found.

    Parameters
    ----------
    tables
        What became of each table's rows.
    reasons
        Table, reason and count of the rows in quarantine, most first.
    attributes
        Attributes of leads, used and refused.
    readiness
        Sentences on what can be learned.
    suspects
        Columns that tell the outcome.
    excluded
        What each rule of ``[exclude]`` leaves out.
    refusals, warnings
        Why training would be refused; what a person should look at.
    """

    tables: dict[str, TableCount]
    reasons: tuple[tuple[str, str, int], ...]
    attributes: tuple[Attribute, ...]
    readiness: tuple[str, ...]
    suspects: tuple[Suspect, ...]
    excluded: tuple[ExcludedLeads, ...]
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON."""
        return asdict(self)


def run_check(workspace: Workspace, as_of: datetime | None, now: datetime, progress: Progress) -> CheckResult:
    """Take the tables in, count what went to quarantine, and try every signal alone against the outcomes."""
    with open_tables(workspace, now, progress) as tables:
        refusals: list[str] = []
        readiness: tuple[str, ...] = ()
        suspects: tuple[Suspect, ...] = ()
        excluded: tuple[ExcludedLeads, ...] = ()
        try:
            excluded = count_excluded(tables, settle_observation(tables, workspace.config, as_of))
            data = prepare(tables, workspace.config, as_of, progress)
            readiness = _readiness(data)
            with progress.step("Looking for leaks"):
                suspects = find_suspects(data)
        except TooFewOutcomesError as error:
            refusals.append(str(error))
        except KizashiError as error:
            refusals.append(str(error))
        refusals += [_leak_sentence(suspect) for suspect in suspects]
        quarantine = tables.quarantine()
        warnings = [*tables.notes, *exclusion_notes(excluded), *_attribute_warnings(tables.attributes)]
        if quarantine.num_rows:
            path = workspace.tables_folder / "quarantine.parquet"
            rows = f"{quarantine.num_rows:,} row" + ("s" if quarantine.num_rows > 1 else "")
            warnings.append(f"{rows} went to quarantine, with their reasons: {path}.")
        return CheckResult(
            dict(tables.counts),
            _count_reasons(quarantine),
            tables.attributes,
            readiness,
            suspects,
            excluded,
            tuple(refusals),
            tuple(warnings),
        )


def _leak_sentence(suspect: Suspect) -> str:
    return (
        f"Column '{suspect.signal}' tells the outcome: {suspect.why}. "
        f"Add it to [columns] ignore, or give its history in lead_changes."
    )


def _readiness(data: TrainingData) -> tuple[str, ...]:
    lines: list[str] = []
    for labels, enough in ((data.sql, 50), (data.won, 100)):
        found = data.outcomes(labels)
        mature = int(labels.is_mature.sum())
        text = (
            f"{NAMES[labels.outcome]}: {found:,} leads with a mature outcome inside {labels.horizon_days:g} days, "
            f"{mature:,} mature snapshots"
        )
        if found < enough:
            missing = "the score will speak of SQL until then" if labels.outcome == "won" else "training is refused"
            text += f"; {enough - found} more are needed for {enough} ({missing})"
        lines.append(text)
    return tuple(lines)


def _attribute_warnings(attributes: tuple[Attribute, ...]) -> list[str]:
    unlisted = [a.name for a in attributes if a.refused == NO_HISTORY]
    if not unlisted:
        return []
    shown = ", ".join(unlisted[:8]) + (" and others" if len(unlisted) > 8 else "")
    return [
        f"Not used, for lack of a history: {shown}. List those whose value at creation is kept in [columns] "
        "known_at_creation."
    ]


def _count_reasons(quarantine: Any) -> tuple[tuple[str, str, int], ...]:
    if quarantine.num_rows == 0:
        return ()
    kinds = pc.replace_substring_regex(quarantine.column("reason"), ":.*$", "")
    counted = quarantine.append_column("kind", kinds).group_by(["table", "kind"]).aggregate([("row", "count")])
    rows = [(str(r["table"]), str(r["kind"]), int(r["row_count"])) for r in counted.to_pylist()]
    return tuple(sorted(rows, key=lambda row: -row[2]))


def show_excluded(excluded: tuple[ExcludedLeads, ...]) -> None:
    """Print what each rule of ``[exclude]`` leaves out; nothing without rules."""
    if not excluded:
        return
    rows = [(one.rule, f"{one.leads:,}", f"{one.sql:,}", _what_is_read(one.columns_of_today)) for one in excluded]
    print_paragraph("")
    print_table("Leads left out by [exclude]", ("rule", "leads ", "with an SQL ", "reads"), rows)


def _what_is_read(columns_of_today: tuple[str, ...]) -> str:
    if not columns_of_today:
        return "what was known at each moment"
    return f"what {', '.join(columns_of_today)} says today, for every moment"


def show_check(found: CheckResult) -> None:
    """Print the result for a person."""
    print_table(
        "Tables",
        ("table", "read ", "kept ", "identical copies ", "quarantine "),
        [(n, f"{c.read:,}", f"{c.kept:,}", f"{c.identical:,}", f"{c.quarantined:,}") for n, c in found.tables.items()],
    )
    if found.reasons:
        print_paragraph("")
        rows = [(table, reason, f"{count:,}") for table, reason, count in found.reasons[:SHOWN_REASONS]]
        print_table("Quarantine", ("table", "reason", "rows "), rows)
        if len(found.reasons) > SHOWN_REASONS:
            print_paragraph(f"and {len(found.reasons) - SHOWN_REASONS} more reasons, in the file named below")
    refused = [a for a in found.attributes if a.refused]
    if refused:
        print_paragraph("")
        print_table("Columns that are not used", ("column", "why"), [(a.name, a.refused) for a in refused])
    show_excluded(found.excluded)
    print_paragraph("")
    for line in found.readiness:
        print_entry("Too few" if "more are needed" in line else "Ready", line)
    for line in found.warnings:
        print_entry("Look at", line)
    for line in found.refusals:
        print_entry("Refused", line)
    if not found.refusals:
        print_paragraph("\nThe tables can carry a model: 'kizashi train' is next.")
