"""At which moments leads are scored for training, and in which spells they are at risk.

A snapshot is taken while its lead is at risk: before a hand-off or a decision, and not while ``[exclude]`` leaves the
lead out. Whether a moment is taken never depends on what the lead does later, else leads that convert fast would be
over-represented among the young (docs/adr/0003).
"""

# Ibis gives every column of a table the type Column, which has no operators.
# pyarrow publishes no types.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false
from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from crm.config import SnapshotsConfig
from crm.known import merge_paths, to_micros
from crm.outcomes import Observation, leads_at_risk, risk_spells
from crm.recorded import hand_offs_of_persons, hand_offs_recorded
from crm.rules import excluded_at
from crm.store import Tables
from features.known import DAY_US

__all__ = [
    "Snapshots",
    "first_moments",
    "hand_offs_at_risk",
    "moments_at_end",
    "scoring_moments",
    "take_snapshots",
    "with_moments",
]

RANDOM_PER_LEAD = 6
# Half of the ages are drawn evenly in log age while leads are young and their signs change by the hour, half over the
# later ages, where most leads at risk lie dormant and the model has to learn how little they are worth. The strata are
# fixed: a lead keeps its ages when other leads come or go, and a single lead of long ago moves nobody's.
YOUNGEST_DAYS = 0.1
YOUNG_DAYS = 60.0
OLDEST_DAYS = 730.0
HASH_KEY = "kizashi-snapshot"
WEEK_US = 7 * DAY_US


@dataclass(frozen=True)
class Snapshots:
    """Moments at which leads were at risk, in time order.

    Parameters
    ----------
    moments
        row_id (0, 1, 2, ...), lead_id, as_of_us: what features are built for.
    as_of_us
        Shape (n,), microseconds since 1970 UTC.
    group
        Account number of each row, shape (n,); a lead without account is its own.
    lead
        Lead number of each row, shape (n,).
    is_judged
        Shape (n,): at most one row a lead, on which quality is reported. Which one is drawn before anything is known
        of the lead's future; a lead that has left before its row has none, as it would not be scored then.
    """

    moments: pa.Table
    as_of_us: NDArray[np.int64]
    group: NDArray[np.int64]
    lead: NDArray[np.int64]
    is_judged: NDArray[np.bool_]

    def only(self, rows: NDArray[np.int64]) -> Snapshots:
        """Return some of the moments, numbered anew from 0; accounts and leads keep their numbers."""
        moments = self.moments.take(pa.array(rows)).drop_columns("row_id")
        moments = moments.add_column(0, "row_id", pa.array(np.arange(len(rows)), pa.int64()))
        arrays = (array[rows] for array in (self.as_of_us, self.group, self.lead, self.is_judged))
        return Snapshots(moments, *arrays)

    @property
    def newest_of_lead(self) -> NDArray[np.int64]:
        """Row number of each lead's newest row, in order of leads."""
        last = np.zeros(int(self.lead.max(initial=-1)) + 1, dtype=np.int64)
        last[self.lead] = np.arange(len(self.lead))  # rows are in time order, so the newest stays
        return last


def take_snapshots(tables: Tables, config: SnapshotsConfig, seen: Observation) -> Snapshots:
    """Take the training snapshots of every lead at risk.

    Parameters
    ----------
    tables
        The workspace's tables.
    config
        Which moments; by default creation and six drawn ages.
    seen
        Snapshots lie inside its span.
    """
    spells = risk_spells(tables, seen.as_of)
    chosen = config
    if config.is_default:
        chosen = SnapshotsConfig(creation=True, random_per_lead=RANDOM_PER_LEAD)
    return _arrange(tables, _at_risk(_gather(tables, spells, chosen, seen), spells, seen), to_micros(seen.as_of))


def scoring_moments(tables: Tables, config: SnapshotsConfig, seen: Observation, *, since_us: int) -> Snapshots:
    """Return the moments after ``since_us`` at which leads would have been scored, for a replay of the line.

    The configured moments, or the start of each week where the workspace names none (or random ones).
    """
    spells = risk_spells(tables, seen.as_of)
    named = config.creation or config.after_days or config.touch_kinds
    chosen = config if named else SnapshotsConfig(weekly=True)
    found = _gather(tables, spells, chosen, seen, since_us=since_us)
    return _arrange(tables, _at_risk(found[found["as_of_us"] >= since_us], spells, seen), to_micros(seen.as_of))


