"""What each team expected of a campaign, locked at its start, beside what came of it.

A campaign's people are those whose first touch of any campaign was its own, and what came of them counts from that
touch on. What is still open is projected by the times after it at which people become SQLs and wins
(:mod:`alignment.incidence`), so that a young campaign is not called a failure.
"""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import poisson

from alignment.incidence import Entries, cumulative_incidence
from alignment.people import People
from alignment.periods import DAY_US
from crm.known import to_micros
from models.intervals import NORMAL_90, Interval, cluster_bootstrap

__all__ = ["DIVERGING", "MEASURES", "TEAMS", "Bias", "Campaign", "Campaigns", "Expected", "campaigns_report"]

Matrix = NDArray[np.float64]
MEASURES = ("mqls", "sqls", "won", "revenue")
TEAMS = ("marketing", "sales")
STAGE_OF = {"mqls": "mql_us", "sqls": "sql_us", "won": "won_us"}
DIVERGING = 2.0
"""Expectations diverge when one is more than so many times the other."""


@dataclass(frozen=True)
class Expected:
    """What one team registered for a campaign.

    Parameters
    ----------
    team
        Who.
    registered_us
        When, microseconds since 1970 UTC.
    is_locked
        Registered before the campaign began; later ones are shown and do not count.
    values
        By measure; a measure that was not named is missing.
    """

    team: str
    registered_us: int
    is_locked: bool
    values: Mapping[str, float]


@dataclass(frozen=True)
class Campaign:
    """One campaign.

    Parameters
    ----------
    campaign_id, name, channel
        Which.
    starts_on, ends_on, cost
        As in the table; None where not given. Cost in workspace currency.
    leads
        Persons whose first campaign it is.
    so_far, projected, low, high
        By measure: counted by now, projected to the won horizon of its last lead, and the 90% interval of that.
    maturity
        Share of its persons whose won horizon was observed, NaN without any.
    has_ended
        Its last day is over; also where it has none.
    expected
        What each team expected before the start, of each measure the newest, and anything that came too late.
    cost_per_sql, cost_per_won, revenue_per_cost
        With 90% intervals, on what came so far; NaN where not known.
    """

    campaign_id: str
    name: str
    channel: str
    starts_on: date | None
    ends_on: date | None
    cost: float | None
    leads: int
    so_far: Mapping[str, float]
    projected: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    maturity: float
    has_ended: bool
    expected: tuple[Expected, ...]
    cost_per_sql: Interval
    cost_per_won: Interval
    revenue_per_cost: Interval

    def locked(self, team: str) -> Expected | None:
        """Return what a team expected before the start; None where it registered nothing."""
        return next((one for one in self.expected if one.team == team and one.is_locked), None)

    def gaps(self) -> dict[str, float]:
        """Return marketing's expectation over sales', by measure that both named above 0."""
        marketing, sales = (self.locked(team) for team in TEAMS)
        if marketing is None or sales is None:
            return {}
        return {
            name: marketing.values[name] / sales.values[name]
            for name in MEASURES
            if marketing.values.get(name, 0) > 0 and sales.values.get(name, 0) > 0
        }

    @property
    def is_diverging(self) -> bool:
        """The teams expected different things: of some measure one expected twice the other's."""
        return any(not 1 / DIVERGING <= gap <= DIVERGING for gap in self.gaps().values())


@dataclass(frozen=True)
class Bias:
    """How far one team was off: ``ratio`` is what came over what was expected, over the campaigns that are mature."""

    team: str
    channel: str
    measure: str
    campaigns: int
    ratio: Interval


@dataclass(frozen=True)
class Campaigns:
    """All campaigns, newest first, and how far each team was off, over all channels (empty text) and by channel."""

    campaigns: tuple[Campaign, ...]
    bias: tuple[Bias, ...]
    has_expectations: bool
    late: int


def campaigns_report(people: People) -> Campaigns | None:
    """Put expectations beside results; None without the table ``campaigns``.

    Parameters
    ----------
    people
        Who, and as of when.
    """
    tables = people.tables
    if not tables.has("campaigns"):
        return None
    rows = tables.table("campaigns").to_pyarrow().to_pylist()
    expected = _expectations(people, {row["campaign_id"]: row["starts_on"] for row in rows})
    curves = {name: _open_share(people, stage) for name, stage in STAGE_OF.items()}
    groups = dict(list(people.frame.groupby("campaign_id")))
    empty = people.frame.iloc[:0]
    found = [
        _campaign(row, groups.get(row["campaign_id"], empty), expected.get(row["campaign_id"], ()), people, curves)
        for row in rows
    ]
    found.sort(key=lambda one: (one.starts_on or date.min, one.campaign_id), reverse=True)
    late = sum(not one.is_locked for campaign in found for one in campaign.expected)
    return Campaigns(tuple(found), _bias(found), tables.has("expectations"), late)


