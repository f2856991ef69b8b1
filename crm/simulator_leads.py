# pyright: reportUnknownParameterType=false
# pyarrow publishes no types.
"""The simulated CRM's lead tables: leads as they were entered, later corrections, merges, and touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from crm.simulator_aftermath import draw_aftermath
from crm.simulator_campaigns import CAMPAIGN_NAMES
from crm.simulator_columns import account_ids, ids, lead_ids, numbers, table_of, texts, times
from crm.simulator_difficulty import DIFFICULTY, WORLD_DAYS, Difficulty, Level
from crm.simulator_funnel import ACTIONS
from crm.simulator_people import Floats, Ints
from crm.simulator_touches import ACTOR_CODES, CHANNELS, KINDS, NONE, join_touches
from crm.simulator_world import World

__all__ = ["lead_tables", "touch_table"]

_REGIONS = {
    "US": "amer",
    "CA": "amer",
    "BR": "amer",
    "GB": "emea",
    "DE": "emea",
    "FR": "emea",
    "JP": "apac",
    "AU": "apac",
    "IN": "apac",
}
_OUTDATED = 0.04  # share of job levels and sizes that were wrong when the lead was entered
_CORRECTED = 0.8  # share of those that somebody corrects
_ENRICHED = 0.1  # share of missing values that marketing buys in later
_FILLED_IN = 0.5  # share of missing values that sales fills in after the contact
_CORRECTED_AFTER = 45.0
_ENRICHED_AFTER = 30.0


@dataclass(frozen=True)
class _Field:
    """An attribute: what is true, what was entered (NONE for missing), and the words for both."""

    name: str
    true: Ints
    entered: Ints
    words: tuple[str, ...]


def lead_tables(rng: np.random.Generator, world: World, difficulty: Difficulty = DIFFICULTY) -> dict[str, pa.Table]:
    """Return ``leads``, ``lead_changes`` and ``lead_merges``."""
    people = world.people
    fields = _enter_fields(rng, world, difficulty)
    changes = [change for field in fields for change in _draw_changes(rng, world, field)]
    columns = {
        "lead_id": lead_ids(np.arange(people.count)),
        "created_at": times(people.created),
        "recorded_at": times(people.created),
        "account_id": account_ids(people.firm, people.has_account),
        "source": texts([level.name for level in difficulty.sources], people.source),
    }
    for field in fields:
        columns[field.name] = texts(field.words, field.entered)
    regions = [_REGIONS[level.name] for level in difficulty.countries]
    columns["region"] = texts(regions, next(field.entered for field in fields if field.name == "country"))
    is_missing = rng.random(people.count) < dict(difficulty.missing)["employees"]
    columns["employees"] = numbers(np.where(is_missing, np.nan, people.employees))
    return {
        "leads": table_of(columns, recorded=people.created),
        "lead_changes": pa.concat_tables(changes).sort_by("recorded_at"),
        "lead_merges": _merges(world),
    }


def _enter_fields(rng: np.random.Generator, world: World, difficulty: Difficulty) -> list[_Field]:
    people = world.people
    missing = dict(difficulty.missing)
    drawn: tuple[tuple[str, Sequence[Level], Ints, bool], ...] = (
        ("industry", difficulty.industries, people.industry, False),
        ("company_size", difficulty.sizes, people.size, True),
        ("job_level", difficulty.jobs, people.job, True),
        ("country", difficulty.countries, people.country, False),
    )
    fields: list[_Field] = []
    for name, levels, true, may_be_wrong in drawn:
        wrong = (rng.random(people.count) < _OUTDATED) & may_be_wrong
        # An outdated value is the next one in the list: people rise and firms grow.
        entered = np.where(wrong, np.minimum(true + 1, len(levels) - 1), true)
        entered = np.where(rng.random(people.count) < missing[name], NONE, entered)
        fields.append(_Field(name, true, entered, tuple(level.name for level in levels)))
    return fields


def _draw_changes(rng: np.random.Generator, world: World, field: _Field) -> list[pa.Table]:
    """Draw who corrects or completes a field and when; sales only does so after it has talked to the lead."""
    people = world.people
    wrong = np.flatnonzero((field.entered != NONE) & (field.entered != field.true))
    wrong = wrong[rng.random(len(wrong)) < _CORRECTED]
    corrected = people.created[wrong] + rng.exponential(_CORRECTED_AFTER, len(wrong))
    missing = np.flatnonzero(field.entered == NONE)
    enriched = missing[rng.random(len(missing)) < _ENRICHED]
    bought = people.created[enriched] + rng.exponential(_ENRICHED_AFTER, len(enriched))
    asked = missing[np.isfinite(world.plan.contact_at[missing]) & (rng.random(len(missing)) < _FILLED_IN)]
    filled = world.plan.contact_at[asked] + rng.exponential(1.0, len(asked))
    return [
        _changes(field, wrong, corrected, "marketing"),
        _changes(field, enriched, bought, "marketing"),
        _changes(field, asked, filled, "sales"),
    ]


def _changes(field: _Field, lead: Ints, recorded: Floats, team: str) -> pa.Table:
    columns = {
        "lead_id": lead_ids(lead),
        "field": pa.repeat(field.name, len(lead)),
        "value": texts(field.words, field.true[lead]),
        "recorded_at": times(recorded),
        "changed_by_team": pa.repeat(team, len(lead)),
    }
    return table_of(columns, recorded=recorded)


def _merges(world: World) -> pa.Table:
    """Return the merges of leads that were still undecided when they were found to be duplicates."""
    plan = world.plan
    lead = np.flatnonzero((plan.action == ACTIONS.index("merge")) & (world.outcomes.sql_at == np.inf))
    recorded = plan.stop_at[lead]
    columns = {
        "from_lead_id": lead_ids(lead),
        "into_lead_id": lead_ids(plan.into[lead]),
        "recorded_at": times(recorded),
    }
    return table_of(columns, recorded=recorded)


def touch_table(rng: np.random.Generator, world: World, difficulty: Difficulty = DIFFICULTY) -> pa.Table:
    """Return ``touches``: those before any decision and those that hand-offs and decisions brought about."""
    drawn = join_touches((world.touches, draw_aftermath(rng, world, difficulty)))
    rows = np.flatnonzero(drawn.recorded < WORLD_DAYS)
    touches = drawn.take(rows[np.argsort(drawn.recorded[rows], kind="stable")])
    columns = {
        "touch_id": ids("T", np.arange(touches.count), 7),
        "lead_id": lead_ids(touches.lead),
        "happened_at": times(touches.happened),
        "recorded_at": times(touches.recorded),
        "kind": texts(KINDS, touches.kind),
        "actor": texts(ACTOR_CODES, touches.actor),
        "content_id": texts([item.name for item in difficulty.content], touches.content),
        "campaign_id": texts(CAMPAIGN_NAMES, touches.campaign),
        "channel": texts(CHANNELS, touches.channel),
        "value": numbers(touches.value),
    }
    return table_of(columns)