def with_moments(tables: Tables, moments: Snapshots, more: pd.DataFrame, seen: Observation) -> Snapshots:
    """Return moments and those of more rows (lead_id, as_of_us) at which the lead was at risk, each once.

    Parameters
    ----------
    tables
        The workspace's tables.
    moments
        What there is.
    more
        What comes to it.
    seen
        Whose span the moments lie in.
    """
    spells = risk_spells(tables, seen.as_of)
    accounts = spells[["lead_id", "account_id"]].drop_duplicates("lead_id")
    there = moments.moments.select(["lead_id", "as_of_us"]).to_pandas().merge(accounts, on="lead_id", how="left")
    found = pd.concat([there, _of_rows(more, spells)], ignore_index=True).assign(is_judged=False)
    return _arrange(tables, _at_risk(found, spells, seen), to_micros(seen.as_of))


def moments_at_end(tables: Tables, seen: Observation) -> Snapshots:
    """Return the leads at risk at the end of the observed span, each at that moment."""
    found = leads_at_risk(tables, seen.observed_until).assign(is_judged=True)
    return _arrange(tables, found, to_micros(seen.as_of))


def first_moments(tables: Tables, windows: Sequence[tuple[datetime, datetime]], seen: Observation) -> Snapshots:
    """Return, for each window ``[start, end)``, every lead once: at the first moment in it at which it was at risk.

    That is the start for leads at risk then, as was recorded by then; for the others their creation inside the window,
    or the moment at which their recycling was known. Accounts are joined by the merges recorded by ``seen.as_of``.
    """
    found = pd.concat([_entering(tables, start, end) for start, end in windows], ignore_index=True)
    return _arrange(tables, found.assign(is_judged=True), to_micros(seen.as_of))


def _entering(tables: Tables, start: datetime, end: datetime) -> pd.DataFrame:
    here = leads_at_risk(tables, start)
    spells = risk_spells(tables, end)
    known = spells["known_us"]
    inside = (known > to_micros(start)) & (known < to_micros(end)) & ~(spells["end_us"] < known)
    later = spells[inside & ~spells["lead_id"].isin(here["lead_id"])].sort_values("known_us", kind="stable")
    later = later.drop_duplicates("lead_id").rename(columns={"known_us": "as_of_us"})
    return pd.concat([here, later[list(here.columns)]], ignore_index=True)


def _gather(
    tables: Tables, spells: pd.DataFrame, config: SnapshotsConfig, seen: Observation, *, since_us: int = 0
) -> pd.DataFrame:
    """Put all kinds of moments together, and mark for each lead the one kind on which it is judged."""
    parts = [part.assign(slot=slot) for slot, part in enumerate(_moments(tables, spells, config, seen, since_us))]
    if not any(len(part) for part in parts):
        return pd.DataFrame({"lead_id": [], "account_id": [], "as_of_us": [], "is_judged": []})
    found = pd.concat([part for part in parts if len(part)], ignore_index=True)
    drawn = pd.util.hash_array(found["lead_id"].astype(str).to_numpy(dtype=object), hash_key=HASH_KEY) % len(parts)
    found = found.sort_values("as_of_us", kind="stable")
    is_first = ~found.duplicated(["lead_id", "slot"], keep="first")
    return found.assign(is_judged=is_first & (found["slot"] == drawn[found.index])).drop(columns="slot")


def _moments(
    tables: Tables, spells: pd.DataFrame, config: SnapshotsConfig, seen: Observation, since_us: int
) -> Iterator[pd.DataFrame]:
    if config.creation:
        yield _at_ages(spells, np.zeros(len(spells)))
    for days in config.after_days:
        yield _at_ages(spells, np.full(len(spells), days))
    if config.weekly:
        yield _weekly(spells, seen, since_us)
    for number in range(config.random_per_lead):
        yield _at_ages(spells, _drawn_ages(spells, number, config.random_per_lead))
    if config.touch_kinds and tables.has("touches"):
        yield _of_rows(_touches_as_known(tables, config.touch_kinds, to_micros(seen.as_of)), spells)
    if config.decisions:
        yield _decisions(tables, spells, to_micros(seen.as_of))


