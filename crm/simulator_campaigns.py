# pyright: reportUnknownParameterType=false
# pyarrow publishes no types.
"""The simulated campaigns, what both teams expect of them, and the table of the content library."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa

from crm.simulator_columns import numbers, table_of, texts, times
from crm.simulator_difficulty import DIFFICULTY, WORLD_START, Difficulty
from crm.simulator_people import Floats
from crm.simulator_touches import CAMPAIGN_CHANNELS, NONE, QUARTER_DAYS, QUARTERS, SOURCE_CAMPAIGN
from crm.simulator_world import World

__all__ = ["CAMPAIGN_NAMES", "campaign_tables"]

CAMPAIGN_NAMES: tuple[str, ...] = tuple(
    f"{channel.replace('_', '-')}-{quarter + 1}" for channel in CAMPAIGN_CHANNELS for quarter in range(QUARTERS)
)
_COUNT = len(CAMPAIGN_NAMES)
_COST_PER_LEAD = (55.0, 70.0, 60.0, 180.0, 35.0, 5.0)
_COST_FLOOR = 2_000.0
_MAIL_SHARE = 0.1
_MOST_DAYS_AHEAD = 14.0
# By team: expected share of the campaign's leads that reach each stage, and revenue of a win in USD.
_HOPES = {"marketing": (0.55, 0.20, 0.06, 32_000.0), "sales": (0.30, 0.07, 0.025, 24_000.0)}
_SILENT = 0.25  # share of campaigns for which sales registers nothing
_TITLE_WORDS = str.maketrans("-", " ")


def campaign_tables(rng: np.random.Generator, world: World, difficulty: Difficulty = DIFFICULTY) -> dict[str, pa.Table]:
    """Return ``campaigns``, ``expectations`` and ``content``."""
    leads = _lead_counts(world)
    return {
        "campaigns": _campaigns(rng, leads),
        "expectations": _expectations(rng, leads),
        "content": _content(rng, difficulty),
    }


def _lead_counts(world: World) -> Floats:
    channel = np.array(SOURCE_CAMPAIGN)[world.people.source]
    quarter = np.minimum(world.people.created // QUARTER_DAYS, QUARTERS - 1).astype(np.int64)
    rows = channel != NONE
    counts = np.bincount(channel[rows] * QUARTERS + quarter[rows], minlength=_COUNT).astype(np.float64)
    # Mail brings no leads of its own; the teams plan with a share of the quarter's.
    mail = CAMPAIGN_CHANNELS.index("email") * QUARTERS
    counts[mail : mail + QUARTERS] = _MAIL_SHARE * np.bincount(quarter, minlength=QUARTERS)
    return counts


def _quarter_starts() -> Floats:
    starts = np.arange(QUARTERS, dtype=np.float64) * QUARTER_DAYS
    return np.tile(starts, len(CAMPAIGN_CHANNELS))


def _campaigns(rng: np.random.Generator, leads: Floats) -> pa.Table:
    starts = _quarter_starts()
    per_lead = np.repeat(np.array(_COST_PER_LEAD), QUARTERS)
    cost = (_COST_FLOOR + per_lead * leads) * np.exp(rng.normal(0.0, 0.2, _COUNT))
    columns = {
        "campaign_id": pa.array(CAMPAIGN_NAMES, pa.string()),
        "name": pa.array([name.translate(_TITLE_WORDS).capitalize() for name in CAMPAIGN_NAMES], pa.string()),
        "channel": pa.array([channel for channel in CAMPAIGN_CHANNELS for _ in range(QUARTERS)], pa.string()),
        "starts_on": _dates(starts),
        "ends_on": _dates(starts + QUARTER_DAYS - 1.0),
        "cost": numbers(np.round(cost, 2)),
        "currency": pa.repeat("USD", _COUNT),
    }
    return table_of(columns)


def _dates(days: Floats) -> pa.Array:
    return pa.array([(WORLD_START + timedelta(days=float(day))).date() for day in days], pa.date32())


def _expectations(rng: np.random.Generator, leads: Floats) -> pa.Table:
    parts: list[pa.Table] = []
    for team, (mqls, sqls, won, revenue) in _HOPES.items():
        registers = np.flatnonzero((rng.random(_COUNT) >= _SILENT) | (team == "marketing"))
        guess = leads[registers] * np.exp(rng.normal(0.0, 0.25, len(registers)))
        registered = _quarter_starts()[registers] - rng.uniform(1.0, _MOST_DAYS_AHEAD, len(registers))
        columns = {
            "campaign_id": texts(CAMPAIGN_NAMES, registers),
            "team": pa.repeat(team, len(registers)),
            "registered_at": times(registered),
            "mqls": numbers(np.round(guess * mqls)),
            "sqls": numbers(np.round(guess * sqls)),
            "won": numbers(np.round(guess * won)),
            "revenue": numbers(np.round(guess * won * revenue, -3)),
        }
        parts.append(table_of(columns))
    return pa.concat_tables(parts)


def _content(rng: np.random.Generator, difficulty: Difficulty) -> pa.Table:
    items = difficulty.content
    published = -np.sort(rng.uniform(90.0, 700.0, len(items)))[::-1]
    columns: dict[str, pa.Array] = {
        "content_id": pa.array([item.name for item in items], pa.string()),
        "title": pa.array([item.name.translate(_TITLE_WORDS).capitalize() for item in items], pa.string()),
        "made_by": pa.array([item.made_by for item in items], pa.string()),
        "kind": pa.array([item.kind for item in items], pa.string()),
        "topic": pa.array([item.topic for item in items], pa.string()),
        "stage": pa.array([item.stage for item in items], pa.string()),
        "cost": pa.array([item.cost for item in items], pa.float64()),
        "published_at": times(rng.permutation(published)),
    }
    return table_of(columns)
