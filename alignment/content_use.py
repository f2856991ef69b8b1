"""Who used which content, when on the way through the funnel, and what the five usual models credit it with."""

# pandas-stubs types a column of a frame as all that it may be.
# pyarrow publishes no types. Ibis declares what every backend has on the backends only.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from alignment.people import People
from crm.journeys import won_deals
from crm.store import counting

__all__ = ["MODELS", "PHASES", "UNUSED_KINDS", "ContentUse", "content_use"]

PHASES = ("lead", "mql", "handed_off", "sql", "won")
"""Where a person was when it used an item: not yet an MQL; an MQL; with sales; in a deal; a customer."""
MODELS = ("first", "last", "linear", "time_decay", "u_shaped")
HALF_LIFE_DAYS = 7.0
UNUSED_KINDS = ("email_open",)
"""Kinds of touches that are no use: mail programs open mails by themselves."""

_KEEP_USES = """
CREATE TEMP TABLE board_uses AS SELECT t.content_id, p.person, t.happened_us, t.actor,
    CASE WHEN p.won_us <= t.happened_us THEN 4
         WHEN p.sql_us <= t.happened_us THEN 3
         WHEN p.handed_off_us <= t.happened_us THEN 2
         WHEN p.mql_us <= t.happened_us THEN 1
         ELSE 0 END AS phase
FROM touches t JOIN board_people p ON p.lead_id = t.lead_id
WHERE t.content_id IS NOT NULL AND t.actor IN ('lead', 'sales') AND NOT list_contains($unused, t.kind)
    AND t.recorded_us <= $known AND t.happened_us < $known
"""
_BY_ITEM = """
SELECT content_id, actor, phase, count(*) AS uses, count(DISTINCT person) AS persons
FROM board_uses GROUP BY ALL ORDER BY ALL
"""
_FIRST_USES = """
SELECT content_id, person, min(happened_us) AS first_us FROM board_uses WHERE actor = 'lead' GROUP BY content_id, person
ORDER BY person, content_id
"""
# Kept apart, or the engine joins uses and deals by their times first, everyone's with everyone's.
_OF_BUYERS = """
WITH of_buyers AS MATERIALIZED (SELECT * FROM board_uses WHERE person IN (SELECT person FROM board_deals))
"""
_IN_WON = f"""
{_OF_BUYERS}
SELECT u.content_id, count(DISTINCT u.person) AS won_users
FROM of_buyers u JOIN board_deals d ON d.person = u.person WHERE u.happened_us < d.closed_us GROUP BY u.content_id
"""
_CREDITS = f"""
{_OF_BUYERS},
uses AS (
    SELECT u.content_id, u.person, u.happened_us, d.deal, d.amount, d.closed_us,
        row_number() OVER way AS place, count(*) OVER (PARTITION BY d.deal, u.person) AS uses
    FROM of_buyers u JOIN board_deals d ON d.person = u.person
    WHERE u.happened_us < d.closed_us AND u.actor = 'lead'
    WINDOW way AS (PARTITION BY d.deal, u.person ORDER BY u.happened_us, u.content_id)
),
weighed AS (
    SELECT content_id, person, deal, amount,
        CASE WHEN place = 1 THEN 1e0 ELSE 0e0 END AS first,
        CASE WHEN place = uses THEN 1e0 ELSE 0e0 END AS last,
        1e0 / uses AS linear,
        pow(2e0, -(closed_us - happened_us) / $half_life_us) AS decay,
        CASE WHEN uses = 1 THEN 1e0 WHEN uses = 2 THEN 5e-1
             WHEN place IN (1, uses) THEN 4e-1 ELSE 2e-1 / (uses - 2) END AS u_shaped
    FROM uses
),
shares AS (
    SELECT *, decay / sum(decay) OVER (PARTITION BY deal, person) AS time_decay FROM weighed
)
SELECT content_id, person, deal, any_value(amount) AS amount, sum(first) AS first, sum(last) AS last,
    sum(linear) AS linear, sum(time_decay) AS time_decay, sum(u_shaped) AS u_shaped
FROM shares GROUP BY content_id, person, deal ORDER BY person, deal, content_id
"""


