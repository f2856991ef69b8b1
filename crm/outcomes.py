"""What became of a lead: SQL, won, amount. The one definition, and the only module that looks past a cutoff.

SQL is the earliest of the stages sql, opportunity and closed_won, and of an opportunity's ``created_at``: skipped
stages count as passed. Where the workspace has opportunities, they rule won and amount. The outcome of a snapshot is
the first after its ``as_of``; it counts iff ``as_of <= entered_at < as_of + horizon``. A label is mature iff the
whole horizon was observed, otherwise it is censored: unknown, never negative.
"""

# Ibis types a column as its widest class, which knows neither arithmetic nor the methods of its own kind.
# pandas-stubs types a column of a frame as all that it may be.
# pyarrow publishes no types.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false, reportReturnType=false

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from crm.config import OutcomeConfig
from crm.deals import deals_of_leads
from crm.known import from_micros, merge_paths, moments_table, to_micros
from crm.persons import shared_by_persons
from crm.recorded import hand_offs_recorded, rows_recorded
from crm.store import Tables
from crm.tables import ENDING_STAGES

__all__ = [
    "Labels",
    "Observation",
    "Outcome",
    "label_moments",
    "leads_at_risk",
    "observation",
    "outcome_events",
    "risk_spells",
]

Outcome = Literal["sql", "won"]
SQL_STAGES = ("sql", "opportunity", "closed_won")


@dataclass(frozen=True)
class Observation:
    """The span in which outcomes were recorded, as seen from one moment of training.

    Parameters
    ----------
    observed_from
        Before it outcomes were not recorded; snapshots before it do not train. None when they always were.
    observed_until
        Last moment at which outcomes were recorded.
    as_of
        The run's own moment: what was recorded later does not exist.
    """

    observed_from: datetime | None
    observed_until: datetime
    as_of: datetime

    def is_mature(self, cutoff: datetime, horizon: timedelta) -> bool:
        """Tell whether a label can be trusted: its whole horizon lies inside the observed span.

        Examples
        --------
        >>> from datetime import UTC
        >>> seen = Observation(None, datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
        >>> seen.is_mature(datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=90))
        True
        >>> seen.is_mature(datetime(2026, 1, 2, tzinfo=UTC), timedelta(days=90))
        False
        """
        return cutoff + horizon <= self.observed_until and (self.observed_from is None or cutoff >= self.observed_from)


def observation(tables: Tables, config: OutcomeConfig, as_of: datetime) -> Observation:
    """Settle the observed span: the earliest of ``as_of`` and the configured end, or the newest recorded outcome."""
    recorded = config.observed_until or _newest_outcome(tables, as_of) or as_of
    return Observation(config.observed_from, min(as_of, recorded), as_of)


@dataclass(frozen=True)
class Labels:
    """Outcomes of snapshots for one endpoint.

    Parameters
    ----------
    outcome
        ``sql`` or ``won``.
    horizon_days
        Days after the cutoff in which an outcome counts.
    happened
        Shape (n,): an outcome was recorded inside the horizon.
    days
        Shape (n,): days to the first outcome that was recorded, however late; infinite where none was. Beyond the end
        of the observed span it says nothing.
    is_mature
        Shape (n,): the label can be trusted. Where False, ``happened`` says nothing.
    amount
        Shape (n,): sum of the wins closed inside the horizon, workspace currency; 0 without, NaN where no amount is
        known.
    """

    outcome: Outcome
    horizon_days: float
    happened: NDArray[np.bool_]
    days: NDArray[np.float64]
    is_mature: NDArray[np.bool_]
    amount: NDArray[np.float64]


def outcome_events(tables: Tables, as_of: datetime) -> pd.DataFrame:
    """List every outcome recorded by ``as_of``: lead_id, outcome (sql or won), at_us, amount, opportunity_id.

    An opportunity of an account alone belongs to the account's leads created before it; its amount is split evenly.
    Leads that were merged by then are one person: what one of them reached, each of them reached. An opportunity
    may thus stand in several rows; sums over leads go by ``opportunity_id``.
    """
    known = to_micros(as_of)
    parts = [_events(pd.Series([], dtype=str), "sql", pd.Series([], dtype="int64"))]
    if tables.has("opportunities"):
        parts.append(_opportunity_events(tables, known))
    if tables.has("stages"):
        stages = rows_recorded(tables, "stages", known)
        reached = stages[stages["stage"].isin(SQL_STAGES)]
        parts.append(_events(reached["lead_id"], "sql", reached["entered_us"]))
        if not tables.has("opportunities"):
            won = stages[stages["stage"] == "closed_won"]
            parts.append(_events(won["lead_id"], "won", won["entered_us"]))
    events = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return shared_by_persons(events, tables, known)


def _frame(table: ir.Table) -> pd.DataFrame:
    return table.to_pyarrow().to_pandas()


