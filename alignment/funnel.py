"""The funnel by cohort: of the leads (or MQLs) of each month, how many went on, how fast, and for how much.

A step is followed from the entry of each person, never as a ratio of what two stages counted in one month. Cohorts that
were not observed for their whole horizon are estimated with an interval (:mod:`alignment.incidence`).
"""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alignment.incidence import Entries, Incidence, cumulative_incidence
from alignment.people import BANDS, NO_BAND, People
from alignment.periods import DAY_US, Periods, months_until

__all__ = ["NOTHING", "OTHER", "STEPS", "Breakdown", "Funnel", "Step", "StepResult", "funnel", "step_entries"]

MONTHS = 13
MOST_GROUPS = 12
MOST_PATHS = 12
OTHER = "\x01other"
"""Name under which the smaller groups of a dimension stand together."""
NOTHING = "\x01nothing"
"""Name of those of whom a dimension says nothing."""
DIMENSIONS = ("source", "campaign", "segment", "team", "owner", "band")


@dataclass(frozen=True)
class Step:
    """A step of the funnel: from one stage to another, inside a horizon."""

    start: str
    end: str

    @property
    def name(self) -> str:
        """Key of the step."""
        return f"{self.start}_{self.end}"


STEPS = (
    Step("lead", "mql"),
    Step("mql", "accepted"),
    Step("accepted", "sql"),
    Step("sql", "opportunity"),
    Step("opportunity", "won"),
    Step("mql", "sql"),
    Step("mql", "won"),
    Step("lead", "sql"),
    Step("lead", "won"),
)
WHOLE_WAY = (Step("lead", "mql"), Step("mql", "sql"), Step("mql", "won"), Step("lead", "won"))
"""Steps that are shown for every cohort and group."""


@dataclass(frozen=True)
class StepResult:
    """One step by group.

    Parameters
    ----------
    step
        Which.
    found
        By group.
    revenue
        Shape (groups,): revenue won so far by those who entered, workspace currency; NaN where amounts are not known.
    """

    step: Step
    found: Incidence
    revenue: np.ndarray


@dataclass(frozen=True)
class Breakdown:
    """The whole-way steps by the groups of one dimension, for entries of all months shown.

    Parameters
    ----------
    dimension
        One of :data:`DIMENSIONS`.
    groups
        Names, largest first; :data:`OTHER` for the rest.
    steps
        By name of the step.
    """

    dimension: str
    groups: tuple[str, ...]
    steps: Mapping[str, StepResult]


@dataclass(frozen=True)
class Funnel:
    """The funnel as of a moment.

    Parameters
    ----------
    months
        The cohorts.
    cohorts
        Every step by month of entry, by name of the step.
    overall
        Every step over all months shown (one group), by name of the step.
    breakdowns
        By dimension; those without data are left out.
    old_and_new
        MQLs of the months shown by ``is_above_line``: steps from MQL for groups ``below`` and ``above``; None without
        scores.
    recorded
        Stages that the data records by themselves, and not only by way of later ones.
    without_mql
        Persons who became an SQL in the months shown and were no MQL before.
    recycled
        Persons who were recycled in the months shown, how many of them became SQLs afterwards, and were won.
    paths
        Recorded paths of persons created in the months shown, and how many took each, most frequent first.
    """

    months: Periods
    cohorts: Mapping[str, StepResult]
    overall: Mapping[str, StepResult]
    breakdowns: tuple[Breakdown, ...]
    old_and_new: Breakdown | None
    recorded: frozenset[str]
    without_mql: int
    recycled: tuple[int, int, int]
    paths: tuple[tuple[str, int], ...]


def funnel(people: People) -> Funnel:
    """Follow everyone through the funnel.

    Parameters
    ----------
    people
        Who, and as of when.
    """
    zone = people.config.workspace.timezone
    months = months_until(people.seen.observed_until, zone, MONTHS)
    cohorts = {step.name: _by_cohort(people, step, months) for step in STEPS}
    shown = {step.name: step_entries(people, step, months) for step in STEPS}
    overall = {step.name: _one_group(people, step, shown[step.name]) for step in STEPS}
    breakdowns = [found for name in DIMENSIONS if (found := _breakdown(people, name, shown)) is not None]
    return Funnel(
        months,
        cohorts,
        overall,
        tuple(breakdowns),
        _old_and_new(people, shown),
        _recorded(people),
        _without_mql(people.frame, months),
        _recycled(people.frame, months),
        _paths(people.frame, months),
    )


def horizon_of(people: People, step: Step) -> float:
    """Return the days in which a step counts: those of a win for steps that end in one, else those of an SQL."""
    outcome = people.config.outcome
    return outcome.won_horizon_days if step.end == "won" else outcome.sql_horizon_days


def step_entries(people: People, step: Step, months: Periods) -> pd.DataFrame:
    """Return who entered a step in the months shown, and what came of it.

    Returns
    -------
    DataFrame
        Indexed by the row of ``people.frame``: ``month``, ``days`` (infinite where not seen), ``observed_days``.
        Whoever was past the end of the step before its start is left out, as are entries from before outcomes were
        recorded.
    """
    frame = people.frame
    start = frame["created_us"] if step.start == "lead" else frame[f"{step.start}_us"]
    end = frame[f"{step.end}_us"]
    wait = (end - start) / DAY_US
    found = pd.DataFrame(
        {
            "month": months.place(start.to_numpy(dtype="float64")),
            "days": wait.fillna(np.inf),
            "observed_days": (people.until_us - start) / DAY_US,
        }
    )
    keeps = (found["month"] >= 0) & ~(wait < 0) & (start >= people.from_us)
    if step.start == "accepted":
        # An SQL that nobody handed over has passed the acceptance, and says nothing of what sales does with MQLs.
        keeps &= frame["mql_us"] <= start
    return found[keeps]


