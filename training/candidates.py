"""Members fitted with settings that did best on the future, and what their kind said out of fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from models.blend import log_loss_of_logit
from models.boosted import BoosterPlan, ShallowMember, StumpsMember, booster_parameters, stumps_from_booster
from models.logistic import LogisticMember, fit_logistic, fit_logistic_in_time
from training.endpoint_data import SETTLED, EndpointData, Reading, Sample
from training.splits import MANY_ROWS, Fold

__all__ = ["Candidate", "FoldLogits", "Upon", "fit_ages", "fit_boosted", "fit_logistic_member"]

Matrix = NDArray[np.float64]
PENALTIES = (0.0003, 0.0007, 0.0015, 0.003, 0.006, 0.012, 0.03, 0.1, 0.3, 1.0, 3.0)
ENOUGH_WORSE = 2
AGES_PENALTY = 1.0
MAX_GROWTH = 2.0
MIN_GAIN = 1e-5
"""Nats of log-loss a row that another reading of the past must save."""
MAX_ROUNDS = 1000
PATIENCE, PATIENCE_OF_MANY = 150, 30


@dataclass(frozen=True)
class FoldLogits:
    """Logits of one fold's model for the rows that it was tested on, those that it had learned from, and open ones."""

    test: Matrix
    train: Matrix
    open: Matrix


@dataclass(frozen=True)
class Candidate:
    """A member fitted on all rows, what its kind said fold by fold, and the settings that were chosen."""

    member: LogisticMember | StumpsMember | ShallowMember
    folds: tuple[FoldLogits, ...]
    settings: Mapping[str, float | str]


@dataclass(frozen=True)
class Upon:
    """What trees are grown upon: rows as the logistic member read them, and its logit where it is carried over.

    Parameters
    ----------
    sample
        All rows, the offset of open ones weighed as the logistic regression weighed it.
    member
        The logistic member of all rows; None where trees stand on nothing.
    by_fold
        The same for each fold.
    """

    sample: Sample
    member: LogisticMember | None
    by_fold: Mapping[int, tuple[Sample, LogisticMember | None]]


Predictor = Callable[[Matrix], Matrix]


def _logits_of(data: EndpointData, models: Mapping[int, Predictor]) -> tuple[FoldLogits, ...]:
    return tuple(
        FoldLogits(*(models[number](data.matrix[rows]) for rows in (fold.test, fold.train, fold.open)))
        for number, fold in enumerate(data.folds)
    )


def _searched(data: EndpointData) -> list[tuple[int, Fold]]:
    """List the folds on which settings are chosen, with their numbers; the others are only scored with the choice."""
    return [(number, fold) for number, fold in enumerate(data.folds) if fold.is_searched]


def fit_logistic_member(data: EndpointData) -> tuple[Candidate, Upon]:
    """Fit the logistic member, its penalty and its reading of the past chosen by the log-loss of the folds' futures.

    Returns
    -------
    Candidate
        The member.
    Upon
        What trees are grown upon. Where leads are scored at many ages that is this member: most leads at risk are old
        and silent and have almost no outcomes, so trees cannot rank them, while a logistic regression carries over
        what it learned from the young. Elsewhere it is nothing (docs/adr/0007).
    """
    penalty, loss = _choose_penalty(data)
    reading, by_fold = _choose_reading(data, penalty, loss)
    for number, fold in enumerate(data.folds):
        if number not in by_fold:
            by_fold[number] = _fit(data, data.sample(reading, fold), penalty)
    member, sample = _fit(data, data.sample(reading), penalty * _growth(data))
    folds = _logits_of(data, {number: found.logit for number, (found, _) in by_fold.items()})
    is_carried = data.ages.size > 0
    upon = Upon(
        sample,
        member if is_carried else None,
        {number: (read, found if is_carried else None) for number, (found, read) in by_fold.items()},
    )
    settings: dict[str, float | str] = {"penalty": member.penalty, "reading": str(reading)}
    return Candidate(member, folds, settings), upon


Fitted = tuple[LogisticMember, Sample]
"""A member, and the rows that it learned from with their offsets as it weighed them."""


def _fit(data: EndpointData, sample: Sample, penalty: float) -> Fitted:
    member, weight = fit_logistic_in_time(
        data.matrix[sample.rows],
        sample.happened,
        data.shapes,
        penalty=penalty,
        free=data.ages,
        offset=sample.offset,
        weights=sample.weights,
    )
    return member, sample.with_offset_times(weight)


def _choose_penalty(data: EndpointData) -> tuple[float, float]:
    """Loosen the penalty until the pooled log-loss of the folds' futures has risen twice; return it and its loss."""
    (loss, penalty), worse = (np.inf, PENALTIES[0]), 0
    for tried in PENALTIES:
        found = _future_loss(data, _fit_searched(data, SETTLED, tried))
        worse = 0 if found < loss else worse + 1
        loss, penalty = (found, tried) if found < loss else (loss, penalty)
        if worse == ENOUGH_WORSE:
            break
    return penalty, loss


