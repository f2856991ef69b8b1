"""``kizashi line``."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from cli.line_files import definition_page, write_crossed, write_definition
from cli.options import DONE, as_of_option, command_options, open_workspace, parse_moment
from cli.output import TerminalProgress, print_json, print_paragraph
from cli.scoring_commands import read_tables
from cli.show_line import show_crossed, show_grid, show_line, show_rules
from crm.config import LineConfig, ValueConfig, Workspace, WorkspaceConfig
from crm.errors import PastOnlyError
from crm.outcomes import Observation
from crm.store import Tables
from models.capacity_grid import GridRow, capacity_grid, grid_capacities
from models.gain import Comparison, GainRows, Picks
from models.gain_file import read_gain_moments
from models.line import Line
from models.registry import load_gain, load_model, saved_line
from models.scoring import LoadedModel
from training.crossed import CrossedLead, SignalGap, crossed_leads, score_crossings, signal_gaps
from training.gain import UnseenWeeks, compare
from training.prepare import settle_observation
from training.replay import ReplayedWeeks, draw_line, replay_weeks

__all__ = ["line"]

NOT_KEPT = (
    "Old rule and new line are not compared: the gain is not kept with version {version}, which was trained before it "
    "was, without an old rule, or on too short a history. To have it, train again."
)
OTHER_BASIS = (
    "Old rule and new line are not compared: the line speaks of what working a lead adds, which outcomes as things "
    "were run do not judge."
)
TOO_EARLY = (
    "Old rule and new line are not compared: the weeks kept with the version hold outcomes recorded until {day}, which "
    "were not known by then. To have it, give no --as-of, or a later one."
)
NO_LEADS = (
    "Which leads are gained and lost is not known here: '{path}' is missing or of another training. To have it, train "
    "again."
)
OPTIONS = {
    "capacity_per_week": "--capacity",
    "touch_cost": "--touch-cost",
    "margin": "--margin",
    "hysteresis": "--hysteresis",
    "band_share": "--band-share",
    "band_width": "--band-width",
}


@dataclass(frozen=True)
class DrawnLine:
    """A line, and what there is to say of it.

    Parameters
    ----------
    line, weekly
        The document, and first crossings by week.
    comparison, gaps, crossed
        Old rule beside it, on the weeks that the version kept, and the leads gained and lost; None where not known.
    grid
        Other capacities, where they were asked for.
    notes
        What is missing, one sentence each.
    """

    line: Line
    weekly: tuple[int, ...]
    comparison: Comparison | None
    gaps: tuple[SignalGap, ...]
    crossed: list[CrossedLead] | None
    grid: tuple[GridRow, ...]
    notes: tuple[str, ...]


@click.command()
@click.option(
    "--capacity", type=click.FloatRange(min=0, min_open=True), help="Leads that sales can start on in a week."
)
@click.option("--touch-cost", type=click.FloatRange(min=0), help="Cost of working one lead, workspace currency.")
@click.option("--margin", type=click.FloatRange(min=0, min_open=True, max=1), help="Share of revenue that is kept.")
@click.option(
    "--hysteresis",
    type=click.FloatRange(min=0, max=1, max_open=True),
    help="Share of the line by which a lead must pass it to enter or leave.",
)
@click.option(
    "--band-share",
    type=click.FloatRange(min=0, min_open=True, max=0.5),
    help="Chance of the other decision in the band around the line.",
)
@click.option(
    "--band-width",
    type=click.FloatRange(min=0, min_open=True, max=1, max_open=True),
    help="Half the width of the band, as a share of the line.",
)
@click.option("--grid", is_flag=True, help="Show the line at other capacities as well.")
@click.option("--leads-out", type=click.Path(path_type=Path), help="Write leads gained and lost to this .csv file.")
@click.option(
    "--definition", type=click.Path(path_type=Path), help="Write the definition to sign to this .md or .html file."
)
@click.option("--language", type=click.Choice(["en", "ja"]), help="Of both files.  [default: the workspace's]")
@click.option("--save", is_flag=True, help="Put this line in force for the champion; without it nothing changes.")
@click.option("--agreed-by", multiple=True, metavar="NAME, TEAM", help="Who agreed, with --save; once a person.")
@as_of_option
@command_options
def line(folder: Path, as_json: bool, as_of: str | None, **given: Any) -> int:
    """Set the MQL line for another capacity, cost or margin, without training again.

    Old rule and new line are compared for it on the weeks that the version kept, with the leads gained and lost. With
    --definition, what an MQL is from now on is written down for marketing and sales to sign.
    """
    given["capacity_per_week"] = given.pop("capacity")
    asked = {name: given[name] for name in OPTIONS if given[name] is not None}
    _check_files(given)
    workspace = open_workspace(folder)
    config = _changed(workspace.config, asked)
    progress = TerminalProgress(quiet=as_json)
    language = given["language"] or workspace.config.workspace.language
    model = load_model(workspace, with_saved_line=False)
    is_asked = bool(asked) or given["save"] or as_of is not None
    in_force = None if is_asked else saved_line(workspace, model.version)
    config = config if in_force is None else _terms_of(workspace.config, in_force)
    now = datetime.now(UTC)
    with read_tables(workspace, now, progress) as tables:
        seen = settle_observation(tables, workspace.config, parse_moment(as_of, workspace))
        asked_for = _Asked(config, seen, in_force, given["grid"], language)
        drawn = _draw(workspace, tables, model, asked_for, progress)
    if in_force is None:
        review_on = (now + timedelta(days=config.line.review_days)).date()
        signed = drawn.line.model_copy(update={"agreed_by": given["agreed_by"], "review_on": review_on})
        drawn = replace(drawn, line=signed)
    if given["save"]:
        drawn.line.save(workspace.line_path)
    files = _write_files(workspace, drawn, given, language)
    if as_json:
        print_json(_to_json(drawn, given["save"], files))
        return DONE
    _show(drawn, config.workspace.currency, with_grid=given["grid"])
    for path in files:
        print_paragraph(f"\nWritten: {path}")
    if in_force is not None:
        print_paragraph("\nThis is the line in force; nothing was changed.")
    elif not given["save"]:
        print_paragraph("\nNothing was changed; add --save to put this line in force.")
    return DONE


@dataclass(frozen=True)
class _Asked:
    """What a line is drawn for: terms, weeks, the line in force where it is that one, and what to show."""

    config: WorkspaceConfig
    seen: Observation
    in_force: Line | None
    wants_grid: bool
    language: Any


def _terms_of(config: WorkspaceConfig, line: Line) -> WorkspaceConfig:
    """Return the workspace's terms as they are in a line, those that it does without too."""
    band = (None, None) if line.band is None else (line.band.share, line.band.width)
    value = {
        "touch_cost": line.touch_cost,
        "margin": line.margin,
        "capacity_per_week": line.capacity_per_week,
        "hours_per_lead": line.hours_per_lead,
    }
    terms = {"hysteresis": line.hysteresis, "band_share": band[0], "band_width": band[1]}
    changed = {"value": config.value.model_copy(update=value), "line": config.line.model_copy(update=terms)}
    return config.model_copy(update=changed)


