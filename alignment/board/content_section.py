"""Content on the board: what is used, what it is credited with, what it does, and what is missing."""

from __future__ import annotations

import math

from alignment.board.context import FEWEST_SHOWN, BoardContext
from alignment.content import ContentItem, ContentReport
from alignment.content_effect import ItemEffect
from alignment.content_use import MODELS
from pages.chart_parts import linear_ticks
from pages.plot import Dot, forest
from pages.report_parts import (
    Badge,
    Block,
    Cell,
    Figure,
    Figures,
    Heading,
    Items,
    Panel,
    Panels,
    Rows,
    Search,
    Section,
    Table,
    columns,
    make_table,
)

__all__ = ["content_section"]

MOST_DRAWN = 16
MOST_UNUSED = 30


def content_section(content: ContentReport | None, context: BoardContext) -> Section:
    """Return content.

    Parameters
    ----------
    content
        What was found; None where no touch names content.
    context
        The reader's.
    """
    words = context.words
    heading = words("board.content.heading")
    if content is None:
        return Section("content", heading, (words("board.lacks.content_touches"),))
    blocks = [
        words("board.content.lead"),
        *([] if content.has_makers else [words("board.lacks.content")]),
        context.defined("credit", "effect", "false_discovery"),
        words(
            "board.content.revenue",
            revenue=context.money(content.won_revenue),
            credited=context.money(content.credited_revenue),
        ),
        *_figure(content, context),
        Panels(
            "content",
            words("board.content.choose"),
            (
                Panel(words("board.content.effects"), (_effects(content, context),)),
                Panel(words("board.content.credits"), (_credits(content, context),)),
                Panel(words("board.content.uses"), (_uses(content, context),)),
            ),
        ),
        Heading(words("board.content.disagree_heading")),
        *_disagreeing(content, context),
        Heading(words("board.content.unused_heading")),
        *_unused(content, context),
        Heading(words("board.content.duplicates_heading")),
        *_duplicates(content, context),
        Heading(words("board.content.gaps_heading")),
        *_gaps(content, context),
        Rows(words("board.rows"), ("content_items.csv", "content_credits.csv")),
    ]
    return Section("content", heading, tuple(blocks))


def _is_shown(item: ContentItem) -> bool:
    """Whether an item's numbers are not those of a few persons."""
    return item.persons == 0 or item.persons >= FEWEST_SHOWN


def _maker(item: ContentItem, context: BoardContext) -> str:
    return context.words(f"board.team.{item.made_by}") if item.made_by else context.blank


