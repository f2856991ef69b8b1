"""The way of every person through the funnel: when each stage was first reached, as recorded by a moment.

The board's one source of stages. It looks past a cutoff, as :mod:`crm.outcomes` does, whose SQL and win it takes: a
stage that was skipped counts as passed from the acceptance on, as it does there. An MQL that nobody recorded is none:
whoever came to sales without one is counted as such.
"""

# pandas-stubs types a column of a frame as all that it may be.
# pyarrow publishes no types.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crm.deals import deals_of_leads
from crm.known import to_micros
from crm.outcomes import outcome_events
from crm.persons import merged_persons
from crm.recorded import hand_offs_recorded, rows_recorded
from crm.store import Tables

__all__ = ["PASSED", "REACHED", "journeys", "micros_of", "persons_of", "stage_events", "won_deals"]

PASSED = ("mql", "accepted", "sql", "opportunity", "won")
"""Stages of the funnel in order, each with a column ``{stage}_us``: when it was passed, whatever was skipped."""
REACHED = ("mql", "accepted", "sql", "opportunity", "closed_won", "closed_lost", "disqualified", "recycled")
"""Stages as they were recorded, each with a column ``{stage}_entered_us``."""
_DAY_ORDER = {stage: place for place, stage in enumerate(REACHED)}


def persons_of(tables: Tables, known_us: int) -> pd.DataFrame:
    """Return the person of every lead created by a moment: lead_id, person_id (the lead that stands for it)."""
    leads = tables.table("leads")
    found = leads.filter(leads["created_us"] <= known_us).select("lead_id").to_pyarrow().to_pandas()
    leader = merged_persons(tables, known_us)
    return found.assign(person_id=found["lead_id"].map(lambda lead: leader.get(lead, lead)) if leader else found)


def journeys(tables: Tables, as_of: datetime) -> pd.DataFrame:
    """Return one row a person: who it is, and when it first reached each stage, as recorded by ``as_of``.

    Parameters
    ----------
    tables
        The workspace's tables.
    as_of
        What was recorded later, or happened later, does not exist. Timezone-aware.

    Returns
    -------
    DataFrame
        Indexed 0, 1, 2, ... in order of creation: ``person_id`` (the lead that stands for the person), ``leads`` (how
        many are merged in it), ``account_id``, ``source``; moments as microseconds since 1970 UTC, NaN for never:
        ``created_us``, ``handed_off_us``, ``{stage}_us`` of :data:`PASSED` and ``{stage}_entered_us`` of
        :data:`REACHED`; ``sql_again_us`` and ``won_again_us``, the first after it was recycled; ``hand_off_id``,
        ``owner`` and ``team`` of the first hand-off; ``path``, the stages entered in order, joined by ``>``;
        ``revenue``, workspace currency, of its wins so far (NaN where no amount is known), ``wins``, and
        ``deals_won``, in which a deal that several people share counts once over all of them.

    Notes
    -----
    Where the data has no stage mql at all, the first hand-off stands for it.
    """
    known = to_micros(as_of)
    persons = persons_of(tables, known)
    found = _people(tables, known, persons)
    place = pd.Series(np.arange(len(found)), index=found["person_id"])
    row_of = dict(zip(persons["lead_id"], persons["person_id"].map(place), strict=True))
    found = found.join(_entered(tables, known, row_of, len(found)))
    found = found.join(_first_hand_off(tables, known, row_of), how="left")
    found = found.join(_won(tables, known, row_of, len(found)))
    if not tables.has("opportunities"):
        won = found["closed_won_entered_us"].notna()
        found["wins"], found["deals_won"] = won.astype(int), won.astype(float)
    events = outcome_events(tables, as_of)
    events = events.assign(row=events["lead_id"].map(row_of)).dropna(subset=["row"])
    events = events[events["at_us"] < known]
    for outcome in ("sql", "won"):
        first = events[events["outcome"] == outcome].groupby("row")["at_us"].min()
        found[f"{outcome}_us"] = first.reindex(found.index).astype("float64")
        since = events["row"].map(found["recycled_entered_us"])
        again = events[(events["outcome"] == outcome) & (events["at_us"] > since)]
        found[f"{outcome}_again_us"] = again.groupby("row")["at_us"].min().reindex(found.index).astype("float64")
    has_mqls = found["mql_entered_us"].notna().any()
    found["mql_us"] = found["mql_entered_us"] if has_mqls else found["handed_off_us"]
    found["opportunity_us"] = found[["opportunity_entered_us", "opened_us", "won_us"]].min(axis=1)
    # A win without an SQL of its own has passed it, so that no later stage comes before an earlier one.
    found["sql_us"] = found[["sql_us", "opportunity_us"]].min(axis=1)
    found["accepted_us"] = found[["accepted_entered_us", "accepted_at_us", "sql_us"]].min(axis=1)
    return found.drop(columns=["opened_us", "accepted_at_us"])


