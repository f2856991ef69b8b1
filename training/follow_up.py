"""Learning the follow-up term: what became of leads that were handed over, and of leads that were left alone.

Each row is a moment at which a decision was open (a sequential target trial, Hernan and Robins 2016). Handed off: the
moment of a hand-off, features as known just then. Left alone: snapshots of leads that nobody handed over before their
outcome or the end of the horizon. A later hand-off never makes a row one of handed-off leads (immortal time): such a
row is left out. The endpoints' sums come from fold models that had not learned from the row's account.
"""

# Ibis gives every column of a table the type Column, which has no operators.
# pyright: reportOperatorIssue=false
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import expit

from crm.known import to_micros
from crm.outcomes import Labels, label_moments, outcome_events
from crm.progress import Progress
from crm.recorded import hand_offs_of_persons
from crm.store import Tables
from features.build import build_features
from features.known import DAY_US
from models.follow_up import MIN_PROPENSITY, Arm, FollowUp, fit_arm, group_sums
from models.level import shift_to
from models.logistic import LogisticFitter, LogisticMember
from training.drawing import even_draw
from training.learn import Learned
from training.prepare import TrainingData
from training.snapshots import hand_offs_at_risk

__all__ = ["MIN_SQLS", "MIN_WINS", "FollowUpFound", "learn_follow_up"]

Matrix = NDArray[np.float64]
Rows = NDArray[np.int64]
MIN_SQLS = 50
MIN_WINS = 30
MIN_LEFT = 200
MOST_LEFT = 40_000
"""Moments of leads that were left alone and had no outcome; four numbers are learned from them."""
MOST_ASKED = 60_000
"""Moments from which it is learned who is handed over."""
PROPENSITY_PENALTY = 0.01
OWN_PENALTY = 0.001
"""A normal prior with a standard deviation of 0.03 log-odds a standard deviation of a feature: hundreds of hand-offs
move little, and thousands what they must."""


@dataclass(frozen=True)
class FollowUpFound:
    """What the hand-offs told.

    Parameters
    ----------
    term
        None where they tell too little.
    hand_offs, sqls, wins
        Hand-offs whose SQL label is settled, with an SQL, and with a win inside its horizon.
    overlap
        Share of the snapshots whose chance of a hand-off is at least 2%; NaN without a term.
    missing
        Why there is no term, a sentence; empty where there is one.
    """

    term: FollowUp | None
    hand_offs: int
    sqls: int
    wins: int
    overlap: float
    missing: str

    def to_metrics(self) -> dict[str, float]:
        """Return what the run's record compares across versions."""
        found = {"hand_offs": self.hand_offs, "sqls": self.sqls, "wins": self.wins}
        found |= {} if np.isnan(self.overlap) else {"overlap": self.overlap}
        return {f"follow_up.{name}": float(value) for name, value in found.items()}

    def to_rows(self) -> list[tuple[str, str]]:
        """Return names and values for a report."""
        rows = [("hand-offs with a settled outcome", f"{self.hand_offs:,}")]
        rows += [("of them SQL", f"{self.sqls:,}"), ("of them won", f"{self.wins:,}")]
        if self.term is None:
            return [*rows, ("no follow-up term", self.missing)]
        slopes = ", ".join(f"{slope:.2f}" for slope in self.term.sql.slopes)
        return [
            *rows,
            ("slopes if handed off (fit, engagement, freshness)", slopes),
            ("slopes if left alone", ", ".join(f"{slope:.2f}" for slope in self.term.sql_left.slopes)),
            ("snapshots with a chance of a hand-off of at least 2%", f"{self.overlap:.0%}"),
        ]


@dataclass(frozen=True)
class _HandedOff:
    """Hand-offs at their moments, one a lead: features, account and labels."""

    matrix: Matrix
    group: Rows
    sql: Labels
    won: Labels


def learn_follow_up(
    tables: Tables, data: TrainingData, learned: Learned, progress: Progress, *, decides: bool
) -> FollowUpFound:
    """Learn the follow-up term, where there are hand-offs with 50 SQLs and 30 wins among them.

    Parameters
    ----------
    tables
        The workspace's tables.
    data, learned
        What the run learned from, and what it learned.
    progress
        Where to report.
    decides
        Whether the expected value shall be that of working the lead.
    """
    with progress.step("Learning what a hand-off does") as step:
        handed = _hand_offs(tables, data)
        if handed is None:
            step.note("no hand-offs are recorded")
            return FollowUpFound(None, 0, 0, 0, np.nan, "no hand-offs are recorded")
        counts = int(handed.sql.is_mature.sum()), _count(handed.sql), _count(handed.won)
        ended = _days_to_hand_off(tables, data)
        missing = _too_few(counts, [len(_left_alone(data, labels, ended)) for labels in (data.sql, data.won)])
        if missing:
            step.note(missing)
            return FollowUpFound(None, *counts, np.nan, missing)
        term = replace(_fit(data, learned, handed, ended), decides=decides)
        overlap = float((expit(term.propensity.logit(data.matrix)) >= MIN_PROPENSITY).mean())
        step.note(f"{counts[0]:,} hand-offs, {counts[1]:,} SQLs; {overlap:.0%} of the snapshots were open to one")
    return FollowUpFound(term, *counts, overlap, "")