def _start_us(starts_on: date | None, zone: str) -> float:
    if starts_on is None:
        return np.inf
    return to_micros(datetime(starts_on.year, starts_on.month, starts_on.day, tzinfo=ZoneInfo(zone)))


def _expectations(people: People, starts: Mapping[str, date | None]) -> dict[str, tuple[Expected, ...]]:
    """Return each team's expectations by campaign: the newest of each measure from before the start, and later ones."""
    if not people.tables.has("expectations"):
        return {}
    found: dict[str, dict[tuple[str, bool], Expected]] = {}
    zone = people.config.workspace.timezone
    rows = people.tables.table("expectations").to_pyarrow().to_pylist()
    for row in sorted(rows, key=lambda row: row["registered_us"]):
        if row["registered_us"] > people.now_us:
            continue
        start = _start_us(starts.get(row["campaign_id"]), zone)
        values = {name: float(row[name]) for name in MEASURES if row[name] is not None}
        team = str(row["team"]).strip().lower()
        is_locked = row["registered_us"] < start
        teams = found.setdefault(row["campaign_id"], {})
        before = teams[team, is_locked].values if (team, is_locked) in teams else {}
        teams[team, is_locked] = Expected(team, row["registered_us"], is_locked, {**before, **values})
    return {name: tuple(teams.values()) for name, teams in found.items()}


def _since(frame: pd.DataFrame, stage: str) -> pd.Series:
    """Return the days from each person's first campaign touch to a stage; NaN where it came before, or not yet."""
    days = (frame[stage] - frame["campaign_us"]) / DAY_US
    return days.where(days >= 0)


def _open_share(people: People, stage: str) -> Matrix:
    """Return by days from the first campaign touch the share of all people that will have reached a stage."""
    frame = people.frame[people.frame["campaign_us"].notna() & (people.frame["campaign_us"] >= people.from_us)]
    observed = ((people.until_us - frame["campaign_us"]) / DAY_US).to_numpy()
    came_before = (frame[stage] < frame["campaign_us"]).to_numpy()
    entries = Entries(np.zeros(len(frame), dtype=np.int64), _since(frame, stage).fillna(np.inf).to_numpy(), observed)
    horizon = float(people.config.outcome.won_horizon_days)
    return cumulative_incidence(entries.take(~came_before), 1, horizon).curve[0]


def _still_to_come(frame: pd.DataFrame, stage: str, curve: Matrix, people: People) -> float:
    """Return how many of the open people will yet reach a stage inside the horizon; NaN where nothing tells."""
    is_open = frame[stage].isna()
    age = ((people.until_us - frame.loc[is_open, "campaign_us"]) / DAY_US).to_numpy()
    horizon = float(people.config.outcome.won_horizon_days)
    if not (age < horizon).any():
        return 0.0
    if not np.isfinite(curve[-1]):
        return float("nan")
    by_now = np.interp(age, np.linspace(0.0, horizon, len(curve)), curve)
    return float(((curve[-1] - by_now) / np.maximum(1.0 - by_now, 1e-9)).sum())


