"""What an MQL is from now on, as a page that marketing and sales can sign: in Markdown and as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pages.formats import Formats
from pages.markdown import markdown_cell, markdown_table
from pages.report_data import EquivalentRow, RulesReport
from pages.report_parts import Cell, Table, columns, make_table
from pages.report_rules import equivalents_table, gain_sentence, gaps_table, rules_table
from pages.templating import templates
from pages.words import Language, Words, load_words

__all__ = ["DefinitionPage", "OldRule", "render_definition_html", "render_definition_markdown"]

TEAMS = ("marketing", "sales")


@dataclass(frozen=True)
class OldRule:
    """The definition that is replaced.

    ``form`` is ``stage``, ``points``, ``sql`` or ``unknown``; ``stage`` its stage, ``sql`` its expression. ``points``
    are pairs (what earns them, points), ``threshold`` how many are needed, ``window_days`` how long a touch counts.
    """

    form: str
    stage: str = ""
    sql: str = ""
    threshold: float | None = None
    window_days: float | None = None
    points: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True)
class DefinitionPage:
    """What the page says; amounts in workspace currency, dates ISO.

    Parameters
    ----------
    workspace, currency
        Whose definition, and in what money.
    line_version, model_version
        The hash of the line's document, and the model that it belongs to.
    is_in_force
        Whether leads are handed over by it now.
    set_as_of, review_on
        Day up to which outcomes were known when it was set, and day on which both teams look at it again.
    threshold, margin, touch_cost, capacity, hours_per_lead
        The terms; capacity in leads a week.
    crossings, weeks
        First crossings a week, by so many replayed weeks.
    sql_days, won_days
        Horizons.
    basis
        What the expected value speaks of: ``as_run`` or ``if_worked``.
    hysteresis, band
        Share of the line; share and width of the band, None without one.
    equivalents
        What it means for each segment, all leads first.
    exclusions
        Names and expressions.
    old_rule
        What it replaces.
    comparison
        Old rule and new line; None where they were not compared.
    agreed_by
        Who agreed: name and team each.
    """

    workspace: str
    currency: str
    line_version: str
    model_version: str
    is_in_force: bool
    set_as_of: str
    review_on: str | None
    threshold: float
    margin: float
    touch_cost: float
    capacity: float | None
    hours_per_lead: float | None
    crossings: float
    weeks: int
    sql_days: float
    won_days: float
    basis: str
    hysteresis: float
    band: tuple[float, float] | None
    equivalents: Sequence[EquivalentRow]
    exclusions: Sequence[tuple[str, str]]
    old_rule: OldRule
    comparison: RulesReport | None
    agreed_by: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class _Section:
    """One heading and what stands under it."""

    heading: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


def render_definition_markdown(page: DefinitionPage, language: Language) -> str:
    """Return the page as Markdown, in English or Japanese."""
    words, _, sections, facts = _parts(page, language)
    parts = [f"# {markdown_cell(words('definition.title', workspace=page.workspace))}", *map(_list, [facts])]
    for section in sections:
        parts += [f"## {section.heading}", *(markdown_cell(text) for text in section.sentences)]
        parts += [_list(section.points)] if section.points else []
        for table in section.tables:
            parts += [f"**{markdown_cell(table.caption)}**", _table(table)]
    return "\n\n".join([*parts, markdown_cell(_footer(page, words))]) + "\n"


def render_definition_html(page: DefinitionPage, language: Language) -> str:
    """Return the page as one HTML file that asks nothing of the network and prints."""
    words, _, sections, facts = _parts(page, language)
    template = templates().get_template("definition.html")
    return template.render(t=words, page=page, sections=sections, facts=facts, footer=_footer(page, words))


def _parts(page: DefinitionPage, language: Language) -> tuple[Words, Formats, tuple[_Section, ...], tuple[str, ...]]:
    words = load_words(language)
    formats = Formats(words, page.currency)
    sections = (
        _Section(words("definition.rule_heading"), tuple(_rule(page, words, formats))),
        _meaning(page, words, formats),
        _exclusions(page, words),
        _old_rule(page.old_rule, words, formats),
        _change(page, words, formats),
        _agreement(page, words, formats),
    )
    facts = (
        words("definition.in_force" if page.is_in_force else "definition.proposal"),
        words("definition.versions", line=page.line_version, model=page.model_version),
        words("definition.set", day=formats.moment(page.set_as_of)),
    )
    return words, formats, sections, facts


def _rule(page: DefinitionPage, words: Words, formats: Formats) -> Iterator[str]:
    yield words("definition.rule", price=formats.money(page.threshold))
    yield words(
        "definition.value" if page.basis == "as_run" else "definition.value_if_worked",
        days=formats.count(page.won_days),
        margin=formats.percent(page.margin),
        touch_cost=formats.money(page.touch_cost),
    )
    flow = {"weeks": str(page.weeks), "n": formats.number(page.crossings, 1)}
    if page.capacity is None:
        yield words("definition.free", **flow)
    else:
        yield words("definition.capacity", capacity=formats.count(page.capacity), **flow)
    if page.hours_per_lead is not None:
        hours = formats.number(page.crossings * page.hours_per_lead, 1)
        yield words("definition.hours", each=formats.count(page.hours_per_lead), hours=hours)
    if page.threshold > 0:
        yield from _memory(page, words, formats)


def _memory(page: DefinitionPage, words: Words, formats: Formats) -> Iterator[str]:
    """Say how decisions keep to the line where they remember or are drawn."""
    if page.hysteresis > 0:
        yield words(
            "definition.hysteresis",
            enter=formats.money(page.threshold * (1 + page.hysteresis)),
            leave=formats.money(page.threshold * (1 - page.hysteresis)),
        )
    if page.band is not None:
        share, width = page.band
        yield words(
            "definition.band",
            low=formats.money(page.threshold * (1 - width)),
            high=formats.money(page.threshold * (1 + width)),
            share=formats.percent(share),
        )
    if page.hysteresis > 0 or page.band is not None:
        yield words("definition.not_applied")


def _meaning(page: DefinitionPage, words: Words, formats: Formats) -> _Section:
    table = equivalents_table(page.equivalents, words, formats)
    grades = tuple(f"{grade}: {words(f'grade.{grade}')}" for grade in "ABCD")
    said = (words("definition.meaning"),) if table is not None else ()
    return _Section(words("definition.meaning_heading"), said, grades, () if table is None else (table,))


def _exclusions(page: DefinitionPage, words: Words) -> _Section:
    heading = words("definition.excluded_heading")
    if not page.exclusions:
        return _Section(heading, (words("definition.excluded_none"),))
    heads = columns(words, "definition", "excluded_name", "excluded_sql")
    table = make_table(words("definition.excluded_caption"), heads, page.exclusions)
    return _Section(heading, (words("definition.excluded"),), tables=(table,))


def _old_rule(old: OldRule, words: Words, formats: Formats) -> _Section:
    heading = words("definition.old_heading")
    needed = "" if old.threshold is None else formats.count(old.threshold)
    if old.form == "sql":
        key = "old_sql" if old.threshold is None else "old_sql_points"
        return _Section(heading, (words(f"definition.{key}", sql=old.sql, threshold=needed),))
    if old.form != "points":
        return _Section(heading, (words(f"definition.old_{old.form}", stage=old.stage),))
    said = [words("definition.old_points", threshold=needed)]
    if old.window_days is not None:
        said.append(words("definition.old_window", days=formats.count(old.window_days)))
    rows = [(what, formats.count(points)) for what, points in old.points]
    heads = columns(words, "definition", "old_what", "old_each:n")
    return _Section(heading, tuple(said), tables=(make_table(words("definition.old_caption"), heads, rows),))


def _change(page: DefinitionPage, words: Words, formats: Formats) -> _Section:
    heading, rules = words("definition.change_heading"), page.comparison
    if rules is None:
        return _Section(heading, (words("definition.not_compared"),))
    tables = (rules_table(rules, words, formats), gaps_table(rules, words, formats))
    said = [gain_sentence(rules, words, formats)]
    low, high = rules.gain.low, rules.gain.high
    if low is None or high is None or low <= 0 <= high:
        said.append(words("definition.unsure"))
    said.append(words("definition.caveat"))
    return _Section(heading, tuple(said), tables=tuple(table for table in tables if table is not None))


def _agreement(page: DefinitionPage, words: Words, formats: Formats) -> _Section:
    review = "definition.agree" if page.review_on is not None else "definition.agree_open"
    said = (words(review, day=formats.moment(page.review_on)),)
    blank = "\u3000" * 8
    rows: list[Sequence[Cell]] = [(team, name, blank, blank) for name, team in page.agreed_by]
    signed = " ".join(team.casefold() for _, team in page.agreed_by)
    rows += [
        (words(f"definition.{team}"), blank, blank, blank)
        for team in TEAMS
        if not any(word in signed for word in words(f"definition.{team}_words").split())
    ]
    heads = columns(words, "definition", "team", "name", "signature", "date")
    return _Section(
        words("definition.agree_heading"), said, tables=(make_table(words("definition.agree_caption"), heads, rows),)
    )


def _footer(page: DefinitionPage, words: Words) -> str:
    return words("definition.footer", line=page.line_version)


def _list(points: Sequence[str]) -> str:
    return "\n".join(f"- {markdown_cell(text)}" for text in points)


def _table(table: Table) -> str:
    left = sum(column.kind != "number" for column in table.columns)
    rows = [[markdown_cell(cell) if isinstance(cell, str) else "" for cell in row] for row in table.rows]
    return markdown_table([markdown_cell(column.text) for column in table.columns], rows, left=left)
