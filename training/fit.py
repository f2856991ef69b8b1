"""Fitting one endpoint: members chosen and weighed by what they said about a future that they had not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from crm.progress import Progress
from features.feature import Direction, Shape
from models.blend import Endpoint, blend_weights, log_loss_of_logit
from models.boosted import BoosterPlan, ShallowMember, StumpsMember, booster_parameters, stumps_from_booster
from models.calibration import Calibrator, fit_calibrator
from models.logistic import LogisticMember, fit_logistic
from training.splits import Fold

__all__ = ["EndpointData", "FittedEndpoint", "fit_endpoint"]

Matrix = NDArray[np.float64]
PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
MANY_OUTCOMES = 300
PENALTIES_OF_MANY = (0.01, 0.1, 1.0)  # the more outcomes, the flatter the choice, and the longer each fit
OFFSET_PENALTY = 1.0
MAX_GROWTH = 2.0
MIN_SLOPE_OUTCOMES = 400
MIN_SHALLOW = 100
MAX_ROUNDS = 1000
PATIENCE, PATIENCE_OF_MANY = 150, 30
MANY_ROWS = 30_000


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
    shapes: Sequence[Shape]
    directions: tuple[Direction, ...]
    folds: tuple[Fold, ...]
    ages: NDArray[np.int64]


@dataclass(frozen=True)
class FittedEndpoint:
    """An endpoint, and its out-of-fold predictions.

    Parameters
    ----------
    endpoint
        Fitted on all rows.
    rows
        Row numbers with an out-of-fold prediction, in fold order.
    logit
        Their calibrated logits: blended, and calibrated on earlier folds alone, shape of ``rows``.
    member_losses
        Each member's own out-of-fold log-loss, nats.
    signs_kept
        Whether monotone signs were imposed, by boosted member.
    """

    endpoint: Endpoint
    rows: NDArray[np.int64]
    logit: Matrix
    member_losses: tuple[float, ...]
    signs_kept: dict[str, bool]


@dataclass(frozen=True)
class _Candidate:
    """A member fitted on all rows, and the logits that its kind gave out of fold."""

    member: LogisticMember | StumpsMember | ShallowMember
    logits: Matrix
    has_signs: bool | None


def fit_endpoint(data: EndpointData, progress: Progress) -> FittedEndpoint:
    """Fit the default model of an endpoint.

    Logistic regression and stumps, and from 100 outcomes on a shallow conservative LightGBM, averaged in logits with
    weights from out-of-fold log-loss (methods 7 as corrected by the measured peers).

    Parameters
    ----------
    data
        Mature rows and folds; at least one fold.
    progress
        Where to report each member.
    """
    rows = np.concatenate([fold.test for fold in data.folds])
    kinds = ["logistic", "stumps", "shallow"][: 3 if data.happened.sum() >= MIN_SHALLOW else 2]
    candidates: list[_Candidate] = []
    with progress.step(f"Learning {data.outcome}", total=len(kinds)) as step:
        for kind in kinds:
            candidates.append(_fit_logistic(data) if kind == "logistic" else _fit_boosted(data, kind == "stumps"))
            step.advance()
        logits = np.stack([candidate.logits for candidate in candidates], axis=1)
        weights = blend_weights(logits, data.happened[rows])
        blended = logits @ np.asarray(weights)
        losses = tuple(log_loss_of_logit(logits[:, j], data.happened[rows]) for j in range(len(kinds)))
        members = tuple(candidate.member for candidate in candidates)
        draft = Endpoint(data.outcome, data.horizon_days, members, weights, Calibrator("intercept", 1.0, 1.0, 0.0))
        # The slope comes from unseen periods; the level from every mature row, which has the most outcomes.
        calibrator = _fit_slope(blended, data)
        if 0 < data.happened.sum() < len(data.happened):
            calibrator = calibrator.shifted_to(draft.g(data.matrix), float(data.happened.mean()))
        step.note(", ".join(f"{kind} {weight:.2f}" for kind, weight in zip(kinds, weights, strict=True)))
    endpoint = Endpoint(data.outcome, data.horizon_days, members, weights, calibrator)
    signs = {c.member.name: bool(c.has_signs) for c in candidates if c.has_signs is not None}
    return FittedEndpoint(endpoint, rows, _calibrate_forward(blended, data), losses, signs)


def _fit_logistic(data: EndpointData) -> _Candidate:
    best: tuple[float, float, Matrix] | None = None
    labels = np.concatenate([data.happened[fold.test] for fold in data.folds])
    for penalty in PENALTIES if data.happened.sum() < MANY_OUTCOMES else PENALTIES_OF_MANY:
        parts = [
            fit_logistic(
                data.matrix[fold.train], data.happened[fold.train], data.shapes, penalty=penalty, free=data.ages
            ).logit(data.matrix[fold.test])
            for fold in data.folds
        ]
        logits = np.concatenate(parts)
        loss = log_loss_of_logit(logits, labels)
        if best is None or loss < best[0]:
            best = (loss, penalty, logits)
    assert best is not None  # noqa: S101 - PENALTIES is not empty
    member = fit_logistic(data.matrix, data.happened, data.shapes, penalty=best[1], free=data.ages)
    return _Candidate(member, best[2], None)


def _fit_boosted(data: EndpointData, is_stumps: bool) -> _Candidate:
    """Grow with and without monotone signs, and keep what did better on the future: a wrong sign costs (peers)."""
    trials = [directions for directions in (data.directions, None) if directions is None or any(directions)]
    offsets = [_fit_offset(data, fold.train) for fold in data.folds]
    found = [_cross_validate(data, BoosterPlan(is_stumps, signs, len(data.happened)), offsets) for signs in trials]
    best = min(range(len(trials)), key=lambda number: found[number][0])
    _, rounds, logits = found[best]
    rounds = round(rounds * _growth(data))
    plan = BoosterPlan(is_stumps, trials[best], len(data.happened))
    offset = _fit_offset(data, np.arange(len(data.happened)))
    rows = np.arange(len(data.happened))
    booster = lgb.train(booster_parameters(plan), _dataset(data, rows, offset), num_boost_round=rounds)
    if is_stumps:
        member: StumpsMember | ShallowMember = stumps_from_booster(booster, rounds, data.matrix, offset)
    else:
        member = ShallowMember(booster.model_to_string(), data.matrix.shape[1], rounds, offset)
    return _Candidate(member, logits, plan.directions is not None)


def _growth(data: EndpointData) -> float:
    """Give how much longer trees may grow on all rows than on the fewer ones of a fold: by the square root."""
    trained = float(np.mean([len(fold.train) for fold in data.folds]))
    return min(float(np.sqrt(len(data.happened) / trained)), MAX_GROWTH)


def _fit_offset(data: EndpointData, rows: NDArray[np.int64]) -> LogisticMember | None:
    """Fit what trees are grown upon where leads are scored at many ages: a logistic regression on ages alone.

    Most leads at risk are old and silent, and worth a hundredth of a young one. Trees come down there by a small step a
    round and stop, for the sake of the other leads, long before they arrive; an offset starts them where they belong.
    """
    if data.ages.size == 0:
        return None
    matrix, happened = data.matrix[rows], data.happened[rows]
    return fit_logistic(matrix, happened, data.shapes, penalty=OFFSET_PENALTY, only=data.ages, free=data.ages)


def _cross_validate(
    data: EndpointData, plan: BoosterPlan, offsets: Sequence[LogisticMember | None]
) -> tuple[float, int, Matrix]:
    """Grow one booster a fold, side by side, until the pooled log-loss of their future stops falling."""
    boosters: list[lgb.Booster] = []
    for fold, offset in zip(data.folds, offsets, strict=True):
        seen = _dataset(data, fold.train, offset)
        booster = lgb.Booster(booster_parameters(plan), seen)
        booster.add_valid(_dataset(data, fold.test, offset, like=seen), "future")
        boosters.append(booster)
    sizes = np.array([len(fold.test) for fold in data.folds], dtype=np.float64)
    best, rounds = np.inf, 1
    patience = PATIENCE if plan.rows < MANY_ROWS else PATIENCE_OF_MANY
    for number in range(1, MAX_ROUNDS + 1):
        losses = [_grow(booster) for booster in boosters]
        loss = float(np.average(losses, weights=sizes))
        if loss < best:
            best, rounds = loss, number
        elif number - rounds >= patience:
            break
    parts = [_future_logits(data, *item, rounds) for item in zip(boosters, data.folds, offsets, strict=True)]
    return best, rounds, np.concatenate(parts)


def _grow(booster: lgb.Booster) -> float:
    booster.update()
    return float(booster.eval_valid()[0][2])


def _future_logits(
    data: EndpointData, booster: lgb.Booster, fold: Fold, offset: LogisticMember | None, rounds: int
) -> Matrix:
    future = data.matrix[fold.test]
    trees = np.asarray(booster.predict(future, raw_score=True, num_iteration=rounds))
    return trees if offset is None else trees + offset.logit(future)


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


def _fit_slope(blended: Matrix, data: EndpointData) -> Calibrator:
    """Fit the calibrator on the folds that had learned from the most, whose logits spread most like the final model's.

    Where leads have several rows the folds learn from a third of what the final model does, and spread more than it:
    on the simulator their slope came out at 0.88 where the truth asked for 1.1. There the level alone is fitted.
    """
    if data.ages.size:
        return Calibrator("intercept", 1.0, 1.0, 0.0)
    labels = np.concatenate([data.happened[fold.test] for fold in data.folds])
    period = np.concatenate([np.full(len(fold.test), number) for number, fold in enumerate(data.folds)])
    for number in range(len(data.folds) - 1, -1, -1):
        late = period >= number
        if int(labels[late].sum()) >= MIN_SLOPE_OUTCOMES or number == 0:
            return fit_calibrator(blended[late], labels[late], period[late])
    return fit_calibrator(blended, labels, period)


def _calibrate_forward(blended: Matrix, data: EndpointData) -> Matrix:
    """Calibrate each fold on the folds before it alone; the first one stays as it is."""
    answer = np.empty_like(blended)
    start = 0
    for fold in data.folds:
        end = start + len(fold.test)
        earlier = np.concatenate([other.test for other in data.folds])[:start]
        if start and data.happened[earlier].any():
            answer[start:end] = fit_calibrator(blended[:start], data.happened[earlier]).logit(blended[start:end])
        else:
            answer[start:end] = blended[start:end]
        start = end
    return answer