def _count(labels: Labels) -> int:
    return int((labels.happened & labels.is_mature).sum())


def _too_few(counts: tuple[int, int, int], left: Sequence[int]) -> str:
    _, sqls, wins = counts
    if sqls < MIN_SQLS or wins < MIN_WINS:
        return f"{sqls} SQLs and {wins} wins after hand-offs; {MIN_SQLS} and {MIN_WINS} are needed"
    if min(left) < MIN_LEFT:
        return f"{min(left)} moments of leads that were left alone; {MIN_LEFT} are needed"
    return ""


def _hand_offs(tables: Tables, data: TrainingData) -> _HandedOff | None:
    """Return the first hand-off at risk of each lead of the training rows."""
    if not tables.has("hand_offs"):
        return None
    known = pd.Series(data.snapshots.group, index=data.snapshots.moments.column("lead_id").to_pylist())
    known = known[~known.index.duplicated()]
    first = hand_offs_at_risk(tables, data.seen)
    first = first[first["lead_id"].isin(known.index)].reset_index(drop=True)
    if first.empty:
        return None
    moments = pa.table(
        {
            "row_id": pa.array(np.arange(len(first)), pa.int64()),
            "lead_id": pa.array(first["lead_id"], pa.string()),
            "as_of_us": pa.array(first["as_of_us"], pa.int64()),
        }
    )
    events = outcome_events(tables, data.seen.as_of)
    sql, won = (
        label_moments(tables, moments, events, data.seen, outcome=one.outcome, horizon_days=one.horizon_days)
        for one in (data.sql, data.won)
    )
    group = known.reindex(first["lead_id"]).to_numpy(dtype=np.int64)
    return _HandedOff(build_features(tables, moments, data.features), group, sql, won)


def _days_to_hand_off(tables: Tables, data: TrainingData) -> Matrix:
    """Return the days from each snapshot to the lead's next hand-off, infinite without one, shape (n,)."""
    rows = hand_offs_of_persons(tables, to_micros(data.seen.as_of)).rename(columns={"handed_off_us": "at_us"})
    rows = (
        rows[["lead_id", "at_us"]]
        .drop_duplicates()
        .astype({"lead_id": str, "at_us": "int64"})
        .sort_values("at_us", kind="stable")
    )
    asked = pd.DataFrame(
        {"lead_id": data.snapshots.moments.column("lead_id").to_pylist(), "at_us": data.snapshots.as_of_us}
    ).astype({"lead_id": str})
    rows = rows.assign(next_us=rows["at_us"].astype(np.float64))
    found = pd.merge_asof(asked, rows, on="at_us", by="lead_id", direction="forward")  # snapshots are in time order
    days = (found["next_us"].to_numpy(dtype=np.float64) - data.snapshots.as_of_us) / DAY_US
    return np.where(np.isnan(days), np.inf, days)


def _left_alone(data: TrainingData, labels: Labels, ended: Matrix) -> Rows:
    """Return the settled snapshots without a hand-off before the outcome or the end of the horizon."""
    return np.flatnonzero(labels.is_mature & (ended > np.minimum(labels.days, labels.horizon_days)))


def _fit(data: TrainingData, learned: Learned, handed: _HandedOff, ended: Matrix) -> FollowUp:
    worked = _Sums.of(data, learned, (handed.matrix, handed.group), np.arange(len(handed.group)))
    left = [_left_alone(data, labels, ended) for labels in (data.sql, data.won)]
    drawn, weights = _drawn(data, np.union1d(*left))
    as_run = _Sums.of(data, learned, (data.matrix, data.snapshots.group), drawn)
    settled = [np.flatnonzero(labels.is_mature) for labels in (handed.sql, handed.won)]
    own = _own(data, handed, _arms(worked, handed.sql, settled[0])[0].logit(worked.final[0]))
    more = own.logit(handed.matrix)
    sql, won = (
        _arms(worked, labels, rows, more=more) for labels, rows in zip((handed.sql, handed.won), settled, strict=True)
    )
    sql_left, won_left = (
        _arms(as_run, labels, np.intersect1d(rows, drawn), weights)
        for labels, rows in zip((data.sql, data.won), left, strict=True)
    )
    propensity = _propensity(data, ended)
    counts = int(handed.sql.is_mature.sum()), _count(handed.sql), _count(handed.won)
    return FollowUp(sql[0], sql_left[0], won, won_left, propensity, *counts, decides=False, own=own)