def _figure(content: ContentReport, context: BoardContext) -> list[Figures]:
    measured = [item for item in content.items if item.sql is not None and item.sql.is_measured]
    if not measured:
        return []
    shown = sorted(measured, key=lambda item: -(item.sql.effect if item.sql else 0.0))
    if len(shown) > MOST_DRAWN:
        shown = [*shown[: MOST_DRAWN // 2], *shown[-MOST_DRAWN // 2 :]]
    dots = [
        Dot(item.title, context.points(item.sql.effect), item.sql.effect, item.sql.low, item.sql.high, item.helps)
        for item in shown
        if item.sql is not None
    ]
    low = min(dot.low if dot.low is not None else dot.value for dot in dots)
    high = max(dot.high if dot.high is not None else dot.value for dot in dots)
    places = linear_ticks(min(low, 0.0), max(high, 0.0), 5)
    digits = 0 if all(math.isclose(100 * place, round(100 * place), abs_tol=1e-9) for place in places) else 1
    ticks = [(place, context.formats.number(100 * place, digits)) for place in places]
    words = context.words
    chart = forest(
        dots,
        ticks,
        words("board.content.axis"),
        reference=0.0,
        name="content-effects",
        label=words("board.content.alt"),
    )
    return [Figures((Figure(words("board.content.chart"), chart, words("board.content.reading"), None),))]


def _verdict(effect: ItemEffect | None, context: BoardContext) -> Badge:
    if effect is not None and effect.reason in ("inseparable", "library"):
        return Badge(context.words(f"board.effect.{effect.reason}"), "plain")
    if effect is None or not effect.is_measured:
        return Badge(context.words("board.effect.too_few"), "plain")
    if not effect.is_found:
        return Badge(context.words("board.effect.none"), "plain")
    return Badge(context.words(f"board.effect.{'helps' if effect.effect > 0 else 'harms'}"), _tone(effect))


def _tone(effect: ItemEffect) -> str:
    return "good" if effect.effect > 0 else "care"


def _effect_cells(effect: ItemEffect | None, context: BoardContext) -> tuple[Cell, ...]:
    if effect is None or not effect.is_measured:
        return (context.blank, context.blank)
    points = (context.formats.percentage_points(end) for end in (effect.low, effect.high))
    return (context.points(effect.effect), context.formats.interval(*points))


def _effects(content: ContentReport, context: BoardContext) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for item in content.items:
        rates = (
            (context.share(item.sql.rate_users), context.share(item.sql.rate_matched))
            if item.sql is not None and item.sql.is_measured
            else (context.blank, context.blank)
        )
        rows.append(
            (
                item.title,
                _maker(item, context),
                context.count(item.persons) if _is_shown(item) else context.words("board.few"),
                *rates,
                *_effect_cells(item.sql, context),
                _verdict(item.sql, context),
                *_effect_cells(item.won, context),
            )
        )
    heads = columns(
        context.words,
        "board_column",
        "item",
        "made_by",
        "persons:n",
        "users_rate:n",
        "matched_rate:n",
        "sql_effect:n",
        "interval:n",
        "verdict",
        "won_effect:n",
        "interval:n",
    )
    return make_table(context.words("board.content.effects_table"), heads, rows, name="content_effects")


def _credits(content: ContentReport, context: BoardContext) -> Table:
    rows = [
        (
            item.title,
            _maker(item, context),
            *(context.money(item.credit[model]) if _is_shown(item) else context.blank for model in MODELS),
        )
        for item in content.items
    ]
    heads = columns(context.words, "board_column", "item", "made_by", *(f"{model}:n" for model in MODELS))
    return make_table(context.words("board.content.credits_table"), heads, rows, name="content_credit_models")


def _uses(content: ContentReport, context: BoardContext) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for item in content.items:
        counts = (*item.uses, item.sales_uses, item.won_users)
        described = (_maker(item, context), item.stage or context.blank, item.topic or context.blank)
        shown = (context.count(count) if _is_shown(item) else context.blank for count in counts)
        rows.append((item.title, *described, *shown))
    heads = columns(
        context.words,
        "board_column",
        "item",
        "made_by",
        "stage",
        "topic",
        "use_lead:n",
        "use_mql:n",
        "use_handed_off:n",
        "use_sql:n",
        "use_won:n",
        "use_by_sales:n",
        "won_users:n",
    )
    return make_table(context.words("board.content.uses_table"), heads, rows, name="content_uses")


def _disagreeing(content: ContentReport, context: BoardContext) -> list[Block]:
    words = context.words
    if not content.disagreeing:
        return [words("board.content.agree")]
    sentences = [
        words(
            "board.content.credit_without_effect" if not item.helps else "board.content.effect_without_credit",
            item=item.title,
            credit=context.money(item.credit["linear"]),
            effect=context.points(item.sql.effect if item.sql else math.nan),
        )
        for item in content.disagreeing
    ]
    return [Items(tuple(sentences))]


def _unused(content: ContentReport, context: BoardContext) -> list[Block]:
    words = context.words
    unused = [item for item in content.items if item.won_users == 0 and item.made_by]
    if not content.has_makers or not unused:
        return [words("board.content.no_unused" if content.has_makers else "board.lacks.content")]
    rows = [
        (
            item.title,
            _maker(item, context),
            context.count(item.persons) if _is_shown(item) else context.words("board.few"),
            context.day(item.published_us),
            context.money(item.cost),
        )
        for item in unused[:MOST_UNUSED]
    ]
    cost = sum(item.cost or 0.0 for item in unused)
    heads = columns(words, "board_column", "item", "made_by", "persons:n", "published:d", "cost:n")
    sentence = words("board.content.unused", n=context.formats.number(len(unused)), cost=context.money(cost))
    return [sentence, make_table(words("board.content.unused_table"), heads, rows, name="content_unused")]


def _duplicates(content: ContentReport, context: BoardContext) -> list[Block]:
    words = context.words
    if not content.duplicates:
        return [words("board.content.no_duplicates" if content.has_makers else "board.lacks.content")]
    rows = [(one.topic, one.stage, one.marketing, one.sales) for one in content.duplicates]
    heads = columns(words, "board_column", "topic", "stage", "by_marketing:w", "by_sales:w")
    return [make_table(words("board.content.duplicates_table"), heads, rows, name="content_duplicates")]


def _gaps(content: ContentReport, context: BoardContext) -> list[Block]:
    words = context.words
    if not content.gaps:
        return [words("board.lacks.content_stage")]
    rows: list[tuple[Cell, ...]] = []
    for gap in content.gaps:
        share = gap.won_users / gap.won if gap.won >= FEWEST_SHOWN else math.nan
        segment = gap.segment or words("board.all")
        counts = (context.count(gap.items), context.count(gap.helping), context.share(share))
        rows.append((gap.stage, segment, *counts, Badge("" if gap.helping else words("board.content.gap"), "care")))
    heads = columns(words, "board_column", "stage", "segment", "items:n", "helping:n", "won_share:n", "gap")
    return [
        words("board.content.gaps"),
        Search(words("board.search"), "content_gaps"),
        make_table(words("board.content.gaps_table"), heads, rows, name="content_gaps"),
    ]
