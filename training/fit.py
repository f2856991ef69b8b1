"""Fitting one endpoint: members weighed by what they said about a future that they had not seen, then calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crm.progress import Progress
from models.blend import Endpoint, blend_weights
from models.calibration import Calibrator, fit_calibrator
from training.candidates import Candidate, EndpointData, fit_ages, fit_boosted, fit_logistic_member
from training.splits import Fold

__all__ = ["FittedEndpoint", "fit_endpoint"]

Matrix = NDArray[np.float64]
MIN_SLOPE_OUTCOMES = 400
MIN_SHALLOW = 100
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
        What was chosen for each member: penalty, rounds, signs.
    """

    endpoint: Endpoint
    rows: NDArray[np.int64]
    logit: Matrix
    member_logits: Matrix
    age_logit: Matrix | None
    settings: Mapping[str, Mapping[str, float | str]]


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
    kinds = ["logistic", "stumps", "shallow"][: 3 if data.outcomes() >= MIN_SHALLOW else 2]
    with progress.step(f"Learning {data.outcome}", total=len(kinds)) as step:
        logistic, upon = fit_logistic_member(data)
        candidates: list[Candidate] = [logistic]
        step.advance()
        for kind in kinds[1:]:
            candidates.append(fit_boosted(data, upon, is_stumps=kind == "stumps"))
            step.advance()
        logits = np.stack([np.concatenate([fold.test for fold in item.folds]) for item in candidates], axis=1)
        weights = blend_weights(logits, data.happened[rows], outcomes=data.outcomes(rows))
        share = np.asarray(weights)
        by_fold = [[item.folds[number] for item in candidates] for number in range(len(data.folds))]
        blended = [np.stack([logits.test for logits in parts], axis=1) @ share for parts in by_fold]
        learned = [np.stack([logits.train for logits in parts], axis=1) @ share for parts in by_fold]
        members = tuple(candidate.member for candidate in candidates)
        endpoint = _calibrated(Endpoint(data.outcome, data.horizon_days, members, weights, PLAIN), blended, data)
        step.note(", ".join(f"{kind} {weight:.2f}" for kind, weight in zip(kinds, weights, strict=True)))
    return FittedEndpoint(
        endpoint,
        rows,
        _calibrate_forward(blended, learned, data),
        logits,
        _age_logit(data),
        {candidate.member.name: candidate.settings for candidate in candidates},
    )


def _calibrated(draft: Endpoint, blended: Sequence[Matrix], data: EndpointData) -> Endpoint:
    """Calibrate: the slope comes from unseen periods; the level from every mature row, which has the most outcomes.

    A straight slope becomes part of ``g``, so that 5 points double the odds in every version.
    """
    calibrator = _fit_slope(data, [(fold, fold.test, g) for fold, g in zip(data.folds, blended, strict=True)])
    scale = 1.0
    if calibrator.kind == "platt":
        scale = calibrator.slope
        calibrator = Calibrator("platt", 1.0, 1.0, calibrator.intercept)
    endpoint = Endpoint(draft.outcome, draft.horizon_days, draft.members, draft.weights, calibrator, scale)
    if not 0 < data.happened.sum() < len(data.happened):
        return endpoint
    level = calibrator.shifted_to(endpoint.g(data.matrix), float(data.happened.mean()))
    return Endpoint(draft.outcome, draft.horizon_days, draft.members, draft.weights, level, scale)


Seen = tuple[Fold, NDArray[np.int64], Matrix]
"""A fold, rows that it tested, and their blended logits."""


def _fit_slope(data: EndpointData, seen: Sequence[Seen]) -> Calibrator:
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


def _calibrate_forward(blended: Sequence[Matrix], learned: Sequence[Matrix], data: EndpointData) -> Matrix:
    """Calibrate each fold as the endpoint would have been at the start of its test period.

    The slope comes from test periods before it, their labels as settled by then; the level from the rows that the
    fold's models had learned from.
    """
    parts: list[Matrix] = []
    for fold, test, train in zip(data.folds, blended, learned, strict=True):
        seen: list[Seen] = []
        for other, g in zip(data.folds, blended, strict=True):
            settled = data.mature_us[other.test] <= fold.start_us
            if other.start_us < fold.start_us and data.happened[other.test][settled].any():
                seen.append((other, other.test[settled], g[settled]))
        level = _fit_slope(data, seen).shifted_to(train, float(data.happened[fold.train].mean()))
        parts.append(level.logit(test))
    return np.concatenate(parts)


def _age_logit(data: EndpointData) -> Matrix | None:
    """Return what a model of the ages alone says of each tested row."""
    if data.ages.size == 0:
        return None
    models = [fit_ages(data, fold.train) for fold in data.folds]
    parts = [m.logit(data.matrix[f.test]) for m, f in zip(models, data.folds, strict=True) if m is not None]
    return np.concatenate(parts)
