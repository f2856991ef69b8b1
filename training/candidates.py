"""Members fitted with settings that did best on the future, and what their kind said out of fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from models.blend import log_loss_of_logit
from models.boosted import (
    BoosterPlan,
    FreeMember,
    ShallowMember,
    StumpsMember,
    TreeKind,
    booster_parameters,
    stumps_from_booster,
)
from models.logistic import LogisticFitter, LogisticMember, fit_logistic
from training.choice import saving
from training.endpoint_data import SETTLED, EndpointData, Reading, Sample
from training.splits import MANY_ROWS, Fold

__all__ = ["Candidate", "FittedMember", "FoldLogits", "Upon", "fit_ages", "fit_boosted", "fit_logistic_member"]

Matrix = NDArray[np.float64]
PENALTIES = (0.0003, 0.0007, 0.0015, 0.003, 0.006, 0.012, 0.03, 0.1, 0.3, 1.0, 3.0)
ENOUGH_WORSE = 2
AGES_PENALTY = 1.0
MAX_GROWTH = 2.0
BINNING = {"max_bin": 63, "verbosity": -1, "feature_pre_filter": False}
MAX_ROUNDS = 1000
PATIENCE, PATIENCE_OF_FREE, PATIENCE_OF_MANY = 150, 50, 30
MIN_ERRORS = 0.5
"""Standard errors of log-loss that another reading of the past must save, else the simpler one stays: odds of two to
one that it is better. Gains on noise lie below (Olist .1), true ones often below one (Airbnb .7; docs/adr/0009)."""


@dataclass(frozen=True)
class FoldLogits:
    """Logits of one fold's model for the rows that it was tested on, those that it had learned from, and open ones."""

    test: Matrix
    train: Matrix
    open: Matrix

    def __add__(self, other: FoldLogits) -> FoldLogits:
        """Return the sums."""
        return FoldLogits(self.test + other.test, self.train + other.train, self.open + other.open)


FittedMember = LogisticMember | StumpsMember | ShallowMember


@dataclass(frozen=True)
class Candidate:
    """A kind of member: fitted on all rows, on each fold, what the latter said, and the settings that were chosen."""

    member: FittedMember
    by_fold: tuple[FittedMember, ...]
    folds: tuple[FoldLogits, ...]
    settings: Mapping[str, float | str]


@dataclass(frozen=True)
class Upon:
    """What trees are grown upon: rows as the logistic member read them, and its logit where it is carried over.

    Parameters
    ----------
    member
        The logistic member of all rows; None where trees stand on nothing.
    sample
        All rows; their offsets are what trees start from.
    members
        The logistic member of each fold; None where trees stand on nothing.
    by_fold
        Rows and starts of each fold.
    said
        What the trees of each fold start from, in the rows that the fold looks at.
    """

    member: LogisticMember | None
    sample: Sample
    members: Mapping[int, LogisticMember | None]
    by_fold: Mapping[int, Sample]
    said: Mapping[int, FoldLogits]
    _binned: dict[int | None, lgb.Dataset] = field(default_factory=dict[int | None, lgb.Dataset])

    def binned(self, data: EndpointData, number: int | None) -> lgb.Dataset:
        """Return the rows of a fold, or all of them, in LightGBM's form, which every kind of trees shares."""
        if number not in self._binned:
            self._binned[number] = _dataset(data, self.sample if number is None else self.by_fold[number])
        return self._binned[number]


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
    penalty, logits = _choose_penalty(data)
    reading, by_fold = _choose_reading(data, penalty, logits)
    for number, fold in enumerate(data.folds):
        if number not in by_fold:
            by_fold[number] = _fit(data, data.sample(reading, fold), penalty)
    member, sample = _fit(data, data.sample(reading), penalty * _growth(data))
    folds = _logits_of(data, {number: found.logit for number, (found, _) in by_fold.items()})
    settings: dict[str, float | str] = {"penalty": member.penalty, "reading": str(reading)}
    members = tuple(by_fold[number][0] for number in range(len(data.folds)))
    return Candidate(member, members, folds, settings), _upon(data, (member, sample), by_fold, folds)


def _upon(data: EndpointData, whole: Fitted, by_fold: Mapping[int, Fitted], folds: tuple[FoldLogits, ...]) -> Upon:
    if data.ages.size:
        starts = {number: _carried(data, *fitted) for number, fitted in by_fold.items()}
        members = {number: member for number, (member, _) in by_fold.items()}
        return Upon(whole[0], _carried(data, *whole), members, starts, dict(enumerate(folds)))
    nothing = {
        number: FoldLogits(*(np.zeros(len(rows)) for rows in (fold.test, fold.train, fold.open)))
        for number, fold in enumerate(data.folds)
    }
    samples = {number: sample for number, (_, sample) in by_fold.items()}
    return Upon(None, whole[1], dict.fromkeys(by_fold), samples, nothing)


