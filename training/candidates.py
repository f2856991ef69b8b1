"""Members fitted with settings that did best on the future, and what their kind said out of fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from features.feature import Direction, Shape
from models.blend import log_loss_of_logit
from models.boosted import BoosterPlan, ShallowMember, StumpsMember, booster_parameters, stumps_from_booster
from models.logistic import LogisticMember, fit_logistic
from training.splits import MANY_ROWS, Fold

__all__ = ["Candidate", "EndpointData", "FoldLogits", "fit_ages", "fit_boosted", "fit_logistic_member"]

Matrix = NDArray[np.float64]
PENALTIES = (0.0003, 0.0007, 0.0015, 0.003, 0.006, 0.012, 0.03, 0.1, 0.3, 1.0, 3.0)
ENOUGH_WORSE = 2
AGES_PENALTY = 1.0
MAX_GROWTH = 2.0
MAX_ROUNDS = 1000
PATIENCE, PATIENCE_OF_MANY = 150, 30


@dataclass(frozen=True)
class EndpointData:
    """Mature training rows of one endpoint, in time order.

    Parameters
    ----------
    outcome, horizon_days
        The endpoint.
    matrix
        Features, shape (n, n_features).
    happened
        Labels, shape (n,).
    mature_us
        When each label was settled: its moment and the horizon, microseconds, shape (n,).
    lead
        Lead number of each row, shape (n,).
    shapes, directions
        How each feature is spread, and its monotone sign.
    folds
        Time-forward folds.
    ages
        Numbers of the features that say how old and how silent a lead is; empty where all leads are scored at one age.
    """

    outcome: str
    horizon_days: float
    matrix: Matrix
    happened: NDArray[np.bool_]
    mature_us: NDArray[np.int64]
    lead: NDArray[np.int64]
    shapes: Sequence[Shape]
    directions: tuple[Direction, ...]
    folds: tuple[Fold, ...]
    ages: NDArray[np.int64]

    def outcomes(self, rows: NDArray[np.int64] | None = None) -> int:
        """Count the leads with the outcome, among all rows or some: a lead with several rows counts once."""
        chosen = np.arange(len(self.happened)) if rows is None else rows
        return len(np.unique(self.lead[chosen][self.happened[chosen]]))


@dataclass(frozen=True)
class FoldLogits:
    """Logits of one fold's model for the rows that it was tested on, and for those that it had learned from."""

    test: Matrix
    train: Matrix


@dataclass(frozen=True)
class Candidate:
    """A member fitted on all rows, what its kind said fold by fold, and the settings that were chosen."""

    member: LogisticMember | StumpsMember | ShallowMember
    folds: tuple[FoldLogits, ...]
    settings: Mapping[str, float | str]


@dataclass(frozen=True)
class Upon:
    """What trees are grown upon: the logistic member of all rows, and the one of each fold."""

    member: LogisticMember | None
    by_fold: Mapping[int, LogisticMember | None]


Predictor = Callable[[Matrix], Matrix]


def _logits_of(data: EndpointData, models: Mapping[int, Predictor]) -> tuple[FoldLogits, ...]:
    return tuple(
        FoldLogits(models[number](data.matrix[fold.test]), models[number](data.matrix[fold.train]))
        for number, fold in enumerate(data.folds)
    )


def _searched(data: EndpointData) -> list[tuple[int, Fold]]:
    """List the folds on which settings are chosen, with their numbers; the others are only scored with the choice."""
    return [(number, fold) for number, fold in enumerate(data.folds) if fold.is_searched]


def fit_logistic_member(data: EndpointData) -> tuple[Candidate, Upon]:
    """Fit the logistic member, its penalty chosen by the pooled log-loss of the folds' futures.

    Returns
    -------
    Candidate
        The member.
    Upon
        What trees are grown upon. Where leads are scored at many ages that is this member: most leads at risk are old
        and silent and have almost no outcomes, so trees cannot rank them, while a logistic regression carries over
        what it learned from the young. Elsewhere it is nothing (docs/adr/0007).
    """

    def fit(rows: NDArray[np.int64], penalty: float) -> LogisticMember:
        return fit_logistic(data.matrix[rows], data.happened[rows], data.shapes, penalty=penalty, free=data.ages)

    penalty, members = _choose_penalty(data, fit)
    for number, fold in enumerate(data.folds):
        if number not in members:
            members[number] = fit(fold.train, penalty)
    member = fit(np.arange(len(data.happened)), penalty * _growth(data))
    folds = _logits_of(data, {number: found.logit for number, found in members.items()})
    nothing: Mapping[int, LogisticMember | None] = dict.fromkeys(members)
    upon = Upon(member, {**members}) if data.ages.size else Upon(None, nothing)
    return Candidate(member, folds, {"penalty": member.penalty}), upon


