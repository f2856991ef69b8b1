# pyright: reportUnknownParameterType=false
# pyarrow publishes no types.
"""The simulated CRM's sales tables: stages, hand-offs and opportunities, with their paperwork."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from crm.simulator_columns import account_ids, empty_text, ids, lead_ids, numbers, table_of, texts, times
from crm.simulator_difficulty import DIFFICULTY, Difficulty
from crm.simulator_funnel import ACTIONS
from crm.simulator_people import Bools, Floats, Ints
from crm.simulator_world import World

__all__ = ["deal_tables"]

_CLERK_MEDIAN = 0.05
_CLERK_SD = 1.3
_CLERK_MOST = 3.0
_SKIPPED_SQL = 0.07  # SQLs that are entered straight as an opportunity
_WITHOUT_DEAL = 0.1  # SQLs without a win that never get an opportunity
_DEAL_AFTER = 0.35  # the opportunity is opened within this part of the way to its close
_DEAL_MOST = 7.0
_GUESS_SD = 0.3
_UNWRITTEN = 0.3  # dispositions that nobody writes down
_TEAMS = ("inside_sales", "field_sales")
_REASONS = ("no_budget", "no_need", "bad_timing", "no_response", "wrong_contact", "competitor")
_LOST_REASONS = ("price", "competitor", "no_decision", "no_budget")


@dataclass(frozen=True)
class _Deals:
    """One entry a lead; days, infinite for never, so too ``sql_stage_at`` where the stage was skipped."""

    sql_stage_at: Floats
    opened_at: Floats
    closed_at: Floats
    is_won: Bools
    dropped_at: Floats


def deal_tables(rng: np.random.Generator, world: World, difficulty: Difficulty = DIFFICULTY) -> dict[str, pa.Table]:
    """Return ``stages``, ``hand_offs`` and ``opportunities``."""
    deals = _draw_deals(rng, world, difficulty)
    return {
        "stages": _stages(rng, world, deals),
        "hand_offs": _hand_offs(rng, world),
        "opportunities": _opportunities(rng, world, deals),
    }


def _clerk_lag(rng: np.random.Generator, size: int) -> Floats:
    """Days until an outcome is written down."""
    return np.minimum(np.exp(rng.normal(np.log(_CLERK_MEDIAN), _CLERK_SD, size)), _CLERK_MOST)


def _draw_deals(rng: np.random.Generator, world: World, difficulty: Difficulty) -> _Deals:
    sql_at, won_at = world.outcomes.sql_at, world.outcomes.won_at
    size = len(sql_at)
    is_won = np.isfinite(won_at)
    lost_at = sql_at + rng.gamma(2.0, difficulty.lost_scale, size)
    skipped = rng.random(size) < _SKIPPED_SQL
    has_deal = np.isfinite(sql_at) & (is_won | skipped | (rng.random(size) >= _WITHOUT_DEAL))
    closed_at = np.where(has_deal, np.where(is_won, won_at, lost_at), np.inf)
    way = np.where(has_deal, closed_at, 0.0) - np.where(has_deal, sql_at, 0.0)
    wait = np.where(skipped, 0.0, np.minimum(rng.random(size) * _DEAL_AFTER * way, _DEAL_MOST))
    return _Deals(
        sql_stage_at=np.where(skipped, np.inf, sql_at),
        opened_at=np.where(has_deal, sql_at + wait, np.inf),
        closed_at=closed_at,
        is_won=is_won,
        dropped_at=np.where(has_deal, np.inf, lost_at),
    )


def _given_up(world: World) -> tuple[Floats, Floats]:
    """Return when leads were disqualified and recycled, infinite where they were not."""
    plan = world.plan
    undecided = world.outcomes.sql_at >= plan.stop_at
    disqualified = undecided & (plan.action == ACTIONS.index("disqualify"))
    recycled = undecided & (plan.action == ACTIONS.index("recycle"))
    return np.where(disqualified, plan.stop_at, np.inf), np.where(recycled, plan.stop_at, np.inf)


def _stages(rng: np.random.Generator, world: World, deals: _Deals) -> pa.Table:
    disqualified, recycled = _given_up(world)
    plan = world.plan
    entries: tuple[tuple[str, Floats, tuple[str, ...]], ...] = (
        ("mql", plan.mql_at, ()),
        ("accepted", plan.contact_at, ()),
        ("sql", deals.sql_stage_at, ()),
        ("opportunity", deals.opened_at, ()),
        ("closed_won", np.where(deals.is_won, deals.closed_at, np.inf), ()),
        ("closed_lost", np.where(deals.is_won, np.inf, deals.closed_at), _LOST_REASONS),
        ("disqualified", np.minimum(disqualified, deals.dropped_at), _REASONS),
        ("recycled", recycled, ("no_response", "bad_timing")),
    )
    parts = [_stage(rng, name, entered, reasons) for name, entered, reasons in entries]
    return pa.concat_tables(parts).sort_by("recorded_at")


def _stage(rng: np.random.Generator, name: str, entered: Floats, reasons: tuple[str, ...]) -> pa.Table:
    lead = np.flatnonzero(np.isfinite(entered))
    # The rule runs inside the system and writes at once; people write later.
    recorded = entered[lead] + (0.0 if name == "mql" else _clerk_lag(rng, len(lead)))
    reason = texts(reasons, rng.integers(0, len(reasons), len(lead))) if reasons else empty_text(len(lead))
    columns = {
        "lead_id": lead_ids(lead),
        "stage": pa.repeat(name, len(lead)),
        "entered_at": times(entered[lead]),
        "recorded_at": times(recorded),
        "reason": reason,
    }
    return table_of(columns, recorded=recorded)


def _hand_offs(rng: np.random.Generator, world: World) -> pa.Table:
    """Return the versions: handed off, accepted, and (where somebody wrote it down) what became of it."""
    plan, size = world.plan, world.people.count
    disqualified, recycled = _given_up(world)
    sql_at = np.where(np.isfinite(plan.hand_off_at), world.outcomes.sql_at, np.inf)
    ended = np.minimum(np.minimum(sql_at, disqualified), recycled)
    ended = np.where(rng.random(size) < _UNWRITTEN, np.inf, ended)
    # disposition by position: qualified, disqualified, recycled
    disposition = np.where(ended == sql_at, 0, np.where(ended == disqualified, 1, 2))
    reason = np.where(disposition == 0, -1, rng.integers(0, len(_REASONS), size))
    lag = _clerk_lag(rng, size)
    accepted = plan.contact_at
    parts = [
        _versions(plan.hand_off_at, world, (np.full(size, np.inf), np.full(size, -1), np.full(size, -1))),
        _versions(accepted + lag, world, (accepted, np.full(size, -1), np.full(size, -1))),
        _versions(ended + 2.0 * lag, world, (accepted, disposition, reason)),
    ]
    return pa.concat_tables(parts).sort_by("recorded_at")


def _versions(recorded: Floats, world: World, written: tuple[Floats, Ints, Ints]) -> pa.Table:
    plan = world.plan
    accepted, disposition, reason = written
    lead = np.flatnonzero(np.isfinite(recorded))
    accepted_at = accepted[lead]
    columns = {
        "hand_off_id": ids("H", lead, 6),
        "lead_id": lead_ids(lead),
        "handed_off_at": times(plan.hand_off_at[lead]),
        "owner": ids("S", plan.owner[lead], 2),
        "team": texts(_TEAMS, plan.owner[lead] % len(_TEAMS)),
        "accepted_at": times(accepted_at),
        "disposition": texts(("qualified", "disqualified", "recycled"), disposition[lead]),
        "disposition_reason": texts(_REASONS, reason[lead]),
        "recorded_at": times(recorded[lead]),
    }
    return table_of(columns, recorded=recorded[lead])


def _opportunities(rng: np.random.Generator, world: World, deals: _Deals) -> pa.Table:
    """Return two versions of each deal: opened with a guess at the amount, closed with the amount."""
    size = world.people.count
    guess = np.round(world.outcomes.amount * np.exp(rng.normal(0.0, _GUESS_SD, size)), -2)
    opened = deals.opened_at + _clerk_lag(rng, size)
    closed = np.maximum(deals.closed_at, opened) + _clerk_lag(rng, size)
    parts = [
        _deal_versions(world, deals, opened, (np.full(size, np.inf), guess)),
        _deal_versions(world, deals, closed, (deals.closed_at, world.outcomes.amount)),
    ]
    return pa.concat_tables(parts).sort_by("recorded_at")


def _deal_versions(world: World, deals: _Deals, recorded: Floats, written: tuple[Floats, Floats]) -> pa.Table:
    people = world.people
    closed_at, amount = written
    lead = np.flatnonzero(np.isfinite(recorded))
    is_closed = np.isfinite(closed_at[lead])
    columns = {
        "opportunity_id": ids("D", lead, 6),
        "lead_id": lead_ids(lead),
        "account_id": account_ids(people.firm[lead], people.has_account[lead]),
        "created_at": times(deals.opened_at[lead]),
        "closed_at": times(closed_at[lead]),
        "is_won": pa.array(deals.is_won[lead], mask=~is_closed),
        "amount": numbers(amount[lead]),
        "currency": pa.repeat("USD", len(lead)),
        "recorded_at": times(recorded[lead]),
    }
    return table_of(columns, recorded=recorded[lead])