def _carried(data: EndpointData, member: LogisticMember, sample: Sample) -> Sample:
    return replace(sample, offset=sample.offset + member.logit(data.matrix[sample.rows]))


Fitted = tuple[LogisticMember, Sample]
"""A member, and the rows that it learned from with their offsets as it weighed them."""


def _fitter(data: EndpointData, sample: Sample) -> LogisticFitter:
    rows = data.matrix[sample.rows]
    return LogisticFitter(
        rows, sample.happened, data.shapes, free=data.ages, offset=sample.offset, weights=sample.weights
    )


def _fit(data: EndpointData, sample: Sample, penalty: float) -> Fitted:
    member, weight = _fitter(data, sample).fit(penalty)
    return member, sample.with_offset_times(weight)


def _choose_penalty(data: EndpointData) -> tuple[float, Matrix]:
    """Loosen the penalty until the pooled log-loss of the folds' futures has risen twice; return it and its logits."""
    searched = [fold for _, fold in _searched(data)]
    fitters = [_fitter(data, data.sample(SETTLED, fold)) for fold in searched]
    futures = [fitter.columns(data.matrix[fold.test]) for fitter, fold in zip(fitters, searched, strict=True)]
    labels = np.concatenate([data.happened[fold.test] for fold in searched])
    (best, penalty, said), worse = (np.inf, PENALTIES[0], np.zeros(0)), 0
    for tried in PENALTIES:
        for fitter in fitters:
            fitter.fit(tried)
        logits = np.concatenate([fitter.logit(future) for fitter, future in zip(fitters, futures, strict=True)])
        loss = log_loss_of_logit(logits, labels)
        worse = 0 if loss < best else worse + 1
        best, penalty, said = (loss, tried, logits) if loss < best else (best, penalty, said)
        if worse == ENOUGH_WORSE:
            break
    return penalty, said


def _choose_reading(data: EndpointData, penalty: float, said: Matrix) -> tuple[Reading, dict[int, Fitted]]:
    """Read open rows too, and forget the distant past, where that helps by more than chance would.

    Parameters
    ----------
    data
        The endpoint's rows.
    penalty
        Of every regression that is tried.
    said
        What settled rows alone had said of the searched folds' futures.
    """
    reading, fitted = SETTLED, dict[int, Fitted]()
    steps = [lambda kept: Reading(True, kept.half_life_days)] if data.has_open else []
    steps += [lambda kept, days=days: Reading(kept.with_open, days) for days in data.half_lives()]
    for step in steps:
        tried = step(reading)
        found = {number: _fit(data, data.sample(tried, fold), penalty) for number, fold in _searched(data)}
        logits = [member.logit(data.matrix[data.folds[number].test]) for number, (member, _) in found.items()]
        if _standard_errors_saved(data, said, np.concatenate(logits)) > MIN_ERRORS:
            reading, fitted, said = tried, found, np.concatenate(logits)
    return reading, fitted


def _standard_errors_saved(data: EndpointData, before: Matrix, after: Matrix) -> float:
    """Return by how many standard errors, counted by leads, the log-loss of the searched folds' futures fell."""
    rows = np.concatenate([fold.test for _, fold in _searched(data)])
    return saving(data.lead[rows], data.happened[rows], before, after).standard_errors


