"""What the sentinel looks at: one row a lead with its outcomes and the end of its time at risk, and raw touches.

The sentinel is no model: it may look past every cutoff, and has to, for a leak lies there.
"""

# Ibis gives every column of a table the type Column, which has no operators.
# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crm.known import to_micros
from crm.outcomes import Observation, Outcome, outcome_events, risk_spells
from crm.recorded import hand_offs_recorded
from crm.store import Attribute, Tables
from crm.tables import ENDING_STAGES

__all__ = ["DAY_US", "HOUR_US", "MINUTE_US", "UNITS", "Facts", "fineness", "gather_facts", "has_clock"]

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
UNITS = ("microsecond", "second", "minute", "hour", "day")
QUARTER_US = 91 * DAY_US
MAX_LEADS = 60_000
MAX_SOURCES = 12
HASH_KEY = "kizashi-sentinel"


@dataclass(frozen=True)
class Facts:
    """Leads, touches, changes and merges of a workspace, as recorded by the run's moment.

    Parameters
    ----------
    seen
        The observed span.
    leads
        One row a lead, numbered 0, 1, 2, ...: lead_id, account_id, created_us, recorded_us, first_end_us and
        last_end_us (end of its first and last spell at risk; inf while open), first_outcome_us (earliest outcome of
        all, even before creation), sql_us and won_us (first from creation on; inf for none). Times are microseconds
        since 1970 UTC.
    values
        Attributes as the column of ``leads`` has them, same rows; empty for those known by their history alone.
    attributes
        The attributes that are used.
    touches
        lead (its number), happened_us, recorded_us, kind, actor, content_id, campaign_id, channel, value, shape (of its
        id, digits as #); None without the table.
    changes
        lead, field, value, recorded_us of used attributes; None without the table.
    sales
        lead, at_us: stages that end a lead's time at risk, and acceptances of hand-offs, as they were entered.
    merges
        from_lead, into_lead (numbers, -1 for unknown), recorded_us.
    is_sample
        Leads are so many that a sample of accounts is looked at.
    """

    seen: Observation
    leads: pd.DataFrame
    values: pd.DataFrame
    attributes: tuple[Attribute, ...]
    touches: pd.DataFrame | None
    changes: pd.DataFrame | None
    sales: pd.DataFrame
    merges: pd.DataFrame
    is_sample: bool

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of ``leads`` as an array, shape (n_leads,)."""
        return self.leads[name].to_numpy()

    @cached_property
    def outcomes(self) -> Mapping[Outcome, NDArray[np.bool_]]:
        """By outcome, whether the lead has it, whenever it came; shape (n_leads,)."""
        return {"sql": np.isfinite(self.column("sql_us")), "won": np.isfinite(self.column("won_us"))}

    @cached_property
    def strata(self) -> NDArray[np.int64]:
        """Quarter of creation and source, as one number a lead: what both explain is no leak."""
        created = self.column("created_us")
        quarter = (created - created.min(initial=0)) // QUARTER_US if len(created) else created
        source = pd.Series("", index=self.leads.index)
        if "source" in self.values:
            source = self.values["source"].astype(object).where(self.values["source"].notna(), "")
        frequent = source.value_counts().index[:MAX_SOURCES]
        codes = pd.factorize(source.where(source.isin(frequent), "~"))[0]
        return pd.factorize(quarter * (MAX_SOURCES + 2) + codes)[0].astype(np.int64)

    @cached_property
    def account(self) -> NDArray[np.int64]:
        """Account number of each lead, -1 without, shape (n_leads,)."""
        return pd.factorize(self.leads["account_id"])[0].astype(np.int64)

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """Account number of each lead, a number of its own without one, shape (n_leads,)."""
        account = self.account
        return np.where(account >= 0, account, account.max(initial=-1) + 1 + np.arange(len(account)))

    def owners(self, leads: NDArray[np.integer]) -> int:
        """Count the accounts of these leads: an outcome that an account's leads share is one outcome."""
        return len(np.unique(self.owner[leads]))

    @cached_property
    def lead_touches(self) -> pd.DataFrame:
        """Touches by leads, with ``is_visible``: known while the lead was last at risk, so that features read it."""
        if self.touches is None:
            return pd.DataFrame()
        own = self.touches[(self.touches["actor"] == "lead").to_numpy(dtype=bool)]
        known = np.maximum(own["happened_us"].to_numpy() + 1, own["recorded_us"].to_numpy())
        return own.assign(is_visible=known <= self.column("last_end_us")[own["lead"].to_numpy()])


