"""Each test period for itself, with plain methods on the same unseen rows beside the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crm.known import from_micros
from features.build import build_features
from features.lead_features import StageAge
from features.spec import FeatureSet
from features.touch_times import Recency
from models.intervals import Interval, cluster_bootstrap
from models.metrics import pairs_in_order, run_ends
from pages.estimate import Estimate
from pages.report_evidence import OriginRow, Pooled
from training.baselines import plain_logistic
from training.report.parts import ReportParts, estimate_of
from training.report.unseen import Unseen

__all__ = ["origin_tables"]

Matrix = NDArray[np.float64]
OURS, BASE = "kizashi", "base_rate"
TOP = 0.1
DRAWS, DRAWS_OF_ORIGIN = 200, 100
SEED = 3
NEVER = 1e9
P_RANGE = (1e-9, 1 - 1e-9)
MAX_LOGISTIC_ROWS = 12_000


@dataclass(frozen=True)
class _Method:
    """Scores of the unseen rows, shape (n,), and probabilities where the method claims to know them."""

    score: Matrix
    probability: Matrix | None


def origin_tables(parts: ReportParts, unseen: Unseen) -> tuple[tuple[OriginRow, ...], tuple[Pooled, ...]]:
    """Measure the model and plain methods by test period, and on all periods together."""
    if not unseen.happened.any() or unseen.happened.all():
        return (), ()
    methods = _methods(parts, unseen)
    start = np.concatenate([np.full(len(fold.test), fold.start_us) for fold in parts.learned.folds[unseen.outcome]])
    if len(start) != len(unseen.keep):  # wins ranked as SQLs have fewer rows than the folds they come from
        return (), _pooled(unseen, methods)
    start = start[unseen.keep]
    rows: list[OriginRow] = []
    for moment in np.unique(start):
        places = np.flatnonzero(start == moment)
        if unseen.happened[places].any() and not unseen.happened[places].all():
            rows += _origin(unseen, methods, places, from_micros(int(moment)).date().isoformat())
    return tuple(rows), _pooled(unseen, methods)


def _methods(parts: ReportParts, unseen: Unseen) -> dict[str, _Method]:
    data, tables = parts.data, parts.tables
    found = {OURS: _Method(unseen.probability, unseen.probability)}
    moments = data.snapshots.only(unseen.rows).moments
    rate, logistic = np.full(len(data.snapshots.as_of_us), np.nan), np.full(len(data.snapshots.as_of_us), np.nan)
    for fold in parts.learned.folds[unseen.outcome]:
        happened = unseen.labels.happened[fold.train]
        rate[fold.test] = happened.mean()
        step = max(-(-len(fold.train) // MAX_LOGISTIC_ROWS), 1)
        train = fold.train[::step]
        tested = fold.test[data.snapshots.is_judged[fold.test]]
        if 0 < unseen.labels.happened[train].sum() < len(train) and len(tested):
            logistic[tested] = plain_logistic(data.matrix[train], unseen.labels.happened[train], data.matrix[tested])
    if not np.isnan(logistic[unseen.rows]).any():
        found["logistic"] = _Method(logistic[unseen.rows], logistic[unseen.rows])
    if tables.has("touches"):
        silence = build_features(tables, moments, FeatureSet((Recency("any"),)))[:, 0]
        found["recency"] = _Method(np.where(np.isnan(silence), -NEVER, -silence), None)
    if tables.has("stages"):
        mql = build_features(tables, moments, FeatureSet((StageAge("mql"),)))[:, 0]
        if not np.isnan(mql).all():
            found["old_rule"] = _Method(np.where(np.isnan(mql), -NEVER, -mql), None)
    found[BASE] = _Method(rate[unseen.rows], rate[unseen.rows])
    return found


@dataclass(frozen=True)
class _Measured:
    """One method on some rows, sorted once, measured under any weights."""

    order: NDArray[np.int64]
    ends: NDArray[np.int64]
    happened: Matrix
    losses: Matrix | None
    probability: Matrix | None

    @classmethod
    def of(cls, method: _Method, happened: NDArray[np.bool_], places: NDArray[np.int64]) -> _Measured:
        score, y = method.score[places], happened[places]
        order = np.argsort(-score, kind="stable")
        p = None if method.probability is None else np.clip(method.probability[places], *P_RANGE)
        losses = None if p is None else -np.where(y, np.log(p), np.log1p(-p))
        return cls(order, run_ends(score[order]), y.astype(np.float64), losses, p)

    def measure(self, weights: Matrix) -> dict[str, float]:
        w, y = weights[self.order], self.happened[self.order]
        all_, true = np.cumsum(w)[self.ends], np.cumsum(w * y)[self.ends]
        false = all_ - true
        total, wins = float(all_[-1]), float(true[-1])
        pairs = wins * float(false[-1])
        nothing = float("nan")
        # Rows of one score are one run, of which the part inside the best tenth counts in proportion.
        caught = float(np.interp(TOP * total, np.append(0.0, all_), np.append(0.0, true)))
        found = {
            "auc": pairs_in_order(true, false) / pairs if pairs > 0 else nothing,
            "captured": caught / wins if wins > 0 else nothing,
        }
        if self.losses is not None and self.probability is not None:
            expected = float(weights @ self.probability)
            found["log_loss"] = float(weights @ self.losses) / total if total > 0 else nothing
            found["ratio"] = wins / expected if expected > 0 else nothing
        return found


def _measured(
    unseen: Unseen, methods: Mapping[str, _Method], places: NDArray[np.int64], draws: int
) -> tuple[dict[str, dict[str, Interval]], dict[str, dict[str, Interval]]]:
    """Measure all methods on the same draws of accounts, and what the model has over each."""
    sorted_ = {name: _Measured.of(method, unseen.happened, places) for name, method in methods.items()}

    def measure(weights: Matrix) -> Mapping[str, float]:
        found = {name: item.measure(weights) for name, item in sorted_.items()}
        flat = {f"{name} {key}": value for name, values in found.items() for key, value in values.items()}
        for name, values in found.items():
            if name != OURS:
                flat |= {f"{name} {key}_gain": found[OURS][key] - value for key, value in values.items()}
        return flat

    values: dict[str, dict[str, Interval]] = {name: {} for name in methods}
    gains: dict[str, dict[str, Interval]] = {name: {} for name in methods}
    for name, interval in cluster_bootstrap(measure, unseen.account[places], seed=SEED, draws=draws).items():
        method, key = name.rsplit(" ", 1)
        (gains if key.endswith("_gain") else values)[method][key] = interval
    return values, gains


def _origin(unseen: Unseen, methods: Mapping[str, _Method], places: NDArray[np.int64], start: str) -> list[OriginRow]:
    values, _ = _measured(unseen, methods, places, DRAWS_OF_ORIGIN)
    wins = int(unseen.happened[places].sum())
    return [
        OriginRow(
            unseen.outcome,
            start,
            name,
            len(places),
            wins,
            *(_shown(name, key, found) for key in ("auc", "log_loss", "ratio")),
        )
        for name, found in values.items()
    ]


def _pooled(unseen: Unseen, methods: Mapping[str, _Method]) -> tuple[Pooled, ...]:
    values, gains = _measured(unseen, methods, np.arange(len(unseen.rows)), DRAWS)
    return tuple(
        Pooled(
            unseen.outcome,
            name,
            *(_shown(name, key, found) for key in ("auc", "log_loss", "captured")),
            *(_shown(name, key, gains[name]) for key in ("auc_gain", "log_loss_gain", "captured_gain")),
        )
        for name, found in values.items()
    )


def _shown(method: str, key: str, found: Mapping[str, Interval]) -> Estimate | None:
    """Return a measure; None where the method has none: a base rate puts no lead before another."""
    if key not in found or (method == BASE and not key.startswith("log_loss")):
        return None
    return estimate_of(found[key])
