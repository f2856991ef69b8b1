"""Replaying weeks that neither the models nor the line had seen, for the old rule against the new line.

The folds' models are at hand: each was learned before its test period, from other accounts. They score every lead at
risk week by week, and at the moment at which the old rule made it an MQL.
"""

# pandas-stubs types a column of a frame as all that it may be.
# pyarrow publishes no types.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import expit

from crm.config import SnapshotsConfig, ValueConfig, WorkspaceConfig
from crm.known import from_micros, to_micros
from crm.old_rule import first_crossings, has_old_rule
from crm.outcomes import Observation, label_moments, outcome_events, risk_spells
from crm.persons import person_numbers
from crm.progress import Progress
from crm.store import Tables
from features.build import build_features
from features.known import DAY_US
from models.amount import AmountModel
from models.blend import Endpoint
from models.gain import Comparison, GainRows, Picks, compare_rules, pick_leads
from models.scoring import chances_within
from training.drawing import draw_accounts
from training.learn import Learned, amount_before
from training.prepare import TrainingData
from training.replay import REPLAY_WEEKS
from training.snapshots import WEEK_US, Snapshots, scoring_moments, with_moments
from training.splits import Fold

__all__ = ["UnseenWeeks", "compare", "replay_unseen"]

Matrix = NDArray[np.float64]
MOST_WEEKS = 12
FEWEST_WEEKS = 4
MOST_ROWS = 200_000
CHUNK = 50_000
GRACE_US = DAY_US


@dataclass(frozen=True, eq=False)
class UnseenWeeks:
    """Unseen weeks, and which lead at which moment each row of them is.

    Parameters
    ----------
    rows
        Numbers alone.
    lead_ids
        Length n.
    as_of_us
        Microseconds since 1970 UTC, shape (n,).
    """

    rows: GainRows
    lead_ids: list[str]
    as_of_us: NDArray[np.int64]


def compare(rows: GainRows, value: ValueConfig) -> tuple[Comparison, Picks]:
    """Compare the old rule with the new line on unseen weeks, at a capacity and a cost.

    Parameters
    ----------
    rows
        The weeks.
    value
        Margin, cost, capacity and hours a lead.

    Returns
    -------
    comparison, picks
        The two side by side, and which rows each of them picked.
    """
    terms = {"margin": value.margin, "touch_cost": value.touch_cost, "capacity": value.weekly_capacity}
    return compare_rules(rows, hours_per_lead=value.hours_per_lead, **terms), pick_leads(rows, **terms)


