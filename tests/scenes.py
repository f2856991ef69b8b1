"""A year of two teams, scripted: how many MQLs, what becomes of them, which content is used, who answers in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from alignment.board.page import Findings
from alignment.findings import find_alignment
from crm.issued import ISSUED_COLUMNS
from crm.progress import Silent
from crm.scores import SCORES_SCHEMA
from models.line import Line
from tests.histories import Row, tables_of

__all__ = ["END", "Scene", "alignment_of", "line_of", "scores_of"]

END = datetime(2026, 1, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MONTHS = 12
DEALS = ("c-pricing", "c-case")


@dataclass(frozen=True)
class Scene:
    """What the year was like; the defaults are a year in which the two teams are aligned.

    Parameters
    ----------
    mqls, growth
        MQLs in the first month, and how many more come with each month.
    sql_share, sql_change
        Share of MQLs that become SQLs in the first month, and its change with each month.
    below_share
        Share of MQLs that were scored below the line; None without scores.
    counts_only
        Marketing expects MQLs and nothing that follows.
    unused_items
        Items by marketing that no won deal has used, beside two that are used.
    sales_uses
        Of ten uses after the hand-off, so many are of the item that sales made.
    doubled_topics
        Items by sales, of four, on a topic and stage of marketing's.
    undisposed, late
        Of ten hand-offs, so many without a disposition or outcome, and so many contacted after a fortnight.
    gap
        What marketing expects over what sales expects.
    differing
        Of ten leads that both teams described, so many are described differently.
    """

    mqls: int = 60
    growth: int = 3
    sql_share: float = 0.3
    sql_change: float = 0.0
    below_share: float | None = 0.1
    counts_only: bool = False
    unused_items: int = 0
    sales_uses: int = 1
    doubled_topics: int = 0
    undisposed: int = 0
    late: int = 0
    gap: float = 1.2
    differing: int = 0

    def rows(self) -> dict[str, list[Row]]:
        """Return the tables."""
        tables: dict[str, list[Row]] = {
            name: [] for name in ("leads", "touches", "stages", "hand_offs", "opportunities", "lead_changes")
        }
        for month in range(MONTHS):
            count = self.mqls + month * self.growth
            sqls = round(count * (self.sql_share + month * self.sql_change))
            for number in range(count):
                is_sql = number * sqls // count != (number + 1) * sqls // count
                self._lead(
                    tables, month, number, count, is_sql=is_sql, is_won=is_sql and number * sqls // count % 2 == 0
                )
        tables["content"] = self._content()
        tables["campaigns"], tables["expectations"] = self._campaigns()
        return tables

    def _lead(
        self, tables: dict[str, list[Row]], month: int, number: int, count: int, *, is_sql: bool, is_won: bool
    ) -> None:
        lead, start = f"{month:02d}-{number:04d}", datetime(2025, month + 1, 1, 10, tzinfo=UTC)
        created = start + number * 24 * DAY / count
        off = created + DAY
        tables["leads"].append({"lead_id": lead, "created_at": created, "source": ("web", "event")[number % 2]})
        is_disposed, in_time = number % 10 >= self.undisposed, (number + 5) % 10 >= self.late
        stages = [("mql", created + 20 * HOUR)]
        if is_disposed:
            stages += [("sql", off + 5 * DAY)] if is_sql else [("disqualified", off + 6 * DAY)]
        elif is_sql:
            stages += [("sql", off + 5 * DAY)]
        contact = off + (2 * HOUR if in_time else 20 * DAY)
        tables["stages"] += [
            {"lead_id": lead, "stage": name, "entered_at": at, "recorded_at": at} for name, at in stages if at < END
        ]
        handed = {"hand_off_id": f"h{lead}", "lead_id": lead, "handed_off_at": off, "owner": f"o{number % 3}"}
        handed |= {"team": "field", "recorded_at": off, "accepted_at": None, "disposition": None}
        tables["hand_offs"].append(handed)
        if is_disposed and off + 6 * DAY < END:
            said = {"disposition": "qualified" if is_sql else "disqualified", "recorded_at": off + 6 * DAY}
            tables["hand_offs"].append({**handed, "accepted_at": off + HOUR, **said})
        self._touches(tables, lead, number, (created, off, contact), is_sql=is_sql)
        if is_won and off + 20 * DAY < END:
            deal = {"opportunity_id": f"d{lead}", "lead_id": lead, "created_at": off + 6 * DAY, "is_won": True}
            deal |= {"closed_at": off + 20 * DAY, "amount": 1000.0, "currency": "USD", "recorded_at": off + 20 * DAY}
            tables["opportunities"].append(deal)
        if number % 4 == 0:
            for team, value in (("marketing", "a"), ("sales", "b" if number // 4 % 10 < self.differing else "a")):
                change = {"lead_id": lead, "field": "size", "value": value, "changed_by_team": team}
                tables["lead_changes"].append({**change, "recorded_at": off + (1 if team == "sales" else 0) * DAY})

    def _touches(
        self, tables: dict[str, list[Row]], lead: str, number: int, moments: tuple[datetime, ...], *, is_sql: bool
    ) -> None:
        created, off, contact = moments
        after = "s-own" if number % 10 < self.sales_uses else "c-pricing"
        unused = f"c-unused{number % self.unused_items}" if self.unused_items and not is_sql else "c-case"
        touches = [
            ("lead", "visit", "c-case", created, f"campaign-{created:%m}"),
            ("lead", "visit", unused, created + 2 * HOUR, None),
            ("sales", "call", None, contact, None),
            ("lead", "visit", after, off + 3 * HOUR, None),
        ]
        for at, (actor, kind, content, happened, campaign) in enumerate(touches):
            if happened >= END:
                continue
            row = {"touch_id": f"{lead}-{at}", "lead_id": lead, "actor": actor, "kind": kind, "content_id": content}
            tables["touches"].append({**row, "campaign_id": campaign, "happened_at": happened, "recorded_at": happened})

    def _content(self) -> list[Row]:
        old = datetime(2024, 6, 1, tzinfo=UTC)
        used = [
            {"content_id": name, "title": name, "made_by": "marketing", "topic": name, "stage": "decision"}
            for name in DEALS
        ]
        unused = [
            {
                "content_id": f"c-unused{n}",
                "made_by": "marketing",
                "topic": f"t{n}",
                "stage": "awareness",
                "cost": 500.0,
            }
            for n in range(self.unused_items)
        ]
        sales = [
            {
                "content_id": "s-own" if n == 0 else f"s-{n}",
                "made_by": "sales",
                "topic": "c-case" if n < self.doubled_topics else f"own{n}",
                "stage": "decision",
            }
            for n in range(4)
        ]
        return [{"published_at": old, **row} for row in (*used, *unused, *sales)]

    def _campaigns(self) -> tuple[list[Row], list[Row]]:
        campaigns, expected = [], []
        for month in range(MONTHS):
            name, start = f"campaign-{month + 1:02d}", datetime(2025, month + 1, 1, tzinfo=UTC)
            campaigns.append(
                {"campaign_id": name, "name": name, "channel": "web", "starts_on": start.date(), "cost": 900.0}
            )
            hoped: Mapping[str, float] = {"mqls": 60.0, "sqls": 18.0, "won": 9.0, "revenue": 9000.0}
            if self.counts_only:
                hoped = {"mqls": 60.0}
            for team, factor in (("marketing", self.gap), ("sales", 1.0)):
                row: dict[str, Any] = {key: value * factor for key, value in hoped.items()}
                expected.append({"campaign_id": name, "team": team, "registered_at": start - 3 * DAY, **row})
        return campaigns, expected


def line_of(threshold: float = 100.0) -> Line:
    """Return a line at an expected value."""
    return Line(
        price=threshold,
        margin=1.0,
        touch_cost=0.0,
        capacity_per_week=10,
        currency="USD",
        quantiles=tuple(float(n) for n in range(101)),
        median_mql_value=2 * threshold,
        equivalent_p_won=0.1,
        crossings_per_week=10.0,
        weeks=8,
        leads_at_risk=100,
        set_as_of=END,
        model_version="1",
    )


def scores_of(rows: Mapping[str, list[Row]], below_share: float | None) -> pa.Table:
    """Return a score of each lead from the moment it was created, so many of them below the line of 100."""
    schema = pa.schema([SCORES_SCHEMA.field(name) for name in ISSUED_COLUMNS])
    if below_share is None:
        return schema.empty_table()
    tenths = round(10 * below_share)
    scored = [
        {
            "lead_id": lead["lead_id"],
            "as_of": lead["created_at"],
            "issued_at": END,
            "p_sql": 0.3,
            "p_won": 0.1,
            "expected_value": 50.0 if (7 * place + 3 * (place // 10)) % 10 < tenths else 150.0 + 100.0 * (place % 2),
            "origin": "out_of_fold",
        }
        for place, lead in enumerate(rows["leads"])
    ]
    return pa.Table.from_pylist(scored, schema=schema)


def alignment_of(scene: Scene, as_of: datetime | None = END, *without: str, **sections: Mapping[str, Any]) -> Findings:
    """Find everything about a scene, some tables left out."""
    rows = {name: table for name, table in scene.rows().items() if name not in without}
    scores = scores_of(rows, scene.below_share)
    with tables_of(rows, now=END + DAY, **sections) as tables:
        from tests.histories import config_of

        line = line_of() if scene.below_share is not None else None
        return find_alignment(tables, config_of(**sections), as_of, scores, line, Silent())
