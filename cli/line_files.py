"""The files that ``kizashi line`` writes: the definition to sign, and the leads gained and lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from crm.config import OldRuleConfig, Workspace
from features.feature import Language
from features.words import kind_words
from models.gain import Comparison
from models.line import Line
from pages.definition_page import (
    DefinitionPage,
    OldRule,
    render_definition_html,
    render_definition_markdown,
)
from pages.safe_csv import write_csv
from pages.words import load_words
from training.crossed import CrossedLead, SignalGap
from training.rules_rows import compared_rows, equivalent_row

__all__ = ["definition_page", "write_crossed", "write_definition"]

HEADER = ("lead_id", "crossed_at", "change", "expected_value", "currency", "score", "sql", "won", "revenue", "reasons")
CHANGE = {"new": "gained", "old": "lost"}


def write_crossed(path: Path, leads: Sequence[CrossedLead], currency: str) -> None:
    """Write the leads gained and lost as CSV, cells that a spreadsheet would run made inert."""
    rows = [
        (
            lead.lead_id,
            lead.as_of,
            CHANGE[lead.rule],
            round(lead.expected_value, 2),
            currency,
            round(lead.score, 1),
            lead.sql,
            lead.won,
            round(lead.revenue, 2),
            "; ".join(lead.reasons),
        )
        for lead in leads
    ]
    write_csv(path, HEADER, rows)


def write_definition(path: Path, page: DefinitionPage, language: Language) -> None:
    """Write the definition as Markdown or HTML, by the name's ending."""
    render = render_definition_html if path.suffix.lower() == ".html" else render_definition_markdown
    path.write_text(render(page, language), encoding="utf-8")


def definition_page(
    workspace: Workspace,
    line: Line,
    compared: tuple[Comparison | None, Sequence[SignalGap]],
    in_force: Line,
    language: Language,
) -> DefinitionPage:
    """Gather what the definition says.

    Parameters
    ----------
    workspace
        Its name, its rules.
    line
        The line that is defined.
    compared
        Old rule beside it, None where they were not compared, and what sets gained and lost leads apart.
    in_force
        The line by which leads are handed over now.
    language
        Of signals and kinds of touches.
    """
    config = workspace.config
    comparison, gaps = compared
    zone = ZoneInfo(config.workspace.timezone)
    return DefinitionPage(
        workspace=config.workspace.name,
        currency=line.currency,
        line_version=line.version,
        model_version=line.model_version,
        is_in_force=line.version == in_force.version,
        set_as_of=line.set_as_of.astimezone(zone).date().isoformat(),
        review_on=None if line.review_on is None else line.review_on.isoformat(),
        threshold=line.threshold,
        margin=line.margin,
        touch_cost=line.touch_cost,
        capacity=line.capacity_per_week,
        hours_per_lead=line.hours_per_lead,
        crossings=line.crossings_per_week,
        weeks=line.weeks,
        sql_days=config.outcome.sql_horizon_days,
        won_days=config.outcome.won_horizon_days,
        basis=line.basis,
        hysteresis=line.hysteresis,
        band=None if line.band is None else (line.band.share, line.band.width),
        equivalents=[equivalent_row(one) for one in line.equivalents],
        exclusions=list(config.exclude.items()),
        old_rule=_old_rule(config.old_rule, language, is_known=comparison is not None),
        comparison=None if comparison is None else compared_rows(comparison, gaps, language),
        agreed_by=[_signer(one) for one in line.agreed_by],
    )


def _signer(text: str) -> tuple[str, str]:
    """Part ``Name, Team``; the comma may be a Japanese one."""
    name, _, team = text.replace("、", ",").replace("，", ",").rpartition(",")
    return (name.strip(), team.strip()) if name else (team.strip(), "")


def _old_rule(rule: OldRuleConfig, language: Language, *, is_known: bool) -> OldRule:
    words = load_words(language)
    if rule.form == "stage":
        # Without a comparison it is not known whether any lead was ever in that stage, and then no more is claimed.
        return OldRule("stage" if is_known or rule.stage is not None else "unknown", stage=rule.stage or "mql")
    if rule.form == "sql":
        return OldRule("sql", sql=rule.sql or "", threshold=rule.threshold)
    points = [(words("definition.old_touch", name=kind_words(kind, language)), n) for kind, n in rule.touches.items()]
    points += [
        (words("definition.old_value", name=name, value=value), n)
        for name, values in rule.attributes.items()
        for value, n in values.items()
    ]
    return OldRule("points", threshold=rule.threshold, window_days=rule.window_days, points=points)
