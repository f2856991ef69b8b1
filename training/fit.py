"""Fitting one endpoint: members weighed by what they said about a future that they had not seen, then calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crm.progress import Step
from models.blend import Endpoint
from models.boosted import TreeKind
from models.calibration import Calibrator, fit_calibrator
from models.timing import Timing, fit_timing_by_age
from training.candidates import Candidate, FoldLogits, fit_ages, fit_boosted, fit_logistic_member
from training.choice import Choice, choose, policy_for
from training.endpoint_data import EndpointData
from training.recent import LevelUpdate, Recent, Seen, decide_update, look_at_recent
from training.splits import Fold

__all__ = ["FittedEndpoint", "fit_endpoint", "members_tried"]

Matrix = NDArray[np.float64]
MIN_SLOPE_OUTCOMES = 400
TREES: tuple[TreeKind, ...] = ("stumps", "shallow", "free")
PLAIN = Calibrator("intercept", 1.0, 1.0, 0.0)


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
        Their blended logits, calibrated as the endpoint is, from what was settled before each test period alone.
    member_logits
        Each member's own logits of these rows, shape (n_rows, n_members).
    age_logit
        What the ages alone say of these rows; None where all leads are scored at one age.
    settings
        What was chosen for each member: penalty, reading of the past, rounds, signs.
    update
        Whether the level follows the newest leads.
    by_fold
        The endpoint as it would have been at the start of each fold's test period, learned from other accounts.
    choice
        Which members were tried and taken, and by how much they did better.
    """

    endpoint: Endpoint
    rows: NDArray[np.int64]
    logit: Matrix
    member_logits: Matrix
    age_logit: Matrix | None
    settings: Mapping[str, Mapping[str, float | str]]
    update: LevelUpdate
    by_fold: tuple[Endpoint, ...]
    choice: Choice


def members_tried(data: EndpointData) -> tuple[str, ...]:
    """Name the members that :func:`fit_endpoint` tries, each of which advances its step by one."""
    return policy_for(data.outcomes()).members


def fit_endpoint(data: EndpointData, step: Step, *, follows: LevelUpdate | None = None) -> FittedEndpoint:
    """Fit the default model of an endpoint.

    The members of the policy (:data:`training.choice.POLICY`), averaged in logits with weights from time-forward
    out-of-fold log-loss; free trees stay only where they earned it (docs/adr/0011).

    Parameters
    ----------
    data
        Rows and folds; at least one fold.
    step
        Where to report each member.
    follows
        How the level of an endpoint moved that every outcome of this one passes through; None for no such endpoint.
    """
    rows = np.concatenate([fold.test for fold in data.folds])
    kinds = members_tried(data)
    logistic, upon = fit_logistic_member(data)
    tried: dict[str, Candidate] = {logistic.member.name: logistic}
    step.advance()
    for kind in TREES:
        if kind in kinds:
            tried[kind] = fit_boosted(data, upon, kind)
            step.advance()
    said = {kind: np.concatenate([fold.test for fold in item.folds]) for kind, item in tried.items()}
    choice = choose(said, data.happened[rows], data.lead[rows], tested=data.outcomes(rows), outcomes=data.outcomes())
    kept = [member.name for member in choice.members if member.weight > 0]
    candidates, weights = [tried[kind] for kind in kept], choice.weights
    logits = np.stack([said[kind] for kind in kept], axis=1)
    blended = [_blend([item.folds[n] for item in candidates], weights) for n in range(len(data.folds))]
    members = tuple(candidate.member for candidate in candidates)
    draft = Endpoint(data.outcome, data.horizon_days, members, weights, PLAIN, Timing.plain(data.horizon_days))
    g = draft.g(data.matrix)
    endpoint = _calibrated(draft, g, [logits.test for logits in blended], data)
    z = endpoint.calibrator.logit(endpoint.scale * g)
    endpoint = _in_time(endpoint, z, data)
    levels = _levels_forward(blended, data)
    update = _follow_level(data, (endpoint, z), blended, levels, follows)
    moved = [
        level.moved(float(np.log(update.factor_at(fold.start_us))))
        for fold, level in zip(data.folds, levels, strict=True)
    ]
    return FittedEndpoint(
        replace(endpoint, calibrator=endpoint.calibrator.moved(float(np.log(update.factor)))),
        rows,
        np.concatenate([level.logit(logits.test) for level, logits in zip(moved, blended, strict=True)]),
        logits,
        _age_logit(data),
        {kind: item.settings for kind, item in tried.items()},
        update,
        tuple(
            replace(draft, members=tuple(item.by_fold[number] for item in candidates), calibrator=level)
            for number, level in enumerate(moved)
        ),
        choice,
    )


def _blend(parts: Sequence[FoldLogits], weights: Sequence[float]) -> FoldLogits:
    share = np.asarray(weights)
    return FoldLogits(
        *(np.stack([getattr(part, name) for part in parts], axis=1) @ share for name in ("test", "train", "open"))
    )