def _campaign(
    row: Mapping[str, object],
    frame: pd.DataFrame,
    expected: tuple[Expected, ...],
    people: People,
    curves: Mapping[str, Matrix],
) -> Campaign:
    came = {name: _since(frame, stage).notna() for name, stage in STAGE_OF.items()}
    so_far = {name: float(reached.sum()) for name, reached in came.items()}
    # A deal that several people of an account share is one.
    so_far["won"] = float(frame.loc[came["won"], "deals_won"].sum())
    has_amounts = people.tables.has("opportunities")
    revenue = frame["revenue"].where(came["won"], 0.0).fillna(0.0).to_numpy()
    so_far["revenue"] = float(revenue.sum()) if has_amounts else float("nan")
    coming = {name: _still_to_come(frame, stage, curves[name], people) for name, stage in STAGE_OF.items()}
    mean_win = people.frame["revenue"].sum() / max(float(people.frame["deals_won"].sum()), 1.0)
    projected, low, high = dict(so_far), dict(so_far), dict(so_far)
    for name, more in coming.items():
        projected[name] += more
        low[name] += float(poisson.ppf(0.05, more)) if more > 0 else more
        high[name] += float(poisson.ppf(0.95, more)) if more > 0 else more
    for ends in (projected, low, high):
        ends["revenue"] += mean_win * (ends["won"] - so_far["won"])
    mature = (frame["campaign_us"] + people.config.outcome.won_horizon_days * DAY_US) <= people.until_us
    ends_on = row["ends_on"] if isinstance(row["ends_on"], date) else None
    cost = row["cost"] if isinstance(row["cost"], float) and np.isfinite(row["cost"]) else None
    return Campaign(
        str(row["campaign_id"]),
        str(row["name"] or row["campaign_id"]),
        str(row["channel"] or ""),
        row["starts_on"] if isinstance(row["starts_on"], date) else None,
        ends_on,
        cost,
        len(frame),
        so_far,
        projected,
        low,
        high,
        float(mature.mean()) if len(frame) else float("nan"),
        ends_on is None or _start_us(ends_on + timedelta(days=1), people.config.workspace.timezone) <= people.until_us,
        expected,
        _cost_per(cost, so_far["sqls"]),
        _cost_per(cost, so_far["won"]),
        _return(cost, revenue) if has_amounts else Interval.of(float("nan")),
    )


def _cost_per(cost: float | None, count: float) -> Interval:
    """Return cost for one of so many; the ends are those of the count taken for Poisson (Garwood 1936)."""
    if cost is None:
        return Interval.of(float("nan"))
    ends = (poisson_end(count, 0.95), poisson_end(count, 0.05))
    value = cost / count if count else float("nan")
    return Interval(value, cost / ends[0], cost / ends[1] if ends[1] > 0 else float("inf"), float("nan"))


def poisson_end(count: float, level: float) -> float:
    """Return an end of the exact interval of a Poisson mean: below for levels under one half.

    Examples
    --------
    >>> round(poisson_end(10, 0.05), 2), round(poisson_end(10, 0.95), 2)
    (5.43, 16.96)
    """
    from scipy.special import gammaincinv

    shape = count if level < 0.5 else count + 1
    return float(gammaincinv(shape, level)) if shape > 0 else 0.0


def _return(cost: float | None, revenue: Matrix) -> Interval:
    """Return revenue for each unit of cost; wins are a compound Poisson sum, whose variance is that of squares."""
    if not cost:
        return Interval.of(float("nan"))
    total, spread = float(revenue.sum()), NORMAL_90 * float(np.sqrt((revenue**2).sum()))
    return Interval(total / cost, max(total - spread, 0.0) / cost, (total + spread) / cost, float("nan"))


def _bias(found: list[Campaign]) -> tuple[Bias, ...]:
    rows = [
        (expected.team, campaign.channel, name, campaign.so_far[name], expected.values[name])
        for campaign in found
        if campaign.maturity == 1.0 and campaign.has_ended
        for expected in campaign.expected
        if expected.is_locked
        for name in MEASURES
        if expected.values.get(name, 0.0) > 0 and np.isfinite(campaign.so_far[name])
    ]
    frame = pd.DataFrame(rows, columns=["team", "channel", "measure", "came", "expected"])
    bias: list[Bias] = []
    for rows in (frame.assign(channel=""), frame):
        for _, part in rows.groupby(["team", "measure", "channel"], sort=True):
            team, channel, measure = (str(part[name].iloc[0]) for name in ("team", "channel", "measure"))
            bias.append(Bias(team, channel, measure, len(part), _ratio(part)))
    return tuple(bias)


def _ratio(part: pd.DataFrame) -> Interval:
    came, expected = part["came"].to_numpy(dtype="float64"), part["expected"].to_numpy(dtype="float64")

    def measure(weights: Matrix) -> dict[str, float]:
        return {"ratio": float((weights * came).sum() / max((weights * expected).sum(), 1e-9))}

    if len(part) < 3:
        return Interval.of(measure(np.ones(len(part)))["ratio"])
    return cluster_bootstrap(measure, np.arange(len(part)), seed=0)["ratio"]


def starts_in(campaign: Campaign, until: datetime, zone: str) -> timedelta | None:
    """Return how long until a campaign begins; None where it has begun, or nobody knows when it does."""
    if campaign.starts_on is None:
        return None
    left = timedelta(microseconds=_start_us(campaign.starts_on, zone) - to_micros(until))
    return left if left > timedelta(0) else None