def micros_of(times: pd.Series) -> NDArray[np.float64]:
    """Return moments (UTC) as microseconds since 1970, shape (n,), NaN for none; floats hold them exactly."""
    moments = pd.to_datetime(times, utc=True).dt.tz_localize(None).to_numpy("datetime64[us]")
    return np.where(np.isnat(moments), np.nan, moments.astype(np.int64).astype(np.float64))


def stage_events(tables: Tables, as_of: datetime, persons: pd.DataFrame) -> pd.DataFrame:
    """Return every entry of every person into a stage, SQLs and wins by :mod:`crm.outcomes`: person_id, stage, at_us.

    Parameters
    ----------
    tables
        The workspace's tables.
    as_of
        What was recorded later, or happened later, does not exist. Timezone-aware.
    persons
        As :func:`persons_of` gives them.
    """
    known = to_micros(as_of)
    outcomes = outcome_events(tables, as_of).rename(columns={"outcome": "stage"})[["lead_id", "stage", "at_us"]]
    parts = [outcomes]
    if tables.has("stages"):
        stages = rows_recorded(tables, "stages", known).rename(columns={"entered_us": "at_us"})
        parts.append(stages.loc[~stages["stage"].isin(("sql", "closed_won")), ["lead_id", "stage", "at_us"]])
    events = pd.concat(parts, ignore_index=True)
    events = events[events["at_us"] < known].merge(persons, on="lead_id")
    found = events[["person_id", "stage", "at_us"]].drop_duplicates().astype({"person_id": object, "stage": object})
    return found.astype({"at_us": "float64"}).sort_values("at_us", kind="stable").reset_index(drop=True)


def _people(tables: Tables, known: int, persons: pd.DataFrame) -> pd.DataFrame:
    leads = tables.table("leads")
    columns = [name for name in ("account_id", "source") if name in leads.columns]
    rows = leads.filter(leads["created_us"] <= known).select("lead_id", "created_us", *columns).to_pyarrow().to_pandas()
    rows = rows.merge(persons, on="lead_id").sort_values(["created_us", "lead_id"], kind="stable")
    for name in {"account_id", "source"} - set(columns):
        rows[name] = None
    grouped = rows.groupby("person_id", sort=False)
    # Who a person is, the first of its leads tells; which lead stands for it, the merges.
    people = grouped[["created_us", "account_id", "source"]].first().assign(leads=grouped.size())
    return people.reset_index().astype({"created_us": "float64"})