def _events(
    lead_id: pd.Series,
    outcome: Outcome,
    at_us: pd.Series,
    amount: object = np.nan,
    opportunity_id: object = None,
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "lead_id": lead_id.astype(str).to_numpy(dtype=object),
            "outcome": outcome,
            "at_us": at_us.to_numpy(dtype=np.int64),
            "amount": np.broadcast_to(np.asarray(amount, dtype=np.float64), len(lead_id)),
            "opportunity_id": np.broadcast_to(np.asarray(opportunity_id, dtype=object), len(lead_id)),
        }
    )


def _opportunity_events(tables: Tables, known: int) -> pd.DataFrame:
    direct = deals_of_leads(tables, known)
    opened = _events(direct["lead_id"], "sql", direct["created_us"])
    won = direct[direct["is_won"].fillna(False).astype(bool)]
    closed = won["closed_us"].fillna(won["recorded_us"]).astype("int64")
    wins = _events(won["lead_id"], "won", closed, won["amount"].astype(float) * won["share"], won["opportunity_id"])
    passed = _events(won["lead_id"], "sql", closed)
    return pd.concat([opened, wins, passed], ignore_index=True)


def label_moments(
    tables: Tables,
    moments: pa.Table,
    events: pd.DataFrame,
    seen: Observation,
    *,
    outcome: Outcome,
    horizon_days: float,
) -> Labels:
    """Label snapshots with one outcome inside one horizon.

    Parameters
    ----------
    tables
        The workspace's tables (their engine does the join).
    moments
        row_id (0, 1, 2, ...), lead_id, as_of_us.
    events
        As :func:`outcome_events` gives them, which settles what was recorded by then.
    seen
        The observed span.
    outcome, horizon_days
        The endpoint.
    """
    horizon_us = round(horizon_days * 86_400_000_000)
    as_of_us = moments.column("as_of_us").to_numpy()
    until = to_micros(seen.observed_until)
    mature = as_of_us + horizon_us <= until
    if seen.observed_from is not None:
        mature &= as_of_us >= to_micros(seen.observed_from)
    wanted = events.loc[events["outcome"] == outcome, ["lead_id", "at_us", "amount"]].astype({"lead_id": str})
    left = moments_table(tables, moments)
    right = tables.backend.create_table(
        "outcome_events",
        pa.table(
            {
                "event_lead": pa.array(wanted["lead_id"], pa.string()),
                "at_us": pa.array(wanted["at_us"], pa.int64()),
                "amount": pa.array(wanted["amount"], pa.float64(), from_pandas=True),
            }
        ),
        overwrite=True,
    )
    after = left.join(right, [left.lead_id == right.event_lead, right.at_us >= left.as_of_us])
    wait = after.at_us - after.as_of_us
    found = (
        after.group_by("row_id")
        .aggregate(
            wait_us=wait.min(),
            amount=after.amount.sum(where=wait < horizon_us),
            known=after.amount.count(where=wait < horizon_us),
        )
        .to_pyarrow()
    )
    rows = found.column("row_id").to_numpy()
    days = np.full(moments.num_rows, np.inf)
    days[rows] = found.column("wait_us").to_numpy() / 86_400_000_000
    happened = np.zeros(moments.num_rows, dtype=bool)
    happened[rows] = found.column("wait_us").to_numpy() < horizon_us
    amount = np.zeros(moments.num_rows)
    sums = found.column("amount").to_numpy(zero_copy_only=False).astype(float)
    amount[rows] = np.where(found.column("known").to_numpy() > 0, sums, np.where(happened[rows], np.nan, 0.0))
    return Labels(outcome, horizon_days, happened, days, mature, amount)


def risk_spells(tables: Tables, as_of: datetime) -> pd.DataFrame:
    """List the spells in which each lead was at risk of being handed off, as recorded by ``as_of``.

    Returns
    -------
    DataFrame
        lead_id, account_id, start_us, known_us, end_us (NaN while open), one row a spell. A spell starts at creation or
        at ``recycled``, and is known from ``known_us`` on: from creation, or once the recycling was over and recorded.
        It ends at the first hand-off, decision or merge from its creation on, or after its recycling: what ends a spell
        at the very moment of a recycling is what the recycling takes back. A lead into which one was merged that sales
        had, and had not given back, is with sales from the recording of the merge on.
    """
    known = to_micros(as_of)
    leads = tables.table("leads")
    leads = _frame(leads.filter(leads["created_us"] <= known).select("lead_id", "account_id", start_us="created_us"))
    starts = [leads.assign(first_end_us=leads["start_us"], known_us=leads["start_us"])]
    if tables.has("stages"):
        stages = rows_recorded(tables, "stages", known).rename(columns={"entered_us": "start_us"})
        recycled = stages.loc[stages["stage"] == "recycled", ["lead_id", "start_us", "recorded_us"]]
        recycled = recycled.merge(leads[["lead_id", "account_id"]], on="lead_id")
        after = recycled["start_us"] + 1
        recycled = recycled.assign(first_end_us=after, known_us=np.maximum(after, recycled["recorded_us"]))
        starts.append(recycled.drop(columns="recorded_us"))
    spells = pd.merge_asof(
        pd.concat(starts, ignore_index=True)
        .astype({"lead_id": object, "start_us": "int64", "first_end_us": "int64", "known_us": "int64"})
        .sort_values("first_end_us", kind="stable"),
        _spell_ends(tables, as_of),
        left_on="first_end_us",
        right_on="at_us",
        by="lead_id",
        direction="forward",
        allow_exact_matches=True,
    )
    # Two starts before the same end are one spell: the later start only restates that the lead is open.
    spells = spells.sort_values(["lead_id", "start_us"], kind="stable")
    same = spells.duplicated(["lead_id", "end_us"], keep="first")
    return spells.loc[~same, ["lead_id", "account_id", "start_us", "known_us", "end_us"]].reset_index(drop=True)


