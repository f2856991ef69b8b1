"""The backtest: at several moments of the past, learn from what was known then, and test on what came next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from crm.config import WorkspaceConfig
from crm.errors import ConfigError, TooFewOutcomesError
from crm.known import to_micros
from crm.outcomes import Outcome
from crm.progress import Progress, Silent
from crm.store import Tables
from models.bundle import Bundle
from models.scoring import probabilities
from training.backtest_measures import Compared, JudgedRows, compare
from training.backtest_result import OURS, Backtest, Origin
from training.backtest_rows import STEP_DAYS, HeldOut, hold_out, settle_origins
from training.baselines import Asked, Baseline, Past, Said, ask, baselines_of
from training.leaks import find_suspects, refuse_leaks
from training.learn import learn, make_bundle
from training.prepare import OUTCOMES, TrainingData, prepare, settle_observation
from training.versions import library_versions

__all__ = ["backtest", "learn_as_of"]

Matrix = NDArray[np.float64]
DEFAULT_SHARE = 0.10
FEWEST_OUTCOMES = 5
SEED = 1


@dataclass(frozen=True)
class _Replayed:
    """What every method said at one origin: by endpoint and method, and what kizashi's list is sorted by."""

    number: int
    rows: NDArray[np.int64]
    data: TrainingData
    said: Mapping[Outcome, Mapping[str, Said]]
    value: Matrix


def learn_as_of(
    tables: Tables, config: WorkspaceConfig, origin: datetime, progress: Progress
) -> tuple[TrainingData, Bundle]:
    """Learn as a training run at ``origin`` would have: nothing recorded later exists.

    Raises
    ------
    TooFewOutcomesError
        When there was too little to learn from by then.
    ConfigError
        When no win had an amount by then, and none is given.
    """
    data = prepare(tables, config, origin, progress)
    learned = learn(data, config, progress)
    return data, make_bundle(data, learned, config, library_versions())


def backtest(
    tables: Tables, config: WorkspaceConfig, *, as_of: datetime | None, origins: int, progress: Progress
) -> Backtest:
    """Train at moments of the past and test against baselines on identical rows.

    Parameters
    ----------
    tables
        The workspace's tables.
    config
        The workspace file.
    as_of
        The run's moment, by which outcomes of the test rows were recorded. None for the end of the observed span.
    origins
        How many moments, four weeks apart; those with too little to learn from are left out with a note.
    progress
        Where to report, one step an origin.

    Raises
    ------
    TooFewOutcomesError
        When no origin had enough outcomes.
    LeakError
        When a column tells the outcome at the newest origin.
    PastOnlyError
        When no lead was at risk in any test window.
    """
    seen = settle_observation(tables, config, as_of)
    moments = settle_origins(seen, config.outcome, origins)
    held = hold_out(tables, config, moments, seen)
    baselines = baselines_of(tables)
    notes: list[str] = []
    replayed: list[_Replayed] = []
    for number in reversed(range(len(moments))):  # newest first: whatever stops a backtest should do so at once
        label = f"Origin {len(moments) - number} of {len(moments)}, {moments[number]:%Y-%m-%d}"
        with progress.step(label, total=2 + len(OUTCOMES) * len(baselines)) as step:
            try:
                rows = _rows_to_test(held, number)
                data, bundle = _learn_checked(tables, config, moments[number], is_first=not replayed)
                step.advance()
                asked = ask(tables, held.moments_of(rows), bundle.features)
                said, value = _said(config, (data, bundle), asked, baselines, step.advance)
                found = _Replayed(number, rows, data, said, value)
            except (TooFewOutcomesError, ConfigError) as error:
                why = "; ".join(error.problems) if isinstance(error, ConfigError) else error.found
                notes.insert(0, f"{moments[number]:%Y-%m-%d} is left out: {why}.")
                step.note("left out: too little to learn from")
                continue
            replayed.insert(0, found)
            step.note(f"learned from {data.outcomes(data.won):,} wins, tested on {len(found.rows):,} leads")
    if not replayed:
        raise TooFewOutcomesError(
            found=f"too little to learn from at each of {len(moments)} origins; at the newest: {notes[-1]}",
            expected="at least one moment of the past with 50 outcomes recorded, and its wins mature by now",
            fix="give a longer history, or wait until more outcomes are recorded",
            missing=0,
        )
    notes += _notes(held, baselines, config)
    with progress.step("Comparing", total=len(OUTCOMES) * (len(replayed) + 1)) as step:
        compared = {found.number: _compare([found], held, config, step.advance) for found in replayed}
        pooled = _compare(replayed, held, config, step.advance)
    return Backtest(
        seen,
        tuple(_origin(found, held, moments[found.number], config, compared[found.number]) for found in replayed),
        pooled,
        tuple(notes),
        (OURS, *baselines),
        config.workspace.currency,
    )


def _learn_checked(
    tables: Tables, config: WorkspaceConfig, origin: datetime, *, is_first: bool
) -> tuple[TrainingData, Bundle]:
    data, bundle = learn_as_of(tables, config, origin, Silent())
    if is_first:  # the one that knows most
        refuse_leaks(find_suspects(data))
    for outcome in OUTCOMES:
        labels = data.sql if outcome == "sql" else data.won
        if data.outcomes(labels) < FEWEST_OUTCOMES:
            raise TooFewOutcomesError(
                found=f"{data.outcomes(labels)} leads with a mature {outcome} by then",
                expected=f"at least {FEWEST_OUTCOMES}, so that baselines can learn",
                fix="give a longer history",
                missing=FEWEST_OUTCOMES - data.outcomes(labels),
            )
    return data, bundle