def _check_files(given: Mapping[str, Any]) -> None:
    """Refuse what cannot be written, and names without a line to agree to, before anything is computed."""
    for name, endings in (("leads_out", (".csv",)), ("definition", (".md", ".html"))):
        path: Path | None = given[name]
        option = "--" + name.replace("_", "-")
        if path is None:
            continue
        if path.suffix.lower() not in endings:
            raise click.BadParameter(f"the name must end in {' or '.join(endings)}", param_hint=option)
        if path.is_dir() or not path.parent.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise click.BadParameter(f"'{path}' cannot be written to", param_hint=option)
    if given["agreed_by"] and not given["save"]:
        raise click.UsageError("--agreed-by needs --save: people agree to a line that is put in force.")


def _changed(config: WorkspaceConfig, asked: Mapping[str, float]) -> WorkspaceConfig:
    """Return the workspace's terms with some changed, held to the same rules as in kizashi.toml; else a usage error."""
    wrong = [OPTIONS[name] for name, number in asked.items() if not math.isfinite(number)]
    if wrong:
        raise click.BadParameter("expected a finite number", param_hint=wrong[0])
    value = {name: number for name, number in asked.items() if name in ValueConfig.model_fields}
    terms = {name: number for name, number in asked.items() if name in LineConfig.model_fields}
    try:
        changed: dict[str, Any] = {
            "value": ValueConfig.model_validate({**config.value.model_dump(), **value}),
            "line": LineConfig.model_validate({**config.line.model_dump(), **terms}),
        }
    except ValidationError as error:
        raise click.UsageError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from None
    return config.model_copy(update=changed)


