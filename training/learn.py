"""Learning both endpoints and the amount, and judging them on periods that the models had not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from crm.config import WorkspaceConfig
from crm.errors import ConfigError, TooFewOutcomesError
from crm.outcomes import Labels
from crm.progress import Progress
from features.lead_features import LeadAge
from features.touch_features import Recency
from models.amount import AmountModel, AmountRows, fit_amount
from models.blend import Endpoint
from models.bundle import Bundle
from models.calibration import Calibrator
from models.intervals import Interval, cluster_bootstrap
from models.metrics import Judgement, ece_null, normalised_gini
from models.scoring import G50_PROBABILITY
from training.fit import EndpointData, FittedEndpoint, fit_endpoint
from training.prepare import MIN_OUTCOMES, TrainingData
from training.splits import Fold, time_forward_folds

__all__ = ["Judged", "Learned", "judge", "learn"]

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
    """

    sql: FittedEndpoint
    won: FittedEndpoint
    folds: Mapping[str, tuple[Fold, ...]]
    amount: AmountModel
    won_is_sql: bool
    won_from_sql: bool


@dataclass(frozen=True)
class Judged:
    """Quality of one endpoint on unseen periods, one row a lead.

    Parameters
    ----------
    probability, happened, group
        Predictions, labels and accounts, shape (n,).
    metrics
        Named numbers with intervals.
    base
        log_loss and brier of predicting the base rate.
    """

    probability: Matrix
    happened: NDArray[np.bool_]
    group: NDArray[np.int64]
    metrics: Mapping[str, Interval]
    base: Mapping[str, float]


def learn(data: TrainingData, config: WorkspaceConfig, progress: Progress) -> Learned:
    """Learn SQL, won and amount from labelled features."""
    sql, sql_folds = _learn_endpoint(data, data.sql, progress)
    same = (
        data.sql.horizon_days == data.won.horizon_days
        and bool((data.sql.is_mature == data.won.is_mature).all())
        and bool((data.sql.happened == data.won.happened)[data.sql.is_mature].all())
    )
    from_sql = False
    if same:
        won, won_folds = replace(sql, endpoint=replace(sql.endpoint, outcome="won")), sql_folds
    elif data.outcomes(data.won) >= MIN_OUTCOMES:
        won, won_folds = _learn_endpoint(data, data.won, progress)
    else:
        won, won_folds, from_sql = _won_from_sql(data, sql), sql_folds, True
    amount = _learn_amount(data, config, progress)
    return Learned(sql, won, {"sql": sql_folds, "won": won_folds}, amount, same, from_sql)


def _learn_endpoint(data: TrainingData, labels: Labels, progress: Progress) -> tuple[FittedEndpoint, tuple[Fold, ...]]:
    rows = np.flatnonzero(labels.is_mature)
    happened = labels.happened[rows]
    folds = time_forward_folds(
        data.snapshots.as_of_us[rows],
        happened,
        data.snapshots.group[rows],
        horizon_us=round(labels.horizon_days * 86_400_000_000),
        is_once=len(np.unique(data.snapshots.lead[rows])) == len(rows),
    )
    if not folds:
        raise TooFewOutcomesError(
            found=f"{int(happened.sum())} {labels.outcome} outcomes that all fall into one short period",
            expected="outcomes before and after at least one moment, so that a model can be tested on its future",
            fix="give a longer history",
            missing=0,
        )
    features = data.features.features
    fitted = fit_endpoint(
        EndpointData(
            labels.outcome,
            labels.horizon_days,
            data.matrix[rows],
            happened,
            tuple(feature.shape for feature in features),
            tuple(feature.direction for feature in features),
            folds,
            _ages(data),
        ),
        progress,
    )
    return replace(fitted, rows=rows[fitted.rows]), tuple(
        replace(fold, train=rows[fold.train], test=rows[fold.test]) for fold in folds
    )


