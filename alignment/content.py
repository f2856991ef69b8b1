"""Content judged by deals: reach, use along the way, credit of five models, effect, and what is missing."""

# pandas-stubs types a column of a frame as all that it may be.
# pyarrow publishes no types.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from alignment.content_effect import ItemEffect, content_effects
from alignment.content_use import MODELS, PHASES, ContentUse, content_use
from alignment.people import People

__all__ = ["ContentItem", "ContentReport", "Duplicate", "StageGap", "content_report"]

HANDED_OFF, WON = PHASES.index("handed_off"), PHASES.index("won")
TOP_SHARE = 1 / 3
"""Credit and effect disagree where an item is in the top third by credit and does not help, or the other way round."""


@dataclass(frozen=True)
class ContentItem:
    """One item.

    Parameters
    ----------
    content_id, title, made_by, kind, topic, stage
        As in the table ``content``; empty text where not given.
    cost
        Workspace currency; None where not given.
    published_us
        Microseconds since 1970 UTC; None where not given.
    persons
        How many used it.
    uses
        Uses by leads in each of :data:`alignment.content_use.PHASES`.
    sales_uses
        Times sales sent or showed it.
    uses_after
        Uses between the hand-off (or the SQL) and the win, by leads and by sales.
    won_users
        Won persons who used it before a win, or were shown it by sales.
    credit
        Revenue of wins by model, workspace currency.
    sql, won
        Effect on SQL and on won; None where it was not measured.
    """

    content_id: str
    title: str
    made_by: str
    kind: str
    topic: str
    stage: str
    cost: float | None
    published_us: int | None
    persons: int
    uses: tuple[int, ...]
    sales_uses: int
    uses_after: int
    won_users: int
    credit: Mapping[str, float]
    sql: ItemEffect | None
    won: ItemEffect | None

    @property
    def helps(self) -> bool:
        """An effect on SQL above 0 was found."""
        return self.sql is not None and self.sql.is_found and self.sql.effect > 0


@dataclass(frozen=True)
class Duplicate:
    """A topic and stage for which both teams made content, with the items of each."""

    topic: str
    stage: str
    marketing: tuple[str, ...]
    sales: tuple[str, ...]


@dataclass(frozen=True)
class StageGap:
    """What content of one stage does for one segment (empty text for all).

    Parameters
    ----------
    stage, segment
        Which.
    items
        Items of the stage that anyone of the segment used.
    helping
        Items of the stage whose effect on SQL was found to be above 0 (over all leads).
    won, won_users
        Won persons of the segment, and how many of them used any item of the stage before the win.
    """

    stage: str
    segment: str
    items: int
    helping: int
    won: int
    won_users: int


@dataclass(frozen=True)
class ContentReport:
    """Content judged by deals.

    Parameters
    ----------
    items
        By credit of the linear model, highest first.
    use
        Uses and credits behind it.
    won_revenue, credited_revenue
        Revenue of all wins, and of those who used any content before.
    has_makers
        The table ``content`` says who made an item.
    has_wins
        Somebody was won.
    duplicates
        Topics made twice.
    gaps
        By stage of content and segment.
    disagreeing
        Items whose credit and effect say different things.
    """

    items: tuple[ContentItem, ...]
    use: ContentUse
    won_revenue: float
    credited_revenue: float
    has_makers: bool
    has_wins: bool
    duplicates: tuple[Duplicate, ...]
    gaps: tuple[StageGap, ...]
    disagreeing: tuple[ContentItem, ...]


def content_report(people: People) -> ContentReport | None:
    """Judge content by deals; None where no touch names any.

    Parameters
    ----------
    people
        Who, and as of when.
    """
    use = content_use(people)
    if use is None:
        return None
    effects = {"sql": content_effects(people, "sql"), "won": content_effects(people, "won")}
    described = _described(people, use)
    items = [_item(row, use_of, effects) for row, use_of in _joined(described, use)]
    items.sort(key=lambda item: (-np.nan_to_num(item.credit["linear"]), -item.persons, item.content_id))
    return ContentReport(
        tuple(items),
        use,
        use.won_revenue,
        use.credited_revenue,
        any(item.made_by for item in items),
        bool(people.frame["won_us"].notna().any()),
        _duplicates(items),
        _gaps(people, items, use),
        _disagreeing(items),
    )


def _described(people: People, use: ContentUse) -> pd.DataFrame:
    """Return one row an item of the table or of the touches."""
    names = ["title", "made_by", "kind", "topic", "stage", "cost", "published_at"]
    used = pd.DataFrame({"content_id": use.by_item["content_id"].unique()})
    if not people.tables.has("content"):
        return used.assign(**dict.fromkeys(names))
    rows: pd.DataFrame = people.tables.table("content").select("content_id", *names).to_pandas()
    published = rows["published_at"]
    rows = rows[published.isna() | (published <= pd.Timestamp(people.seen.observed_until))]
    return rows.merge(used, on="content_id", how="outer")


