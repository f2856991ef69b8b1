"""What the line would be at several capacities, so that two teams can agree on one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.gain import Comparison, GainRows, compare_rules
from models.line import Replay, crossings, first_crossings, set_price

__all__ = ["DEFAULT_STEPS", "GridRow", "capacity_grid", "grid_capacities"]

DEFAULT_STEPS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
DRAWS = 500


@dataclass(frozen=True)
class GridRow:
    """The line at one capacity.

    Parameters
    ----------
    capacity
        Leads a week that sales can start on; None for no limit.
    price
        lambda, workspace currency: what one more lead a week would be worth.
    crossings
        First crossings a week in the replayed weeks.
    value
        Expected value of those leads at that moment, a week, workspace currency.
    hours
        Hours of sales a week that working them takes; None when it is not known how long one takes.
    comparison
        Against the old rule at this capacity on the unseen weeks; None where they were not kept.
    """

    capacity: float | None
    price: float
    crossings: float
    value: float
    hours: float | None
    comparison: Comparison | None


def grid_capacities(capacity: float | None, crossings_per_week: float) -> tuple[float | None, ...]:
    """Return capacities around one; without a limit, around what crosses a line at 0, and at last no limit.

    Examples
    --------
    >>> grid_capacities(40.0, 38.0)
    (20.0, 30.0, 40.0, 50.0, 60.0, 80.0, None)
    """
    middle = crossings_per_week if capacity is None else capacity
    steps = {_round(middle * step) for step in DEFAULT_STEPS if middle > 0}
    return (*sorted(steps | ({middle} if capacity is not None else set())), None)


def _round(capacity: float) -> float:
    """Keep two digits: nobody plans for 37.5 leads a week."""
    return float(f"{capacity:.2g}") if capacity >= 1 else round(capacity, 1) or 0.1


def capacity_grid(
    replay: Replay,
    unseen: GainRows | None,
    capacities: Sequence[float | None],
    terms: tuple[float, float, float | None],
) -> tuple[GridRow, ...]:
    """Return the line at each capacity.

    Parameters
    ----------
    replay
        The weeks that set the line.
    unseen
        The weeks on which old rule and new line are compared, where the version kept them.
    capacities
        Leads a week; None for no limit.
    terms
        Margin, cost of working a lead (workspace currency), hours of sales a lead (None when not known).
    """
    margin, touch_cost, hours = terms
    worth: NDArray[np.float64] = replay.expected_revenue * margin - touch_cost
    found: list[GridRow] = []
    for capacity in capacities:
        price = set_price(replay, worth, capacity)[0]
        count = replay.a_week(float(crossings(replay, worth, price).sum()))
        value = replay.a_week(float(worth[first_crossings(replay, worth, price)].sum()))
        compared = None
        if unseen is not None:
            compared = compare_rules(unseen, margin=margin, touch_cost=touch_cost, capacity=capacity, draws=DRAWS)
        found.append(GridRow(capacity, price, count, value, None if hours is None else count * hours, compared))
    return tuple(found)