def _choose_penalty(
    data: EndpointData, fit: Callable[[NDArray[np.int64], float], LogisticMember]
) -> tuple[float, dict[int, LogisticMember]]:
    """Loosen the penalty until the pooled log-loss of the folds' futures has risen twice."""
    searched = _searched(data)
    labels = np.concatenate([data.happened[fold.test] for _, fold in searched])
    best, worse = (np.inf, PENALTIES[0], dict[int, LogisticMember]()), 0
    for penalty in PENALTIES:
        members = {number: fit(fold.train, penalty) for number, fold in searched}
        logits = np.concatenate([members[number].logit(data.matrix[fold.test]) for number, fold in searched])
        loss = log_loss_of_logit(logits, labels)
        worse = 0 if loss < best[0] else worse + 1
        best = (loss, penalty, members) if loss < best[0] else best
        if worse == ENOUGH_WORSE:
            break
    return best[1], best[2]


def fit_boosted(data: EndpointData, upon: Upon, *, is_stumps: bool) -> Candidate:
    """Grow with and without monotone signs, and keep what did better on the future: a wrong sign costs (peers)."""
    trials = [directions for directions in (data.directions, None) if directions is None or any(directions)]
    offsets = upon.by_fold
    plans = [BoosterPlan(is_stumps, signs, len(data.happened)) for signs in trials]
    found = [_cross_validate(data, plan, offsets) for plan in plans]
    best = min(range(len(plans)), key=lambda number: found[number][0])
    plan, (_, chosen, boosters) = plans[best], found[best]
    for number, fold in enumerate(data.folds):
        if number not in boosters:
            boosters[number] = _grow_on(data, fold.train, plan, offsets[number], chosen)
    models = {number: _predictor(boosters[number], offsets[number], chosen) for number in boosters}
    every = np.arange(len(data.happened))
    rounds, offset = round(chosen * _growth(data)), upon.member
    booster = _grow_on(data, every, plan, offset, rounds)
    if is_stumps:
        member: StumpsMember | ShallowMember = stumps_from_booster(booster, rounds, data.matrix, offset)
    else:
        member = ShallowMember(booster.model_to_string(), data.matrix.shape[1], rounds, offset)
    signs = "imposed" if plan.directions is not None else "free"
    return Candidate(member, _logits_of(data, models), {"rounds": float(rounds), "signs": signs})


def _growth(data: EndpointData) -> float:
    """Give how much longer trees may grow, and weights be freer, on all rows than on the fewer ones of a fold.

    By the square root. Only where leads have several rows, whose folds learn from half of the accounts (docs/adr/0007).
    """
    if data.ages.size == 0:
        return 1.0
    trained = float(np.mean([len(fold.train) for fold in data.folds]))
    return min(float(np.sqrt(len(data.happened) / trained)), MAX_GROWTH)


def fit_ages(data: EndpointData, rows: NDArray[np.int64]) -> LogisticMember | None:
    """Fit what the ages alone say, where leads are scored at many: the bar for everything else."""
    if data.ages.size == 0:
        return None
    matrix, happened = data.matrix[rows], data.happened[rows]
    return fit_logistic(matrix, happened, data.shapes, penalty=AGES_PENALTY, only=data.ages, free=data.ages)


def _cross_validate(
    data: EndpointData, plan: BoosterPlan, offsets: Mapping[int, LogisticMember | None]
) -> tuple[float, int, dict[int, lgb.Booster]]:
    """Grow one booster a searched fold, side by side, until the pooled log-loss of their future stops falling."""
    searched = _searched(data)
    boosters: dict[int, lgb.Booster] = {}
    for number, fold in searched:
        seen = _dataset(data, fold.train, offsets[number])
        booster = lgb.Booster(booster_parameters(plan), seen)
        booster.add_valid(_dataset(data, fold.test, offsets[number], like=seen), "future")
        boosters[number] = booster
    sizes = np.array([len(fold.test) for _, fold in searched], dtype=np.float64)
    best, rounds = np.inf, 1
    patience = PATIENCE if plan.rows < MANY_ROWS else PATIENCE_OF_MANY
    for number in range(1, MAX_ROUNDS + 1):
        losses = [_grow(booster) for booster in boosters.values()]
        loss = float(np.average(losses, weights=sizes))
        if loss < best:
            best, rounds = loss, number
        elif number - rounds >= patience:
            break
    return best, rounds, boosters


def _grow(booster: lgb.Booster) -> float:
    booster.update()
    return float(booster.eval_valid()[0][2])


def _grow_on(
    data: EndpointData, rows: NDArray[np.int64], plan: BoosterPlan, offset: LogisticMember | None, rounds: int
) -> lgb.Booster:
    return lgb.train(booster_parameters(plan), _dataset(data, rows, offset), num_boost_round=rounds)


def _predictor(booster: lgb.Booster, offset: LogisticMember | None, rounds: int) -> Predictor:
    def predict(matrix: Matrix) -> Matrix:
        trees = np.asarray(booster.predict(matrix, raw_score=True, num_iteration=rounds))
        return trees if offset is None else trees + offset.logit(matrix)

    return predict


def _dataset(
    data: EndpointData, rows: NDArray[np.int64], offset: LogisticMember | None, *, like: lgb.Dataset | None = None
) -> lgb.Dataset:
    matrix = data.matrix[rows]
    return lgb.Dataset(
        matrix,
        data.happened[rows].astype(np.float64),
        reference=like,
        init_score=None if offset is None else offset.logit(matrix),
        params={"max_bin": 63, "verbosity": -1},
    )