def _entered(tables: Tables, known: int, row_of: dict[str, int], size: int) -> pd.DataFrame:
    """Return the first recorded entry into each stage, and the path."""
    names = [f"{stage}_entered_us" for stage in REACHED]
    empty = pd.DataFrame(np.nan, index=pd.RangeIndex(size), columns=names)
    if not tables.has("stages"):
        return empty.assign(path="")
    stages = rows_recorded(tables, "stages", known)
    stages = stages.assign(row=stages["lead_id"].map(row_of)).dropna(subset=["row"])
    stages = stages[stages["entered_us"] < known].astype({"row": "int64", "stage": str})
    first = stages.groupby(["row", "stage"])["entered_us"].min().reset_index()
    order = first.assign(stage_order=first["stage"].map(_DAY_ORDER)).sort_values(["row", "entered_us", "stage_order"])
    path = order.groupby("row")["stage"].agg(">".join)
    wide = first.pivot_table(index="row", columns="stage", values="entered_us", aggfunc="min")
    wide.columns = [f"{stage}_entered_us" for stage in wide.columns]
    wide = wide.reindex(index=empty.index, columns=names).astype("float64")
    return wide.assign(path=path.reindex(empty.index).fillna(""))


def _first_hand_off(tables: Tables, known: int, row_of: dict[str, int]) -> pd.DataFrame:
    names = ["hand_off_id", "owner", "team", "handed_off_us", "accepted_at_us"]
    offs = hand_offs_recorded(tables, known)
    if offs.empty:
        return pd.DataFrame({name: pd.Series(dtype=object if name in names[:3] else "float64") for name in names})
    offs = offs.assign(accepted_at_us=micros_of(offs["accepted_at"]), row=offs["lead_id"].map(row_of))
    offs = offs.dropna(subset=["row"]).astype({"row": "int64"})
    offs = offs[offs["handed_off_us"] < known].sort_values(["handed_off_us", "hand_off_id"], kind="stable")
    offs.loc[~(offs["accepted_at_us"] < known), "accepted_at_us"] = np.nan
    return (
        offs.drop_duplicates("row")
        .set_index("row")[names]
        .astype({"handed_off_us": "float64", "accepted_at_us": "float64"})
    )


def won_deals(tables: Tables, known: int, row_of: Mapping[str, int]) -> pd.DataFrame:
    """Return the deals won by a moment (microseconds): row of the person, opportunity_id, closed_us, amount, share.

    A deal of an account alone stands once for each of its leads; ``amount`` is each one's part of it, and ``share``
    the part itself, which is 1 in sum over the deal.
    """
    deals = deals_of_leads(tables, known)
    deals = deals.assign(row=deals["lead_id"].map(row_of)).dropna(subset=["row"]).astype({"row": "int64"})
    closed = deals["closed_us"].fillna(deals["recorded_us"]).astype("float64")
    is_won = deals["is_won"].fillna(False).astype(bool) & (closed < known) & (deals["created_us"] < known)
    found = deals.assign(closed_us=closed, amount=deals["amount"] * deals["share"])[is_won]
    grouped = found.groupby(["row", "opportunity_id"], sort=False)
    sums = grouped[["amount", "share"]].sum(min_count=1)
    return sums.assign(closed_us=grouped["closed_us"].min()).reset_index()


def _won(tables: Tables, known: int, row_of: dict[str, int], size: int) -> pd.DataFrame:
    """Return when the first opportunity was opened, and the revenue and number of wins, each deal counted once."""
    empty = pd.DataFrame({"opened_us": np.nan, "revenue": 0.0, "wins": 0, "deals_won": 0.0}, index=pd.RangeIndex(size))
    if not tables.has("opportunities"):
        return empty.assign(revenue=np.nan)
    deals = deals_of_leads(tables, known)
    deals = deals.assign(row=deals["lead_id"].map(row_of)).dropna(subset=["row"]).astype({"row": "int64"})
    opened = deals[deals["created_us"] < known].groupby("row")["created_us"].min()
    found = empty.assign(opened_us=opened.reindex(empty.index).astype("float64"))
    won = won_deals(tables, known, row_of).groupby("row")
    revenue = won["amount"].sum(min_count=1)
    found.loc[revenue.index, "revenue"] = revenue.to_numpy(dtype="float64")
    found["wins"] = won.size().reindex(empty.index).fillna(0).astype(int)
    found["deals_won"] = won["share"].sum().reindex(empty.index).fillna(0.0)
    return found
