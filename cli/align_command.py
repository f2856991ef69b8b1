"""``kizashi align``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from alignment.agreement import agreement_document
from alignment.board.context import BoardContext
from alignment.board.page import Findings, board_context
from alignment.board.signs_tiles import measure_sentence
from alignment.board_files import LeadsErasedError, write_board, write_served_board
from alignment.board_rows import board_rows
from alignment.digest import DAYS, digest_document
from alignment.findings import find_alignment
from alignment.sla import breaches_at
from cli.options import ATTENTION, DONE, as_of_option, command_options, open_workspace, parse_moment
from cli.output import TerminalProgress, print_entry, print_json, print_paragraph
from cli.scoring_commands import read_tables
from crm.config import Workspace
from crm.errors import RegistryError, StateError
from crm.issued import issued_scores
from crm.known import from_micros, to_micros
from crm.store import Tables
from models.line import Line
from models.registry import load_model
from pages.document import render_document
from pages.formats import Formats
from pages.words import Language, load_words

__all__ = ["align"]

TIMES = 3
"""So often a board is made anew when leads are erased meanwhile."""


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write board.html and rows/*.csv here.")
@click.option("--breaches", is_flag=True, help="Print what is open and overdue as JSON; exit 3 if anything is.")
@click.option("--digest", type=click.Path(path_type=Path), help="Write the weekly meeting's page: a .md or .html file.")
@click.option("--sla", "agreement", type=click.Path(path_type=Path), help="Write the SLA to sign: a .md or .html file.")
@click.option("--language", type=click.Choice(["en", "ja"]), help="Of what is written.  [default: the workspace's]")
@click.option(
    "--name-owners", "names_owners", is_flag=True, help="Call owners by their names in what --out and --digest write."
)
@as_of_option
@command_options
def align(folder: Path, as_json: bool, as_of: str | None, **given: Any) -> int:
    """Show how marketing and sales are aligned: funnel, SLA, content, campaigns, and the three signs.

    The board is written for the service, and with --out for a folder of your own. It shows what was recorded until the
    newest outcome; with --as-of until then, and the service keeps the board it has. --sla needs no data.
    """
    workspace = open_workspace(folder)
    _check_options(given)
    if given["agreement"] is not None:
        write_agreement(workspace, given["agreement"], _language(workspace, given))
        if not (given["out"] or given["digest"]):
            print_paragraph(f"SLA to sign: {given['agreement']}")
            return DONE
    progress = TerminalProgress(quiet=as_json or given["breaches"])
    found = _made(workspace, as_of, given, progress)
    if given["breaches"]:
        at = datetime.now(UTC) if as_of is None else found.reports.people.seen.observed_until
        rows = breach_rows(found, at)
        until = found.reports.people.seen.observed_until
        print_json({"as_of": at.isoformat(), "recorded_until": until.isoformat(), "breaches": rows})
        return ATTENTION if rows else DONE
    if as_json:
        print_json(_to_json(found, given["out"]))
    else:
        _show(workspace, found, {**given, "as_of": as_of})
    return DONE


def _made(workspace: Workspace, as_of: str | None, given: Mapping[str, Any], progress: TerminalProgress) -> Findings:
    """Find everything, and write it down; anew where a lead was erased meanwhile."""
    now = datetime.now(UTC)
    moment = parse_moment(as_of, workspace, not_after=now)
    for _ in range(TIMES):
        with read_tables(workspace, now, progress) as tables:
            found = find_alignment(
                tables,
                workspace.config,
                moment,
                issued_scores(workspace),
                _line(workspace),
                progress,
                now=None if moment is not None else now,
            )
            if given["breaches"]:
                return found
            try:
                with progress.step("Writing the board"):
                    rows = board_rows(found)
                    if moment is None:  # the service shows the newest board, not one of the past
                        write_served_board(found, rows, workspace)
                    if given["out"] is not None:
                        language = _language(workspace, given)
                        write_board(found, rows, given["out"], language, names_owners=given["names_owners"])
                if given["digest"] is not None:
                    _write_digest(found, tables, workspace, given, progress)
            except LeadsErasedError:
                continue
            return found
    raise StateError(
        found=f"leads that were erased while the board was made, {TIMES} times in a row",
        expected="a while without erasures",
        fix="run the command again",
    )


def _language(workspace: Workspace, given: Mapping[str, Any]) -> Language:
    return given["language"] or workspace.config.workspace.language


def _check_options(given: Mapping[str, Any]) -> None:
    if given["breaches"] and any(given[name] is not None for name in ("out", "digest", "agreement")):
        raise click.UsageError("--breaches writes nothing; give --out, --digest and --sla in a run of their own")
    for option, path in (("--digest", given["digest"]), ("--sla", given["agreement"])):
        if path is not None and path.suffix.lower() not in (".md", ".html"):
            raise click.BadParameter(f"'{path}' ends in neither .md nor .html", param_hint=option)


def write_agreement(workspace: Workspace, path: Path, language: Language) -> None:
    """Write the SLA of a workspace as Markdown or HTML, by the name's ending."""
    words, config = load_words(language), workspace.config
    context = BoardContext(words, Formats(words, config.workspace.currency), config.workspace.timezone, {})
    document = agreement_document(config, context)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_document(document, language, as_html=path.suffix.lower() == ".html"), encoding="utf-8")