def gather_facts(tables: Tables, seen: Observation) -> Facts:
    """Gather what the sentinel looks at, as recorded by ``seen.as_of``.

    Leads created before outcomes were recorded are left out: theirs are unknown.
    """
    known = to_micros(seen.as_of)
    leads, is_sample = _leads(tables, seen)
    number = pd.Index(leads["lead_id"])
    used = tables.used_attributes
    columns = [a.name for a in used if a.known_at_creation and a.name in leads.columns]
    values = leads[columns].copy()
    base = leads[["lead_id", "account_id", "created_us", "recorded_us"]]
    return Facts(
        seen,
        pd.concat([base, _ends(tables, seen, leads), _outcomes(tables, seen, leads)], axis=1),
        values,
        used,
        _touches(tables, number, known),
        _changes(tables, number, known),
        _sales(tables, number, known),
        _merges(tables, number, known),
        is_sample,
    )


def _leads(tables: Tables, seen: Observation) -> tuple[pd.DataFrame, bool]:
    leads = tables.table("leads")
    leads = leads.filter(leads["created_us"] <= to_micros(seen.observed_until))
    if seen.observed_from is not None:
        leads = leads.filter(leads["created_us"] >= to_micros(seen.observed_from))
    found = leads.to_pyarrow().to_pandas().sort_values(["created_us", "lead_id"], kind="stable")
    if len(found) <= MAX_LEADS:
        return found.reset_index(drop=True), False
    owner = found["account_id"].where(found["account_id"].notna(), found["lead_id"]).astype(str)
    drawn = pd.util.hash_array(owner.to_numpy(dtype=object), hash_key=HASH_KEY) % np.uint64(len(found))
    return found[drawn < MAX_LEADS].reset_index(drop=True), True


def _first(frame: pd.DataFrame, column: str, leads: pd.DataFrame) -> NDArray[np.float64]:
    earliest = frame.groupby("lead_id")[column].min()
    return leads["lead_id"].map(earliest).to_numpy(dtype=np.float64, na_value=np.inf)


def _ends(tables: Tables, seen: Observation, leads: pd.DataFrame) -> pd.DataFrame:
    spells = risk_spells(tables, seen.as_of)
    spells = spells.assign(end_us=spells["end_us"].fillna(np.inf))
    last = spells.groupby("lead_id")["end_us"].max()
    return pd.DataFrame(
        {
            "first_end_us": _first(spells, "end_us", leads),
            "last_end_us": leads["lead_id"].map(last).to_numpy(dtype=np.float64, na_value=np.inf),
        }
    )


def _outcomes(tables: Tables, seen: Observation, leads: pd.DataFrame) -> pd.DataFrame:
    events = outcome_events(tables, seen.as_of)
    created = leads.set_index("lead_id")["created_us"]
    events = events.assign(created_us=events["lead_id"].map(created))
    later = events[events["at_us"] >= events["created_us"]]
    return pd.DataFrame(
        {
            "first_outcome_us": _first(events, "at_us", leads),
            "sql_us": _first(later[later["outcome"] == "sql"], "at_us", leads),
            "won_us": _first(later[later["outcome"] == "won"], "at_us", leads),
        }
    )


