"""What a hand-off would do to a simulated lead: its true chances if handed off now, and if never handed off.

Tests and benchmarks measure the follow-up term against these. The product cannot import this module.

*Handed off now* means at the asked moment: contacted or ignored as the salespeople of this world do it, after the
delays that they take, and given up or not afterwards. The mean is taken over all of that (Gauss-Hermite over the log
of the delay with the owner's pace in it, Gauss-Legendre over the day of giving up). Before a hand-off a lead of that
route cannot become an SQL, so that nothing is conditioned upon. *Never handed off* is the inbound route, conditioned
on the lead being undecided at the moment. For leads that the world did hand off or leave alone, both agree with what
it draws: the one at the moment of the hand-off, the other at any moment. Touches are those of the lead's plan in both
cases: in this world nobody reads more for having been called, except after the contact, which counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import expit

from crm.simulator_difficulty import DIFFICULTY, WORLD_DAYS, Difficulty
from crm.simulator_funnel import ACTIONS, Plan, delay_effect_of
from crm.simulator_people import Floats, Ints
from crm.simulator_touches import ACTOR_CODES, KINDS, NONE
from crm.simulator_truth import days_of, p_sql_of_plan, p_won_of_plan, positions_of
from crm.simulator_world import World

__all__ = ["follow_up_truth"]

_DELAYS = 7
_STOPS = 3
_BLOCK = 20_000
_SENIOR = 3
_NEVER_STOPS = ACTIONS.index("none")


@dataclass(frozen=True)
class _Asked:
    """Leads at moments, one entry a row, and the log-odds of an SQL before anything that follow-up does."""

    world: World
    difficulty: Difficulty
    lead: Ints
    days: Floats
    base: Floats
    consumed: pd.DataFrame

    def content(self, reference: Floats) -> Floats:
        """Return what the distinct items consumed before the reference time add to the log-odds, shape (n,)."""
        row = self.consumed["row"].to_numpy()
        counts = self.consumed["happened"].to_numpy() < reference[row]
        effects = self.consumed["effect"].to_numpy()[counts]
        return np.bincount(row[counts], weights=effects, minlength=len(self.lead)).astype(np.float64)


def follow_up_truth(
    world: World,
    snapshots: pd.DataFrame,
    *,
    sql_horizon_days: float = 30,
    won_horizon_days: float = 90,
    drift: bool = False,
    difficulty: Difficulty = DIFFICULTY,
) -> pd.DataFrame:
    """Return the true chances of leads at moments, if handed off at that moment and if never.

    Parameters
    ----------
    world
        As drawn; the same ``difficulty`` and ``drift``.
    snapshots
        Rows of ``lead_id`` and ``as_of`` (UTC), answered in their order. The lead must be undecided then and not handed
        off yet; nothing else is checked.
    sql_horizon_days, won_horizon_days
        Horizons of the half-open windows ``[as_of, as_of + horizon)``.
    drift, difficulty
        Of the world.

    Returns
    -------
    pd.DataFrame
        lead_id, as_of, p_sql_if_handed_off, p_won_if_handed_off, p_sql_if_never, p_won_if_never, expected_amount (USD,
        given a win; a hand-off does not change it).
    """
    lead = positions_of([str(name) for name in snapshots["lead_id"]], world.people.count)
    days = days_of(snapshots["as_of"])
    columns = {name: np.zeros(len(lead)) for name in ("sql_1", "won_1", "sql_0", "won_0")}
    for start in range(0, len(lead), _BLOCK):
        rows = slice(start, start + _BLOCK)
        asked = _ask(world, lead[rows], days[rows], drift=drift, difficulty=difficulty)
        never = _never(asked)
        columns["sql_0"][rows] = _chance_sql(asked, never, sql_horizon_days)
        columns["won_0"][rows] = _chance_won(asked, never, won_horizon_days)
        for share, plan in _handed_off(asked):
            columns["sql_1"][rows] += share * _chance_sql(asked, plan, sql_horizon_days)
            columns["won_1"][rows] += share * _chance_won(asked, plan, won_horizon_days)
    return pd.DataFrame(
        {
            "lead_id": snapshots["lead_id"].to_numpy(),
            "as_of": snapshots["as_of"].to_numpy(),
            "p_sql_if_handed_off": columns["sql_1"],
            "p_won_if_handed_off": columns["won_1"],
            "p_sql_if_never": columns["sql_0"],
            "p_won_if_never": columns["won_0"],
            "expected_amount": np.exp(world.plan.amount_log_mean[lead] + 0.5 * difficulty.amount_log_sd**2),
        }
    )


def _ask(world: World, lead: Ints, days: Floats, *, drift: bool, difficulty: Difficulty) -> _Asked:
    people = world.people
    rows = pd.DataFrame({"lead": lead, "row": np.arange(len(lead))})
    consumed = rows.merge(_first_consumed(world, difficulty), on="lead")
    base = difficulty.sql_intercept + difficulty.sql_intent * people.intent + people.fit
    base = base + people.firm_effect + people.hidden_sql
    if drift:
        base = base + difficulty.drift_sql_shift * (people.created >= WORLD_DAYS - difficulty.drift_days)
    return _Asked(world, difficulty, lead, days, base[lead], consumed)


def _chance_sql(asked: _Asked, plan: Plan, horizon: float) -> Floats:
    return p_sql_of_plan(plan, np.arange(len(asked.lead)), asked.days, horizon)


def _chance_won(asked: _Asked, plan: Plan, horizon: float) -> Floats:
    return p_won_of_plan(plan, np.arange(len(asked.lead)), asked.days, horizon)


def _rows_of(plan: Plan, lead: Ints) -> Plan:
    return Plan(**{name: getattr(plan, name)[lead] for name in Plan.__dataclass_fields__})


def _never(asked: _Asked) -> Plan:
    """Return the plan of the inbound route; a lead that the world would merge away is merged in it alone."""
    world, lead = asked.world, asked.lead
    own = _rows_of(world.plan, lead)
    peak = world.people.peak[lead]
    is_inbound = own.route == 2
    return replace(
        own,
        reference=peak,
        p_sql=expit(asked.base + asked.content(peak) + asked.difficulty.inbound),
        sql_scale=np.full(len(lead), asked.difficulty.sql_scales[2]),
        action=np.where(is_inbound, own.action, _NEVER_STOPS),
        stop_at=np.where(is_inbound, own.stop_at, np.inf),
    )


def _handed_off(asked: _Asked) -> list[tuple[Floats, Plan]]:
    """Return the plans after a hand-off now, each with its share by row; the shares of a row sum to 1."""
    world, lead, numbers = asked.world, asked.lead, asked.difficulty
    is_senior = (world.people.job < _SENIOR)[lead].astype(np.float64)
    followed = expit(numbers.follow_up[0] + numbers.follow_up[1] * is_senior)
    own, peak = _rows_of(world.plan, lead), world.people.peak[lead]

    def plan(reference: Floats, effect: Floats, route: int, stop_at: Floats) -> Plan:
        late = np.maximum(reference - peak, 0.0) / numbers.stale_unit
        stale = -numbers.stale_slope * np.minimum(late, numbers.stale_most)
        action = np.where(np.isfinite(stop_at), ACTIONS.index("disqualify"), _NEVER_STOPS)
        p_sql = expit(asked.base + asked.content(reference) + effect + stale)
        scale = np.full(len(lead), numbers.sql_scales[route])
        return replace(own, reference=reference, p_sql=p_sql, sql_scale=scale, action=action, stop_at=stop_at)

    never_contacted = np.full(len(lead), np.inf)
    found = [(1.0 - followed, plan(asked.days, delay_effect_of(never_contacted, numbers), 1, never_contacted))]
    spread = float(np.hypot(numbers.contact_sd, numbers.owner_sd))
    nodes, weights = np.polynomial.hermite_e.hermegauss(_DELAYS)
    ends, shares = np.polynomial.legendre.leggauss(_STOPS)
    low, high = numbers.give_up
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        pace = np.log(numbers.contact_median) - 0.3 * is_senior
        delay = np.minimum(np.exp(pace + spread * node), numbers.contact_most)
        contact, effect = asked.days + delay, delay_effect_of(delay, numbers)
        dropped = numbers.give_up_shares[0]
        found.append((followed * weight * (1.0 - dropped), plan(contact, effect, 0, never_contacted)))
        for end, share in zip(ends, shares / 2.0, strict=True):
            stop = contact + low + (high - low) * (end + 1.0) / 2.0
            found.append((followed * weight * dropped * share, plan(contact, effect, 0, stop)))
    return found


def _first_consumed(world: World, difficulty: Difficulty) -> pd.DataFrame:
    """List when each lead first consumed each item that has an effect: lead, item, happened, effect."""
    touches = world.touches
    effects = np.array([item.effect for item in difficulty.content])
    rows = (touches.content != NONE) & (touches.actor == ACTOR_CODES.index("lead"))
    rows &= (touches.kind != KINDS.index("email_open")) & (effects[touches.content] != 0.0)
    frame = pd.DataFrame(
        {"lead": touches.lead[rows], "item": touches.content[rows], "happened": touches.happened[rows]}
    )
    first = frame.groupby(["lead", "item"], as_index=False)["happened"].min()
    return first.assign(effect=effects[first["item"].to_numpy()])
