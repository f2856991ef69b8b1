"""What content truly did in a simulated world: the change of the users' chance of an SQL. For tests and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from crm.simulator import SimulatorSettings
from crm.simulator_difficulty import DIFFICULTY
from crm.simulator_funnel import Plan, last_sql_at
from crm.simulator_people import Floats, Ints
from crm.simulator_touches import ACTOR_CODES, KINDS, NONE
from crm.simulator_truth import days_of, p_sql_of_plan, positions_of
from crm.simulator_world import draw_world

__all__ = ["users_effects"]


def users_effects(
    settings: SimulatorSettings,
    lead_ids: Sequence[str],
    landmarks: pd.Series,
    users: pd.DataFrame,
    *,
    horizon_days: float,
) -> pd.Series:
    """Return how much more of an item's users became SQLs for having used it, by content_id.

    Parameters
    ----------
    settings
        Which world.
    lead_ids, landmarks
        The leads that are counted, and the moment (UTC) of each from which on its outcome counts.
    users
        Whom an estimate takes for users: ``lead`` (position in ``lead_ids``), ``content_id``.
    horizon_days
        An SQL counts in ``[landmark, landmark + horizon)``, of leads that were undecided at the landmark.

    Returns
    -------
    Series
        Mean over the users: the chance of an SQL less what it would have been without the item. A use that came after
        the lead's reference time, and so did nothing, counts as a use without effect.
    """
    world = draw_world(settings.leads, settings.seed, drift=settings.drift)
    lead, landmark = positions_of(list(lead_ids), world.people.count), days_of(landmarks)
    plan, touches = world.plan, world.touches
    names = [item.name for item in DIFFICULTY.content]
    rows = (touches.content != NONE) & (touches.actor == ACTOR_CODES.index("lead"))
    rows &= (touches.kind != KINDS.index("email_open")) & (touches.happened < plan.reference[touches.lead])
    worked = set(zip(touches.lead[rows].tolist(), touches.content[rows].tolist(), strict=True))
    chance = p_sql_of_plan(plan, lead, landmark, horizon_days)
    found: dict[str, float] = {}
    for name, part in users.groupby("content_id"):
        item = names.index(str(name))
        place = part["lead"].to_numpy(dtype=np.int64)
        did = np.array([(int(who), item) in worked for who in lead[place]], dtype=bool)
        without = _chance_without(plan, lead[place], landmark[place], DIFFICULTY.content[item].effect, horizon_days)
        found[str(name)] = float(np.where(did, chance[place] - without, 0.0).mean())
    return pd.Series(found)


def _chance_without(plan: Plan, lead: Ints, landmark: Floats, effect: float, horizon: float) -> Floats:
    """Return the chance of an SQL in the window with the item's log-odds taken out of the draw behind it."""
    p = plan.p_sql[lead]
    less = expit(logit(p) - effect)
    whole = p_sql_of_plan(plan, lead, landmark, horizon)
    # p (F1 - F0) / (1 - p F0) at another p, F0 and F1 being the shares that have come by the ends of the window.
    before = _come(plan, lead, landmark)
    share = whole * (1.0 - p * before) / p
    return less * share / (1.0 - less * before)


def _come(plan: Plan, lead: Ints, days: Floats) -> Floats:
    until = np.minimum(days, last_sql_at(plan)[lead])
    wait = np.maximum(until - plan.reference[lead], 0.0) / plan.sql_scale[lead]
    return -np.expm1(-(wait**DIFFICULTY.sql_shape))