def _touches(tables: Tables, number: pd.Index, known: int) -> pd.DataFrame | None:
    if not tables.has("touches"):
        return None
    touches = tables.table("touches")
    touches = touches.filter(touches["recorded_us"] <= known)
    kept = ("lead_id", "happened_us", "recorded_us", "kind", "actor", "content_id", "campaign_id", "channel", "value")
    shape = touches["touch_id"].re_replace("[0-9]+", "#")
    frame = touches.select(*kept, shape=shape, digits=touches["touch_id"].length()).to_pyarrow().to_pandas()
    return _numbered(frame, number)


def _changes(tables: Tables, number: pd.Index, known: int) -> pd.DataFrame | None:
    if not tables.has("lead_changes"):
        return None
    changes = tables.table("lead_changes")
    changes = changes.filter(changes["recorded_us"] <= known).select("lead_id", "field", "value", "recorded_us")
    used = [attribute.name for attribute in tables.used_attributes]
    frame = changes.filter(changes["field"].isin(used)).to_pyarrow().to_pandas()
    return _numbered(frame.sort_values("recorded_us", kind="stable"), number)


def _sales(tables: Tables, number: pd.Index, known: int) -> pd.DataFrame:
    parts = [pd.DataFrame({"lead_id": pd.Series([], dtype=object), "at_us": pd.Series([], dtype=np.int64)})]
    if tables.has("stages"):
        stages = tables.table("stages")
        stages = stages.filter(stages["stage"].isin(ENDING_STAGES) & (stages["recorded_us"] <= known))
        parts.append(stages.select("lead_id", at_us="entered_us").to_pyarrow().to_pandas())
    if tables.has("hand_offs"):
        accepted = hand_offs_recorded(tables, known).dropna(subset="accepted_at")
        moment = pd.to_datetime(accepted["accepted_at"], utc=True).dt.as_unit("us").astype("int64")
        parts.append(accepted[["lead_id"]].assign(at_us=moment))
    return _numbered(pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True), number)


def _numbered(frame: pd.DataFrame, number: pd.Index) -> pd.DataFrame:
    """Put the lead's number in the place of its id; rows of leads that are not looked at fall away."""
    lead = number.get_indexer(pd.Index(frame["lead_id"]))
    return frame.drop(columns="lead_id").assign(lead=lead)[lead >= 0].reset_index(drop=True)


def _merges(tables: Tables, number: pd.Index, known: int) -> pd.DataFrame:
    if not tables.has("lead_merges"):
        return pd.DataFrame({"from_lead": [], "into_lead": [], "recorded_us": []}, dtype=np.int64)
    merges = tables.table("lead_merges")
    frame = merges.filter(merges["recorded_us"] <= known).to_pyarrow().to_pandas()
    return pd.DataFrame(
        {
            "from_lead": number.get_indexer(pd.Index(frame["from_lead_id"])),
            "into_lead": number.get_indexer(pd.Index(frame["into_lead_id"])),
            "recorded_us": frame["recorded_us"].to_numpy(dtype=np.int64),
        }
    )


def fineness(moments_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the position in :data:`UNITS` of the coarsest unit of which each time is a whole number.

    Examples
    --------
    >>> [UNITS[n] for n in fineness(np.array([1, 3_000_000, 2 * DAY_US]))]
    ['microsecond', 'second', 'day']
    """
    found = np.zeros(len(moments_us), dtype=np.int64)
    for number, size in enumerate((1_000_000, MINUTE_US, HOUR_US, DAY_US), start=1):
        found[moments_us % size == 0] = number
    return found


def has_clock(moments_us: NDArray[np.int64]) -> bool:
    """Tell whether times hold more than a day: fewer than half of them share their three commonest times of day.

    Examples
    --------
    >>> has_clock(np.arange(100) * DAY_US), has_clock(np.arange(100) * (DAY_US + 61_000_000))
    (False, True)
    """
    if len(moments_us) == 0:
        return False
    counts = np.unique(moments_us % DAY_US, return_counts=True)[1]
    return bool(np.sort(counts)[-3:].sum() * 2 < len(moments_us))
