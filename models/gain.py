"""The new line against the old rule, on weeks that neither the model nor its line had seen.

Every row is a lead at a moment: what it was expected to bring, by a model that knew neither these weeks nor the lead's
account, and what became of it inside the horizon. The line's price comes from the weeks before. A rule picks a lead
once, at its first crossing; sales works the picks of a week in their order as far as its capacity reaches. What a
worked lead is worth is the revenue won inside the horizon times the margin, less the cost of working it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.intervals import Interval, cluster_bootstrap
from models.line import LineGain, Replay, set_price

__all__ = ["Comparison", "GainRows", "Picks", "Side", "compare_rules", "new_picks", "pick_leads", "worked_picks"]

Matrix = NDArray[np.float64]
DRAWS = 2000
SEED = 1
SIDES = ("old", "new")


@dataclass(frozen=True, eq=False)
class GainRows:
    """Leads at the moments of some weeks, in time order.

    Parameters
    ----------
    lead, group
        Number of the lead and of the account of each row, shape (n,); leads that were merged are one.
    week
        Shape (n,): 0 for the state before the lead-in, 1 to ``lead_in`` for the weeks that set the price, and one more
        for each week that is judged.
    expected_revenue
        Workspace currency, shape (n,).
    sql, won
        Inside their horizons after the row, shape (n,); in judged weeks alone.
    revenue
        Won inside the horizon, workspace currency, shape (n,).
    is_old
        The old rule first made the lead an MQL at this moment, shape (n,).
    lead_in, weeks
        How many weeks set the price, and how many are judged.
    since, until
        Dates of the judged weeks, ISO.
    share
        Share of the leads at risk that are in the rows; capacity counts for them alone.
    """

    lead: NDArray[np.int64]
    group: NDArray[np.int64]
    week: NDArray[np.int64]
    expected_revenue: Matrix
    sql: NDArray[np.bool_]
    won: NDArray[np.bool_]
    revenue: Matrix
    is_old: NDArray[np.bool_]
    lead_in: int
    weeks: int
    since: str
    until: str
    share: float


@dataclass(frozen=True)
class Side:
    """What one rule handed to sales.

    Parameters
    ----------
    mqls, worked
        Leads picked, and those of them that sales could start on; a week, over all leads at risk.
    sql_rate, won_rate
        Share of the worked ones with the outcome inside its horizon.
    revenue, value
        Revenue won by them, and that times the margin less the cost of working them, a week, workspace currency.
    hours
        Hours of sales that working them takes, a week; None when it is not known how long one takes.
    """

    mqls: float
    worked: float
    sql_rate: Interval
    won_rate: Interval
    revenue: Interval
    value: Interval
    hours: float | None = None


@dataclass(frozen=True, eq=False)
class Picks:
    """The rows at which each rule picks a lead in the judged weeks.

    Parameters
    ----------
    price
        lambda, as it would have been set before them, workspace currency.
    picked, worked
        By rule (``old``, ``new``), row numbers in time order: all, and those that sales starts on.
    """

    price: float
    picked: Mapping[str, NDArray[np.int64]]
    worked: Mapping[str, NDArray[np.int64]]

    def worked_only(self, rows: GainRows, side: str) -> NDArray[np.int64]:
        """Return the rows of one rule whose leads are worked under it and not under the other."""
        other = rows.lead[self.worked["new" if side == "old" else "old"]]
        mine = self.worked[side]
        return mine[~np.isin(rows.lead[mine], other)]


@dataclass(frozen=True)
class Comparison:
    """Old rule and new line side by side.

    Parameters
    ----------
    since, until, weeks
        The judged weeks.
    price
        lambda, as it would have been set before them, workspace currency.
    old, new
        The two sides.
    gain
        Value of the new line less that of the old rule, a week, workspace currency.
    probability
        Share of the draws of accounts in which the gain is above zero.
    both, only_old, only_new
        Leads worked, a week: under both rules, and under one alone.
    """

    since: str
    until: str
    weeks: int
    price: float
    old: Side
    new: Side
    gain: Interval
    probability: float
    both: float
    only_old: float
    only_new: float

    @property
    def line_gain(self) -> LineGain | None:
        """What the line's document says of it; None where there was nothing to draw an interval from."""
        ends = (self.gain.value, self.gain.low, self.gain.high)
        if not np.isfinite(ends).all():
            return None
        return LineGain(
            since=self.since, until=self.until, value=ends[0], low=ends[1], high=ends[2], probability=self.probability
        )


