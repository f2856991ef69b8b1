"""The SLA as it was kept: by team, owner, grade and week, with open hand-offs counted as open.

Time is business time of the owner's team. What has not happened yet is censored, not left out: shares inside a term and
percentiles are Kaplan and Meier's (1958). Nothing here is a mean.
"""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import CensoredData, ecdf

from alignment.business_hours import HOUR_US, Calendars
from alignment.hand_offs import first_sales_touch, sales_touches
from alignment.incidence import Entries, cumulative_incidence
from alignment.people import NO_BAND, People
from alignment.periods import Periods, weeks_until
from crm.config_sla import SlaConfig, Terms

__all__ = ["CLOCKS", "Clock", "Kept", "SlaReport", "breaches_at", "percentiles", "sla_report"]

Matrix = NDArray[np.float64]
WEEKS = 26
MOST_OWNERS = 40
CLOCKS = ("accept", "contact", "disposition")
PERCENTS = (0.5, 0.8, 0.9)
JUST_OVER = 1.0 + 1e-9
"""A term is kept up to its last moment."""


@dataclass(frozen=True)
class Clock:
    """One clock of every hand-off, business hours.

    Parameters
    ----------
    hours
        Shape (n,): until it stopped; infinite where it has not.
    observed_hours
        Shape (n,): for how long it could be watched.
    term_hours
        Shape (n,): what was agreed.
    due_us
        Shape (n,): when it comes due, microseconds since 1970 UTC.
    is_owed
        Shape (n,): it has not stopped, and nothing has made it idle: the lead was neither given back nor handed off
        again, and has not ended.
    """

    hours: Matrix
    observed_hours: Matrix
    term_hours: Matrix
    due_us: Matrix
    is_owed: NDArray[np.bool_]


@dataclass(frozen=True)
class Kept:
    """How one group kept one term.

    Parameters
    ----------
    clock, dimension, group
        Which term, and for whom (``all``, ``team``, ``owner``, ``band``, ``week``).
    hand_offs
        How many.
    stopped
        Of how many the clock has stopped.
    share, low, high
        Share inside the term, and its 90% interval.
    percentile_hours
        Business hours by which 50, 80 and 90% had it; NaN where so many have not yet.
    """

    clock: str
    dimension: str
    group: str
    hand_offs: int
    stopped: int
    share: float
    low: float
    high: float
    percentile_hours: tuple[float, ...]


@dataclass(frozen=True)
class SlaReport:
    """The agreement as it was kept.

    Parameters
    ----------
    sla
        What it is measured by.
    is_agreed
        False where the workspace file has no ``[sla]``: the defaults measure.
    hand_offs
        As :func:`alignment.hand_offs.hand_offs_of` gives them, those of the segments agreed on and of the last
        :data:`WEEKS` weeks, with ``week`` and ``attempts``.
    clocks
        By name.
    kept
        One row a clock, dimension and group.
    weeks
        The weeks.
    system_hours, human_hours
        Percentiles of 50, 80 and 90: hours of the day and night from the MQL until sales could see the hand-off, and
        business hours from then to the first contact.
    attempts_share
        Share of hand-offs given up, without an answer, after as many attempts as agreed; NaN without any.
    breaches
        Rows of ``hand_offs`` that are open and overdue: ``clock``, ``due_us``, ``overdue_hours`` (business hours).
    contact_is_acceptance
        True where no touch tells what sales does, and acceptances stand for contacts.
    """

    sla: SlaConfig
    is_agreed: bool
    hand_offs: pd.DataFrame
    clocks: Mapping[str, Clock]
    kept: tuple[Kept, ...]
    weeks: Periods
    system_hours: tuple[float, ...]
    human_hours: tuple[float, ...]
    attempts_share: float
    breaches: pd.DataFrame
    contact_is_acceptance: bool


def sla_report(people: People, offs: pd.DataFrame) -> SlaReport | None:
    """Measure how hand-offs were followed up; None without the table ``hand_offs``.

    Parameters
    ----------
    people
        Who, and as of when.
    offs
        As :func:`alignment.hand_offs.hand_offs_of` gives them.
    """
    if not people.tables.has("hand_offs"):
        return None
    sla = people.config.sla or SlaConfig()
    weeks = weeks_until(people.seen.observed_until, people.config.workspace.timezone, WEEKS)
    offs = _measured(offs, people, sla, weeks)
    first = float(offs["handed_off_us"].min()) if len(offs) else float(people.until_us)
    calendars = Calendars(sla, people.config.workspace.timezone, first, float(people.until_us))
    terms = [sla.terms_of(band) for band in offs["band"]]
    clocks = _clocks(offs, people, calendars, terms)
    offs = offs.assign(attempts=_attempts(offs, people, calendars, terms))
    report = SlaReport(
        sla,
        people.config.sla is not None,
        offs,
        clocks,
        tuple(row for name in CLOCKS for row in _kept(offs, name, clocks[name], weeks)),
        weeks,
        *_delays(offs, calendars, people),
        _attempts_share(offs, terms, people),
        pd.DataFrame(),
        not np.isfinite(first_sales_touch(people)),
    )
    return replace(report, breaches=breaches_at(report, people, float(people.until_us)))