def _calibrated(draft: Endpoint, g: Matrix, blended: Sequence[Matrix], data: EndpointData) -> Endpoint:
    """Calibrate: the slope comes from unseen periods; the level from every mature row, which has the most outcomes.

    ``g`` is the draft's blended logit of every row, shape (n,).

    A straight slope becomes part of ``g``, so that 5 points double the odds in every version.
    """
    calibrator = _fit_slope(data, [(fold, fold.test, g) for fold, g in zip(data.folds, blended, strict=True)])
    scale = 1.0
    if calibrator.kind == "platt":
        scale = calibrator.slope
        calibrator = Calibrator("platt", 1.0, 1.0, calibrator.intercept)
    endpoint = replace(draft, calibrator=calibrator, scale=scale)
    happened = data.happened[data.is_mature]
    if not 0 < happened.sum() < len(happened):
        return endpoint
    level = calibrator.shifted_to(scale * g[data.is_mature], float(happened.mean()))
    return replace(endpoint, calibrator=level)


def _in_time(endpoint: Endpoint, z: Matrix, data: EndpointData) -> Endpoint:
    """Learn when outcomes come, from settled and open rows; ``z`` is the calibrated logit of every row, shape (n,)."""
    rows = np.arange(len(z))
    watched = data.watched_days(rows, data.until_us)
    return replace(endpoint, timing=fit_timing_by_age(z, data.days, watched, data.horizon_days, data.age_of(rows)))


def _follow_level(
    data: EndpointData,
    fitted: tuple[Endpoint, Matrix],
    blended: Sequence[FoldLogits],
    levels: Sequence[Calibrator],
    follows: LevelUpdate | None,
) -> LevelUpdate:
    """Replay the level update at the start of each test period, and look at the newest leads of all.

    ``fitted`` is the endpoint and the calibrated logit of every row.
    """
    endpoint, z_of_all = fitted
    seen: dict[int, Seen] = {}
    tested: dict[int, list[tuple[NDArray[np.bool_], Matrix, int]]] = {}
    for fold, logits, level in zip(data.folds, blended, levels, strict=True):
        if not fold.has_gap:
            continue
        rows = np.concatenate([fold.train, fold.open])
        z = level.logit(np.concatenate([logits.train, logits.open]))
        watched = data.watched_days(rows, fold.start_us)
        timing = fit_timing_by_age(z, data.days[rows], watched, data.horizon_days, data.age_of(rows))
        newest = look_at_recent(data, rows, z, timing, fold.start_us)
        seen[fold.start_us] = newest + seen[fold.start_us] if fold.start_us in seen else newest
        came = data.outcomes(fold.test)
        tested.setdefault(fold.start_us, []).append((data.happened[fold.test], level.logit(logits.test), came))
    origins = [
        (
            start,
            Recent(seen[start], 1.0 if follows is None else follows.factor_at(start)),
            np.concatenate([happened for happened, _, _ in tested[start]]),
            np.concatenate([z for _, z, _ in tested[start]]),
            sum(came for _, _, came in tested[start]),
        )
        for start in seen
    ]
    newest = look_at_recent(data, np.arange(len(data.happened)), z_of_all, endpoint.timing, data.until_us)
    return decide_update(Recent(newest, 1.0 if follows is None else follows.factor), origins)


Tested = tuple[Fold, NDArray[np.int64], Matrix]
"""A fold, rows that it tested, and their blended logits."""


def _fit_slope(data: EndpointData, seen: Sequence[Tested]) -> Calibrator:
    """Fit the calibrator on the folds that had learned from the most, whose logits spread most like the final model's.

    Where leads have several rows the folds learn from a third of what the final model does, and spread more than it:
    on the simulator their slope came out at 0.88 where the truth asked for 1.1. There the level alone is fitted.
    """
    if data.ages.size or not seen:
        return PLAIN
    for first in range(len(seen) - 1, -1, -1):
        rows = np.concatenate([tested for _, tested, _ in seen[first:]])
        if data.outcomes(rows) >= MIN_SLOPE_OUTCOMES or first == 0:
            logits = np.concatenate([g for _, _, g in seen[first:]])
            period = np.concatenate([np.full(len(tested), fold.start_us) for fold, tested, _ in seen[first:]])
            return fit_calibrator(logits, data.happened[rows], period)
    return PLAIN


def _levels_forward(blended: Sequence[FoldLogits], data: EndpointData) -> list[Calibrator]:
    """Calibrate each fold as the endpoint would have been at the start of its test period.

    The slope comes from test periods before it, their labels as settled by then; the level from the rows that the
    fold's models had learned from.
    """
    levels: list[Calibrator] = []
    for fold, logits in zip(data.folds, blended, strict=True):
        seen: list[Tested] = []
        for other, before in zip(data.folds, blended, strict=True):
            settled = data.mature_us[other.test] <= fold.start_us
            if other.start_us < fold.start_us and data.happened[other.test][settled].any():
                seen.append((other, other.test[settled], before.test[settled]))
        levels.append(_fit_slope(data, seen).shifted_to(logits.train, float(data.happened[fold.train].mean())))
    return levels


def _age_logit(data: EndpointData) -> Matrix | None:
    """Return what a model of the ages alone says of each tested row."""
    if data.ages.size == 0:
        return None
    return np.concatenate(
        [fit_ages(data, fold.train).logit(data.matrix[fold.test][:, data.ages]) for fold in data.folds]
    )