def new_picks(rows: GainRows, worth: Matrix, price: float) -> NDArray[np.int64]:
    """Return the row at which each lead first crosses the line in the judged weeks.

    Parameters
    ----------
    rows
        The weeks.
    worth
        Expected value of each row, workspace currency, shape (n,).
    price
        lambda, workspace currency.
    """
    above = worth > max(price, 0.0)
    last = np.zeros(int(rows.lead.max(initial=-1)) + 1, dtype=bool)
    early = np.flatnonzero((rows.week <= rows.lead_in) & above)
    last[rows.lead[early]] = True  # above the line before the judged weeks began, it crosses no more
    late = np.flatnonzero((rows.week > rows.lead_in) & above)
    late = late[~last[rows.lead[late]]]
    _, first = np.unique(rows.lead[late], return_index=True)
    return np.sort(late[first])


def worked_picks(rows: GainRows, picks: NDArray[np.int64], capacity: float | None) -> NDArray[np.int64]:
    """Return the picks that sales starts on: those of each judged week in their order, up to the capacity.

    Parameters
    ----------
    rows
        The weeks.
    picks
        Row numbers in time order.
    capacity
        Leads a week over all leads; None for no limit. Fractions add up from week to week.
    """
    if capacity is None:
        return picks
    week = rows.week[picks] - rows.lead_in
    until = np.floor(np.arange(rows.weeks + 1) * capacity * rows.share + 1e-9)
    first = np.searchsorted(week, np.arange(rows.weeks + 2))
    place = np.arange(len(picks)) - first[week]
    return picks[place < np.diff(until)[week - 1]]


def pick_leads(rows: GainRows, *, margin: float, touch_cost: float, capacity: float | None) -> Picks:
    """Let both rules pick their leads, and sales work them.

    Parameters
    ----------
    rows
        The weeks.
    margin, touch_cost, capacity
        As in ``[value]``; capacity in leads a week over all leads, None for no limit.
    """
    worth = rows.expected_revenue * margin - touch_cost
    early = rows.week <= rows.lead_in
    lead_in = Replay(rows.lead[early], rows.week[early], rows.expected_revenue[early], ("",) * rows.lead_in)
    price = set_price(lead_in, worth[early], None if capacity is None else capacity * rows.share)[0]
    picked = {"old": np.flatnonzero(rows.is_old & ~early), "new": new_picks(rows, worth, price)}
    return Picks(price, picked, {name: worked_picks(rows, picks, capacity) for name, picks in picked.items()})


def compare_rules(
    rows: GainRows,
    *,
    margin: float,
    touch_cost: float,
    capacity: float | None,
    hours_per_lead: float | None = None,
    draws: int = DRAWS,
) -> Comparison:
    """Compare the rules at one capacity, with an account-cluster bootstrap (methods 5.5).

    Parameters
    ----------
    rows
        The weeks.
    margin, touch_cost, capacity
        As in ``[value]``; capacity in leads a week over all leads, None for no limit.
    hours_per_lead
        Hours of sales that working one lead takes; None when not known.
    draws
        Draws of the bootstrap.
    """
    picks = pick_leads(rows, margin=margin, touch_cost=touch_cost, capacity=capacity)
    picked, worked = picks.picked, picks.worked
    found = _bootstrap(rows, worked, margin, touch_cost, draws)
    old, new = (set(rows.lead[worked[name]].tolist()) for name in SIDES)
    each = 1.0 / (rows.weeks * rows.share)
    sides = {
        name: Side(
            len(picked[name]) * each,
            len(worked[name]) * each,
            found[f"{name}.sql_rate"],
            found[f"{name}.won_rate"],
            found[f"{name}.revenue"],
            found[f"{name}.value"],
            None if hours_per_lead is None else len(worked[name]) * each * hours_per_lead,
        )
        for name in SIDES
    }
    return Comparison(
        rows.since,
        rows.until,
        rows.weeks,
        picks.price,
        sides["old"],
        sides["new"],
        found["gain"],
        found["gain.positive"].value,
        len(old & new) * each,
        len(old - new) * each,
        len(new - old) * each,
    )


