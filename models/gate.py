"""What a version must show before it may be champion (docs/adr/0008, 0010)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.gate_conditions import (
    ask_captured,
    ask_enough,
    ask_level,
    ask_log_loss,
    ask_overlap,
    ask_segments,
    ask_slope,
)
from models.intervals import Interval
from models.paired import PairedRows, draw_accounts
from models.verdict import Basis, Condition, Verdict

__all__ = ["alone", "decide_first", "decide_next", "leak_condition", "own_condition", "ranking"]

CHANCE = 0.5


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


def own_condition(numbers: Mapping[str, Any]) -> Condition:
    """Say whether a version passed :func:`decide_first`, by what its training logged.

    Parameters
    ----------
    numbers
        ``gate_passed`` (1 or 0), ``auc_low_95``, ``outcome``.
    """
    low = float(numbers.get("auc_low_95", float("nan")))
    return Condition(
        "better than chance",
        "passed" if numbers.get("gate_passed") else "failed",
        f"time-forward AUC for {numbers.get('outcome', 'its outcome')} has a lower 95% bound of {low:.3f}",
        "above 0.5, and log-loss below that of the base rate and of ages alone",
        {"auc_low_95": low},
    )


def leak_condition(statuses: Mapping[str, str]) -> Condition:
    """Say what the checks for leaks found when a version was trained.

    Parameters
    ----------
    statuses
        By check (``L1`` to ``L16``): ``passed``, ``attention``, ``failed`` or ``not_computable``.
    """
    failed = [check for check, status in statuses.items() if status == "failed"]
    looks = [check for check, status in statuses.items() if status == "attention"]
    passed = sum(status == "passed" for status in statuses.values())
    parts = [f"{passed} of {len(statuses)} passed"]
    parts += [f"failed: {', '.join(failed)}"] if failed else []
    parts += [f"to look at: {', '.join(looks)}"] if looks else []
    return Condition(
        "leaks",
        "failed" if failed else "passed" if statuses else "not_enough",
        "; ".join(parts) if statuses else "no checks were recorded with this version",
        "no check failed",
        {"failed": float(len(failed)), "attention": float(len(looks))},
    )


def alone(conditions: tuple[Condition, ...]) -> Verdict:
    """Judge a version that has no champion to be held against."""
    return _settle(conditions, None)


def decide_next(rows: PairedRows, *, is_refresh: bool, others: tuple[Condition, ...] = (), seed: int = 1) -> Verdict:
    """Judge a challenger against the champion on identical rows (methods 8, docs/adr/0010).

    Parameters
    ----------
    rows
        What both said of leads that they had not learned from.
    is_refresh
        Both were trained with one recipe, and the challenger has newer data alone. It must then be not worse; another
        recipe must be better.
    others
        Conditions that do not come from these rows.
    seed
        Of the draws of accounts.
    """
    happened = len(np.unique(rows.lead[rows.happened]))
    basis = Basis(
        rows.outcome,
        len(rows.group),
        happened,
        len(np.unique(rows.group)),
        len(np.unique(rows.origin[rows.happened])),
        0 if rows.shipped is None else int(rows.shipped.sum()),
        is_refresh,
        rows.share,
    )
    if not rows.happened.any() or rows.happened.all():
        return _settle((*others, ask_enough(basis)), basis)
    drawn = draw_accounts(rows, seed=seed)
    conditions = (
        *others,
        ask_enough(basis),
        ask_captured(drawn, basis),
        ask_log_loss(drawn, basis),
        ask_level(drawn),
        ask_slope(drawn),
        ask_segments(drawn, rows),
        ask_overlap(rows),
    )
    return _settle(conditions, basis)


def _settle(conditions: tuple[Condition, ...], basis: Basis | None) -> Verdict:
    """Pass where nothing failed; what the rows cannot tell holds back another recipe, but no refresh."""
    refresh = basis is not None and basis.is_refresh
    against = [
        condition
        for condition in conditions
        if condition.status == "failed" or (condition.status == "not_enough" and not refresh)
    ]
    reasons = tuple(
        f"{item.name}: {'not enough to tell, ' if item.status == 'not_enough' else ''}{item.found}; "
        f"the limit is {item.limit}"
        for item in against
    )
    return Verdict(not reasons, reasons, conditions, basis)
