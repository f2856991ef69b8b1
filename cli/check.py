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
from crm.errors import KizashiError
from crm.progress import Progress
from crm.store import Attribute, TableCount
from crm.workspace_tables import open_tables
from training.exclusions import ExcludedLeads, count_excluded, exclusion_notes
from training.leaks import Suspect, find_suspects
from training.prepare import TrainingData, prepare, settle_observation
from training.sentinel.facts import gather_facts
from training.sentinel.readiness import Readiness, read_readiness
from training.sentinel.run import Subject, run_sentinel
from training.sentinel.verdict import LeakVerdict, SentinelReport, Status

__all__ = ["CheckResult", "run_check", "show_check", "show_excluded"]

SHOWN_REASONS = 12
SHOWN_STEPS = 8
VERDICTS: dict[Status, str] = {
    "passed": "passed",
    "attention": "look",
    "failed": "FAILED",
    "not_computable": "not computable",
}


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
    sentinel
        The verdict of each check for leaks.
    ready
        Outcomes by segment and quarter, absent tables, what to collect next; None where not even leads can be used.
    refusals, warnings
        Why training would be refused; what a person should look at.
    """

    tables: dict[str, TableCount]
    reasons: tuple[tuple[str, str, int], ...]
    attributes: tuple[Attribute, ...]
    readiness: tuple[str, ...]
    suspects: tuple[Suspect, ...]
    excluded: tuple[ExcludedLeads, ...]
    sentinel: SentinelReport
    ready: Readiness | None
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON."""
        return {**asdict(self), "sentinel": self.sentinel.to_json()}


def run_check(workspace: Workspace, as_of: datetime | None, now: datetime, progress: Progress) -> CheckResult:
    """Take the tables in, count what went to quarantine, ask for leaks, and say what can be learned."""
    with open_tables(workspace, now, progress) as tables:
        refusals: list[str] = []
        data: TrainingData | None = None
        suspects: tuple[Suspect, ...] = ()
        excluded: tuple[ExcludedLeads, ...] = ()
        sentinel, ready = SentinelReport(()), None
        try:
            excluded = count_excluded(tables, settle_observation(tables, workspace.config, as_of))
            data = prepare(tables, workspace.config, as_of, progress)
            with progress.step("Looking for leaks in features"):
                suspects = find_suspects(data)
        except KizashiError as error:
            refusals.append(str(error))
        try:
            seen = data.seen if data is not None else settle_observation(tables, workspace.config, as_of)
            facts = gather_facts(tables, seen)
            subject = Subject(tables, workspace.config, facts, data, suspects, workspace)
            sentinel = run_sentinel(subject, progress)
            ready = read_readiness(tables, workspace.config, facts, data)
        except KizashiError as error:
            refusals += [str(error)] if not refusals else []
        refusals += [f"{trace.what} tells the outcome: {trace.why}. {trace.todo}" for trace in sentinel.refusing]
        quarantine = tables.quarantine()
        warnings = [*tables.notes, *exclusion_notes(excluded), *_attribute_warnings(tables.attributes)]
        warnings += [_warning(verdict) for verdict in sentinel.verdicts if _needs_a_look(verdict)]
        if quarantine.num_rows:
            path = workspace.tables_folder / "quarantine.parquet"
            rows = f"{quarantine.num_rows:,} row" + ("s" if quarantine.num_rows > 1 else "")
            warnings.append(f"{rows} went to quarantine, with their reasons: {path}.")
        return CheckResult(
            dict(tables.counts),
            _count_reasons(quarantine),
            tables.attributes,
            ready.sentences() if ready and data else (),
            suspects,
            excluded,
            sentinel,
            ready,
            tuple(refusals),
            tuple(warnings),
        )


def _needs_a_look(verdict: LeakVerdict) -> bool:
    """Tell whether a verdict says something that the refusals do not."""
    return verdict.status in ("attention", "failed") and not all(trace.refuses for trace in verdict.traces)


def _warning(verdict: LeakVerdict) -> str:
    traces = [trace for trace in verdict.traces if not trace.refuses]
    said = "; ".join(f"{trace.what}: {trace.why}" for trace in traces)
    return (
        f"{verdict.check}, {verdict.title.lower()}. {said}. {' '.join(dict.fromkeys(trace.todo for trace in traces))}"
    )


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
    _show_sentinel(found.sentinel)
    _show_counts(found.ready)
    _show_sentences(found)


def _show_sentences(found: CheckResult) -> None:
    print_paragraph("")
    for line in found.readiness:
        print_entry("Too few" if "more are needed" in line else "Ready", line)
    for line in found.ready.collect[:SHOWN_STEPS] if found.ready else ():
        print_entry("Collect", line)
    for line in found.warnings:
        print_entry("Look at", line)
    for line in found.refusals:
        print_entry("Refused", line)
    if not found.refusals:
        print_paragraph("\nThe tables can carry a model: 'kizashi train' is next.")


def _show_sentinel(report: SentinelReport) -> None:
    if not report.verdicts:
        return
    rows = [(verdict.check, verdict.title, VERDICTS[verdict.status], _short(verdict)) for verdict in report.verdicts]
    print_paragraph("")
    print_table("Leak sentinel", ("", "check", "verdict", "found"), rows)


def _short(verdict: LeakVerdict) -> str:
    return ", ".join(trace.what for trace in verdict.traces) + ": see below" if verdict.traces else verdict.found


def _show_counts(ready: Readiness | None) -> None:
    if ready is None:
        return
    print_paragraph("")
    rows = [
        (c.quarter, f"{c.leads:,}", f"{c.mature_sql:.0%}", f"{c.sql:,}", f"{c.mature_won:.0%}", f"{c.won:,}")
        for c in ready.cohorts[-8:]
    ]
    columns = ("created", "leads ", "horizon of SQL over ", "SQL so far ", "horizon of won over ", "won so far ")
    print_table("Outcomes by quarter", columns, rows)
    first = next((count.segment for count in ready.segments), None)
    if first is not None:
        print_paragraph("")
        rows = [
            (c.value or "(none)", f"{c.leads:,}", f"{c.sql:,}", f"{c.won:,}", f"{c.missing:,}" if c.missing else "")
            for c in ready.segments
            if c.segment == first
        ]
        print_table(f"Outcomes by {first}", (first, "leads ", "SQL ", "won ", "SQL missing "), rows)
    if ready.absent:
        print_paragraph("")
        print_table("Tables that are not there", ("table", "would allow"), [(a.table, a.allows) for a in ready.absent])