def _measured(offs: pd.DataFrame, people: People, sla: SlaConfig, weeks: Periods) -> pd.DataFrame:
    week = weeks.place(offs["handed_off_us"].to_numpy(dtype="float64"))
    keeps = week >= 0
    if sla.segments:
        rows = offs["person"].to_numpy(dtype="int64")
        keeps &= np.any([people.segments[name][rows] for name in sla.segments], axis=0)
    return offs.assign(week=week)[keeps].reset_index(drop=True)


def _clocks(offs: pd.DataFrame, people: People, calendars: Calendars, terms: list[Terms]) -> dict[str, Clock]:
    """Start every clock at the hand-off; what gives a hand-off back stops the watch over its contact."""
    until = np.fmin(offs["next_us"].to_numpy(dtype="float64"), float(people.until_us))
    is_back = offs["disposition"].isin(people.config.dispositions.rejected).to_numpy(dtype=bool)
    disposed, ended = (offs[name].to_numpy(dtype="float64") for name in ("disposed_us", "ended_us"))
    given_back = np.where(is_back, disposed, np.nan)
    stops = {
        # Any disposition is an answer: sales has looked at it.
        "accept": (np.fmin(offs["accepted_us"].to_numpy(dtype="float64"), disposed), until),
        "contact": (offs["contact_us"].to_numpy(dtype="float64"), np.fmin(given_back, until)),
        # What became of it is known also where only the funnel says so.
        "disposition": (np.fmin(disposed, ended), until),
    }
    hours = {"accept": "accept_hours", "contact": "first_contact_hours", "disposition": "disposition_hours"}
    team, start = offs["team"].to_numpy(dtype=object), offs["handed_off_us"].to_numpy(dtype="float64")
    is_idle = ~np.isnan(given_back) | ~np.isnan(ended) | (until < people.until_us)
    clocks: dict[str, Clock] = {}
    for name, (stop, watched) in stops.items():
        term = np.array([getattr(term, hours[name]) for term in terms], dtype=np.float64)
        took = calendars.between(team, start, np.where(stop < until, stop, np.nan))
        is_stopped = np.isfinite(took)
        clocks[name] = Clock(
            np.where(is_stopped, took, np.inf),
            calendars.between(team, start, np.where(is_stopped, np.fmax(watched, stop), watched)),
            term,
            calendars.after(team, start, term),
            ~is_stopped & ~is_idle,
        )
    return clocks


def _groups(offs: pd.DataFrame, weeks: Periods) -> list[tuple[str, str, NDArray[np.bool_]]]:
    found: list[tuple[str, str, NDArray[np.bool_]]] = [("all", "", np.ones(len(offs), dtype=bool))]
    for dimension in ("team", "owner", "band"):
        counts = offs[dimension].value_counts()
        names = sorted((name for name in counts.index if name not in ("", NO_BAND)), key=lambda n: (-counts[n], n))
        found += [(dimension, str(name), (offs[dimension] == name).to_numpy()) for name in names[:MOST_OWNERS]]
    for place, start in enumerate(weeks.starts):
        found.append(("week", start, (offs["week"] == place).to_numpy()))
    return found


def _kept(offs: pd.DataFrame, name: str, clock: Clock, weeks: Periods) -> list[Kept]:
    rows: list[Kept] = []
    for dimension, group, member in _groups(offs, weeks):
        hours, observed, term = clock.hours[member], clock.observed_hours[member], clock.term_hours[member]
        # Time in parts of the term, so that hand-offs with different terms stand in one estimate.
        entries = Entries(np.zeros(len(hours), dtype=np.int64), 100.0 * hours / term, 100.0 * observed / term)
        share = cumulative_incidence(entries, 1, 100.0 * JUST_OVER)
        ends = (float(share.share[0]), float(share.low[0]), float(share.high[0]))
        stopped = int(np.isfinite(hours).sum())
        rows.append(Kept(name, dimension, group, len(hours), stopped, *ends, percentiles(hours, observed)))
    return rows


def percentiles(hours: Matrix, observed: Matrix, wanted: tuple[float, ...] = PERCENTS) -> tuple[float, ...]:
    """Return the times by which given shares had happened, open ones censored (Kaplan and Meier 1958).

    Parameters
    ----------
    hours
        Shape (n,): when it happened; infinite where it has not.
    observed
        Shape (n,): for how long it was watched.
    wanted
        Shares.

    Returns
    -------
    tuple of float
        NaN where so many have not happened in the time that was watched.

    Examples
    --------
    >>> percentiles(np.array([1.0, 2.0, np.inf, np.inf]), np.array([9.0, 9.0, 9.0, 1.5]), (0.25, 0.5, 0.9))
    (1.0, 2.0, nan)
    """
    if len(hours) == 0:
        return tuple(np.nan for _ in wanted)
    happened = np.isfinite(hours)
    found = ecdf(CensoredData(uncensored=hours[happened], right=observed[~happened])).cdf
    times, shares = np.asarray(found.quantiles), np.asarray(found.probabilities)
    reached = (shares[None, :] >= np.array(wanted)[:, None] - 1e-12) & np.isin(times, hours[happened])[None, :]
    return tuple(float(times[row.argmax()]) if row.any() else float("nan") for row in reached)


