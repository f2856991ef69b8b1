"""Campaigns on the board: what each team expected, what came, and what it cost."""

from __future__ import annotations

import math

from alignment.board.context import FEWEST_SHOWN, BoardContext
from alignment.campaigns import DIVERGING, MEASURES, TEAMS, Campaign, Campaigns
from pages.formats import Shown
from pages.report_parts import (
    Badge,
    Block,
    Cell,
    Heading,
    Panel,
    Panels,
    Rows,
    Search,
    Section,
    Table,
    columns,
    make_table,
)

__all__ = ["campaigns_section"]

MOST_SHOWN = 60


def campaigns_section(campaigns: Campaigns | None, context: BoardContext) -> Section:
    """Return campaigns.

    Parameters
    ----------
    campaigns
        What was found; None without the table.
    context
        The reader's.
    """
    words = context.words
    heading = words("board.campaigns.heading")
    if campaigns is None:
        return Section("campaigns", heading, (words("board.lacks.campaigns"),))
    panels = [Panel(words(f"board.measure.{name}"), (_results(campaigns, name, context),)) for name in MEASURES]
    panels.append(Panel(words("board.campaigns.cost"), (_cost(campaigns, context),)))
    blocks = [
        words("board.campaigns.lead"),
        *([] if campaigns.has_expectations else [words("board.lacks.expectations")]),
        context.defined("expectation", "projection", "bias"),
        *([words("board.campaigns.late", n=context.formats.number(campaigns.late))] if campaigns.late else []),
        Search(words("board.search"), "campaign_*"),
        Panels("campaigns", words("board.campaigns.choose"), tuple(panels)),
        Heading(words("board.campaigns.bias_heading")),
        *_bias(campaigns, context),
        Rows(words("board.rows"), ("campaigns.csv", "expectations.csv")),
    ]
    return Section("campaigns", heading, tuple(blocks))


def _amount(value: float, measure: str, context: BoardContext) -> str:
    return context.money(value) if measure == "revenue" else context.count(value)


def _expected(campaign: Campaign, team: str, measure: str) -> float:
    locked = campaign.locked(team)
    return math.nan if locked is None else locked.values.get(measure, math.nan)


def _results(campaigns: Campaigns, measure: str, context: BoardContext) -> Table:
    words = context.words
    rows: list[tuple[Cell, ...]] = []
    for campaign in campaigns.campaigns[:MOST_SHOWN]:
        hoped = [_expected(campaign, team, measure) for team in TEAMS]
        if 0 < campaign.leads < FEWEST_SHOWN:
            rows.append(_few(campaign, hoped, measure, context))
            continue
        projected = campaign.projected[measure]
        ends = (campaign.low[measure], campaign.high[measure])
        shown = [_amount(end, measure, context) for end in ends]
        interval = context.formats.interval(*shown) if math.isfinite(ends[0]) else Shown(context.blank, None, None)
        is_open = campaign.maturity != 1.0
        rows.append(
            (
                campaign.name,
                campaign.channel or context.blank,
                *(_amount(value, measure, context) for value in hoped),
                _gap(campaign, measure, context),
                _amount(campaign.so_far[measure], measure, context),
                _amount(projected, measure, context) if is_open else context.blank,
                interval if is_open else Shown(context.blank, None, None),
                *(_ratio(projected, value, context) for value in hoped),
            )
        )
    heads = columns(
        words,
        "board_column",
        "campaign",
        "channel",
        "by_marketing:n",
        "by_sales:n",
        "teams_gap",
        "so_far:n",
        "projected:n",
        "interval:n",
        "of_marketing:n",
        "of_sales:n",
    )
    caption = words("board.campaigns.results", measure=words(f"board.measure.{measure}"))
    return make_table(caption, heads, rows, name=f"campaign_{measure}")


def _few(campaign: Campaign, hoped: list[float], measure: str, context: BoardContext) -> tuple[Cell, ...]:
    """Return the row of a campaign with so few people that its results would be theirs."""
    return (
        campaign.name,
        campaign.channel or context.blank,
        *(_amount(value, measure, context) for value in hoped),
        _gap(campaign, measure, context),
        context.words("board.few"),
        context.blank,
        Shown(context.blank, None, None),
        context.blank,
        context.blank,
    )


def _ratio(came: float, hoped: float, context: BoardContext) -> str:
    is_known = math.isfinite(hoped + came) and hoped > 0
    return context.formats.times(came / hoped) if is_known else Shown(context.blank, None)


def _gap(campaign: Campaign, measure: str, context: BoardContext) -> Cell:
    """Say how far the teams were apart before the start."""
    words = context.words
    missing = [team for team in TEAMS if campaign.locked(team) is None]
    if missing:
        teams = words("board.and").join(words(f"board.team.{team}") for team in missing)
        return Badge(words("board.campaigns.missing", teams=teams), "care")
    gap = campaign.gaps().get(measure)
    if gap is None:
        return context.blank
    return Badge(context.formats.times(gap), "plain" if 1 / DIVERGING <= gap <= DIVERGING else "care")


def _cost(campaigns: Campaigns, context: BoardContext) -> Table:
    words = context.words
    rows: list[tuple[Cell, ...]] = []
    for one in campaigns.campaigns[:MOST_SHOWN]:
        each = [
            cell
            for found in (one.cost_per_sql, one.cost_per_won)
            for cell in (context.money(found.value), context.money_interval(found))
        ]
        if 0 < one.leads < FEWEST_SHOWN:
            nothing = Shown(context.blank, None, None)
            blanks = (context.blank, nothing) * 3
            rows.append((one.name, context.blank, context.words("board.few"), context.money(one.cost), *blanks))
            continue
        back = one.revenue_per_cost
        ends = [context.formats.times(end) if math.isfinite(end) else context.blank for end in (back.low, back.high)]
        interval = context.formats.interval(*ends) if math.isfinite(back.low) else Shown(context.blank, None, None)
        rows.append(
            (
                one.name,
                context.share(one.maturity),
                context.count(one.leads),
                context.money(one.cost),
                *each,
                context.formats.times(back.value) if math.isfinite(back.value) else Shown(context.blank, None),
                interval,
            )
        )
    heads = columns(
        words,
        "board_column",
        "campaign",
        "maturity:n",
        "leads:n",
        "cost:n",
        "cost_per_sql:n",
        "interval:n",
        "cost_per_won:n",
        "interval:n",
        "return:n",
        "interval:n",
    )
    return make_table(words("board.campaigns.cost_table"), heads, rows, name="campaign_cost")


def _bias(campaigns: Campaigns, context: BoardContext) -> list[Block]:
    words = context.words
    if not campaigns.bias:
        return [words("board.campaigns.no_bias")]
    rows: list[tuple[Cell, ...]] = []
    for one in campaigns.bias:
        ends = (one.ratio.low, one.ratio.high)
        shown = [context.formats.times(end) for end in ends]
        interval = context.formats.interval(*shown) if math.isfinite(ends[0]) else Shown(context.blank, None, None)
        rows.append(
            (
                words.known(f"board.team.{one.team}", one.team),
                words(f"board.measure.{one.measure}"),
                one.channel or words("board.all"),
                context.count(one.campaigns),
                context.formats.times(one.ratio.value),
                interval,
            )
        )
    heads = columns(words, "board_column", "team", "measure", "channel", "campaigns:n", "came_of:n", "interval:n")
    return [
        words("board.campaigns.bias"),
        make_table(words("board.campaigns.bias_table"), heads, rows, name="expectation_bias"),
    ]