def _touches_as_known(tables: Tables, kinds: Collection[str], known_us: int) -> pd.DataFrame:
    """List the moments at which a lead's own touches of these kinds were first known, if they were by ``known_us``."""
    touches = tables.table("touches")
    touches = touches.filter(
        touches.kind.isin(list(kinds)) & (touches.actor == "lead") & (touches.recorded_us <= known_us)
    )
    known = ibis.greatest(touches.happened_us + 1, touches.recorded_us)
    return touches.select("lead_id", as_of_us=known).to_pyarrow().to_pandas()


def _at_ages(spells: pd.DataFrame, days: NDArray[np.float64]) -> pd.DataFrame:
    as_of = spells["known_us"].to_numpy(dtype=np.int64) + (days * DAY_US).astype(np.int64)
    return pd.DataFrame({"lead_id": spells["lead_id"], "account_id": spells["account_id"], "as_of_us": as_of})


def _drawn_ages(spells: pd.DataFrame, number: int, count: int) -> NDArray[np.float64]:
    """Draw the ``number``-th of ``count`` ages of each spell by a hash of the lead, whatever becomes of it.

    The first half of the numbers cover the young ages in strata of log age, the others the later ages, two years at
    the most, in strata of age. Ages beyond the end of the data or of the spell fall away later.
    """
    keys = (spells["lead_id"].astype(str) + f"|{number}").to_numpy(dtype=object)
    uniform = pd.util.hash_array(keys, hash_key=HASH_KEY).astype(np.float64) / 2.0**64
    young = (count + 1) // 2
    if number < young:
        low, high = np.log(YOUNGEST_DAYS), np.log(YOUNG_DAYS)
        return np.exp(low + (high - low) * (number + uniform) / young)
    return YOUNG_DAYS + (OLDEST_DAYS - YOUNG_DAYS) * (number - young + uniform) / (count - young)


def _weekly(spells: pd.DataFrame, seen: Observation, since_us: int) -> pd.DataFrame:
    last = to_micros(seen.observed_until)
    first = max(int(spells["known_us"].min()), since_us) if len(spells) else last
    ends = spells["end_us"].to_numpy(dtype=np.float64)
    parts: list[pd.DataFrame] = []
    for moment in range(last, first - 1, -WEEK_US):
        live = (spells["known_us"].to_numpy() <= moment) & ~(ends < moment)
        part = spells.loc[live, ["lead_id", "account_id"]]
        parts.append(part.assign(as_of_us=np.int64(moment)))
    return pd.concat(parts, ignore_index=True) if parts else spells.iloc[:0].assign(as_of_us=np.int64(0))


def _decisions(tables: Tables, spells: pd.DataFrame, known_us: int) -> pd.DataFrame:
    """Take the moment at which each MQL was known; the hand-off where the workspace has no MQLs.

    Not a moment earlier: a row that was chosen for becoming an MQL, and whose features do not tell so, would teach that
    any lead so active is on its way to sales.
    """
    if tables.has("stages"):
        stages = tables.table("stages")
        known = ibis.greatest(stages.entered_us + 1, stages.recorded_us)
        is_known = (stages.stage == "mql") & (stages.recorded_us <= known_us)
        mqls = stages.filter(is_known).select("lead_id", as_of_us=known)
        frame = mqls.to_pyarrow().to_pandas()
        if len(frame):
            return _of_rows(frame, spells)
    hand_offs = hand_offs_recorded(tables, known_us).rename(columns={"handed_off_us": "as_of_us"})
    return _of_rows(hand_offs[["lead_id", "as_of_us"]].drop_duplicates(), spells)