def _rows_to_test(held: HeldOut, number: int) -> NDArray[np.int64]:
    rows = held.rows_of(number)
    if len(rows) == 0:
        raise TooFewOutcomesError(
            found="no lead at risk in its window whose label is mature",
            expected="at least one",
            fix="give a longer history",
            missing=0,
        )
    return rows


def _said(
    config: WorkspaceConfig,
    learned: tuple[TrainingData, Bundle],
    asked: Asked,
    baselines: Mapping[str, Baseline],
    advance: Callable[[], None],
) -> tuple[Mapping[Outcome, Mapping[str, Said]], Matrix]:
    """Let every method speak of the same rows, and value them as kizashi's list does, in workspace currency."""
    data, bundle = learned
    p_sql, p_won = probabilities(bundle, asked.matrix)
    worth = p_won * bundle.amount.expected(asked.matrix) * config.value.margin - config.value.touch_cost
    advance()
    ours: dict[Outcome, Said] = {"sql": Said(p_sql, p_sql), "won": Said(p_won, p_won)}
    said: dict[Outcome, dict[str, Said]] = {}
    for outcome in OUTCOMES:
        past = _past(data, outcome, seed=to_micros(data.seen.as_of) // 1_000_000)
        said[outcome] = {OURS: ours[outcome]}
        for name, baseline in baselines.items():
            said[outcome][name] = _checked(baseline(past, asked), asked)
            advance()
    return said, worth


def _checked(said: Said, asked: Asked) -> Said:
    """Hold a baseline to one finite score a row, so that all methods stand on identical rows."""
    if said.score.shape != asked.age.shape or not np.isfinite(said.score).all():
        raise ValueError("A baseline has not scored every test row.")
    return said


def _past(data: TrainingData, outcome: Outcome, seed: int) -> Past:
    labels = data.sql if outcome == "sql" else data.won
    rows = np.flatnonzero(labels.is_mature)
    return Past(data.matrix[rows], labels.happened[rows], seed)


def _worked(rows: int, config: WorkspaceConfig) -> float:
    """Return how many leads of a window sales can work: its capacity, else a tenth of them."""
    weekly = config.value.weekly_capacity
    return DEFAULT_SHARE * rows if weekly is None else min(weekly * STEP_DAYS / 7.0, float(rows))


def _compare(
    replayed: Sequence[_Replayed], held: HeldOut, config: WorkspaceConfig, advance: Callable[[], None]
) -> dict[Outcome, Compared]:
    """Measure all methods on the rows of some origins together."""
    rows = np.concatenate([found.rows for found in replayed])
    sizes = [len(found.rows) for found in replayed]
    found: dict[Outcome, Compared] = {}
    for outcome in OUTCOMES:
        said = {
            name: _joined([origin.said[outcome][name] for origin in replayed]) for name in replayed[0].said[outcome]
        }
        ranks = {name: answer.score for name, answer in said.items()}
        ranks[OURS] = np.concatenate([origin.value for origin in replayed])
        tested = JudgedRows(
            held.labels(outcome).happened[rows],
            held.snapshots.group[rows],
            held.origin[rows],
            held.person[rows],
            held.wins[rows],
            held.revenue[rows],
            [_worked(size, config) / size for size in sizes],
        )
        found[outcome] = compare(tested, said, ranks if outcome == "won" else None, seed=SEED)
        advance()
    return found


def _joined(parts: Sequence[Said]) -> Said:
    claimed = [part.probability for part in parts if part.probability is not None]
    return Said(
        np.concatenate([part.score for part in parts]),
        np.concatenate(claimed) if len(claimed) == len(parts) else None,
    )


def _origin(
    found: _Replayed, held: HeldOut, as_of: datetime, config: WorkspaceConfig, compared: Mapping[Outcome, Compared]
) -> Origin:
    rows, data = found.rows, found.data
    once = rows[np.unique(held.person[rows], return_index=True)[1]]
    labels = {"sql": data.sql, "won": data.won}
    return Origin(
        as_of,
        as_of + timedelta(days=STEP_DAYS),
        {outcome: int(labels[outcome].is_mature.sum()) for outcome in OUTCOMES},
        {outcome: data.outcomes(labels[outcome]) for outcome in OUTCOMES},
        len(rows),
        {outcome: int(held.labels(outcome).happened[rows].sum()) for outcome in OUTCOMES},
        float(held.wins[once].sum()),
        float(held.revenue[once].sum()),
        _worked(len(rows), config),
        compared,
    )


def _notes(held: HeldOut, baselines: Mapping[str, Baseline], config: WorkspaceConfig) -> list[str]:
    notes: list[str] = []
    if config.value.weekly_capacity is None:
        notes.append("No capacity is given ([value] capacity_per_week), so a list holds a tenth of the leads.")
    if held.unpriced:
        worth = config.value.default_amount
        counted = f"with {worth:,.0f}, the default amount" if worth else "with nothing"
        notes.append(f"{held.unpriced:,} won deals in the windows have no amount and count {counted}.")
    if "old_rule" not in baselines:
        notes.append("No lead is in the stage mql, so there is no old rule to compare with.")
    return notes
