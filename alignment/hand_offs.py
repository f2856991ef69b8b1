"""Every hand-off with its clocks: when it was seen, accepted, contacted, answered, and what came of it."""

# pandas-stubs types a column of a frame as all that it may be.
# pyarrow publishes no types.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false, reportReturnType=false

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from alignment.people import NO_BAND, People, grade_of, scores_before
from crm.journeys import micros_of, stage_events
from crm.known import to_micros
from crm.recorded import hand_offs_recorded, rows_recorded

__all__ = ["first_sales_touch", "hand_offs_of", "sales_touches"]

ENDS = ("sql", "won", "opportunity", "closed_lost", "disqualified", "recycled")
COLUMNS = (
    *("hand_off_id", "person_id", "owner", "team", "disposition", "reason", "band", "value", "p_sql", "revenue"),
    *("handed_off_us", "seen_us", "next_us", "mql_us", "accepted_us", "contact_us", "disposed_us", "ended_us"),
    *("sql_us", "won_us"),
)


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
    if offs.empty or not (offs["handed_off_us"] < known).any():
        texts = ("hand_off_id", "person_id", "owner", "team", "disposition", "reason", "band")
        empty = pd.DataFrame({name: pd.Series(dtype=object if name in texts else "float64") for name in COLUMNS})
        return empty.assign(person=pd.Series(dtype="int64"))
    offs = offs[offs["handed_off_us"] < known].merge(people.person_of, on="lead_id")
    place = pd.Series(np.arange(len(people.frame)), index=people.frame["person_id"])
    offs = offs.assign(person=offs["person_id"].map(place)).dropna(subset=["person"]).astype({"person": "int64"})
    offs = offs.merge(_versions(people, known), on="hand_off_id", how="left")
    offs = offs.sort_values(["handed_off_us", "hand_off_id"], kind="stable").reset_index(drop=True)
    offs["handed_off_us"] = offs["handed_off_us"].astype("float64")
    following = offs.groupby("person_id")["handed_off_us"].shift(-1)
    offs["next_us"] = following.fillna(float(known))
    offs = offs.assign(owner=offs["owner"].fillna(""), team=offs["team"].fillna(""))
    offs["reason"] = offs["disposition_reason"]
    offs = _with_outcomes(offs, people)
    offs["contact_us"] = _first_contact(offs, people)
    scores = scores_before(people.scores, offs["person_id"], offs["handed_off_us"])
    value = scores["expected_value"].to_numpy()
    return offs.assign(
        value=value, p_sql=scores["p_sql"].to_numpy(), band=grade_of(value, people.line) if people.line else NO_BAND
    )


def first_sales_touch(people: People) -> float:
    """Return the first touch by sales that is known, microseconds since 1970 UTC; infinite without any."""
    moments = sales_touches(people)["happened_us"]
    return float(moments.min()) if len(moments) else np.inf


def _versions(people: People, known: int) -> pd.DataFrame:
    """Return when each hand-off was first recorded, and when a disposition first was."""
    rows = rows_recorded(people.tables, "hand_offs", known)
    seen = rows.groupby("hand_off_id")["recorded_us"].min().rename("seen_us")
    disposed = rows[rows["disposition"].notna()].groupby("hand_off_id")["recorded_us"].min().rename("disposed_us")
    return pd.concat([seen, disposed], axis=1).astype("float64").reset_index(names="hand_off_id")


def _with_outcomes(offs: pd.DataFrame, people: People) -> pd.DataFrame:
    """Add what came from each hand-off on and before the person's next one, and the MQL that it came from."""
    events = stage_events(people.tables, people.seen.observed_until, people.person_of)
    found = offs.copy()
    for name in ("sql", "won"):
        found[f"{name}_us"] = _first_after(offs, events[events["stage"] == name])
    found["ended_us"] = _first_after(offs, events[events["stage"].isin(ENDS)])
    entered = _first_after(offs, events[events["stage"] == "accepted"])
    written = pd.Series(micros_of(offs["accepted_at"]), index=offs.index)
    written = written.where((written < people.until_us) & (written >= offs["handed_off_us"]))
    found["accepted_us"] = pd.concat([written, entered, found["sql_us"]], axis=1).min(axis=1)
    found["mql_us"] = _nearest(offs, events[events["stage"] == "mql"], "backward")
    found["revenue"] = people.frame["revenue"].to_numpy()[offs["person"].to_numpy()]
    return found


def _first_after(offs: pd.DataFrame, events: pd.DataFrame) -> pd.Series:
    """Return each person's first event from its hand-off on and before its next one."""
    found = _nearest(offs, events, "forward")
    return found.where(found < offs["next_us"])


def _nearest(offs: pd.DataFrame, events: pd.DataFrame, direction: Literal["backward", "forward"]) -> pd.Series:
    rows = events[["person_id", "at_us"]].sort_values("at_us", kind="stable")
    rows = rows.assign(found_us=rows["at_us"])
    asked = offs[["person_id", "handed_off_us"]].rename(columns={"handed_off_us": "at_us"})
    asked = asked.astype({"person_id": object})  # in order of time already
    joined = pd.merge_asof(asked, rows, on="at_us", by="person_id", direction=direction)
    return pd.Series(joined["found_us"].to_numpy(dtype="float64"), index=offs.index)


def _first_contact(offs: pd.DataFrame, people: People) -> pd.Series:
    """Return the first touch by sales from each hand-off on.

    Where no touch tells what sales does, or none did yet when the lead was handed over, an acceptance stands for it.
    """
    touches = sales_touches(people)
    pairs = offs[["hand_off_id", "person_id", "handed_off_us", "next_us"]].merge(touches, on="person_id")
    inside = (pairs["happened_us"] >= pairs["handed_off_us"]) & (pairs["happened_us"] < pairs["next_us"])
    first = pairs[inside].groupby("hand_off_id")["happened_us"].min()
    contact = offs["hand_off_id"].map(first).astype("float64")
    is_before = offs["handed_off_us"] < first_sales_touch(people)
    return contact.where(contact.notna() | ~is_before, offs["accepted_us"])


def sales_touches(people: People) -> pd.DataFrame:
    """Return the contacts by sales: person_id, happened_us; of the kinds that the agreement names, if it does."""
    if not people.tables.has("touches"):
        return pd.DataFrame({"person_id": pd.Series(dtype=object), "happened_us": pd.Series(dtype="int64")})
    touches, known = people.tables.table("touches"), people.until_us
    kinds = people.config.sla.contact_kinds if people.config.sla else ()
    rows = touches.filter(touches.actor == "sales", touches.recorded_us <= known, touches.happened_us < known)
    rows = rows.filter(rows.kind.isin(kinds)) if kinds else rows
    found: pa.Table = rows.select("lead_id", "happened_us").to_pyarrow()
    return found.to_pandas().merge(people.person_of, on="lead_id")[["person_id", "happened_us"]]
