"""The MQL line: the price of a salesperson's hour, set so that the queue fits the capacity.

``lambda`` is the smallest price at which replaying the last weeks gives on average at most ``capacity`` first
crossings a week among leads at risk. It needs no labels, so the newest weeks serve.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crm.errors import BundleError
from models.line_terms import Band, Equivalent, LineGain

__all__ = ["Line", "LineGain", "Replay", "crossings", "first_crossings", "set_price"]

Matrix = NDArray[np.float64]
Amount = TypeVar("Amount", float, Matrix)
QUANTILES = 101
GRADES = np.array(["D", "C", "B", "A"])
SHOWN_PRICES = 400
# What a document without these says is what it said before there were any, and so is its version.
LATER_FIELDS = ("equivalents", "hysteresis", "band", "hours_per_lead", "basis")


class Line(BaseModel):
    """The MQL definition in force: one small JSON document.

    Attributes
    ----------
    price
        lambda, in workspace currency: a lead is an MQL iff its expected value is above ``max(price, 0)``.
    margin, touch_cost
        ``expected_value = expected_revenue * margin - touch_cost``.
    capacity_per_week
        Leads that sales can start on in a week; None for no limit.
    quantiles
        Unclipped scores of leads at risk at the 101 percentiles.
    median_mql_value
        Median expected value of MQLs at risk, which parts grade A from B; None when there is none.
    equivalent_p_won
        Probability at which a lead with the mean amount meets the line.
    gain
        Over the old rule, at the capacity and cost of this line; None where it was not measured.
    agreed_by
        Who agreed to it, a name and a team each.
    review_on
        Day on which both teams look at it again.
    equivalents
        What the line means for all leads and for each segment.
    hysteresis
        A lead enters above ``threshold * (1 + hysteresis)`` and leaves at or below ``threshold * (1 - hysteresis)``;
        0 is off. ``is_mql`` knows nothing of it.
    band
        Where decisions are drawn; None for nowhere.
    hours_per_lead
        Hours of sales that working one lead takes; None when not given.
    basis
        What expected values speak of: ``as_run``, leads as things are run, or ``if_worked``, what working one adds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    price: float
    margin: float
    touch_cost: float
    capacity_per_week: float | None
    currency: str
    quantiles: tuple[float, ...]
    median_mql_value: float | None
    equivalent_p_won: float | None
    crossings_per_week: float
    weeks: int
    leads_at_risk: int
    set_as_of: datetime
    model_version: str = ""
    agreed_by: tuple[str, ...] = ()
    gain: LineGain | None = None
    review_on: date | None = None
    equivalents: tuple[Equivalent, ...] = ()
    hysteresis: Annotated[float, Field(ge=0, lt=1)] = 0.0
    band: Band | None = None
    hours_per_lead: float | None = None
    basis: Literal["as_run", "if_worked"] = "as_run"

    @model_validator(mode="after")
    def _band_holds_hysteresis(self) -> Self:
        if self.band is not None and self.band.width < self.hysteresis:
            raise ValueError("band: its width is below the hysteresis, so that decisions would flicker between the two")
        return self

    @property
    def threshold(self) -> float:
        """What an expected value must exceed, workspace currency."""
        return max(self.price, 0.0)

    @property
    def version(self) -> str:
        """First 12 hex digits of the SHA-256 of the document, without who agreed to it and when it is reviewed."""
        fields = type(self).model_fields
        unsaid = {name for name in LATER_FIELDS if getattr(self, name) == fields[name].default}
        text = json.dumps(self.model_dump(mode="json", exclude={"agreed_by", "review_on"} | unsaid), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def expected_value(self, expected_revenue: Matrix) -> Matrix:
        """Return what working each lead is worth, workspace currency, shape of ``expected_revenue``."""
        return expected_revenue * self.margin - self.touch_cost

    def grades(self, expected_value: Matrix) -> NDArray[np.str_]:
        """Return A and B for MQLs above and below the median value of MQLs, C for a value above 0, D for the rest."""
        middle = self.median_mql_value if self.median_mql_value is not None else self.threshold
        is_mql = expected_value > self.threshold
        return GRADES[np.where(is_mql, 2 + (expected_value > middle), expected_value > 0)]

    def percentile(self, score_unclipped: Matrix) -> Matrix:
        """Return the share of leads at risk that score lower, 0 to 100."""
        grid = np.asarray(self.quantiles)
        percentiles = np.linspace(0.0, 100.0, len(grid))
        share = np.interp(score_unclipped, grid, percentiles)
        # Leads with one score share a run of equal quantiles: those that score lower end where the run begins.
        begin, end = (np.searchsorted(grid, score_unclipped, side=side) for side in ("left", "right"))
        return np.where(begin < end, percentiles[np.minimum(begin, len(grid) - 1)], share)

    def save(self, path: Path) -> None:
        """Write the document."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a document; ``BundleError`` when it is none."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (ValidationError, OSError) as error:
            raise BundleError(
                found=f"'{path.name}', which is no MQL line ({error.__class__.__name__})",
                expected="a document written by 'kizashi line'",
                fix="delete it to return to the model's own line, or run 'kizashi line' again",
            ) from error


@dataclass(frozen=True)
class Replay:
    """Expected revenue of leads at risk at the moments of the replayed weeks.

    Parameters
    ----------
    lead
        Lead number of each row, shape (n,).
    week
        Week of each row, shape (n,): 0 for the state before the replay, then 1 to ``weeks``.
    expected_revenue
        Shape (n,), workspace currency.
    starts
        Start of each replayed week, ISO dates, length ``weeks``.
    share
        Share of the leads that are replayed; of very many, a part is enough.
    """

    lead: NDArray[np.int64]
    week: NDArray[np.int64]
    expected_revenue: Matrix
    starts: tuple[str, ...]
    share: float = 1.0

    @property
    def weeks(self) -> int:
        """How many weeks were replayed."""
        return len(self.starts)

    def a_week(self, total: Amount) -> Amount:
        """Return what a total over the replayed weeks and leads is a week over all leads."""
        return total / max(self.weeks, 1) / self.share


def crossings(replay: Replay, value: Matrix, price: float) -> NDArray[np.int64]:
    """Count first crossings by week at a price, shape (weeks,).

    Leads that are replayed count, which may be a part of all. A lead crosses in the first week in which its expected
    value is above ``max(price, 0)``; leads that were above before the replay began do not cross again.

    Parameters
    ----------
    replay
        The weeks.
    value
        Expected value of each row, shape (n,).
    price
        lambda, workspace currency.
    """
    above = value > max(price, 0.0)
    if not above.any() or replay.lead.size == 0:
        return np.zeros(replay.weeks, dtype=np.int64)
    count = int(replay.lead.max()) + 1
    first = np.full(count, replay.weeks + 1, dtype=np.int64)
    np.minimum.at(first, replay.lead[above], replay.week[above])
    return np.bincount(first, minlength=replay.weeks + 2)[1 : replay.weeks + 1]


def first_crossings(replay: Replay, value: Matrix, price: float) -> NDArray[np.int64]:
    """Return the row at which each lead first crosses a price inside the replayed weeks; as many as are counted.

    Parameters
    ----------
    replay
        The weeks; rows of one lead in time order.
    value
        Expected value of each row, shape (n,).
    price
        lambda, workspace currency.
    """
    above = np.flatnonzero(value > max(price, 0.0))
    order = above[np.lexsort((above, replay.week[above], replay.lead[above]))]
    _, first = np.unique(replay.lead[order], return_index=True)
    rows = order[first]
    return np.sort(rows[replay.week[rows] > 0])


def set_price(replay: Replay, value: Matrix, capacity: float | None) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Find lambda: the smallest price that gives at most ``capacity`` first crossings a week on average.

    Parameters
    ----------
    replay
        The weeks.
    value
        Expected value of each row, shape (n,).
    capacity
        First crossings a week that sales can take; None for no limit, which gives 0.

    Returns
    -------
    price, curve
        lambda in workspace currency, and pairs (price, first crossings a week) for a chart.
    """
    above = np.unique(value[value > 0])
    if above.size == 0:
        return 0.0, ((0.0, 0.0),)
    grid = np.append(0.0, np.unique(np.quantile(above, np.linspace(0.0, 1.0, SHOWN_PRICES))))
    before, best = _heights(replay, value)
    shown = tuple((float(c), replay.a_week(float(_count(before, best, c)))) for c in grid)
    if capacity is None:
        return 0.0, shown
    # At the highest value nobody crosses, so some price always fits.
    prices = np.unique(np.append(0.0, best))
    return float(prices[replay.a_week(_count(before, best, prices).astype(np.float64)) <= capacity][0]), shown


def _heights(replay: Replay, value: Matrix) -> tuple[Matrix, Matrix]:
    """Return the highest value before and inside the replay of each lead that crosses at some price from 0 on."""
    count = int(replay.lead.max()) + 1
    before, best = np.zeros(count), np.zeros(count)
    early = replay.week == 0
    np.maximum.at(before, replay.lead[early], value[early])
    np.maximum.at(best, replay.lead[~early], value[~early])
    crosses = best > before
    return np.sort(before[crosses]), np.sort(best[crosses])


def _count(before: Matrix, best: Matrix, price: Matrix | float) -> NDArray[np.int64]:
    """Count the leads that were not above a price before the replay and were above it inside."""
    return np.searchsorted(before, price, side="right") - np.searchsorted(best, price, side="right")