def fit_boosted(data: EndpointData, upon: Upon, kind: TreeKind) -> Candidate:
    """Grow with and without monotone signs, and keep what did better on the future: a wrong sign costs (peers)."""
    signed = kind != "free" and any(data.directions)
    plans = [BoosterPlan(kind, signs, data.settled) for signs in ([data.directions] if signed else []) + [None]]
    found = [_cross_validate(data, plan, upon) for plan in plans]
    best = min(range(len(plans)), key=lambda number: found[number][0])
    plan, (_, chosen, boosters) = plans[best], found[best]
    evidence = _signs_evidence(data, upon, found) if signed else {}
    for number in range(len(data.folds)):
        if number not in boosters:
            boosters[number] = _grow_on(data, upon, number, plan, chosen)
    grown = _logits_of(data, {number: _predictor(booster, chosen) for number, booster in boosters.items()})
    folds = tuple(trees + upon.said[number] for number, trees in enumerate(grown))
    rounds = round(chosen * _growth(data))
    booster = _grow_on(data, upon, None, plan, rounds)

    def member_of(trees: lgb.Booster, sample: Sample, count: int, offset: LogisticMember | None) -> FittedMember:
        if kind == "stumps":
            return stumps_from_booster(trees, count, data.matrix[sample.rows], offset)
        cls = FreeMember if kind == "free" else ShallowMember
        return cls(trees.model_to_string(num_iteration=count), data.matrix.shape[1], count, offset)

    member = member_of(booster, upon.sample, rounds, upon.member)
    members = tuple(
        member_of(boosters[number], upon.by_fold[number], chosen, upon.members[number])
        for number in range(len(data.folds))
    )
    signs = "imposed" if plan.directions is not None else "free"
    return Candidate(member, members, folds, {"rounds": float(rounds), "signs": signs, **evidence})


def _signs_evidence(
    data: EndpointData, upon: Upon, found: Sequence[tuple[float, int, Mapping[int, lgb.Booster]]]
) -> dict[str, float]:
    """Tell by how many standard errors trees without monotone signs did better on the future than those with them."""
    imposed, free = (
        np.concatenate(
            [
                _predictor(boosters[number], rounds)(data.matrix[fold.test]) + upon.said[number].test
                for number, fold in _searched(data)
            ]
        )
        for _, rounds, boosters in found
    )
    return {"free_signs_save_se": round(_standard_errors_saved(data, imposed, free), 2)}


def _growth(data: EndpointData) -> float:
    """Give how much longer trees may grow, and weights be freer, on all rows than on the fewer ones of a fold.

    By the square root. Only where leads have several rows, whose folds learn from half of the accounts (docs/adr/0007).
    """
    if data.ages.size == 0:
        return 1.0
    trained = float(np.mean([len(fold.train) for fold in data.folds]))
    return min(float(np.sqrt(data.settled / trained)), MAX_GROWTH)


def fit_ages(data: EndpointData, rows: NDArray[np.int64]) -> LogisticMember:
    """Fit what the ages alone say, where leads are scored at many: the bar for everything else.

    Returns
    -------
    LogisticMember
        Of the columns :attr:`EndpointData.ages` alone.
    """
    shapes = [data.shapes[number] for number in data.ages]
    ages = data.matrix[rows][:, data.ages]
    return fit_logistic(ages, data.happened[rows], shapes, penalty=AGES_PENALTY, free=np.arange(len(shapes)))


def _cross_validate(data: EndpointData, plan: BoosterPlan, upon: Upon) -> tuple[float, int, dict[int, lgb.Booster]]:
    """Grow one booster a searched fold, side by side, until the pooled log-loss of their future stops falling."""
    searched = _searched(data)
    boosters: dict[int, lgb.Booster] = {}
    for number, fold in searched:
        seen = upon.binned(data, number)
        booster = lgb.Booster(booster_parameters(plan, upon.by_fold[number].kept), seen)
        future = Sample(fold.test, data.happened[fold.test], upon.said[number].test, None, len(fold.test))
        booster.add_valid(_dataset(data, future, like=seen), "future")
        boosters[number] = booster
    sizes = np.array([len(fold.test) for _, fold in searched], dtype=np.float64)
    best, rounds = np.inf, 1
    patience = PATIENCE_OF_FREE if plan.kind == "free" else PATIENCE
    patience = patience if plan.rows < MANY_ROWS else PATIENCE_OF_MANY
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


def _grow_on(data: EndpointData, upon: Upon, number: int | None, plan: BoosterPlan, rounds: int) -> lgb.Booster:
    sample = upon.sample if number is None else upon.by_fold[number]
    return lgb.train(booster_parameters(plan, sample.kept), upon.binned(data, number), num_boost_round=rounds)


def _predictor(booster: lgb.Booster, rounds: int) -> Predictor:
    def predict(matrix: Matrix) -> Matrix:
        return np.asarray(booster.predict(matrix, raw_score=True, num_iteration=rounds)) if len(matrix) else np.zeros(0)

    return predict


def _dataset(data: EndpointData, sample: Sample, *, like: lgb.Dataset | None = None) -> lgb.Dataset:
    return lgb.Dataset(
        data.matrix[sample.rows],
        sample.happened.astype(np.float64),
        reference=like,
        weight=sample.weights,
        init_score=sample.offset if sample.offset.any() else None,
        params=BINNING,
    )
