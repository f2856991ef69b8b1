"""The scorecard as a page in Markdown: what to enter in the marketing-automation tool, and how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pages.markdown import markdown_cell, markdown_table
from pages.words import Language, Words, load_words

__all__ = ["CardPage", "GradeBand", "Measured", "PointsMeaning", "render_scorecard_page"]


@dataclass(frozen=True)
class GradeBand:
    """Grade, its smallest points (None where no lead has it), and how many leads at risk have it or a better one."""

    grade: str
    points: int | None
    by_card: int
    by_line: int


@dataclass(frozen=True)
class PointsMeaning:
    """Points, the probability that they stand for, and the share of leads at risk that have as many or more."""

    points: int
    probability: float
    share: float


@dataclass(frozen=True)
class Measured:
    """A measure and its 90% interval by account, for card and model, or for both together in ``card``."""

    name: str
    card: tuple[float, float, float]
    model: tuple[float, float, float] | None = None
    difference: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class CardPage:
    """What the page says.

    Parameters
    ----------
    workspace, model_version, line_version
        What the card belongs to.
    outcome, horizon_days
        What points speak of: ``sql`` or ``won``.
    points_per_doubling
        Points that double the odds.
    rows
        Pairs (words in the page's language, points).
    most
        The most points that a lead can have.
    grades
        A, B and C.
    set_as_of
        Day on which the leads at risk were counted, ISO.
    leads_at_risk
        How many.
    meanings
        What points mean.
    measured
        Agreement with the served model.
    tested, tested_outcomes
        Unseen leads, and how many of them had the outcome.
    is_unseen
        The served model had not seen them either.
    outcomes
        Leads with the outcome that the card learned from.
    has_few_outcomes
        They are so few that rounding costs.
    """

    workspace: str
    model_version: str
    line_version: str
    outcome: str
    horizon_days: float
    points_per_doubling: float
    rows: Sequence[tuple[str, int]]
    most: int
    grades: Sequence[GradeBand]
    set_as_of: str
    leads_at_risk: int
    meanings: Sequence[PointsMeaning]
    measured: Sequence[Measured]
    tested: int
    tested_outcomes: int
    is_unseen: bool
    outcomes: int
    has_few_outcomes: bool


def render_scorecard_page(page: CardPage, language: Language) -> str:
    """Return the page as Markdown, in English or Japanese.

    Parameters
    ----------
    page
        The numbers, and the rows in the page's language.
    language
        ``en`` or ``ja``.
    """
    words = load_words(language)
    outcome = words(f"outcome.{page.outcome}.noun")
    days = f"{page.horizon_days:g}"
    parts = [
        f"# {words('scorecard.title', version=page.model_version)}",
        words("scorecard.how", doubling=f"{page.points_per_doubling:g}", most=f"{page.most:,}"),
        words("scorecard.outcome", outcome=outcome, days=days),
        *([words("scorecard.few", n=f"{page.outcomes:,}")] if page.has_few_outcomes else []),
        markdown_table(
            [words("scorecard.condition"), words("scorecard.points")],
            [(markdown_cell(text), str(points)) for text, points in page.rows],
        ),
        words("scorecard.nothing_else"),
        f"## {words('scorecard.line_title')}",
        _line(page, words),
        _grades(page, words),
        f"## {words('scorecard.meaning_title')}",
        _meanings(page, words, outcome, days),
        f"## {words('scorecard.agreement_title')}",
        _agreement(page, words),
        words("scorecard.footer", workspace=page.workspace, version=page.model_version, line=page.line_version),
    ]
    return "\n\n".join(parts) + "\n"


def _line(page: CardPage, words: Words) -> str:
    mql = next(band for band in page.grades if band.grade == "B")
    counts = {"n": f"{mql.by_line:,}", "leads": f"{page.leads_at_risk:,}", "day": page.set_as_of}
    if mql.points is None:
        return words("scorecard.no_line", **counts)
    return words("scorecard.line", points=str(mql.points), card=f"{mql.by_card:,}", **counts)


def _grades(page: CardPage, words: Words) -> str:
    header = ["scorecard.grade", "scorecard.from_points", "scorecard.so_good", "scorecard.so_good_by_line"]
    rows = [
        (
            band.grade,
            words("common.blank") if band.points is None else str(band.points),
            str(band.by_card),
            str(band.by_line),
        )
        for band in page.grades
    ]
    lowest = ("D", words("scorecard.the_rest"), f"{page.leads_at_risk}", f"{page.leads_at_risk}")
    return markdown_table([words(key) for key in header], [*rows, lowest])


def _meanings(page: CardPage, words: Words, outcome: str, days: str) -> str:
    header = [
        words("scorecard.points"),
        words("scorecard.chance", outcome=outcome, days=days),
        words("scorecard.share"),
    ]
    return markdown_table(header, [(str(m.points), f"{m.probability:.2%}", f"{m.share:.1%}") for m in page.meanings])


def _agreement(page: CardPage, words: Words) -> str:
    said = words("scorecard.tested", n=f"{page.tested:,}", outcomes=f"{page.tested_outcomes:,}")
    if not page.is_unseen:
        said += " " + words("scorecard.seen")
    header = [words(key) for key in ("scorecard.measure", "scorecard.card", "scorecard.model", "scorecard.difference")]
    rows = [
        (
            words(f"scorecard.measures.{m.name}"),
            *(words("common.blank") if part is None else _interval(part) for part in (m.card, m.model, m.difference)),
        )
        for m in page.measured
    ]
    return f"{said}\n\n{markdown_table(header, rows)}"


def _interval(part: tuple[float, float, float]) -> str:
    value, low, high = part
    if low != low:
        return f"{value:.3f}"
    return f"{value:.3f} ({low:.3f} – {high:.3f})"