def _draw(
    workspace: Workspace, tables: Tables, model: LoadedModel, asked: _Asked, progress: TerminalProgress
) -> DrawnLine:
    config, seen = asked.config, asked.seen
    weeks = replay_weeks(tables, model.bundle, config, seen, progress)
    drawn, _, weekly = draw_line(weeks, model.bundle, config, seen.observed_until)
    if not drawn.leads_at_risk:
        raise PastOnlyError(
            found=f"no lead at risk in the {drawn.weeks} weeks before {drawn.set_as_of:%Y-%m-%d}",
            expected="leads to replay, from which the line follows",
            fix="give a later --as-of; nothing was changed",
        )
    drawn = asked.in_force or drawn.model_copy(update={"model_version": model.version})
    why, rows = _weeks_to_compare(workspace, model, seen)
    if rows is None:
        grid = _grid(weeks, None, drawn, None) if asked.wants_grid else ()
        return DrawnLine(drawn, weekly, None, (), None, grid, (why,))
    with progress.step("Comparing with the old rule"):
        comparison, picks = compare(rows, config.value)
        if asked.in_force is None:
            drawn = drawn.model_copy(update={"gain": comparison.line_gain})
        path = workspace.gain_path(model.version)
        moments = read_gain_moments(path, len(rows.lead))
        unseen = None if moments is None else UnseenWeeks(rows, *moments)
        gaps, crossed = _explain(tables, replace(model, line=drawn), unseen, picks, asked.language)
        grid = _grid(weeks, rows, drawn, comparison) if asked.wants_grid else ()
    notes = () if unseen is not None else (NO_LEADS.format(path=path),)
    return DrawnLine(drawn, weekly, comparison, gaps, crossed, grid, notes)


def _weeks_to_compare(workspace: Workspace, model: LoadedModel, seen: Observation) -> tuple[str, GainRows | None]:
    """Return the kept weeks on which old rule and line are compared; or why they are not, and None."""
    if model.bundle.basis == "if_worked":
        return OTHER_BASIS, None
    trained = model.line.set_as_of
    if seen.observed_until < trained:
        return TOO_EARLY.format(day=f"{trained:%Y-%m-%d}"), None
    return NOT_KEPT.format(version=model.version), load_gain(workspace, alias=model.version)


def _explain(
    tables: Tables, model: LoadedModel, unseen: UnseenWeeks | None, picks: Picks, language: Any
) -> tuple[tuple[SignalGap, ...], list[CrossedLead] | None]:
    if unseen is None:
        return (), None
    crossings = score_crossings(tables, model, unseen, picks)
    return signal_gaps(model, crossings), crossed_leads(model, unseen, crossings, language)


def _grid(
    weeks: ReplayedWeeks, unseen: GainRows | None, drawn: Line, compared: Comparison | None
) -> tuple[GridRow, ...]:
    capacities = grid_capacities(drawn.capacity_per_week, drawn.crossings_per_week)
    rows = capacity_grid(weeks.replay, unseen, capacities, (drawn.margin, drawn.touch_cost, drawn.hours_per_lead))
    # The line itself was compared with more draws: one number, not two.
    return tuple(replace(row, comparison=compared) if row.capacity == drawn.capacity_per_week else row for row in rows)


def _write_files(workspace: Workspace, drawn: DrawnLine, given: Mapping[str, Any], language: Any) -> list[Path]:
    files: list[Path] = []
    if given["leads_out"] is not None and drawn.crossed is not None:
        write_crossed(given["leads_out"], drawn.crossed, drawn.line.currency)
        files.append(given["leads_out"])
    if given["definition"] is not None:
        in_force = load_model(workspace).line
        page = definition_page(workspace, drawn.line, (drawn.comparison, drawn.gaps), in_force, language)
        write_definition(given["definition"], page, language)
        files.append(given["definition"])
    return files


def _to_json(drawn: DrawnLine, saved: bool, files: Sequence[Path]) -> dict[str, Any]:
    return {
        **drawn.line.model_dump(mode="json"),
        "version": drawn.line.version,
        "weekly": list(drawn.weekly),
        "saved": saved,
        "comparison": None if drawn.comparison is None else _finite(asdict(drawn.comparison)),
        "gaps": [asdict(gap) for gap in drawn.gaps],
        "gained": sum(lead.rule == "new" for lead in drawn.crossed or ()),
        "lost": sum(lead.rule == "old" for lead in drawn.crossed or ()),
        "grid": [_finite(asdict(row)) for row in drawn.grid],
        "notes": list(drawn.notes),
        "files": [str(path) for path in files],
    }


def _finite(value: Any) -> Any:
    """Replace numbers that JSON does not have by null."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show(drawn: DrawnLine, currency: str, *, with_grid: bool) -> None:
    show_line(drawn.line, in_full=True)
    if drawn.comparison is not None:
        show_rules(drawn.comparison, drawn.gaps, currency)
        show_crossed(drawn.crossed or (), currency)
    if with_grid:
        show_grid(drawn.grid, drawn.line)
    for note in drawn.notes:
        print_paragraph(f"\n{note}")
