# pyright: reportUnknownParameterType=false
# pyarrow publishes no types.
"""What the simulator hides: the true probabilities, and the true effects of follow-up and content.

Tests and benchmarks measure estimates against these. The product cannot import this module.

The truth of a lead is conditioned on its whole plan (:class:`~crm.simulator_funnel.Plan`): intent, fit,
account effect, every touch it will make, when it will be handed off and contacted and when it will be given
up. A learner cannot know the part of the plan that lies ahead, so that no learner reaches the oracle. Given
the plan, with reference time r, chance p of an SQL, delay distribution F and end x (a planned
disqualification or merge, else infinite)::

    P(SQL in [t, t+H) | undecided at t) = p * (F(min(t+H, x) - r) - F(t - r)) / (1 - p * F(t - r))

and a win within the horizon is the same integral weighted with P(win) * G(t + H - s), where G is the
distribution of the days from the SQL at s to the win. The integral is a Gauss-Legendre sum over quantiles
of F; no number is simulated.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import expit, logit

from crm.simulator import SimulatorSettings
from crm.simulator_columns import micros, to_days
from crm.simulator_difficulty import DIFFICULTY
from crm.simulator_funnel import Plan, delay_effect_of, last_sql_at
from crm.simulator_people import Bools, Floats, Ints
from crm.simulator_world import World, draw_world

__all__ = [
    "content_effects",
    "days_of",
    "delay_effect",
    "p_sql_of_plan",
    "p_won_of_plan",
    "positions_of",
    "truth",
]

_NODES = 48
_BLOCK = 50_000
_KEPT_WORLDS = 2
_PROMPT_DAYS = 1.0 / 24.0


def truth(
    settings: SimulatorSettings,
    *,
    as_of: datetime | None = None,
    snapshots: pa.Table | pd.DataFrame | None = None,
    sql_horizon_days: float = 30,
    won_horizon_days: float = 90,
) -> pd.DataFrame:
    """Return the true probabilities of leads at moments.

    Parameters
    ----------
    settings
        Which world.
    as_of
        One moment (timezone-aware) for all leads created by then that are still undecided. With neither
        ``as_of`` nor ``snapshots``: every lead at its creation.
    snapshots
        Rows of ``lead_id`` and ``as_of`` (UTC), answered row by row in their order; excludes ``as_of``.
    sql_horizon_days, won_horizon_days
        Horizons of the half-open windows ``[as_of, as_of + horizon)``.

    Returns
    -------
    pd.DataFrame
        lead_id, as_of, p_sql (an SQL in its window), p_won (a win closed in its window), expected_amount
        (mean amount in USD given a win). NaN where the lead is not at risk: not created yet, already an
        SQL, disqualified or merged away.

    Raises
    ------
    ValueError
        When both ``as_of`` and ``snapshots`` are given.
    KeyError
        When a snapshot names a lead that this world does not have.

    Notes ----- A lead is undecided as long as it is no SQL and was neither disqualified nor merged. Up to
    the hand-off that is all there is to know; a recycled lead is undecided again and its truth stays exact,
    because it was planned when sales would give it back. A lead that is merged into another one keeps its
    own truth until then and has none afterwards; the truth of the other one is not changed by it.
    """
    world = _world(settings)
    lead, days = _moments(world, as_of, snapshots)
    at_risk = _at_risk(world, lead, days)
    p_sql = np.full(len(lead), np.nan)
    p_won = np.full(len(lead), np.nan)
    rows = np.flatnonzero(at_risk)
    p_sql[rows] = p_sql_of_plan(world.plan, lead[rows], days[rows], sql_horizon_days)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        p_won[block] = p_won_of_plan(world.plan, lead[block], days[block], won_horizon_days)
    amount = np.exp(world.plan.amount_log_mean + 0.5 * DIFFICULTY.amount_log_sd**2)
    answered = pd.DataFrame(
        {
            "lead_id": _names(lead),
            "as_of": pd.to_datetime(micros(days), unit="us", utc=True),
            "p_sql": p_sql,
            "p_won": p_won,
            "expected_amount": np.where(at_risk, amount[lead], np.nan),
        }
    )
    return answered[at_risk].reset_index(drop=True) if as_of is not None else answered


def delay_effect(settings: SimulatorSettings) -> pd.DataFrame:
    """Return what the follow-up of every handed-off lead did to its chance of an SQL.

    The effect on the log-odds is ``-delay_slope * ln(1 + days)`` from hand-off to first contact, and
    ``never_followed`` without one. Waiting also lets intent cool: each 30 days from the peak of intent to the
    contact cost ``stale_slope`` (three times at most); that part is in ``p_sql``, not in ``effect``.

    Returns
    -------
    pd.DataFrame
        lead_id, delay_days (infinite when never contacted), effect (log-odds), p_sql (the chance behind the
        draw of an SQL), and p_sql_if_prompt: the same lead contacted an hour after the hand-off, its other
        terms as they are.
    """
    plan = _world(settings).plan
    lead = np.flatnonzero(np.isfinite(plan.hand_off_at))
    delay = plan.contact_at[lead] - plan.hand_off_at[lead]
    effect = delay_effect_of(delay)
    prompt = delay_effect_of(np.full(len(lead), _PROMPT_DAYS))
    return pd.DataFrame(
        {
            "lead_id": _names(lead),
            "delay_days": delay,
            "effect": effect,
            "p_sql": plan.p_sql[lead],
            "p_sql_if_prompt": expit(logit(plan.p_sql[lead]) - effect + prompt),
        }
    )


def content_effects(settings: SimulatorSettings) -> pd.DataFrame:
    """Return the true effect of every content item on the SQL log-odds: content_id, effect, made_by.

    An effect counts once for each lead that consumed the item before its reference time; opening a mail is
    not consuming it. The library is the same in every world.
    """
    del settings  # asked for all the same, so that a world may one day have a library of its own
    items = DIFFICULTY.content
    return pd.DataFrame(
        {
            "content_id": [item.name for item in items],
            "effect": [item.effect for item in items],
            "made_by": [item.made_by for item in items],
        }
    )


@lru_cache(maxsize=_KEPT_WORLDS)
def _world(settings: SimulatorSettings) -> World:
    return draw_world(settings.leads, settings.seed, drift=settings.drift)


def _names(lead: Ints) -> list[str]:
    return [f"L{place:06d}" for place in lead.tolist()]


def _moments(world: World, as_of: datetime | None, snapshots: pa.Table | pd.DataFrame | None) -> tuple[Ints, Floats]:
    """Return positions of leads and days since the start of the world."""
    if as_of is not None and snapshots is not None:
        raise ValueError("as_of and snapshots exclude each other: give one")
    people = world.people
    if snapshots is not None:
        frame = snapshots if isinstance(snapshots, pd.DataFrame) else snapshots.to_pandas()
        names = [str(name) for name in frame["lead_id"]]
        return positions_of(names, people.count), days_of(frame["as_of"])
    if as_of is None:
        return np.arange(people.count), people.created
    moment = _micros_of(as_of)
    lead = np.flatnonzero(micros(people.created) <= moment)
    return lead, np.full(len(lead), to_days(np.array([moment], dtype=np.int64))[0])


def _micros_of(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def days_of(as_of: pd.Series) -> Floats:
    """Return moments (UTC) as days since the start of the world, shape (n,)."""
    moments = pd.to_datetime(as_of, utc=True).dt.tz_localize(None).to_numpy("datetime64[us]")
    return to_days(moments.astype(np.int64))


def positions_of(names: list[str], count: int) -> Ints:
    """Return the positions of leads by their names; ``KeyError`` for one that this world does not have."""
    lead = np.array([int(name[1:]) if name[:1] == "L" and name[1:].isdigit() else -1 for name in names], np.int64)
    unknown = np.flatnonzero((lead < 0) | (lead >= count))
    if len(unknown):
        raise KeyError(f"no lead {names[int(unknown[0])]!r} in this world of {count:,} leads")
    return lead


def _at_risk(world: World, lead: Ints, days: Floats) -> Bools:
    # Compared in whole microseconds, as the tables hold them.
    moment = micros(days)
    created = micros(world.people.created)[lead]
    decided = np.minimum(world.outcomes.sql_at, last_sql_at(world.plan))[lead]
    is_decided = np.isfinite(decided) & (micros(np.where(np.isfinite(decided), decided, 0.0)) < moment)
    return (created <= moment) & ~is_decided


def _sql_within(plan: Plan, lead: Ints, until: Floats) -> Floats:
    """Return F: the share of the SQLs-to-be that have come by these days."""
    wait = np.maximum(until - plan.reference[lead], 0.0) / plan.sql_scale[lead]
    return -np.expm1(-(wait**DIFFICULTY.sql_shape))


def _window(plan: Plan, lead: Ints, days: Floats, horizon: float) -> tuple[Floats, Floats]:
    """Return F at both ends of the window, cut where no SQL can come any more."""
    end = np.minimum(days + horizon, last_sql_at(plan)[lead])
    return _sql_within(plan, lead, days), _sql_within(plan, lead, end)


def p_sql_of_plan(plan: Plan, lead: Ints, days: Floats, horizon: float) -> Floats:
    """Return the chance of an SQL in ``[days, days + horizon)`` of undecided leads, given the plan; shape (n,)."""
    before, after = _window(plan, lead, days, horizon)
    p = plan.p_sql[lead]
    return p * (after - before) / (1.0 - p * before)


def p_won_of_plan(plan: Plan, lead: Ints, days: Floats, horizon: float) -> Floats:
    """Return the chance of a win in ``[days, days + horizon)`` of undecided leads, given the plan; shape (n,)."""
    before, after = _window(plan, lead, days, horizon)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    share = before[:, None] + (after - before)[:, None] * (nodes + 1.0) / 2.0
    wait = (-np.log1p(-share)) ** (1.0 / DIFFICULTY.sql_shape) * plan.sql_scale[lead, None]
    left = (days + horizon - plan.reference[lead])[:, None] - wait
    within = _win_within(left / plan.win_scale[lead, None]) @ weights / 2.0
    p = plan.p_sql[lead]
    return p * plan.p_win[lead] * (after - before) * within / (1.0 - p * before)


def _win_within(scaled: Floats) -> Floats:
    """Return the Gamma(2) distribution function at days from the SQL divided by the scale."""
    known = np.maximum(scaled, 0.0)
    return 1.0 - (1.0 + known) * np.exp(-known)