def replay_unseen(
    tables: Tables, data: TrainingData, learned: Learned, config: WorkspaceConfig, progress: Progress
) -> UnseenWeeks | None:
    """Score unseen weeks with the folds' models and look up what became of each lead.

    Parameters
    ----------
    tables
        The workspace's tables.
    data, learned
        What the run learned from, and what it learned.
    config
        The workspace file.
    progress
        Where to report.

    Returns
    -------
    UnseenWeeks or None
        None where there is no old rule, no test period of at least four weeks, or no win with an amount before it.
    """
    start = _start(learned)
    end = to_micros(data.seen.observed_until) - round(data.won.horizon_days * DAY_US)
    weeks = 0 if start is None else min((end - start) // WEEK_US, MOST_WEEKS)
    if start is None or weeks < FEWEST_WEEKS or not has_old_rule(tables, config):
        return None
    try:
        amount = amount_before(data, start, config)
    except ValueError:
        return None
    with progress.step(f"Replaying {weeks} unseen weeks") as step:
        moments, is_old = _moments(tables, data, config, start, start + weeks * WEEK_US)
        of_fold = _folds_of(data, learned.folds["won"], moments, {start})
        moments, is_old, of_fold, share = _thin(moments, is_old, of_fold)
        revenue = _expected(tables, data, learned, moments, (of_fold, start), amount)
        step.note(f"{len(is_old):,} scorings of {len(np.unique(moments.lead)):,} leads")
    first = start - REPLAY_WEEKS * WEEK_US
    week = np.ceil((moments.as_of_us - first) / WEEK_US).clip(0).astype(np.int64)
    lead_ids = moments.moments.column("lead_id").to_pylist()
    rows = GainRows(
        # Leads that were merged since are one person, who is picked once and buys once.
        person_numbers(tables, lead_ids, to_micros(data.seen.as_of)),
        moments.group,
        week,
        revenue,
        np.zeros(len(week), dtype=bool),
        np.zeros(len(week), dtype=bool),
        np.zeros(len(week)),
        is_old,
        REPLAY_WEEKS,
        int(weeks),
        from_micros(start).date().isoformat(),
        from_micros(start + weeks * WEEK_US).date().isoformat(),
        share,
    )
    rows = _with_outcomes(tables, data, moments, rows, amount.mean)
    return UnseenWeeks(rows, lead_ids, moments.as_of_us)


def _start(learned: Learned) -> int | None:
    """Return when the newest test period with a gap before it begins."""
    starts = [fold.start_us for fold in learned.folds["won"] if fold.has_gap]
    return max(starts, default=None)


def _moments(
    tables: Tables, data: TrainingData, config: WorkspaceConfig, start: int, end: int
) -> tuple[Snapshots, NDArray[np.bool_]]:
    """Return every week's start and every crossing of the old rule at which the lead was at risk."""
    first = start - REPLAY_WEEKS * WEEK_US
    seen = Observation(data.seen.observed_from, from_micros(end), data.seen.as_of)
    weekly = scoring_moments(tables, SnapshotsConfig(weekly=True), seen, since_us=first - WEEK_US + 1)
    old = _before_hand_off(tables, first_crossings(tables, config, from_micros(first), from_micros(end)), seen)
    both = with_moments(tables, weekly, old.rename(columns={"at_us": "as_of_us"}), seen)
    crossed = pd.MultiIndex.from_frame(old[["lead_id", "at_us"]])
    asked = pd.MultiIndex.from_arrays([both.moments.column("lead_id").to_pylist(), both.as_of_us])
    return both, np.asarray(asked.isin(crossed))


def _before_hand_off(tables: Tables, old: pd.DataFrame, seen: Observation) -> pd.DataFrame:
    """Date crossings back that were known up to a day after the lead's spell at risk had ended.

    With dates alone, or a nightly sync, an MQL is known only after the hand-off that it brought about. It is the old
    rule's all the same, and stands just before the end of the spell.
    """
    spells = risk_spells(tables, seen.as_of).astype({"lead_id": object}).sort_values("known_us", kind="stable")
    spells = spells[["lead_id", "known_us", "end_us"]]
    asked = old.astype({"lead_id": object, "at_us": "int64"}).sort_values("at_us", kind="stable")
    joined = pd.merge_asof(asked, spells, left_on="at_us", right_on="known_us", by="lead_id", direction="backward")
    late = (joined["end_us"] <= joined["at_us"]) & (joined["at_us"] - joined["end_us"] <= GRACE_US)
    late &= joined["end_us"] > joined["known_us"]
    at_us = joined["at_us"].where(~late, joined["end_us"] - 1).astype("int64")
    return joined[["lead_id"]].assign(at_us=at_us)


def _folds_of(data: TrainingData, folds: Sequence[Fold], moments: Snapshots, starts: set[int]) -> NDArray[np.int64]:
    """Return the newest fold that had not learned from each row's account, shape (n,); -1 where every one had.

    Only folds that begin at one of ``starts`` are looked at.
    """
    chosen = sorted((fold.start_us, -number) for number, fold in enumerate(folds) if fold.start_us in starts)
    known = pd.Series(data.snapshots.group, index=data.snapshots.moments.column("lead_id").to_pylist())
    group = known[~known.index.duplicated()].reindex(moments.moments.column("lead_id").to_pylist()).to_numpy(np.float64)
    found = np.full(len(group), -1, dtype=np.int64)
    for _, below in chosen:  # the newest come last and stay; of one start, the first does
        fold = folds[-below]
        taught = np.unique(data.snapshots.group[np.concatenate([fold.train, fold.open])])
        found[~np.isin(group, taught)] = -below
    return found


def _thin(
    moments: Snapshots, is_old: NDArray[np.bool_], of_fold: NDArray[np.int64]
) -> tuple[Snapshots, NDArray[np.bool_], NDArray[np.int64], float]:
    """Leave out leads that every fold had learned from, and of very many accounts all but a drawn share."""
    unseen = np.flatnonzero(of_fold >= 0)
    kept = moments.only(unseen)
    drawn = np.flatnonzero(draw_accounts(kept.group, kept.moments, MOST_ROWS))
    rows = unseen[drawn]
    share = len(np.unique(moments.lead[rows])) / max(len(np.unique(moments.lead)), 1)
    return kept.only(drawn), is_old[rows], of_fold[rows], share


def _expected(
    tables: Tables,
    data: TrainingData,
    learned: Learned,
    moments: Snapshots,
    folds: tuple[NDArray[np.int64], int],
    amount: AmountModel,
) -> Matrix:
    """Return the expected revenue of each row by its fold's model, workspace currency, shape (n,).

    ``folds`` are each row's fold of won, and when these folds begin.
    """
    of_won, start = folds
    of_sql = _sql_folds(data, learned, moments, start)
    revenue = np.zeros(len(of_won))
    for first in range(0, len(of_won), CHUNK):
        rows = np.arange(first, min(first + CHUNK, len(of_won)))
        matrix = build_features(tables, moments.only(rows).moments, data.features)
        pairs = np.stack([of_won[rows], of_sql[rows]], axis=1)
        for won, sql in np.unique(pairs, axis=0):
            mine = (pairs == (won, sql)).all(axis=1)
            revenue[rows[mine]] = _chance(learned, won, sql, matrix[mine]) * amount.expected(matrix[mine])
    return revenue


def _sql_folds(data: TrainingData, learned: Learned, moments: Snapshots, start: int) -> NDArray[np.int64]:
    """Return the newest fold of SQL that knew nothing from ``start`` on, nor the row's account, shape (n,); else -1."""
    folds = learned.folds["sql"]
    return _folds_of(data, folds, moments, {fold.start_us for fold in folds if fold.start_us <= start})


def _chance(learned: Learned, won: int, sql: int, matrix: Matrix) -> Matrix:
    """Return the chance of a win as the scorer gives it: never above that of an SQL by then, shape (n,).

    Folds have no curve of times of their own; the final one's is taken, whose level is not read.
    """
    ends = learned.won.by_fold[won]
    logit = ends.logit(matrix)
    if sql < 0:
        return expit(logit)
    of_sql: Endpoint = replace(learned.sql.by_fold[sql], timing=learned.sql.endpoint.timing)
    return chances_within((of_sql, ends), (of_sql.logit(matrix), logit), matrix, (ends.horizon_days,))[1][:, 0]


def _with_outcomes(
    tables: Tables, data: TrainingData, moments: Snapshots, rows: GainRows, mean_amount: float
) -> GainRows:
    """Look up what became of each lead after each row; a win without an amount counts with the mean."""
    events = outcome_events(tables, data.seen.as_of)
    asked: pa.Table = moments.moments
    sql = label_moments(tables, asked, events, data.seen, outcome="sql", horizon_days=data.sql.horizon_days)
    won = label_moments(tables, asked, events, data.seen, outcome="won", horizon_days=data.won.horizon_days)
    revenue = np.where(won.happened & np.isnan(won.amount), mean_amount, np.nan_to_num(won.amount))
    return replace(rows, sql=sql.happened, won=won.happened, revenue=revenue)