def _choose_reading(data: EndpointData, penalty: float, loss: float) -> tuple[Reading, dict[int, Fitted]]:
    """Read open rows too, and forget the distant past, where each step lowers the log-loss of the folds' futures."""
    reading, fitted = SETTLED, dict[int, Fitted]()
    steps = [lambda kept: Reading(True, kept.half_life_days)] if data.has_open else []
    steps += [lambda kept, days=days: Reading(kept.with_open, days) for days in data.half_lives()]
    for step in steps:
        tried = step(reading)
        found = _fit_searched(data, tried, penalty)
        found_loss = _future_loss(data, found)
        if found_loss < loss - MIN_GAIN:
            reading, fitted, loss = tried, found, found_loss
    return reading, fitted


def _fit_searched(data: EndpointData, reading: Reading, penalty: float) -> dict[int, Fitted]:
    return {number: _fit(data, data.sample(reading, fold), penalty) for number, fold in _searched(data)}


def _future_loss(data: EndpointData, fitted: Mapping[int, Fitted]) -> float:
    """Return the pooled log-loss of the tested rows of the searched folds, nats."""
    tested = [(data.folds[number].test, member) for number, (member, _) in fitted.items()]
    logits = np.concatenate([member.logit(data.matrix[rows]) for rows, member in tested])
    return log_loss_of_logit(logits, np.concatenate([data.happened[rows] for rows, _ in tested]))


def fit_boosted(data: EndpointData, upon: Upon, *, is_stumps: bool) -> Candidate:
    """Grow with and without monotone signs, and keep what did better on the future: a wrong sign costs (peers)."""
    trials = [directions for directions in (data.directions, None) if directions is None or any(directions)]
    plans = [BoosterPlan(is_stumps, signs, data.settled) for signs in trials]
    found = [_cross_validate(data, plan, upon) for plan in plans]
    best = min(range(len(plans)), key=lambda number: found[number][0])
    plan, (_, chosen, boosters) = plans[best], found[best]
    for number in range(len(data.folds)):
        if number not in boosters:
            boosters[number] = _grow_on(data, *upon.by_fold[number], plan, chosen)
    models = {number: _predictor(boosters[number], upon.by_fold[number][1], chosen) for number in boosters}
    rounds, offset = round(chosen * _growth(data)), upon.member
    booster = _grow_on(data, upon.sample, offset, plan, rounds)
    if is_stumps:
        member: StumpsMember | ShallowMember = stumps_from_booster(
            booster, rounds, data.matrix[upon.sample.rows], offset
        )
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
    return min(float(np.sqrt(data.settled / trained)), MAX_GROWTH)


def fit_ages(data: EndpointData, rows: NDArray[np.int64]) -> LogisticMember | None:
    """Fit what the ages alone say, where leads are scored at many: the bar for everything else."""
    if data.ages.size == 0:
        return None
    matrix, happened = data.matrix[rows], data.happened[rows]
    return fit_logistic(matrix, happened, data.shapes, penalty=AGES_PENALTY, only=data.ages, free=data.ages)


def _cross_validate(data: EndpointData, plan: BoosterPlan, upon: Upon) -> tuple[float, int, dict[int, lgb.Booster]]:
    """Grow one booster a searched fold, side by side, until the pooled log-loss of their future stops falling."""
    searched = _searched(data)
    boosters: dict[int, lgb.Booster] = {}
    for number, fold in searched:
        sample, member = upon.by_fold[number]
        seen = _dataset(data, sample, member)
        booster = lgb.Booster(booster_parameters(plan), seen)
        booster.add_valid(_dataset(data, Sample.of(fold.test, data.happened[fold.test]), member, like=seen), "future")
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
    data: EndpointData, sample: Sample, member: LogisticMember | None, plan: BoosterPlan, rounds: int
) -> lgb.Booster:
    return lgb.train(booster_parameters(plan), _dataset(data, sample, member), num_boost_round=rounds)


def _predictor(booster: lgb.Booster, offset: LogisticMember | None, rounds: int) -> Predictor:
    def predict(matrix: Matrix) -> Matrix:
        trees = np.asarray(booster.predict(matrix, raw_score=True, num_iteration=rounds))
        return trees if offset is None else trees + offset.logit(matrix)

    return predict


def _dataset(
    data: EndpointData, sample: Sample, member: LogisticMember | None, *, like: lgb.Dataset | None = None
) -> lgb.Dataset:
    matrix = data.matrix[sample.rows]
    start = sample.offset if member is None else sample.offset + member.logit(matrix)
    return lgb.Dataset(
        matrix,
        sample.happened.astype(np.float64),
        reference=like,
        weight=sample.weights,
        init_score=start if start.any() else None,
        params={"max_bin": 63, "verbosity": -1},
    )