def _bootstrap(
    rows: GainRows, worked: Mapping[str, NDArray[np.int64]], margin: float, touch_cost: float, draws: int
) -> dict[str, Interval]:
    """Draw accounts again and again, those with a worked lead and those without: how many are worked varies too.

    Wins are few, and accounts drawn anew cannot show a win where none happened. So each draw adds to either rule what
    Jeffreys' prior for a rare count adds, half a win on the average, at the mean revenue of a win: with the wins that
    were drawn, close to Gamma(wins + 1/2). It shifts neither the estimate nor, new less old, the mean of the draws.
    """
    gained = np.concatenate([worked[name] for name in SIDES])
    is_new = np.repeat([False, True], [len(worked[name]) for name in SIDES])
    others = np.setdiff1d(rows.group[rows.week > rows.lead_in], rows.group[gained])
    group = np.concatenate([rows.group[gained], others])
    sides = [np.append(chosen, np.zeros(len(others), dtype=bool)) for chosen in (~is_new, is_new)]
    sql, won, revenue = (
        np.append(column[gained].astype(np.float64), np.zeros(len(others)))
        for column in (rows.sql, rows.won, rows.revenue)
    )
    value = revenue * margin - touch_cost
    each = 1.0 / (rows.weeks * rows.share)
    drawn: list[float] = []
    # One row a draw, and a first one without for the estimate itself.
    unseen = np.vstack([np.zeros(2), np.random.default_rng(SEED).gamma(0.5, size=(draws, 2))])
    old, new = (rows.lead[worked[name]] for name in SIDES)
    is_alone = np.array([np.setdiff1d(old, new).size > 0, np.setdiff1d(new, old).size > 0])
    win = _mean_win(rows)

    def measure(weights: Matrix) -> Mapping[str, float]:
        found: dict[str, float] = {}
        sums: list[float] = []
        more = unseen[len(drawn)]
        for name, chosen, wins in zip(SIDES, sides, more, strict=True):
            w = weights * chosen
            count = float(w.sum())
            extra = wins * win if count else 0.0
            found[f"{name}.sql_rate"] = float((w * sql).sum()) / count if count else float("nan")
            found[f"{name}.won_rate"] = min((float((w * won).sum()) + wins) / count, 1.0) if count else float("nan")
            found[f"{name}.revenue"] = (float((w * revenue).sum()) + extra) * each
            sums.append(float((w * value).sum()))
            found[f"{name}.value"] = (sums[-1] + extra * margin) * each
        # Leads that both rules work are worth the same under both.
        halves = margin * win * more * is_alone
        found["gain"] = (sums[1] - sums[0] + float(halves[1] - halves[0])) * each
        drawn.append(found["gain"])
        return found

    found = cluster_bootstrap(measure, group, seed=SEED, draws=draws)
    return {**found, "gain.positive": Interval.of(float(np.mean(np.asarray(drawn[1:]) > 0)))}


def _mean_win(rows: GainRows) -> float:
    """Return the mean revenue of a win in the judged weeks, one a lead; 0 without any."""
    found = np.flatnonzero(rows.won & (rows.week > rows.lead_in))
    _, first = np.unique(rows.lead[found], return_index=True)
    return float(rows.revenue[found[first]].mean()) if len(first) else 0.0
