"""What a version must show before it may be champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.intervals import Interval

__all__ = ["Verdict", "decide_first", "decide_next"]

CHANCE = 0.5


@dataclass(frozen=True)
class Verdict:
    """Whether a version may be champion, and every reason against it."""

    passed: bool
    reasons: tuple[str, ...]


def decide_first(metrics: Mapping[str, Interval], base_log_loss: float, outcome: str) -> Verdict:
    """Judge a version by itself: it must rank unseen leads better than chance.

    The lower end of the 95% interval of its time-forward AUC must lie above 0.5, so that a model of noise stays out,
    and its log-loss must be below that of predicting the base rate.
    """
    reasons: list[str] = []
    auc, loss = metrics["auc"], metrics["log_loss"]
    if not auc.low_95 > CHANCE:
        reasons.append(
            f"time-forward AUC for {outcome} is {auc.value:.3f} with a lower 95% bound of {auc.low_95:.3f}; "
            "it must lie above 0.5"
        )
    if not loss.value < base_log_loss:
        reasons.append(
            f"log-loss for {outcome} is {loss.value:.4f}, no better than {base_log_loss:.4f} of the base rate"
        )
    return Verdict(not reasons, tuple(reasons))


def decide_next(challenger: Mapping[str, float], champion: Mapping[str, float]) -> Verdict:
    """Judge a challenger beside the champion by the metrics that both runs logged.

    Parameters
    ----------
    challenger, champion
        ``auc``, ``auc_low_95``, ``auc_low`` (lower end of the 90% interval), ``gate_passed`` (1 or 0).
    """
    reasons: list[str] = []
    if not challenger.get("gate_passed"):
        reasons.append(
            f"its own time-forward AUC has a lower 95% bound of {challenger.get('auc_low_95', float('nan')):.3f}; "
            "it must lie above 0.5, and its log-loss below that of the base rate"
        )
    auc = challenger.get("auc", 0.0)
    if champion and auc < champion.get("auc_low", 0.0):
        reasons.append(
            f"its time-forward AUC of {auc:.3f} lies below the champion's 90% interval, "
            f"which starts at {champion['auc_low']:.3f}"
        )
    return Verdict(not reasons, tuple(reasons))