def _ages(data: TrainingData) -> NDArray[np.int64]:
    """Find the features of age and silence, where leads are scored at more than one age."""
    names = data.features.names
    if LeadAge().name not in names:
        return np.zeros(0, dtype=np.int64)
    wanted = (LeadAge().name, Recency("any").name)
    return np.array([names.index(name) for name in wanted if name in names], dtype=np.int64)


def _won_from_sql(data: TrainingData, sql: FittedEndpoint) -> FittedEndpoint:
    """Rank wins as SQLs, at the level of the wins that there are: below 50 nothing finer can be learned."""
    rows = np.flatnonzero(data.won.is_mature)
    rate = (float(data.won.happened[rows].sum()) + 0.5) / (len(rows) + 1.0)
    g = sql.endpoint.g(data.matrix[rows]) if len(rows) else np.zeros(1)
    slope = sql.endpoint.calibrator
    calibrator = Calibrator(slope.kind, slope.slope, slope.slope_high, 0.0).shifted_to(g, rate)
    endpoint = Endpoint("won", data.won.horizon_days, sql.endpoint.members, sql.endpoint.weights, calibrator)
    keep = data.won.is_mature[sql.rows]
    logit = calibrator.logit(sql.endpoint.g(data.matrix[sql.rows[keep]]))
    return FittedEndpoint(endpoint, sql.rows[keep], logit, sql.member_losses, sql.signs_kept)


def _learn_amount(data: TrainingData, config: WorkspaceConfig, progress: Progress) -> AmountModel:
    with progress.step("Learning the amount of a win") as step:
        rows = np.flatnonzero(data.won.is_mature & data.won.happened & ~np.isnan(data.won.amount))
        leads = data.snapshots.lead[rows]
        each = np.bincount(leads, minlength=1)[leads] if len(rows) else np.zeros(0)
        try:
            amount = fit_amount(
                AmountRows(
                    data.matrix[rows], data.won.amount[rows], data.snapshots.group[rows], 1.0 / np.maximum(each, 1)
                ),
                tuple(feature.shape for feature in data.features.features),
                default_amount=config.value.default_amount,
            )
        except ValueError as error:
            raise ConfigError(
                path="kizashi.toml",
                problems=["value.default_amount: no win has an amount, so say here what a win is worth on average"],
            ) from error
        step.note(f"{amount.method}, mean {amount.mean:,.0f} {config.workspace.currency}")
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


def judge(data: TrainingData, fitted: FittedEndpoint, labels: Labels, *, seed: int = 1) -> Judged:
    """Measure an endpoint on its out-of-fold predictions, one row a lead, with account-cluster intervals."""
    keep = data.snapshots.is_judged[fitted.rows]
    rows = fitted.rows[keep]
    probability, happened = expit(fitted.logit[keep]), labels.happened[rows]
    group = data.snapshots.group[rows]
    judged = Judgement(probability, happened)
    metrics = dict(cluster_bootstrap(judged.measure, group, seed=seed))
    mean, high = ece_null(probability, seed=seed)
    metrics["ece_null"] = Interval(mean, 0.0, high, 0.0)
    rate = np.full(len(happened), max(float(happened.mean()), 1e-9))
    plain = Judgement(rate, happened).measure(np.ones(len(happened)))
    return Judged(probability, happened, group, metrics, {key: plain[key] for key in ("log_loss", "brier")})


def judge_amount(data: TrainingData, amount: AmountModel) -> Interval | None:
    """Measure how well the amounts of wins are ordered, out of fold; None unless the amount is modelled."""
    if amount.out_of_fold is None:
        return None
    rows = np.flatnonzero(data.won.is_mature & data.won.happened & ~np.isnan(data.won.amount))
    predicted, won = amount.out_of_fold, data.won.amount[rows]

    def measure(weights: Matrix) -> Mapping[str, float]:
        return {"normalised_gini": normalised_gini(predicted, won, weights)}

    return cluster_bootstrap(measure, data.snapshots.group[rows], seed=1)["normalised_gini"]