def _own(data: TrainingData, handed: _HandedOff, z: Matrix) -> LogisticMember:
    """Learn from settled hand-offs what the features say of an SQL beyond ``z``, what the arm says, shape (n,)."""
    rows = np.flatnonzero(handed.sql.is_mature)
    fitter = LogisticFitter(
        handed.matrix[rows],
        handed.sql.happened[rows],
        tuple(feature.shape for feature in data.features.features),
        offset=z[rows],
    )
    return fitter.fit(OWN_PENALTY)[0]


def _propensity(data: TrainingData, ended: Matrix) -> LogisticMember:
    """Learn the chance of a hand-off within the SQL horizon from the snapshots that were watched for so long."""
    reached = np.flatnonzero(data.follow_up_days >= data.sql.horizon_days)
    share = min(MOST_ASKED / max(len(reached), 1), 1.0)
    rows = reached[_draws(data, reached) < share]
    fitter = LogisticFitter(
        data.matrix[rows],
        (ended < data.sql.horizon_days)[rows],
        tuple(feature.shape for feature in data.features.features),
        weights=np.full(len(rows), 1.0 / share),
    )
    return fitter.fit(PROPENSITY_PENALTY)[0]


def _draws(data: TrainingData, rows: Rows) -> Matrix:
    return even_draw(data.snapshots.moments)[rows]


def _drawn(data: TrainingData, rows: Rows) -> tuple[Rows, Matrix]:
    """Keep every row with an outcome and of very many others a drawn part, which weigh as many as they stand for.

    Returns
    -------
    rows, weights
        Row numbers; weights of all rows of the data, shape (n,).
    """
    came = (data.sql.happened | data.won.happened)[rows]
    share = min(MOST_LEFT / max(int((~came).sum()), 1), 1.0)
    kept = rows[came | (_draws(data, rows) < share)]
    weights = np.full(len(data.sql.happened), 1.0 / share)
    weights[rows[came]] = 1.0
    return kept, weights


@dataclass(frozen=True)
class _Sums:
    """Group sums of rows by the SQL and the won endpoint: by fold models that did not know the account, and final."""

    unseen: tuple[Matrix, Matrix]
    final: tuple[Matrix, Matrix]

    @classmethod
    def of(cls, data: TrainingData, learned: Learned, moments: tuple[Matrix, Rows], asked: Rows) -> _Sums:
        """Sum for the asked rows of ``moments``, features and accounts; the sums of the others are NaN."""
        matrix, group = moments
        unseen: list[Matrix] = []
        final: list[Matrix] = []
        for fitted, folds in ((learned.sql, learned.folds["sql"]), (learned.won, learned.folds["won"])):
            sums, whole = np.full((len(matrix), 3), np.nan), np.full((len(matrix), 3), np.nan)
            for endpoint, fold in zip(fitted.by_fold, folds, strict=False):
                taught = np.unique(data.snapshots.group[np.concatenate([fold.train, fold.open])])
                rows = asked[~np.isin(group[asked], taught)]  # later folds, who know more, come last and stay
                same_scale = replace(endpoint, scale=fitted.endpoint.scale)
                sums[rows] = group_sums(data.features, same_scale, matrix[rows])
            whole[asked] = group_sums(data.features, fitted.endpoint, matrix[asked])
            unseen.append(sums)
            final.append(whole)
        return cls((unseen[0], unseen[1]), (final[0], final[1]))


def _arms(
    sums: _Sums, labels: Labels, rows: Rows, weights: Matrix | None = None, *, more: Matrix | None = None
) -> tuple[Arm, Arm]:
    """Fit the slopes on unseen sums; set the level so that the final endpoint's mean is the share that happened.

    ``more`` is what is added to the log-odds besides, shape (n,).
    """
    arms: list[Arm] = []
    weight = np.ones(len(labels.happened)) if weights is None else weights
    for unseen in sums.unseen:
        known = rows[~np.isnan(unseen[rows, 0])]
        arms.append(fit_arm(unseen[known], labels.happened[known], weight[known]))
    added = np.zeros(len(rows)) if more is None else more[rows]
    logits = [arm.logit(final[rows]) + added for arm, final in zip(arms, sums.final, strict=True)]
    # Half an outcome is added, as no share is nought for certain.
    share = float(weight[rows] @ labels.happened[rows] + 0.5) / float(weight[rows].sum() + 1.0)
    together = shift_to(0.5 * (logits[0] + logits[1]), share, weight[rows])
    if labels.outcome == "sql":
        alone = shift_to(logits[0], share, weight[rows])
        return arms[0].moved(alone), arms[1].moved(2.0 * together - alone)
    return arms[0].moved(together), arms[1].moved(together)