def _of_rows(rows: pd.DataFrame, spells: pd.DataFrame) -> pd.DataFrame:
    accounts = spells[["lead_id", "account_id"]].drop_duplicates("lead_id")
    return rows.merge(accounts, on="lead_id")[["lead_id", "account_id", "as_of_us"]]


def hand_offs_at_risk(tables: Tables, seen: Observation) -> pd.DataFrame:
    """List each lead's first hand-off in the observed span that found it at risk: ``lead_id``, ``as_of_us``, by lead.

    A lead that is handed over after its SQL, or once more while sales has it, tells nothing of what a hand-off does.
    """
    spells = risk_spells(tables, seen.as_of)
    rows = hand_offs_of_persons(tables, to_micros(seen.as_of)).rename(columns={"handed_off_us": "as_of_us"})
    found = _at_risk(_of_rows(rows, spells).assign(is_judged=False), spells, seen).astype({"lead_id": str})
    return found[["lead_id", "as_of_us"]].sort_values(["lead_id", "as_of_us"]).drop_duplicates("lead_id")


def _at_risk(found: pd.DataFrame, spells: pd.DataFrame, seen: Observation) -> pd.DataFrame:
    """Keep the moments inside the observed span at which the lead was at risk, each once."""
    found = found[found["as_of_us"] <= to_micros(seen.observed_until)]
    if seen.observed_from is not None:
        found = found[found["as_of_us"] >= to_micros(seen.observed_from)]
    found = found.astype({"lead_id": object, "as_of_us": "int64", "is_judged": bool})
    found = found.sort_values("is_judged", ascending=False, kind="stable").drop_duplicates(["lead_id", "as_of_us"])
    found = found.sort_values("as_of_us", kind="stable")
    starts = spells[["lead_id", "known_us", "end_us"]].sort_values("known_us", kind="stable")
    joined = pd.merge_asof(found, starts, left_on="as_of_us", right_on="known_us", by="lead_id", direction="backward")
    inside = joined["known_us"].notna() & ~(joined["end_us"] < joined["as_of_us"])
    return joined.loc[inside, ["lead_id", "account_id", "as_of_us", "is_judged"]]


def _joined(group: NDArray[np.int64], lead_id: pd.Series, merges: pa.Table, known_us: int) -> NDArray[np.int64]:
    """Join the groups of leads that were merged by ``known_us``: outcomes of one are outcomes of the other."""
    if merges.num_rows == 0:
        return group
    of_lead = dict(zip(lead_id.astype(str), group.tolist(), strict=True))
    pairs = [
        (of_lead[row["from_lead_id"]], of_lead[row["into_lead_id"]])
        for row in merges.to_pylist()
        if row["merged_us"] <= known_us and {row["from_lead_id"], row["into_lead_id"]} <= of_lead.keys()
    ]
    count = int(group.max()) + 1 if len(group) else 0
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs)), (ends[0], ends[1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)[group]


def _arrange(tables: Tables, found: pd.DataFrame, known_us: int) -> Snapshots:
    found = found.sort_values(["as_of_us", "lead_id"], kind="stable").reset_index(drop=True)
    # The one place where excluded leads leave: training, replay and the leads at risk now all come through here.
    is_excluded = pd.notna(excluded_at(tables, _as_moments(found)))
    found = found[~is_excluded].reset_index(drop=True)
    lead, _ = pd.factorize(found["lead_id"])
    owner = found["account_id"].where(found["account_id"].notna(), "lead:" + found["lead_id"].astype(str))
    group = _joined(pd.factorize(owner)[0], found["lead_id"], merge_paths(tables), known_us)
    return Snapshots(
        _as_moments(found),
        found["as_of_us"].to_numpy(dtype=np.int64),
        group.astype(np.int64),
        lead.astype(np.int64),
        found["is_judged"].to_numpy(dtype=bool),
    )


def _as_moments(found: pd.DataFrame) -> pa.Table:
    return pa.table(
        {
            "row_id": pa.array(np.arange(len(found)), pa.int64()),
            "lead_id": pa.array(found["lead_id"].astype(str), pa.string()),
            "as_of_us": pa.array(found["as_of_us"].to_numpy(dtype=np.int64), pa.int64()),
        }
    )