def leads_at_risk(tables: Tables, as_of: datetime) -> pd.DataFrame:
    """List the leads at risk at a moment, as recorded by then: lead_id, account_id, as_of_us."""
    spells = risk_spells(tables, as_of)
    moment = to_micros(as_of)
    live = (spells["known_us"] <= moment) & ~(spells["end_us"] < moment)
    found = spells.loc[live, ["lead_id", "account_id"]].drop_duplicates("lead_id")
    return found.assign(as_of_us=np.int64(moment)).reset_index(drop=True)


def _spell_ends(tables: Tables, as_of: datetime) -> pd.DataFrame:
    """List whatever ends a spell at risk, recorded by ``as_of``: lead_id, at_us, end_us, in order of time."""
    known = to_micros(as_of)
    parts = [pd.DataFrame({"lead_id": [], "at_us": [], "is_end": []})]
    if tables.has("stages"):
        stages = rows_recorded(tables, "stages", known).rename(columns={"entered_us": "at_us"})
        stages = stages.assign(is_end=stages["stage"].isin(ENDING_STAGES))
        parts.append(stages.loc[stages["is_end"] | (stages["stage"] == "recycled"), list(parts[0])])
    if tables.has("hand_offs"):
        hand_offs = hand_offs_recorded(tables, known).rename(columns={"handed_off_us": "at_us"})
        parts.append(hand_offs.assign(is_end=True)[list(parts[0])])
    own = pd.concat(parts, ignore_index=True).astype({"lead_id": object, "at_us": "int64", "is_end": bool})
    merges = merge_paths(tables).to_pandas().astype({"from_lead_id": object, "into_lead_id": object})
    merges = merges[merges["merged_us"] <= known]
    gone = merges.rename(columns={"from_lead_id": "lead_id", "merged_us": "at_us"})
    ends = (outcome_events(tables, as_of), own[own["is_end"]], gone, _inherited_ends(own, merges))
    found = pd.concat([part[["lead_id", "at_us"]] for part in ends], ignore_index=True)
    found = found.astype({"lead_id": object, "at_us": "int64"})
    return found.assign(end_us=found["at_us"].astype("float64")).sort_values("at_us", kind="stable")


def _inherited_ends(own: pd.DataFrame, merges: pd.DataFrame) -> pd.DataFrame:
    """List what the leads merged into one bring it: the end of its time at risk at the merge, and later ends of theirs.

    ``own`` are ends and recyclings (``is_end`` False) by lead; at one moment the recycling counts.
    """
    own = own.rename(columns={"lead_id": "from_lead_id"}).sort_values(["at_us", "is_end"], ascending=[True, False])
    joined = merges.merge(own, on="from_lead_id").rename(columns={"into_lead_id": "lead_id"})
    is_before = joined["at_us"] <= joined["merged_us"]
    before = joined[is_before].drop_duplicates(["from_lead_id", "lead_id"], keep="last")
    at_merge = before[before["is_end"]].assign(at_us=lambda frame: frame["merged_us"])
    return pd.concat([at_merge, joined[~is_before & joined["is_end"]]], ignore_index=True)


def _newest_outcome(tables: Tables, as_of: datetime) -> datetime | None:
    """Return the newest ``recorded_at`` of the outcome tables that was known at ``as_of``; None without any."""
    known = to_micros(as_of)
    newest = [
        tables.table(name).filter(lambda t: t.recorded_us <= known).recorded_us.max().to_pyarrow().as_py()
        for name in ("stages", "opportunities", "hand_offs")
        if tables.has(name)
    ]
    values = [int(value) for value in newest if value is not None]
    return from_micros(max(values)) if values else None


def newest_moment(tables: Tables) -> datetime | None:
    """Return the newest ``recorded_at`` of leads and touches, for workspaces without outcomes; None without rows."""
    newest = [
        tables.table(name).recorded_us.max().to_pyarrow().as_py() for name in ("leads", "touches") if tables.has(name)
    ]
    values = [int(value) for value in newest if value is not None]
    return from_micros(max(values)) if values else None
