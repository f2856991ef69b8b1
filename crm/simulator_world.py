"""One simulated world, hidden state included: leads, touches, plan, outcomes.

Only the writers of the tables and :mod:`crm.simulator_truth` use it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crm.simulator_difficulty import DIFFICULTY, Difficulty
from crm.simulator_funnel import Outcomes, Plan, draw_outcomes, draw_plan
from crm.simulator_people import People, draw_people
from crm.simulator_touches import Touches, draw_touches

__all__ = ["World", "draw_world"]


@dataclass(frozen=True)
class World:
    """Everything that was drawn; ``records`` is the randomness left for clerks: lags, gaps, paperwork."""

    people: People
    touches: Touches
    plan: Plan
    outcomes: Outcomes
    records: np.random.SeedSequence


def draw_world(leads: int, seed: int, *, drift: bool, difficulty: Difficulty = DIFFICULTY) -> World:
    """Draw a world; the same arguments give the same world.

    Each part has its own stream of randomness, in the order of causes: nothing drawn for the outcomes can
    reach back into the touches.
    """
    streams = np.random.SeedSequence((seed, leads, int(drift))).spawn(5)
    people = draw_people(np.random.default_rng(streams[0]), leads, drift=drift, difficulty=difficulty)
    touches = draw_touches(np.random.default_rng(streams[1]), people, difficulty)
    plan = draw_plan(np.random.default_rng(streams[2]), people, touches, drift=drift, difficulty=difficulty)
    outcomes = draw_outcomes(np.random.default_rng(streams[3]), plan, difficulty)
    return World(people, touches, plan, outcomes, streams[4])
