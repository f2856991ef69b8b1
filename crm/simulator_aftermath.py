"""What follows a hand-off or a decision: calls, meetings, and what buyers read once they are in a deal.

These touches are consequences. They lie after the hand-off of their lead or after its SQL, never before, and
only a learner that looks past its cutoff can profit from them.
"""

from __future__ import annotations

import numpy as np

from crm.simulator_difficulty import DIFFICULTY, Difficulty
from crm.simulator_people import Floats, Ints
from crm.simulator_touches import ACTOR_CODES, CHANNELS, KINDS, NONE, Touches, join_touches, record_later
from crm.simulator_world import World

__all__ = ["draw_aftermath"]

_MORE_CALLS = 1.6
_MEETINGS = 1.8
_DEAL_VISITS = 5.0
_DEAL_DAYS = 40.0
_DEAL_ITEMS = ("page-pricing", "page-security", "page-docs", "page-integrations")


def draw_aftermath(rng: np.random.Generator, world: World, difficulty: Difficulty = DIFFICULTY) -> Touches:
    """Draw the touches that hand-offs and decisions bring about."""
    plan, outcomes = world.plan, world.outcomes
    contacted = np.flatnonzero(np.isfinite(plan.contact_at))
    again = np.repeat(contacted, rng.poisson(_MORE_CALLS, len(contacted)))
    later = plan.contact_at[again] + rng.exponential(6.0, len(again))
    calls = _touches(
        rng,
        np.concatenate((contacted, again)),
        np.concatenate((plan.contact_at[contacted], later)),
        "call",
        difficulty,
    )
    buyers = np.flatnonzero(np.isfinite(outcomes.sql_at))
    parts = (
        calls,
        _after_sql(rng, world, np.repeat(buyers, rng.poisson(_MEETINGS, len(buyers))), "meeting", difficulty),
        _after_sql(rng, world, np.repeat(buyers, rng.poisson(_DEAL_VISITS, len(buyers))), "visit", difficulty),
    )
    return join_touches(parts)


def _after_sql(rng: np.random.Generator, world: World, lead: Ints, kind: str, difficulty: Difficulty) -> Touches:
    happened = world.outcomes.sql_at[lead] + rng.exponential(_DEAL_DAYS / 2.0, len(lead))
    return _touches(rng, lead, happened, kind, difficulty)


def _touches(rng: np.random.Generator, lead: Ints, happened: Floats, kind: str, difficulty: Difficulty) -> Touches:
    is_visit = kind == "visit"
    size = len(lead)
    names = [item.name for item in difficulty.content]
    items = np.array([names.index(name) for name in _DEAL_ITEMS])
    return Touches(
        lead=lead,
        happened=happened,
        recorded=record_later(rng, happened, difficulty),
        kind=np.full(size, KINDS.index(kind)),
        actor=np.full(size, ACTOR_CODES.index("lead" if is_visit else "sales")),
        channel=np.full(size, CHANNELS.index("web" if is_visit else "phone")),
        content=items[rng.integers(0, len(items), size)] if is_visit else np.full(size, NONE),
        campaign=np.full(size, NONE),
        value=1.0 + rng.poisson(2.0, size).astype(np.float64) if is_visit else np.full(size, np.nan),
    )