def _joined(described: pd.DataFrame, use: ContentUse) -> list[tuple[Any, dict[str, Any]]]:
    by_item = {str(name): part for name, part in use.by_item.groupby("content_id")}
    credit = use.credits.assign(**{model: use.credits[model] * use.credits["amount"] for model in MODELS})
    sums = credit.groupby("content_id")[list(MODELS)].sum()
    nothing = 0.0 if np.isfinite(use.won_revenue) else float("nan")
    persons = use.first_uses.groupby("content_id").size()
    found: list[tuple[Any, dict[str, Any]]] = []
    for row in described.itertuples():
        name = str(row.content_id)
        part = by_item.get(name)
        uses = np.zeros(len(PHASES), dtype=int)
        sent, after = 0, 0
        if part is not None:
            mine = part[part["actor"] == "lead"]
            np.add.at(uses, mine["phase"].to_numpy(dtype=int), mine["uses"].to_numpy(dtype=int))
            sent = int(part.loc[part["actor"] == "sales", "uses"].sum())
            after = int(part.loc[part["phase"].between(HANDED_OFF, WON - 1), "uses"].sum())
        credited = sums.loc[name].to_dict() if name in sums.index else dict.fromkeys(MODELS, nothing)
        if not np.isfinite(use.won_revenue):
            credited = dict.fromkeys(MODELS, nothing)
        counts = {"persons": int(persons.get(name, 0)), "won_users": int(use.won_users.get(name, 0))}
        counts["uses_after"] = after
        found.append((row, {"uses": tuple(uses.tolist()), "sales_uses": sent, "credit": credited, **counts}))
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _item(row: Any, use_of: dict[str, Any], effects: Mapping[str, Mapping[str, ItemEffect]]) -> ContentItem:
    name = str(row.content_id)
    cost = float(row.cost) if row.cost is not None and np.isfinite(row.cost) else None
    published = None if pd.isna(row.published_at) else int(pd.Timestamp(row.published_at).value // 1000)
    return ContentItem(
        content_id=name,
        title=_text(row.title) or name,
        made_by=_text(row.made_by),
        kind=_text(row.kind),
        topic=_text(row.topic),
        stage=_text(row.stage),
        cost=cost,
        published_us=published,
        sql=effects["sql"].get(name),
        won=effects["won"].get(name),
        **use_of,
    )


def _duplicates(items: Sequence[ContentItem]) -> tuple[Duplicate, ...]:
    made: dict[tuple[str, str], dict[str, list[str]]] = {}
    for item in items:
        if item.topic and item.made_by:
            made.setdefault((item.topic, item.stage), {}).setdefault(item.made_by, []).append(item.title)
    both = [
        Duplicate(topic, stage, tuple(sorted(teams["marketing"])), tuple(sorted(teams["sales"])))
        for (topic, stage), teams in made.items()
        if {"marketing", "sales"} <= set(teams)
    ]
    return tuple(sorted(both, key=lambda one: (one.topic, one.stage)))


def _gaps(people: People, items: Sequence[ContentItem], use: ContentUse) -> tuple[StageGap, ...]:
    stage_of = {item.content_id: item.stage for item in items if item.stage}
    stages = list(dict.fromkeys(item.stage for item in sorted(items, key=lambda one: one.stage) if item.stage))
    won = people.frame["won_us"].notna().to_numpy()
    segments = {"": np.ones(len(won), dtype=bool), **people.segments}
    uses = use.first_uses.assign(stage=use.first_uses["content_id"].map(stage_of)).dropna(subset=["stage"])
    credited = use.credits.assign(stage=use.credits["content_id"].map(stage_of)).dropna(subset=["stage"])
    found: list[StageGap] = []
    for stage in stages:
        helping = sum(item.helps for item in items if item.stage == stage)
        users, winners = uses[uses["stage"] == stage], credited[credited["stage"] == stage]
        for segment, member in segments.items():
            mine = users[member[users["person"].to_numpy()]]
            won_mine = winners[member[winners["person"].to_numpy()]]
            counts = (int(mine["content_id"].nunique()), helping, int((won & member).sum()))
            found.append(StageGap(stage, segment, *counts, int(won_mine["person"].nunique())))
    return tuple(found)


def _disagreeing(items: Sequence[ContentItem]) -> tuple[ContentItem, ...]:
    measured = [item for item in items if item.sql is not None and item.sql.is_measured]
    credited = [item for item in measured if item.credit["linear"] > 0]
    top = {item.content_id for item in credited[: round(TOP_SHARE * len(measured))]}
    return tuple(item for item in credited if (item.content_id in top) != item.helps)
