"""Every hand-off with its clocks: when it was seen, accepted, contacted, answered, and what came of it."""

# pandas-stubs types a column of a frame as all that it may be.
# pyarrow publishes no types.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false, reportReturnType=false

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from alignment.people import NO_BAND, People, grade_of, scores_before
from crm.journeys import micros_of
from crm.known import to_micros
from crm.recorded import hand_offs_recorded, newest_versions, rows_recorded
from crm.store import Tables

__all__ = ["hand_offs_of", "has_sales_touches"]

ENDS = ("sql", "won", "closed_lost_entered", "disqualified_entered", "recycled_entered")


def hand_offs_of(people: People) -> pd.DataFrame:
    """Return one row a hand-off, in order of time, as recorded by the end of the observed span.

    Parameters
    ----------
    people
        Who, and as of when.

    Returns
    -------
    DataFrame
        ``hand_off_id``, ``person_id``, ``person`` (row of ``people.frame``), ``owner``, ``team`` (empty text where
        none), ``band``, ``value`` and ``p_sql`` (by the newest score before it), ``disposition``, ``reason`` (None
        where none), ``revenue`` of the person. Moments as microseconds since 1970 UTC, NaN for none: ``mql_us`` (the
        person's, where it lies before), ``handed_off_us``, ``seen_us`` (recorded, so that sales could know),
        ``next_us`` (the person's next hand-off, else the end of observation), ``accepted_us``, ``contact_us`` (the
        first touch by sales), ``disposed_us``, ``ended_us`` (SQL, win, loss, disqualification or recycling after it),
        ``sql_us``, ``won_us``.
    """
    known = to_micros(people.seen.observed_until)
    offs = hand_offs_recorded(people.tables, known)
    names = ["hand_off_id", "person_id", "owner", "team", "handed_off_us", "seen_us", "accepted_us", "disposed_us"]
    if offs.empty:
        return pd.DataFrame(columns=[*names, "person", "contact_us", "ended_us", "sql_us", "won_us", "band", "value"])
    offs = offs[offs["handed_off_us"] < known].merge(people.person_of, on="lead_id")
    place = pd.Series(np.arange(len(people.frame)), index=people.frame["person_id"])
    offs = offs.assign(person=offs["person_id"].map(place)).dropna(subset=["person"]).astype({"person": "int64"})
    offs = offs.merge(_versions(people.tables, known), on="hand_off_id", how="left")
    offs = offs.sort_values(["handed_off_us", "hand_off_id"], kind="stable").reset_index(drop=True)
    offs["handed_off_us"] = offs["handed_off_us"].astype("float64")
    following = offs.groupby("person_id")["handed_off_us"].shift(-1)
    offs["next_us"] = following.fillna(float(known))
    offs = offs.assign(owner=offs["owner"].fillna(""), team=offs["team"].fillna(""))
    offs["reason"] = offs["disposition_reason"]
    offs = _with_outcomes(offs, people)
    offs["accepted_us"] = _accepted(offs, people, known)
    offs["contact_us"] = _first_contact(offs, people, known)
    scores = scores_before(people.scores, offs["person_id"], offs["handed_off_us"])
    value = scores["expected_value"].to_numpy()
    return offs.assign(
        value=value, p_sql=scores["p_sql"].to_numpy(), band=grade_of(value, people.line) if people.line else NO_BAND
    )


def has_sales_touches(tables: Tables) -> bool:
    """Tell whether the touches tell anything of what sales does."""
    if not tables.has("touches"):
        return False
    touches = tables.table("touches")
    return bool(touches.filter(touches.actor == "sales").limit(1).count().to_pyarrow().as_py())


def _versions(tables: Tables, known: int) -> pd.DataFrame:
    """Return when each hand-off was first recorded, and when its disposition was."""
    rows = rows_recorded(tables, "hand_offs", known)
    seen = rows.groupby("hand_off_id")["recorded_us"].min().rename("seen_us")
    newest = newest_versions(rows, "hand_off_id").set_index("hand_off_id")["disposition"]
    same = rows[rows["disposition"].notna() & (rows["disposition"] == rows["hand_off_id"].map(newest))]
    disposed = same.groupby("hand_off_id")["recorded_us"].min().rename("disposed_us")
    return pd.concat([seen, disposed], axis=1).astype("float64").reset_index(names="hand_off_id")


def _with_outcomes(offs: pd.DataFrame, people: People) -> pd.DataFrame:
    """Add what came after each hand-off and before the person's next one."""
    person = people.frame.iloc[offs["person"].to_numpy()].reset_index(drop=True)
    found = offs.copy()
    for name in ("sql", "won"):
        moment = person[f"{name}_us"]
        found[f"{name}_us"] = moment.where(moment >= found["handed_off_us"])
    ends = [person[f"{name}_us"].where(person[f"{name}_us"] >= found["handed_off_us"]) for name in ENDS]
    found["ended_us"] = pd.concat(ends, axis=1).min(axis=1)
    found["mql_us"] = person["mql_us"].where(person["mql_us"] <= found["handed_off_us"])
    found["revenue"] = person["revenue"]
    return found


def _accepted(offs: pd.DataFrame, people: People, known: int) -> pd.Series:
    """Return when each was accepted: as written on it, or by the person's entry into that stage after it."""
    written = pd.Series(micros_of(offs["accepted_at"]), index=offs.index)
    written = written.where((written < known) & (written >= offs["handed_off_us"]))
    entered = people.frame["accepted_entered_us"].to_numpy()[offs["person"].to_numpy()]
    stage = pd.Series(entered, index=offs.index)
    stage = stage.where((stage >= offs["handed_off_us"]) & (stage < offs["next_us"]))
    return pd.concat([written, stage, offs["sql_us"]], axis=1).min(axis=1)


def _first_contact(offs: pd.DataFrame, people: People, known: int) -> pd.Series:
    """Return the first touch by sales from each hand-off on; its acceptance where no touch tells what sales does."""
    if not has_sales_touches(people.tables):
        return offs["accepted_us"]
    touches = sales_touches(people, known)
    pairs = offs[["hand_off_id", "person_id", "handed_off_us", "next_us"]].merge(touches, on="person_id")
    inside = (pairs["happened_us"] >= pairs["handed_off_us"]) & (pairs["happened_us"] < pairs["next_us"])
    first = pairs[inside].groupby("hand_off_id")["happened_us"].min()
    return offs["hand_off_id"].map(first).astype("float64")


def sales_touches(people: People, known: int) -> pd.DataFrame:
    """Return the contacts by sales: person_id, happened_us; of the kinds that the agreement names, if it does."""
    touches = people.tables.table("touches")
    kinds = people.config.sla.contact_kinds if people.config.sla else ()
    rows = touches.filter(touches.actor == "sales", touches.recorded_us <= known, touches.happened_us < known)
    rows = rows.filter(rows.kind.isin(kinds)) if kinds else rows
    found: pa.Table = rows.select("lead_id", "happened_us").to_pyarrow()
    return found.to_pandas().merge(people.person_of, on="lead_id")[["person_id", "happened_us"]]
