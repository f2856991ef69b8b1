"""What a version must show before it may be champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.intervals import Interval

__all__ = ["Verdict", "decide_first", "decide_next", "ranking"]

CHANCE = 0.5


@dataclass(frozen=True)
class Verdict:
    """Whether a version may be champion, and every reason against it."""

    passed: bool
    reasons: tuple[str, ...]


def decide_first(metrics: Mapping[str, Interval], bar: float, outcome: str) -> Verdict:
    """Judge a version by itself: it must rank unseen leads better than chance.

    The lower end of the 95% interval of its time-forward AUC must lie above 0.5, so that a model of noise stays out.
    Where leads are scored at several ages that is the AUC among leads of one age: age alone ranks a lead of last year
    below one of today, and says nothing that a salesperson does not know. Its log-loss must be below that of the base
    rate and of the ages alone.

    Parameters
    ----------
    metrics
        ``auc`` or ``auc_same_age``, and ``log_loss``, as they were judged.
    bar
        Log-loss to stay below, nats.
    outcome
        ``sql`` or ``won``, for the reasons.
    """
    reasons: list[str] = []
    auc, loss = ranking(metrics), metrics["log_loss"]
    if not auc.low_95 > CHANCE:
        among = " among leads of the same age" if "auc_same_age" in metrics else ""
        reasons.append(
            f"time-forward AUC for {outcome}{among} is {auc.value:.3f} with a lower 95% bound of {auc.low_95:.3f}; "
            "it must lie above 0.5"
        )
    if not loss.value < bar:
        reasons.append(
            f"log-loss for {outcome} is {loss.value:.4f}, no better than {bar:.4f} of the base rate or of ages alone"
        )
    return Verdict(not reasons, tuple(reasons))


def ranking(metrics: Mapping[str, Interval]) -> Interval:
    """Return the AUC that the gate looks at: among leads of one age where leads are scored at several."""
    return metrics.get("auc_same_age", metrics["auc"])


def decide_next(challenger: Mapping[str, Any], champion: Mapping[str, Any]) -> Verdict:
    """Judge a challenger beside the champion by the metrics that both runs logged.

    Parameters
    ----------
    challenger, champion
        ``auc``, ``auc_low`` (lower end of its 90% interval), ``auc_low_95`` (of the AUC that :func:`decide_first` looks
        at), ``gate_passed`` (1 or 0), ``outcome`` (what the score speaks of).
    """
    reasons: list[str] = []
    if not challenger.get("gate_passed"):
        reasons.append(
            f"its own time-forward AUC has a lower 95% bound of {challenger.get('auc_low_95', float('nan')):.3f}; "
            "it must lie above 0.5, and its log-loss below that of the base rate"
        )
    auc = challenger.get("auc", 0.0)
    if champion and challenger.get("outcome") != champion.get("outcome"):
        reasons.append(
            f"it scores {challenger.get('outcome')} and the champion {champion.get('outcome')}, whose AUCs cannot be "
            "compared; read both reports, then promote it with --force and a reason"
        )
    elif champion and auc < champion.get("auc_low", 0.0):
        reasons.append(
            f"its time-forward AUC of {auc:.3f} lies below the champion's 90% interval, "
            f"which starts at {champion['auc_low']:.3f}"
        )
    return Verdict(not reasons, tuple(reasons))