@dataclass(frozen=True)
class ContentUse:
    """Uses of content by everyone the board speaks of.

    Parameters
    ----------
    by_item
        content_id, actor (``lead`` or ``sales``), phase (place in :data:`PHASES`), uses, persons.
    first_uses
        One row an item and person: content_id, person (row of ``people.frame``), first_us.
    credits
        One row a won deal, person and item used before it closed: content_id, person, deal, amount (all of it,
        workspace currency; NaN where none is known), and the share of it that each of :data:`MODELS` gives the item.
    won_users
        Won persons who used each item before a win, or were shown it by sales, by content_id.
    won_revenue
        Revenue of all wins, workspace currency; NaN where the data has no amounts.
    credited_revenue
        Of those whose person had used any content before.
    """

    by_item: pd.DataFrame
    first_uses: pd.DataFrame
    credits: pd.DataFrame
    won_users: pd.Series
    won_revenue: float
    credited_revenue: float


def content_use(people: People) -> ContentUse | None:
    """Count who used what; None where no touch names content.

    Parameters
    ----------
    people
        Who, and as of when.

    Notes
    -----
    Shares of a win add up to 1 in each model: all of it to the first or the last use; evenly; by half for each
    :data:`HALF_LIFE_DAYS` days before the win; or 40% each to the first and the last, and 20% to those between.
    """
    if not people.tables.has("touches"):
        return None
    known = {"known": people.until_us, "unused": list(UNUSED_KINDS)}
    half_life = {"half_life_us": HALF_LIFE_DAYS * 86_400_000_000}
    with _people_table(people) as connection:
        with counting(connection):
            connection.execute(_KEEP_USES, known)
            by_item = _rows(connection, _BY_ITEM)
            first_uses = _rows(connection, _FIRST_USES)
        if by_item.empty:
            return None
        credits = _rows(connection, _CREDITS, half_life)
        in_won = _rows(connection, _IN_WON).set_index("content_id")["won_users"]
    revenue = float(people.frame["revenue"].sum(min_count=1))
    credited = float(credits.drop_duplicates(["deal", "person"])["amount"].sum(min_count=1))
    return ContentUse(by_item, first_uses, credits, in_won, revenue, credited)


def _rows(connection: Any, query: str, values: dict[str, float] | None = None) -> pd.DataFrame:
    return connection.sql(query, params=values or {}).to_arrow_table().to_pandas()


@contextmanager
def _people_table(people: People) -> Generator[Any]:
    """Give the engine of the tables the person of every lead, and its moments."""
    frame = people.frame
    rows = people.person_of.merge(
        pd.DataFrame({"person_id": frame["person_id"], "person": np.arange(len(frame))}), on="person_id"
    )
    places = rows["person"].to_numpy()
    moments = {
        name: pa.array(frame[name].to_numpy(dtype="float64")[places], pa.float64(), from_pandas=True)
        for name in ("mql_us", "handed_off_us", "sql_us", "won_us")
    }
    table = pa.table(
        {
            "lead_id": pa.array(rows["lead_id"], pa.string()),
            "person": pa.array(places, pa.int64()),
            **moments,
        }
    )
    deals = _deals(people)
    with people.tables.backend.con.cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("board_people", table)
        connection.register("board_deals", deals)
        yield connection


def _deals(people: People) -> pa.Table:
    """Return every won deal of every person; without the table of them, one of an unknown amount for each win."""
    frame = people.frame
    if people.tables.has("opportunities"):
        place = dict(zip(frame["person_id"], range(len(frame)), strict=True))
        row_of = {
            lead: place[person]
            for lead, person in zip(people.person_of["lead_id"], people.person_of["person_id"], strict=True)
            if person in place
        }
        rows = won_deals(people.tables, people.until_us, row_of)
    else:
        won = frame.loc[frame["won_us"].notna(), ["won_us", "person_id"]]
        rows = won.rename(columns={"won_us": "closed_us", "person_id": "opportunity_id"})
        rows = rows.assign(row=won.index, amount=np.nan)
    return pa.table(
        {
            "person": pa.array(rows["row"], pa.int64()),
            "deal": pa.array(rows["opportunity_id"], pa.string()),
            "closed_us": pa.array(rows["closed_us"], pa.float64()),
            "amount": pa.array(rows["amount"], pa.float64(), from_pandas=True),
        }
    )