def _write_digest(
    found: Findings, tables: Tables, workspace: Workspace, given: Mapping[str, Any], progress: TerminalProgress
) -> None:
    """Write what changed since a week before, by what was known then."""
    until = found.reports.people.seen.observed_until
    quiet = TerminalProgress(quiet=True)
    with progress.step("The week before"):
        before = find_alignment(
            tables, workspace.config, until - timedelta(days=DAYS), issued_scores(workspace), _line(workspace), quiet
        )
    language, path = _language(workspace, given), given["digest"]
    context = board_context(found, language, names_owners=given["names_owners"])
    document = digest_document(found, before, context)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_document(document, language, as_html=path.suffix.lower() == ".html"), encoding="utf-8")


def _line(workspace: Workspace) -> Line | None:
    try:
        return load_model(workspace).line
    except RegistryError:  # nothing was trained yet; the board says what it lacks
        return None


def breach_rows(found: Findings, at: datetime) -> list[dict[str, Any]]:
    """Return what is open and overdue at a moment, longest first."""
    sla, people = found.reports.sla, found.reports.people
    if sla is None:
        return []
    breaches = breaches_at(sla, people, float(to_micros(at)))
    return [
        {
            "hand_off_id": str(row["hand_off_id"]),
            "lead_id": str(row["person_id"]),
            "owner": str(row["owner"]) or None,
            "team": str(row["team"]) or None,
            "term": str(row["clock"]),
            "handed_off_at": from_micros(int(row["handed_off_us"])).isoformat(),
            "due_at": from_micros(int(row["due_us"])).isoformat(),
            "overdue_business_hours": round(float(row["overdue_hours"]), 2),
        }
        for row in breaches.to_dict("records")
    ]


def _to_json(found: Findings, out: Path | None) -> dict[str, Any]:
    reports = found.reports
    return {
        "as_of": reports.people.seen.observed_until.isoformat(),
        "people": len(reports.people.frame),
        "signs": {
            sign.key: {
                "level": sign.level,
                "measures": {
                    measure.key: {
                        "level": measure.level,
                        "value": _finite(measure.value),
                        "low": _finite(measure.low),
                        "high": _finite(measure.high),
                        "of": measure.of,
                        "lacks": measure.lacks or None,
                    }
                    for measure in sign.measures
                },
            }
            for sign in found.signs
        },
        "steps": {
            name: {
                "entered": int(result.found.entered[0]),
                "reached": int(result.found.reached[0]),
                "share": _finite(float(result.found.share[0])),
                "low": _finite(float(result.found.low[0])),
                "high": _finite(float(result.found.high[0])),
            }
            for name, result in reports.funnel.overall.items()
        },
        "breaches": 0 if reports.sla is None else len(reports.sla.breaches),
        "out": out and str(out),
    }


def _finite(value: float) -> float | None:
    return value if value == value and abs(value) != float("inf") else None


def _show(workspace: Workspace, found: Findings, given: Mapping[str, Any]) -> None:
    context = board_context(found, "en", names_owners=False)
    print_paragraph("")
    for sign in found.signs:
        print_paragraph(
            f"{context.words(f'board.sign.{sign.key}')}: {context.words(f'board.level.{sign.level}').lower()}"
        )
        for measure in sign.measures:
            if measure.lacks:
                continue
            mark = {"aligned": " ", "watch": "~", "misaligned": "!"}[measure.level]
            print_entry(f"  {mark}", measure_sentence(measure, context))
        lacking = sorted({measure.lacks for measure in sign.measures if measure.lacks})
        if lacking:
            print_entry("  ?", f"not known without {', '.join(lacking)}")
    sla = found.reports.sla
    if sla is not None and len(sla.breaches):
        print_paragraph(f"\n{len(sla.breaches):,} terms are open and overdue; 'kizashi align --breaches' lists them.")
    where = workspace.board_folder / f"board.{workspace.config.workspace.language}.html"
    if given["out"] is not None or given["as_of"] is None:
        print_paragraph(f"\nBoard: {given['out'] / 'board.html' if given['out'] is not None else where}")
