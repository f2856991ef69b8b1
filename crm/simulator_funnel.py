"""What becomes of the simulated leads: the old rule, the people who follow up, and the outcomes.

Everything that is planned here before the outcomes (:class:`Plan`) depends on the leads and their touches
alone. Given the plan, the only randomness left is: does the lead become an SQL (``p_sql``), how long after
``reference``, does it win (``p_win``), how long after the SQL, and for how much. That makes the truth exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, gammaincinv

from crm.simulator_difficulty import DIFFICULTY, WORLD_DAYS, Difficulty
from crm.simulator_people import Floats, Ints, People, draw_codes, level_values
from crm.simulator_touches import ACTOR_CODES, KINDS, NONE, Touches

__all__ = [
    "ACTIONS",
    "ROUTES",
    "Outcomes",
    "Plan",
    "content_effect",
    "delay_effect_of",
    "draw_outcomes",
    "draw_plan",
    "last_sql_at",
]

ROUTES = ("contacted", "ignored", "inbound")
ACTIONS = ("none", "disqualify", "recycle", "merge")
_HAND_OFF_MOST = 30.0
_SENIOR = 3  # c_level, vp, director
_IGNORED_RECYCLE = (21.0, 45.0)
_IGNORED_RECYCLED = 0.7
_WIN_SHAPE = 2.0


@dataclass(frozen=True)
class Plan:
    """What is decided about each lead before chance takes over; times in days, infinite for never.

    Parameters
    ----------
    mql_at
        When the points cross the line.
    hand_off_at, contact_at
        When marketing hands the lead over and when sales first contacts it.
    owner
        The salesperson's position.
    route
        Position in ROUTES: contacted after a hand-off, handed off but ignored, or inbound (never handed off).
    reference
        From when on an SQL can come: the contact, the hand-off of an ignored lead, the peak of intent of an
        inbound one.
    p_sql, sql_scale
        Chance of an SQL, and scale of the Weibull delay after ``reference``.
    stop_at, action
        When a lead that is still undecided is given up, merged away or recycled, and which (position in
        ACTIONS). After a disqualification or a merge no SQL can come; a recycled lead goes on as before.
    p_win, win_scale
        Chance of a win given SQL, and scale of its Gamma(2) delay after the SQL.
    amount_log_mean
        Mean of the log of the amount.
    into
        The lead that a merge leads to, NONE without one.
    """

    mql_at: Floats
    hand_off_at: Floats
    contact_at: Floats
    owner: Ints
    route: Ints
    reference: Floats
    p_sql: Floats
    sql_scale: Floats
    stop_at: Floats
    action: Ints
    p_win: Floats
    win_scale: Floats
    amount_log_mean: Floats
    into: Ints


@dataclass(frozen=True)
class Outcomes:
    """What chance made of the plan: times in days, infinite where it never happens; amounts in USD."""

    sql_at: Floats
    won_at: Floats
    amount: Floats


def draw_plan(
    rng: np.random.Generator,
    people: People,
    touches: Touches,
    *,
    drift: bool,
    difficulty: Difficulty = DIFFICULTY,
) -> Plan:
    """Draw the plan of every lead; ``touches`` must be sorted by lead and recording time."""
    mql_at = _mql_at(people, touches, difficulty)
    hand_off_at, contact_at, owner = _draw_follow_up(rng, people, mql_at, difficulty)
    route = np.where(np.isfinite(contact_at), 0, np.where(np.isfinite(hand_off_at), 1, 2))
    reference = np.choose(route, (contact_at, hand_off_at, people.peak))
    stop_at, action, into = _draw_stops(rng, people, route, reference, difficulty)
    logit = (
        difficulty.sql_intercept
        + difficulty.sql_intent * people.intent
        + people.fit
        + people.firm_effect
        + people.hidden_sql
        + content_effect(touches, reference, difficulty)
        + _route_effect(people, route, reference, hand_off_at, difficulty)
    )
    if drift:
        logit = logit + difficulty.drift_sql_shift * (people.created >= WORLD_DAYS - difficulty.drift_days)
    win = difficulty.win_intercept + difficulty.win_intent * people.intent + people.hidden_win
    return Plan(
        mql_at=mql_at,
        hand_off_at=hand_off_at,
        contact_at=contact_at,
        owner=owner,
        route=route,
        reference=reference,
        p_sql=expit(logit),
        sql_scale=np.array(difficulty.sql_scales)[route],
        stop_at=stop_at,
        action=action,
        p_win=expit(win + difficulty.win_fit * (people.fit + people.firm_effect)),
        win_scale=difficulty.win_scale * np.array(difficulty.win_size_factors)[people.size],
        amount_log_mean=difficulty.amount_log_mean
        + level_values(difficulty.sizes, "amount")[people.size]
        + level_values(difficulty.industries, "amount")[people.industry],
        into=into,
    )


def draw_outcomes(rng: np.random.Generator, plan: Plan, difficulty: Difficulty = DIFFICULTY) -> Outcomes:
    """Draw the outcomes, given the plan."""
    size = len(plan.p_sql)
    is_sql = rng.random(size) < plan.p_sql
    delay = plan.sql_scale * rng.exponential(1.0, size) ** (1.0 / difficulty.sql_shape)
    sql_at = np.where(is_sql, plan.reference + delay, np.inf)
    sql_at = np.where(sql_at < last_sql_at(plan), sql_at, np.inf)
    is_won = rng.random(size) < plan.p_win
    won_at = np.where(is_won, sql_at + plan.win_scale * gammaincinv(_WIN_SHAPE, rng.random(size)), np.inf)
    amount = np.exp(plan.amount_log_mean + rng.normal(0.0, difficulty.amount_log_sd, size))
    return Outcomes(sql_at, won_at, np.rint(amount * 100.0) / 100.0)


def last_sql_at(plan: Plan) -> Floats:
    """Return the time after which no SQL can come: the disqualification or merge, else infinite."""
    ends = (plan.action == ACTIONS.index("disqualify")) | (plan.action == ACTIONS.index("merge"))
    return np.where(ends, plan.stop_at, np.inf)


def delay_effect_of(delay: Floats, difficulty: Difficulty = DIFFICULTY) -> Floats:
    """Return the effect on the SQL log-odds of the days from hand-off to contact; infinite for never."""
    known = np.where(np.isfinite(delay), delay, 0.0)
    return np.where(np.isfinite(delay), -difficulty.delay_slope * np.log1p(known), difficulty.never_followed)


def content_effect(touches: Touches, reference: Floats, difficulty: Difficulty = DIFFICULTY) -> Floats:
    """Return the summed effect of the distinct items each lead consumed before its reference time."""
    effects = np.array([item.effect for item in difficulty.content])
    rows = (touches.content != NONE) & (touches.actor == ACTOR_CODES.index("lead"))
    rows &= touches.kind != KINDS.index("email_open")
    rows &= touches.happened < reference[touches.lead]
    rows &= effects[touches.content] != 0.0
    pairs = np.unique(touches.lead[rows] * len(effects) + touches.content[rows])
    lead, item = np.divmod(pairs, len(effects))
    return np.bincount(lead, weights=effects[item], minlength=len(reference)).astype(np.float64)


def _mql_at(people: People, touches: Touches, difficulty: Difficulty) -> Floats:
    per_kind = dict(difficulty.points)
    points = np.array([per_kind.get(kind, 0.0) for kind in KINDS])[touches.kind]
    total = np.cumsum(points)
    starts = np.searchsorted(touches.lead, np.arange(people.count))
    before = np.concatenate(([0.0], total))[starts]
    fit_points = (
        level_values(difficulty.jobs, "points")[people.job]
        + level_values(difficulty.sizes, "points")[people.size]
        + level_values(difficulty.industries, "points")[people.industry]
    )
    crossed = total - before[touches.lead] + fit_points[touches.lead] >= difficulty.mql_points
    rows = np.flatnonzero(crossed)
    lead, first = np.unique(touches.lead[rows], return_index=True)
    mql_at = np.full(people.count, np.inf)
    mql_at[lead] = touches.recorded[rows[first]]
    return mql_at


def _draw_follow_up(
    rng: np.random.Generator, people: People, mql_at: Floats, difficulty: Difficulty
) -> tuple[Floats, Floats, Ints]:
    """Draw when people hand the lead over and call it: mostly soon, sometimes late, sometimes never."""
    size = people.count
    is_senior = people.job < _SENIOR
    owner = draw_codes(rng, np.ones(difficulty.owners), size)
    owner_pace = rng.normal(0.0, difficulty.owner_sd, difficulty.owners)
    wait = np.exp(rng.normal(np.log(difficulty.hand_off_median), difficulty.hand_off_sd, size))
    handed = np.isfinite(mql_at) & (rng.random(size) < difficulty.hand_off_share)
    hand_off_at = np.where(handed, mql_at + np.minimum(wait, _HAND_OFF_MOST), np.inf)
    pace = np.log(difficulty.contact_median) + owner_pace[owner] - 0.3 * is_senior
    delay = np.minimum(np.exp(rng.normal(pace, difficulty.contact_sd)), difficulty.contact_most)
    followed = rng.random(size) < expit(difficulty.follow_up[0] + difficulty.follow_up[1] * is_senior)
    return hand_off_at, np.where(followed, hand_off_at + delay, np.inf), owner


def _draw_stops(
    rng: np.random.Generator, people: People, route: Ints, reference: Floats, difficulty: Difficulty
) -> tuple[Floats, Ints, Ints]:
    size = people.count
    disqualify, recycle = difficulty.give_up_shares
    drawn = rng.random(size)
    contacted = np.where(drawn < disqualify, 1, np.where(drawn < disqualify + recycle, 2, 0))
    ignored = np.where(drawn < _IGNORED_RECYCLED, 2, 0)
    into = _draw_merges(rng, people, difficulty)
    merged = np.where(into != NONE, 3, 0)
    action = np.choose(route, (contacted, ignored, merged))
    wait = np.where(route == 0, rng.uniform(*difficulty.give_up, size), rng.uniform(*_IGNORED_RECYCLE, size))
    merge_wait = rng.exponential(difficulty.merge_mean, size)
    stop_at = np.where(route == 2, people.created + merge_wait, reference + wait)
    return (
        np.where(action == 0, np.inf, stop_at),
        action.astype(np.int64),
        np.where(action == ACTIONS.index("merge"), into, NONE),
    )


def _draw_merges(rng: np.random.Generator, people: People, difficulty: Difficulty) -> Ints:
    """Pick duplicates: a lead and the one of its account that came just before it."""
    order = np.lexsort((people.created, people.firm))
    same = people.firm[order][1:] == people.firm[order][:-1]
    into = np.full(people.count, NONE)
    into[order[1:][same]] = order[:-1][same]
    # Each pair is (odd row, the row before it), so that no lead is both ends of a merge.
    place = np.empty(people.count, np.int64)
    place[order] = np.arange(people.count)
    is_picked = (rng.random(people.count) < 2.0 * difficulty.merge_share) & (place % 2 == 1)
    return np.where(is_picked, into, NONE)


def _route_effect(
    people: People, route: Ints, reference: Floats, hand_off_at: Floats, difficulty: Difficulty
) -> Floats:
    delay = np.where(route == 0, reference - np.where(route == 2, 0.0, hand_off_at), np.inf)
    late = np.maximum(reference - people.peak, 0.0) / difficulty.stale_unit
    stale = -difficulty.stale_slope * np.minimum(late, difficulty.stale_most)
    return np.where(route == 2, difficulty.inbound, delay_effect_of(delay, difficulty) + stale)
