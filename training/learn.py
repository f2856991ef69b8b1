"""Learning both endpoints and the amount of a win."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from crm.config import WorkspaceConfig
from crm.errors import ConfigError
from crm.progress import Progress
from features.known import DAY_US
from models.amount import AmountModel
from models.amount_fit import AmountRows, fit_amount
from models.bundle import Bundle
from models.calibration import Calibrator
from models.scoring import G50_PROBABILITY
from models.timing import fit_timing
from training.choice import Choice
from training.endpoints import is_observed, learn_endpoint
from training.fit import FittedEndpoint
from training.prepare import MIN_OUTCOMES, TrainingData
from training.recent import LevelUpdate
from training.splits import Fold

__all__ = ["Learned", "amount_before", "amount_of", "lead_weights", "learn", "make_bundle", "priced_wins"]

Matrix = NDArray[np.float64]
MIN_SCORE_WINS = 100


@dataclass(frozen=True)
class Learned:
    """What one run learned.

    Parameters
    ----------
    sql, won
        The endpoints with their out-of-fold predictions; ``rows`` are row numbers of the training data.
    folds
        Folds by endpoint, as row numbers of the training data.
    amount
        The amount of a win.
    won_is_sql
        Both endpoints have the same labels and horizon, and are one model.
    won_from_sql
        Too few wins to learn from: the won endpoint is the SQL one at the level of the wins.
    amount_unseen
        What a win would bring by the wins settled before each test period of won, workspace currency, shape (n,); NaN
        outside the folds, and where no win was known by then.
    """

    sql: FittedEndpoint
    won: FittedEndpoint
    folds: Mapping[str, tuple[Fold, ...]]
    amount: AmountModel
    won_is_sql: bool
    won_from_sql: bool
    amount_unseen: Matrix

    @property
    def choices(self) -> Mapping[str, Choice]:
        """What was chosen, by endpoint; one that is made of the other has no choice of its own."""
        own = {} if self.won_is_sql or self.won_from_sql else {"won": self.won.choice}
        return {"sql": self.sql.choice, **own}

    @property
    def levels(self) -> Mapping[str, LevelUpdate]:
        """Whether the level follows the newest leads, by endpoint; wins that are SQLs have no level of their own."""
        return {"sql": self.sql.update, **({} if self.won_is_sql else {"won": self.won.update})}


def learn(data: TrainingData, config: WorkspaceConfig, progress: Progress) -> Learned:
    """Learn SQL, won and amount from labelled features."""
    sql, sql_folds = learn_endpoint(data, data.sql, progress)
    same = (
        data.sql.horizon_days == data.won.horizon_days
        and bool((data.sql.is_mature == data.won.is_mature).all())
        and bool((data.sql.happened == data.won.happened)[data.sql.is_mature].all())
    )
    from_sql = False
    if same:
        won, won_folds = replace(sql, endpoint=replace(sql.endpoint, outcome="won")), sql_folds
    elif data.outcomes(data.won) >= MIN_OUTCOMES:
        won, won_folds = learn_endpoint(data, data.won, progress, follows=sql.update)
    else:
        won, won_folds, from_sql = _won_from_sql(data, sql, sql_folds), sql_folds, True
    amount = _learn_amount(data, config, progress)
    unseen = _amount_unseen(data, won_folds, config)
    return Learned(sql, won, {"sql": sql_folds, "won": won_folds}, amount, same, from_sql, unseen)


def _won_from_sql(data: TrainingData, sql: FittedEndpoint, folds: tuple[Fold, ...]) -> FittedEndpoint:
    """Rank wins as SQLs, at the level of the wins that there are: below 50 nothing finer can be learned.

    Where no lead was watched for the whole horizon, the level is that of the wins so far, which is too low.
    """
    rows, happened = np.flatnonzero(data.won.is_mature), data.won.happened
    if len(rows) == 0:
        rows, happened = np.flatnonzero(is_observed(data)), data.won.days < data.follow_up_days
    rate = (float(happened[rows].sum()) + 0.5) / (len(rows) + 1.0)
    g = sql.endpoint.g(data.matrix[rows])
    slope = sql.endpoint.calibrator
    calibrator = Calibrator(slope.kind, slope.slope, slope.slope_high, 0.0).shifted_to(g, rate)
    horizon, every = data.won.horizon_days, np.flatnonzero(is_observed(data))
    said = calibrator.logit(sql.endpoint.g(data.matrix[every]))
    timing = fit_timing(said, data.won.days[every], data.follow_up_days[every], horizon)
    endpoint = replace(sql.endpoint, outcome="won", horizon_days=horizon, calibrator=calibrator, timing=timing)
    keep = data.won.is_mature[sql.rows]
    # Out of fold, the level is that of the wins settled before each test period.
    shifts = [_shift_to_wins(data, fold) for fold in folds]
    shift = np.concatenate([np.full(len(fold.test), by) for fold, by in zip(folds, shifts, strict=True)])
    return replace(
        sql,
        endpoint=endpoint,
        rows=sql.rows[keep],
        logit=(sql.logit + shift)[keep],
        member_logits=(sql.member_logits + shift[:, None])[keep],
        age_logit=None if sql.age_logit is None else (sql.age_logit + shift)[keep],
        by_fold=tuple(
            replace(one, outcome="won", horizon_days=horizon, calibrator=one.calibrator.moved(by))
            for one, by in zip(sql.by_fold, shifts, strict=True)
        ),
    )


def _shift_to_wins(data: TrainingData, fold: Fold) -> float:
    """Return by how many logits wins are rarer than SQLs among the rows of the past whose wins are settled."""
    settled = data.snapshots.as_of_us[fold.train] + round(data.won.horizon_days * DAY_US) <= fold.start_us
    rows = fold.train[settled & data.won.is_mature[fold.train]]
    wins, sqls = ((labels.happened[rows].sum() + 0.5) / (len(rows) + 1.0) for labels in (data.won, data.sql))
    return float(logit(wins) - logit(sqls))


def priced_wins(data: TrainingData) -> NDArray[np.int64]:
    """Return the row numbers of mature wins with an amount, in time order."""
    return np.flatnonzero(data.won.is_mature & data.won.happened & ~np.isnan(data.won.amount))


def lead_weights(data: TrainingData, rows: NDArray[np.int64]) -> Matrix:
    """Return one over the rows of the same lead among these, shape (n_rows,): a lead weighs 1."""
    leads = data.snapshots.lead[rows]
    return 1.0 / np.maximum(np.bincount(leads, minlength=1)[leads], 1) if len(rows) else np.zeros(0)


def _lost_deals(data: TrainingData) -> NDArray[np.int64]:
    """Return the row numbers of mature rows without a win whose deals were lost and have an amount."""
    return np.flatnonzero(data.won.is_mature & ~data.won.happened & ~np.isnan(data.lost_amount))


def amount_of(data: TrainingData, config: WorkspaceConfig, settled: NDArray[np.int64] | None = None) -> AmountModel:
    """Learn what a win brings from wins and lost deals.

    Parameters
    ----------
    data, config
        What the run learns from, and the workspace file.
    settled
        Numbers of the rows that may be read; None for all that are mature.

    Raises
    ------
    ValueError
        When neither these rows nor the workspace say what a win is worth.
    """
    won, lost = priced_wins(data), _lost_deals(data)
    if settled is not None:
        won, lost = np.intersect1d(settled, won), np.intersect1d(settled, lost)
    of_won, of_lost = (
        AmountRows(data.matrix[rows], amount[rows], data.snapshots.group[rows], lead_weights(data, rows))
        for rows, amount in ((won, data.won.amount), (lost, data.lost_amount))
    )
    features = data.features.features
    return fit_amount(
        of_won,
        tuple(feature.shape for feature in features),
        default_amount=config.value.default_amount,
        lost=of_lost,
        fit=[number for number, feature in enumerate(features) if feature.group == "fit"],
    )


def _settled_by(data: TrainingData, start_us: int) -> NDArray[np.bool_]:
    """Tell which rows had been watched for the horizon of a win at a moment, shape (n,)."""
    return data.snapshots.as_of_us + round(data.won.horizon_days * DAY_US) <= start_us


def amount_before(data: TrainingData, start_us: int, config: WorkspaceConfig) -> AmountModel:
    """Return what a win brings by the deals settled before a moment; ``ValueError`` when there were no wins."""
    return amount_of(data, config, np.flatnonzero(_settled_by(data, start_us)))


def _amount_unseen(data: TrainingData, folds: Sequence[Fold], config: WorkspaceConfig) -> Matrix:
    found = np.full(len(data.snapshots.as_of_us), np.nan)
    for fold in folds:
        settled = fold.train[_settled_by(data, fold.start_us)[fold.train]]
        try:
            found[fold.test] = amount_of(data, config, settled).expected(data.matrix[fold.test])
        except ValueError:
            continue  # no win was known by then, so no value was
    return found


def _learn_amount(data: TrainingData, config: WorkspaceConfig, progress: Progress) -> AmountModel:
    with progress.step("Learning the amount of a win") as step:
        try:
            amount = amount_of(data, config)
        except ValueError as error:
            raise ConfigError(
                path="kizashi.toml",
                problems=["value.default_amount: no win has an amount, so say here what a win is worth on average"],
            ) from error
        lost = f", lost deals of {amount.lost_deals:,} leads read too" if amount.lost_deals else ""
        step.note(f"{amount.method}, mean {amount.mean:,.0f} {config.workspace.currency}{lost}")
    return amount


def make_bundle(data: TrainingData, learned: Learned, config: WorkspaceConfig, versions: Mapping[str, str]) -> Bundle:
    """Put what was learned into one bundle; 50 points stand for a probability of 1% in every version."""
    outcome = "won" if data.outcomes(data.won) >= MIN_SCORE_WINS else "sql"
    endpoint = learned.won.endpoint if outcome == "won" else learned.sql.endpoint
    moments = data.snapshots.as_of_us[data.sql.is_mature | data.won.is_mature]
    first, last = (np.datetime64(int(edge), "us") for edge in (moments.min(), moments.max()))
    return Bundle(
        data.features,
        learned.sql.endpoint,
        learned.won.endpoint,
        learned.amount,
        outcome,
        endpoint.calibrator.inverse(G50_PROBABILITY),
        config.workspace.currency,
        f"{first}Z",
        f"{last}Z",
        versions,
    )
