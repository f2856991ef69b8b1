"""Judging what was learned on periods that the models had not seen, one row a lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from crm.outcomes import Labels
from models.amount import AmountModel
from models.blend import log_loss_of_logit
from models.intervals import Interval, cluster_bootstrap
from models.metrics import Judgement, calibration_error, normalised_gini
from training.fit import FittedEndpoint
from training.learn import lead_weights, priced_wins
from training.prepare import TrainingData

__all__ = ["Judged", "JudgedAmount", "judge", "judge_amount"]

Matrix = NDArray[np.float64]
AGE_STEP = 0.25
"""Width of the strata of leads of one age, in log-odds of what the ages alone say."""


@dataclass(frozen=True)
class Judged:
    """Quality of one endpoint on unseen periods, one row a lead.

    Parameters
    ----------
    probability, happened, group
        Predictions, labels and accounts, shape (n,).
    metrics
        Named numbers with intervals. ``auc_same_age`` is there where leads are scored at several ages.
    base
        log_loss and brier of predicting the base rate.
    member_losses
        Log-loss of each member alone on the same rows, nats.
    age_log_loss
        Log-loss of a model of the ages alone on the same rows, nats; None where all leads are scored at one age.
    """

    probability: Matrix
    happened: NDArray[np.bool_]
    group: NDArray[np.int64]
    metrics: Mapping[str, Interval]
    base: Mapping[str, float]
    member_losses: tuple[float, ...]
    age_log_loss: float | None

    @property
    def bar(self) -> float:
        """Log-loss that a model must stay below: of the base rate, or of the ages alone where that is less."""
        losses = [self.base["log_loss"], *([] if self.age_log_loss is None else [self.age_log_loss])]
        return min(losses)


def judge(data: TrainingData, fitted: FittedEndpoint, labels: Labels, *, seed: int = 1) -> Judged:
    """Measure an endpoint on its out-of-fold predictions, one row a lead, with account-cluster intervals.

    Where leads are scored at several ages, their age alone ranks them: a lead of three days against one of three
    hundred. ``auc_same_age`` compares only leads of which the ages alone say the same.
    """
    keep = data.snapshots.is_judged[fitted.rows]
    rows = fitted.rows[keep]
    probability, happened = expit(fitted.logit[keep]), labels.happened[rows]
    age = None if fitted.age_logit is None else fitted.age_logit[keep]
    stratum = None if age is None else np.floor(age / AGE_STEP).astype(np.int64)
    group = data.snapshots.group[rows]
    metrics = dict(cluster_bootstrap(Judgement(probability, happened, stratum).measure, group, seed=seed))
    error = calibration_error(probability, happened, seed=seed)
    for name, value in (
        ("ece", error.ece),
        ("ece_null", error.null),
        ("ece_null_95", error.null_95),
        ("ece_excess", error.excess),
        ("ece_p_value", error.p_value),
    ):
        metrics[name] = Interval.of(value)
    rate = np.full(len(happened), max(float(happened.mean()), 1e-9))
    plain = Judgement(rate, happened).measure(np.ones(len(happened)))
    return Judged(
        probability,
        happened,
        group,
        metrics,
        {key: plain[key] for key in ("log_loss", "brier")},
        tuple(log_loss_of_logit(member, happened) for member in fitted.member_logits[keep].T),
        None if age is None else log_loss_of_logit(age, happened),
    )


@dataclass(frozen=True)
class JudgedAmount:
    """Quality of the amounts of wins, on blocks of time that the model had not seen; a lead weighs 1.

    Parameters
    ----------
    normalised_gini
        How well the amounts are ordered; 1 is perfect, 0 random.
    coverage
        Share of wins whose amount lies inside the interval that is to hold 80%.
    predicted_over_actual
        Mean predicted over mean actual amount, after rescaling; the actual ones are not winsorised, so one giant win
        shows here.
    rescaling
        Amounts won over amounts predicted, winsorised, before rescaling. The model is rescaled by it outside 0.9 to
        1.1.
    """

    normalised_gini: Interval
    coverage: Interval
    predicted_over_actual: Interval
    rescaling: float


def judge_amount(data: TrainingData, amount: AmountModel) -> JudgedAmount | None:
    """Measure how well the amounts of wins are predicted out of fold; None unless the amount is modelled."""
    if amount.out_of_fold is None or amount.out_of_fold_rank is None:
        return None
    rows = priced_wins(data)
    predicted, rank, each = amount.out_of_fold, amount.out_of_fold_rank, lead_weights(data, rows)
    won = data.won.amount[rows]
    low, high = amount.interval_around(predicted)
    inside = (low <= won) & (won <= high)

    def measure(weights: Matrix) -> Mapping[str, float]:
        w = weights * each
        money = float((w * won).sum())
        return {
            "normalised_gini": normalised_gini(rank, won, w),
            "coverage": float((w * inside).sum() / w.sum()),
            "predicted_over_actual": float((w * predicted).sum()) / money if money > 0 else float("nan"),
        }

    return JudgedAmount(**cluster_bootstrap(measure, data.snapshots.group[rows], seed=1), rescaling=amount.rescaling)