def _delays(offs: pd.DataFrame, calendars: Calendars, people: People) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Part the delay that systems make from the one that people make."""
    seen = np.fmax(offs["seen_us"].to_numpy(dtype="float64"), offs["handed_off_us"].to_numpy(dtype="float64"))
    start = offs["mql_us"].fillna(offs["handed_off_us"]).to_numpy(dtype="float64") if len(offs) else np.zeros(0)
    system = (seen - start) / HOUR_US
    contact = offs["contact_us"].to_numpy(dtype="float64")
    team = offs["team"].to_numpy(dtype=object)
    human = calendars.between(team, seen, np.fmax(contact, seen))
    until = np.fmin(offs["next_us"].to_numpy(dtype="float64"), float(people.until_us))
    watched = calendars.between(team, seen, np.fmax(until, seen))
    human = np.where(np.isfinite(contact), human, np.inf)
    return percentiles(system, system), percentiles(human, np.fmax(watched, np.where(np.isfinite(human), human, 0.0)))


def _attempts(offs: pd.DataFrame, people: People, calendars: Calendars, terms: list[Terms]) -> NDArray[np.int64]:
    """Count the contacts by sales inside the time agreed for them, of each hand-off."""
    if len(offs) == 0:
        return np.zeros(0, dtype=np.int64)
    hours = np.array([term.attempts_hours for term in terms], dtype=np.float64)
    due = calendars.after(offs["team"].to_numpy(dtype=object), offs["handed_off_us"].to_numpy(dtype="float64"), hours)
    spans = offs[["hand_off_id", "person_id", "handed_off_us"]].assign(end_us=np.fmin(due, offs["next_us"]))
    pairs = spans.merge(sales_touches(people), on="person_id")
    inside = (pairs["happened_us"] >= pairs["handed_off_us"]) & (pairs["happened_us"] < pairs["end_us"])
    counts = pairs[inside].groupby("hand_off_id").size()
    return np.asarray(offs["hand_off_id"].map(counts).fillna(0), dtype=np.int64)


def _attempts_share(offs: pd.DataFrame, terms: list[Terms], people: People) -> float:
    """Of the hand-offs that ended without an SQL: the share with as many attempts as agreed; NaN where none tells."""
    if not np.isfinite(first_sales_touch(people)):
        return float("nan")
    wanted = np.array([term.attempts for term in terms], dtype=np.int64)
    ended = (offs["ended_us"].notna() & offs["sql_us"].isna()).to_numpy()
    return float((offs["attempts"].to_numpy()[ended] >= wanted[ended]).mean()) if ended.any() else float("nan")


def breaches_at(report: SlaReport, people: People, at_us: float) -> pd.DataFrame:
    """List what is open and overdue at a moment, longest first; a hand-off that ended owes nothing any more.

    Parameters
    ----------
    report
        The agreement as it was kept; what is open there is taken to be open still.
    people
        Whom it speaks of.
    at_us
        The moment, microseconds since 1970 UTC: the end of the observed span, or the clock.

    Returns
    -------
    DataFrame
        Rows of ``report.hand_offs`` with ``clock``, ``due_us`` and ``overdue_hours`` (business hours).
    """
    offs, zone = report.hand_offs, people.config.workspace.timezone
    first = float(offs["handed_off_us"].min()) if len(offs) else at_us
    calendars = Calendars(report.sla, zone, first, at_us)
    holds = np.ones(len(offs), dtype=bool)
    if report.sla.effective_on is not None and len(offs):
        local = pd.to_datetime(offs["handed_off_us"].astype("int64"), unit="us", utc=True).dt.tz_convert(zone)
        holds = np.array([moment.date() >= report.sla.effective_on for moment in local], dtype=bool)
    parts: list[pd.DataFrame] = []
    for name in CLOCKS:
        clock = report.clocks[name]
        is_over = clock.is_owed & (clock.due_us < at_us) & holds
        rows = offs[is_over]
        until = np.full(len(rows), at_us)
        overdue = calendars.between(rows["team"].to_numpy(dtype=object), clock.due_us[is_over], until)
        parts.append(rows.assign(clock=name, due_us=clock.due_us[is_over], overdue_hours=overdue))
    return pd.concat(parts).sort_values(["overdue_hours", "hand_off_id"], ascending=[False, True], kind="stable")
