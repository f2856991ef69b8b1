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

__all__ = ["MODELS", "PHASES", "UNUSED_KINDS", "ContentUse", "content_use"]

PHASES = ("lead", "mql", "handed_off", "sql", "won")
"""Where a person was when it used an item: not yet an MQL; an MQL; with sales; in a deal; a customer."""
MODELS = ("first", "last", "linear", "time_decay", "u_shaped")
HALF_LIFE_DAYS = 7.0
UNUSED_KINDS = ("email_open",)
"""Kinds of touches that are no use: mail programs open mails by themselves."""

_USES = """
SELECT t.content_id, p.person, t.happened_us, t.actor,
    CASE WHEN p.won_us <= t.happened_us THEN 4
         WHEN p.sql_us <= t.happened_us THEN 3
         WHEN p.handed_off_us <= t.happened_us THEN 2
         WHEN p.mql_us <= t.happened_us THEN 1
         ELSE 0 END AS phase
FROM touches t JOIN board_people p ON p.lead_id = t.lead_id
WHERE t.content_id IS NOT NULL AND t.actor IN ('lead', 'sales') AND NOT list_contains($unused, t.kind)
    AND t.recorded_us <= $known AND t.happened_us < $known
"""
_BY_ITEM = f"""
SELECT content_id, actor, phase, count(*) AS uses, count(DISTINCT person) AS persons
FROM ({_USES}) GROUP BY ALL
"""
_FIRST_USES = f"""
SELECT content_id, person, min(happened_us) AS first_us, max(phase) AS last_phase, bool_or(phase >= 2) AS is_after
FROM ({_USES}) WHERE actor = 'lead' GROUP BY content_id, person
"""
_CREDITS = f"""
WITH uses AS (
    SELECT u.content_id, u.person, u.happened_us, p.revenue, p.won_us,
        row_number() OVER way AS place, count(*) OVER (PARTITION BY u.person) AS uses
    FROM ({_USES}) u JOIN (SELECT DISTINCT person, won_us, revenue FROM board_people) p ON p.person = u.person
    WHERE p.won_us IS NOT NULL AND u.happened_us < p.won_us AND u.actor = 'lead'
    WINDOW way AS (PARTITION BY u.person ORDER BY u.happened_us, u.content_id)
),
weighed AS (
    SELECT content_id, person, revenue,
        CASE WHEN place = 1 THEN 1e0 ELSE 0e0 END AS first,
        CASE WHEN place = uses THEN 1e0 ELSE 0e0 END AS last,
        1e0 / uses AS linear,
        pow(2e0, -(won_us - happened_us) / $half_life_us) AS decay,
        CASE WHEN uses = 1 THEN 1e0 WHEN uses = 2 THEN 5e-1
             WHEN place IN (1, uses) THEN 4e-1 ELSE 2e-1 / (uses - 2) END AS u_shaped
    FROM uses
),
shares AS (
    SELECT *, decay / sum(decay) OVER (PARTITION BY person) AS time_decay FROM weighed
)
SELECT content_id, person, any_value(revenue) AS revenue, sum(first) AS first, sum(last) AS last,
    sum(linear) AS linear, sum(time_decay) AS time_decay, sum(u_shaped) AS u_shaped
FROM shares GROUP BY content_id, person ORDER BY person, content_id
"""


@dataclass(frozen=True)
class ContentUse:
    """Uses of content by everyone the board speaks of.

    Parameters
    ----------
    by_item
        content_id, actor (``lead`` or ``sales``), phase (place in :data:`PHASES`), uses, persons.
    first_uses
        One row an item and person: content_id, person (row of ``people.frame``), first_us, is_after (used after the
        hand-off or the SQL as well).
    credits
        One row a won person and item used before the win: content_id, person, revenue (all of it, workspace currency),
        and the share of it that each of :data:`MODELS` gives the item.
    won_revenue
        Revenue of all wins, workspace currency.
    credited_revenue
        Of those who used any content before the win.
    """

    by_item: pd.DataFrame
    first_uses: pd.DataFrame
    credits: pd.DataFrame
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
        by_item = _rows(connection, _BY_ITEM, known)
        if by_item.empty:
            return None
        first_uses = _rows(connection, _FIRST_USES, known)
        credits = _rows(connection, _CREDITS, known | half_life)
    revenue = people.frame["revenue"].fillna(0.0)
    credited = revenue.iloc[credits["person"].unique()].sum()
    return ContentUse(by_item, first_uses, credits, float(revenue.sum()), float(credited))


def _rows(connection: Any, query: str, values: dict[str, object]) -> pd.DataFrame:
    return connection.sql(query, params=values).to_arrow_table().to_pandas()


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
            "revenue": pa.array(frame["revenue"].fillna(0.0).to_numpy()[places], pa.float64()),
        }
    )
    with people.tables.backend.con.cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("board_people", table)
        yield connection