def _incidence(entries: pd.DataFrame, group: np.ndarray, groups: int, horizon: float, **options: bool) -> Incidence:
    days, observed = (entries[name].to_numpy(dtype="float64") for name in ("days", "observed_days"))
    return cumulative_incidence(Entries(group.astype(np.int64), days, observed), groups, horizon, **options)


def _result(
    people: People, step: Step, entries: pd.DataFrame, group: np.ndarray, groups: int, **options: bool
) -> StepResult:
    found = _incidence(entries, group, groups, horizon_of(people, step), **options)
    revenue = people.frame["revenue"].reindex(entries.index).fillna(0.0).to_numpy()
    sums = np.bincount(group.astype(np.int64), weights=revenue, minlength=groups)
    return StepResult(step, found, sums if people.tables.has("opportunities") else np.full(groups, np.nan))


def _by_cohort(people: People, step: Step, months: Periods) -> StepResult:
    entries = step_entries(people, step, months)
    return _result(people, step, entries, entries["month"].to_numpy(), len(months), are_cohorts=True)


def _one_group(people: People, step: Step, entries: pd.DataFrame) -> StepResult:
    return _result(people, step, entries, np.zeros(len(entries), dtype=np.int64), 1)


def _breakdown(people: People, dimension: str, shown: Mapping[str, pd.DataFrame]) -> Breakdown | None:
    if dimension == "segment":
        return _segments(people, shown)
    if dimension == "band":
        values = people.frame["band"].where(people.frame["band"] != NO_BAND, None)
    else:
        values = people.frame[{"campaign": "campaign_id"}.get(dimension, dimension)]
        if values.notna().any() and dimension in ("source", "campaign"):
            values = values.fillna(NOTHING)
    counts = values.reindex(shown["lead_mql"].index.union(shown["mql_sql"].index)).value_counts()
    if counts.empty:
        return None
    if dimension == "band":
        names = tuple(band for band in BANDS if band in counts.index)
    else:
        largest = sorted(counts.index, key=lambda name: (-counts[name], str(name)))
        names = tuple(largest[:MOST_GROUPS])
        names = (*names, OTHER) if len(largest) > MOST_GROUPS else names
    place = {name: number for number, name in enumerate(names)}
    codes = values.map(lambda name: place.get(name, place.get(OTHER, -1)), na_action="ignore").fillna(-1).astype(int)
    steps = {step.name: _of_groups(people, step, shown[step.name], codes, len(names)) for step in WHOLE_WAY}
    return Breakdown(dimension, names, steps)


def _of_groups(people: People, step: Step, entries: pd.DataFrame, codes: pd.Series, groups: int) -> StepResult:
    group = codes.reindex(entries.index)
    kept = (group >= 0).to_numpy()
    return _result(people, step, entries[kept], group[kept].to_numpy(), groups)


def _segments(people: People, shown: Mapping[str, pd.DataFrame]) -> Breakdown | None:
    names = tuple(people.segments)
    if not names:
        return None
    steps: dict[str, StepResult] = {}
    for step in WHOLE_WAY:
        entries = shown[step.name]
        # A person may belong to several segments, and is counted in each.
        parts = [entries[people.segments[name][entries.index]] for name in names]
        group = np.repeat(np.arange(len(names)), [len(part) for part in parts])
        steps[step.name] = _result(people, step, pd.concat(parts), group, len(names))
    return Breakdown("segment", names, steps)


def _old_and_new(people: People, shown: Mapping[str, pd.DataFrame]) -> Breakdown | None:
    above = people.frame["is_above_line"]
    if not above.notna().any():
        return None
    codes = above.map({False: 0, True: 1}).fillna(-1).astype(int)
    steps = {
        step.name: _of_groups(people, step, shown[step.name], codes, 2)
        for step in (Step("mql", "sql"), Step("mql", "won"))
    }
    return Breakdown("line", ("below", "above"), steps)


def _recorded(people: People) -> frozenset[str]:
    frame = people.frame
    told = {
        "lead": True,
        "mql": bool(frame["mql_us"].notna().any()),
        "accepted": bool((frame["accepted_us"] < frame["sql_us"].fillna(np.inf)).any()),
        "sql": bool(frame["sql_entered_us"].notna().any()) or people.tables.has("opportunities"),
        "opportunity": bool(frame["opportunity_entered_us"].notna().any()) or people.tables.has("opportunities"),
        "won": bool(frame["won_us"].notna().any()),
    }
    return frozenset(stage for stage, is_told in told.items() if is_told)


def _without_mql(frame: pd.DataFrame, months: Periods) -> int:
    became = months.place(frame["sql_us"].to_numpy(dtype="float64")) >= 0
    return int((became & ~(frame["mql_us"] <= frame["sql_us"])).sum())


def _recycled(frame: pd.DataFrame, months: Periods) -> tuple[int, int, int]:
    back = frame["recycled_entered_us"]
    rows = months.place(back.to_numpy(dtype="float64")) >= 0
    return (
        int(rows.sum()),
        int((rows & frame["sql_again_us"].notna()).sum()),
        int((rows & frame["won_again_us"].notna()).sum()),
    )


def _paths(frame: pd.DataFrame, months: Periods) -> tuple[tuple[str, int], ...]:
    rows = months.place(frame["created_us"].to_numpy(dtype="float64")) >= 0
    counts = frame.loc[rows, "path"].value_counts()
    ranked = sorted(counts.items(), key=lambda pair: (-int(pair[1]), str(pair[0])))
    return tuple((str(path), int(count)) for path, count in ranked[:MOST_PATHS])
