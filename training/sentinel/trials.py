"""L3, L4, L7 and L9: what a model gains from late rows, shuffled labels, the last hours and a random split."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false, reportArgumentType=false
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from crm.outcomes import outcome_events
from crm.store import Tables
from features.build import build_features
from features.spec import FeatureSet
from training.prepare import TrainingData
from training.sentinel.association import auc_of
from training.sentinel.trial import (
    DAY_US,
    AucGap,
    LiftRatio,
    Trial,
    bootstrap,
    fit_predict,
    forward,
    lift_of,
)
from training.sentinel.verdict import Figure, LeakVerdict, Trace, not_computable, settle

__all__ = ["check_trials", "permutation_errors"]

Matrix = NDArray[np.float64]

SHIFT_DROP, SHIFT_FAILED = 0.03, 0.10
MIN_TESTED = 30
PERMUTATIONS = 3
PERMUTED_FOLDS = 4
MAX_ERRORS = 3.0
BLACKOUT_HOURS = (24, 48)
KEPT_LIFT = 0.80
RANDOM_GAP = 0.05
RANDOM_PARTS = 4
ONE_SIDED = 1.645

SHIFT = LeakVerdict(
    "L3",
    "Availability shift",
    "With every touch and stage known one day later, does the AUC of leads older than a day fall by less than 0.03?",
    "passed",
    "",
)
PERMUTED = LeakVerdict(
    "L4",
    "Labels permuted",
    "With labels dealt out to other accounts, is the AUC 0.5, give or take 3 standard errors?",
    "passed",
    "",
)
BLACKOUT = LeakVerdict(
    "L7",
    "Blackout before the outcome",
    "Without snapshots whose outcome came within 24 or 48 hours, does the lift of the best tenth stay above 80% of "
    "itself?",
    "passed",
    "",
)
RANDOM = LeakVerdict(
    "L9",
    "Random split",
    "Does a random split of accounts promise at most 0.05 more AUC than training on the past and testing on what came "
    "later?",
    "passed",
    "",
)


@dataclass(frozen=True)
class _Context:
    tables: Tables
    data: TrainingData
    trial: Trial


def check_trials(tables: Tables, data: TrainingData | None, trial: Trial | str) -> tuple[LeakVerdict, ...]:
    """Give the verdicts L3, L4, L7 and L9; not computable, and why, where there is no trial."""
    if data is None or isinstance(trial, str):
        why = trial if isinstance(trial, str) else "there are no labelled snapshots"
        return tuple(not_computable(asked, why) for asked in (SHIFT, PERMUTED, BLACKOUT, RANDOM))
    context = _Context(tables, data, trial)
    return _shift(context), _permuted(trial), _blackout(context), _random(trial)


def _shift(context: _Context) -> LeakVerdict:
    data, trial = context.data, context.trial
    features = data.features.features
    moved = [number for number, feature in enumerate(features) if feature.reads not in ("attributes", "account_leads")]
    if not moved:
        return not_computable(SHIFT, "no feature is made of touches or stages")
    moments = pa.table(
        {
            "row_id": pa.array(np.arange(len(trial.rows)), pa.int64()),
            "lead_id": data.snapshots.moments.column("lead_id").take(pa.array(trial.rows)),
            "as_of_us": pa.array(trial.as_of_us - DAY_US, pa.int64()),
        }
    )
    shifted = trial.matrix.copy()
    shifted[:, moved] = build_features(context.tables, moments, FeatureSet(tuple(features[n] for n in moved)))
    later = forward(shifted, trial.happened, trial.folds)
    # At creation nothing is a day old: what the lead came with would be lost, which says nothing of leaks.
    old = trial.tested[_age_days(context)[trial.tested] >= 1.0]
    happened = trial.happened[old]
    wins = int(happened.sum())
    if wins < MIN_TESTED or wins == len(old):
        return not_computable(
            SHIFT, f"{wins} tested snapshots of leads older than a day have an SQL, under {MIN_TESTED}"
        )
    measure = AucGap(happened, trial.predicted[old], later[old])
    drop = measure(np.arange(len(old)))
    error = float(np.std(bootstrap(trial.group[old], measure)))
    figures = (
        Figure("as known", auc_of(trial.predicted[old], happened), "AUC"),
        Figure("known a day later", auc_of(later[old], happened), "AUC"),
        Figure("drop", drop, "AUC"),
        Figure("standard error of the drop", error, "AUC"),
        Figure("tested snapshots with an SQL", float(wins), "snapshots"),
    )
    traces: list[Trace] = []
    surely = drop - ONE_SIDED * error
    if surely > SHIFT_DROP:
        traces.append(
            Trace(
                "touches of the last day",
                "failed" if surely > SHIFT_FAILED else "attention",
                f"the AUC falls by {drop:.3f} (surely {surely:.3f}) when everything is known a day later",
                "See which touches come in the last hours before an outcome (L7, L11, L12). If they are the leads' "
                "own, score often; if the source is filled once a day, set [source.lag].",
            )
        )
    clean = f"the AUC of leads older than a day changes by {-drop:+.3f}"
    return settle(SHIFT, traces, clean=clean, figures=figures)


def _age_days(context: _Context) -> Matrix:
    first = pd.Series(context.data.snapshots.as_of_us).groupby(context.data.snapshots.lead).min()
    if "lead_age_days" in context.data.features.names:
        return context.trial.matrix[:, context.data.features.names.index("lead_age_days")]
    return (
        context.trial.as_of_us - first.to_numpy()[np.searchsorted(first.index.to_numpy(), context.trial.lead)]
    ) / DAY_US


def permutation_errors(trial: Trial, *, seed: int = 0) -> tuple[float, float, int]:
    """Permute labels by account; return the mean AUC, its distance from 0.5 in standard errors, and the accounts.

    One row an account is tested, so that the standard error is that of independent rows.
    """
    rng = np.random.default_rng(seed)
    groups, number = np.unique(trial.group, return_inverse=True)
    has_outcome = np.zeros(len(groups), dtype=bool)
    has_outcome[number[trial.happened]] = True
    aucs: list[float] = []
    errors: list[float] = []
    for _ in range(PERMUTATIONS):
        dealt = rng.permutation(has_outcome)[number]
        predicted = forward(trial.matrix, dealt, trial.folds[-PERMUTED_FOLDS:])
        shuffled = rng.permutation(np.flatnonzero(~np.isnan(predicted)))
        at = shuffled[np.unique(number[shuffled], return_index=True)[1]]
        wins = int(dealt[at].sum())
        if 0 < wins < len(at):
            aucs.append(auc_of(predicted[at], dealt[at]))
            errors.append(float(np.sqrt((len(at) + 1) / (12.0 * wins * (len(at) - wins)))))
    if not aucs:
        return float("nan"), 0.0, 0
    mean = float(np.mean(aucs))
    return mean, (mean - 0.5) / (float(np.mean(errors)) / np.sqrt(len(aucs))), len(groups)


def _permuted(trial: Trial) -> LeakVerdict:
    mean, errors, accounts = permutation_errors(trial)
    if not np.isfinite(mean):
        return not_computable(PERMUTED, "no tested account has an outcome after the labels were dealt out")
    figures = (
        Figure("AUC of permuted labels", mean, "AUC"),
        Figure("distance from 0.5", errors, "standard errors"),
        Figure("accounts", float(accounts), "accounts"),
    )
    traces: list[Trace] = []
    if abs(errors) > MAX_ERRORS:
        traces.append(
            Trace(
                "the split",
                "failed",
                f"labels that were dealt out at random are ranked with an AUC of {mean:.3f}, {errors:+.1f} standard "
                "errors from a coin toss: rows of training come back in the test",
                "Look for one person under several accounts (L16) and for account_id that are not accounts.",
            )
        )
    return settle(
        PERMUTED, traces, clean=f"labels dealt out at random are ranked with an AUC of {mean:.3f}", figures=figures
    )


def _hours_to_outcome(context: _Context) -> Matrix:
    """Return the hours from each row to its next SQL; inf without."""
    trial = context.trial
    ids = context.data.snapshots.moments.column("lead_id").take(pa.array(trial.rows)).to_pylist()
    events = outcome_events(context.tables, context.data.seen.as_of)
    events = events[events["outcome"] == "sql"][["lead_id", "at_us"]].astype({"lead_id": str})
    rows = pd.DataFrame({"lead_id": ids, "as_of_us": trial.as_of_us, "position": np.arange(len(ids))})
    rows = rows.astype({"lead_id": str}).sort_values("as_of_us", kind="stable")
    joined = pd.merge_asof(
        rows,
        events.sort_values("at_us", kind="stable"),
        left_on="as_of_us",
        right_on="at_us",
        by="lead_id",
        direction="forward",
    ).sort_values("position")
    gap = (joined["at_us"] - joined["as_of_us"]).to_numpy(dtype=np.float64, na_value=np.inf)
    return gap / (DAY_US / 24)


def _blackout(context: _Context) -> LeakVerdict:
    trial = context.trial
    tested = trial.tested
    happened, predicted = trial.happened[tested], trial.predicted[tested]
    hours = _hours_to_outcome(context)[tested]
    lift = lift_of(predicted, happened)
    figures = [
        Figure("lift of the best tenth", lift, "times"),
        Figure("snapshots with an SQL", float(happened.sum()), ""),
    ]
    traces: list[Trace] = []
    shares: list[str] = []
    for limit in BLACKOUT_HOURS:
        near = happened & (hours < limit)
        if int((happened & ~near).sum()) < MIN_TESTED:
            why = f"without outcomes inside {limit} hours, {int((happened & ~near).sum())} are left, under {MIN_TESTED}"
            return not_computable(BLACKOUT, why)
        measure = LiftRatio(happened, predicted, near)
        ratio = measure(np.arange(len(tested)))
        error = float(np.std(bootstrap(trial.group[tested], measure)))
        figures.append(Figure(f"lift kept without the last {limit} hours", 100 * ratio, "%"))
        figures.append(Figure(f"snapshots left out at {limit} hours", float(near.sum()), "snapshots"))
        shares.append(f"{ratio:.0%} at {limit} hours")
        if ratio + ONE_SIDED * error < KEPT_LIFT:
            traces.append(
                Trace(
                    f"the last {limit} hours",
                    "failed",
                    f"without the {int(near.sum()):,} snapshots whose outcome came within {limit} hours, the lift of "
                    f"the best tenth falls to {ratio:.0%} of {lift:.1f}",
                    "Find the touches of the last hours that sales or the system makes (L11, L12), and set actor or "
                    "leave them out.",
                )
            )
    return settle(BLACKOUT, traces, clean=f"the lift stays: {', '.join(shares)}", figures=figures)


def _random(trial: Trial) -> LeakVerdict:
    rng = np.random.default_rng(0)
    part_of_group = rng.permutation(int(trial.group.max()) + 1) % RANDOM_PARTS
    by_account = _parts(trial, part_of_group[trial.group])
    by_row = _parts(trial, rng.integers(0, RANDOM_PARTS, len(trial.rows)))
    tested = trial.tested[~np.isnan(by_account[trial.tested]) & ~np.isnan(by_row[trial.tested])]
    happened = trial.happened[tested]
    if not happened.any() or happened.all():
        return not_computable(RANDOM, "the tested snapshots all came to the same")
    measure = AucGap(happened, by_account[tested], trial.predicted[tested])
    gap = measure(np.arange(len(tested)))
    error = float(np.std(bootstrap(trial.group[tested], measure)))
    forward_auc = auc_of(trial.predicted[tested], happened)
    rows_auc = auc_of(by_row[tested], happened)
    figures = (
        Figure("trained on the past", forward_auc, "AUC"),
        Figure("random split of accounts", forward_auc + gap, "AUC"),
        Figure("random split of rows, which has the same leads on both sides", rows_auc, "AUC"),
        Figure("random minus past", gap, "AUC"),
        Figure("standard error of the difference", error, "AUC"),
    )
    traces: list[Trace] = []
    if gap - ONE_SIDED * error > RANDOM_GAP:
        traces.append(
            Trace(
                "the split",
                "attention",
                f"a random split promises {gap:.3f} more AUC than the past gives",
                "Find out what changed: a field that was filled in differently, a season, a new source, a rule of "
                "recording. Believe the time-forward figure.",
            )
        )
    return settle(RANDOM, traces, clean=f"a random split of accounts promises {gap:+.3f} AUC", figures=figures)


def _parts(trial: Trial, part: NDArray[np.int64]) -> Matrix:
    found = np.full(len(part), np.nan)
    for number in range(RANDOM_PARTS):
        train, test = part != number, part == number
        if test.any() and trial.happened[train].any() and not trial.happened[train].all():
            found[test] = fit_predict(trial.matrix[train], trial.happened[train], trial.matrix[test])
    return found
