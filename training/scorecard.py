"""Fitting the integer scorecard: lookups by coarse value of exportable features, in whole points (methods 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from crm.errors import TooFewOutcomesError
from crm.progress import Progress
from features.feature import Feature
from features.lead_features import AttributeIs, AttributeMissing, AttributeOther
from models.level import shift_to
from models.scorecard import Scorecard, TableFacts
from models.scorecard_entries import Entry, LevelEntry, LevelGroup, RangeEntry
from training.scorecard_rows import CardRows
from training.scorecard_trees import choose_rounds, fit_lookups
from training.splits import Fold

__all__ = ["MIN_OUTCOMES_FOR_INTEGERS", "CardFit", "fit_scorecard"]

Matrix = NDArray[np.float64]
Rows = NDArray[np.int64]

MIN_OUTCOMES_FOR_INTEGERS = 100
"""Below it rounding to whole points costs ranking (methods 6)."""
MIN_SLOPE_OUTCOMES = 100


@dataclass(frozen=True)
class CardFit:
    """A fitted card, and what cards of the past said of rows that they had not seen.

    Parameters
    ----------
    card
        Fitted on all rows.
    rows
        Row numbers of the training data with an out-of-fold prediction, in fold order.
    logit
        Their calibrated log-odds, from what was settled before each test period alone.
    rounds
        Trees that the folds' futures chose.
    outcomes
        Leads with the outcome among all rows.
    """

    card: Scorecard
    rows: Rows
    logit: Matrix
    rounds: int
    outcomes: int


def fit_scorecard(
    data: CardRows, facts: TableFacts, progress: Progress, *, points_per_doubling: float = 5.0, max_rows: int = 60
) -> CardFit:
    """Fit a card on all rows, and one on the past of each fold.

    Parameters
    ----------
    data
        What to learn from.
    facts
        What the card's SQL has to know of the tables.
    progress
        Where to report.
    points_per_doubling
        Points that double the odds.
    max_rows
        Rows that the card may have. Entries that move points least are given up, and the rest is learned again.

    Raises
    ------
    TooFewOutcomesError
        When nothing that a tool can evaluate earns a point.
    """
    every = np.arange(len(data.happened))
    plan = _Plan(data, points_per_doubling, max_rows, 0)
    with progress.step("Learning the scorecard", total=len(data.folds) + 2) as step:
        plan = replace(plan, rounds=_choose_rounds(data))
        step.advance()
        cards: list[Scorecard] = []
        for fold in data.folds:
            cards.append(_fit_card(plan, fold.train))
            step.advance()
        card = replace(_fit_card(plan, every), facts=facts)
        if not card.rows:
            raise TooFewOutcomesError(
                found="no feature that a tool can evaluate and that moves the odds by a point",
                expected="at least one",
                fix="keep scoring with the model itself, or give touches by kind and attributes",
                missing=0,
            )
        step.note(f"{len(card.rows)} rows, {card.most} points at most")
    tested = [
        (fold.test, card.logit(_points(card, data, fold.test))) for fold, card in zip(data.folds, cards, strict=True)
    ]
    learned = [card.logit(_points(card, data, fold.train)) for fold, card in zip(data.folds, cards, strict=True)]
    logit = np.concatenate(
        [
            _forward(data, fold, test[1], train, tested)
            for fold, test, train in zip(data.folds, tested, learned, strict=True)
        ]
    )
    slope = _slope(data, [(number, rows, z) for number, (rows, z) in enumerate(tested)])
    scored = card.logit(_points(card, data, every))
    level = slope * card.intercept + shift_to(slope * scored, float(data.happened.mean()))
    rows = np.concatenate([fold.test for fold in data.folds])
    card = replace(card, slope=slope, intercept=level)
    return CardFit(card, data.rows[rows], logit, plan.rounds, data.outcomes())


@dataclass(frozen=True)
class _Plan:
    data: CardRows
    points_per_doubling: float
    max_rows: int
    rounds: int


def _choose_rounds(data: CardRows) -> int:
    searched = [fold for fold in data.folds if fold.is_searched]
    parts = [
        (data.matrix[f.train], data.happened[f.train], data.matrix[f.test], data.happened[f.test]) for f in searched
    ]
    return choose_rounds(data.features, parts)


def _fit_card(plan: _Plan, rows: Rows) -> Scorecard:
    """Fit a card on some rows; while it has too many rows, give up its weakest entries and fit again."""
    data = plan.data
    chosen = np.arange(len(data.features))
    while True:
        found = _entries(plan, rows, chosen)
        if sum(len(item.entry.rows) for item in found) <= plan.max_rows or len(found) <= 1:
            break
        kept, used = set[int](), 0
        for item in sorted(found, key=lambda item: -item.spread):
            if used + len(item.entry.rows) <= plan.max_rows:
                used += len(item.entry.rows)
                kept |= set(item.numbers)
        chosen = np.array(sorted(kept or found[0].numbers))
    card = Scorecard(
        tuple(item.entry for item in found), plan.points_per_doubling, 0.0, 1.0, data.outcome, data.horizon_days
    )
    return replace(card, intercept=shift_to(card.logit(_points(card, data, rows)), float(data.happened[rows].mean())))


@dataclass(frozen=True)
class _Found:
    """An entry, the numbers of the features it came from, and how far it moves points over the training rows."""

    entry: Entry
    numbers: tuple[int, ...]
    spread: float


def _entries(plan: _Plan, rows: Rows, chosen: Rows) -> list[_Found]:
    data = plan.data
    features = [data.features[number] for number in chosen]
    lookups = fit_lookups(features, data.matrix[np.ix_(rows, chosen)], data.happened[rows], plan.rounds)
    unit = plan.points_per_doubling / float(np.log(2))
    found: list[_Found] = []
    flags: dict[str, dict[int, tuple[float, float]]] = {}
    for position, (number, feature) in enumerate(zip(chosen.tolist(), features, strict=True)):
        values, at_missing = lookups.values(position)
        if isinstance(feature, AttributeIs | AttributeOther | AttributeMissing):
            flags.setdefault(feature.attribute, {})[number] = (float(values[0]), float(values[-1]))
            continue
        has_missing = bool(np.isnan(data.matrix[rows, number]).any())
        edges = lookups.codings[position].edges
        entry = _range_entry(feature, edges, values * unit, at_missing * unit if has_missing else None)
        found.append(_Found(entry, (number,), _spread(entry, data, rows)))
    for attribute, sides in flags.items():
        entry = _level_entry(attribute, sides, data, rows, unit)
        found.append(_Found(entry, tuple(sides), _spread(entry, data, rows)))
    return [item for item in found if item.entry.most > 0]


def _range_entry(feature: Feature, edges: Matrix, values: Matrix, at_missing: float | None) -> RangeEntry:
    """Round points by interval to whole ones, the smallest at 0, and merge neighbours that are equal.

    A missing value that no training row had earns nothing, as a rule that does not apply.
    """
    lowest = float(values.min()) if at_missing is None else min(float(values.min()), at_missing)
    whole = [round(float(value) - lowest) for value in values]
    kept = [number for number in range(len(edges)) if whole[number] != whole[number + 1]]
    return RangeEntry(
        feature,
        tuple(float(edges[number]) for number in kept),
        tuple(whole[number] for number in [*kept, len(edges)]),
        0 if at_missing is None else round(at_missing - lowest),
    )


def _level_entry(
    attribute: str, sides: Mapping[int, tuple[float, float]], data: CardRows, rows: Rows, unit: float
) -> LevelEntry:
    """Add the flags of one attribute up to one lookup by its value, in whole points, the smallest at 0.

    Exactly one flag of an attribute is on; ``sides`` has each flag's logit when it is off and on. A value that no
    training row had earns nothing.
    """
    all_off = sum(off for off, _ in sides.values())
    seen = [number for number in sides if (data.matrix[rows, number] == 1).any()]
    worth = {number: all_off + sides[number][1] - sides[number][0] for number in seen}
    lowest = min(worth.values(), default=0.0)
    points = {number: round((value - lowest) * unit) for number, value in worth.items()}

    def of_kind(kind: type[Feature]) -> int:
        return next((whole for number, whole in points.items() if isinstance(data.features[number], kind)), 0)

    others = of_kind(AttributeOther)
    by_points: dict[int, list[str]] = {}
    for number, whole in points.items():
        flag = data.features[number]
        if isinstance(flag, AttributeIs) and whole != others:
            by_points.setdefault(whole, []).append(flag.level)
    groups = tuple(LevelGroup(tuple(by_points[whole]), whole) for whole in sorted(by_points, reverse=True))
    return LevelEntry(attribute, groups, others, of_kind(AttributeMissing))


def _spread(entry: Entry, data: CardRows, rows: Rows) -> float:
    return float(entry.score(data.columns(entry.features, rows)).std())


def _points(card: Scorecard, data: CardRows, rows: Rows) -> NDArray[np.int64]:
    return card.points(data.columns(card.features.features, rows))


Tested = tuple[int, Rows, Matrix]
"""Number of a fold, rows that its card had not seen, and the log-odds that their points stand for."""


def _slope(data: CardRows, tested: Sequence[Tested]) -> float:
    """Fit the slope on unseen points by logistic regression, each fold at a level of its own.

    Cards of different pasts differ in level. Below 100 leads with the outcome the slope stays 1.
    """
    if not tested:
        return 1.0
    rows = np.concatenate([found for _, found, _ in tested])
    if data.outcomes(rows) < MIN_SLOPE_OUTCOMES:
        return 1.0
    z = np.concatenate([z for *_, z in tested])
    _, level = np.unique(np.concatenate([np.full(len(z), n) for n, _, z in tested]), return_inverse=True)
    columns = np.column_stack([z, np.eye(int(level.max()) + 1)[level]])
    model = LogisticRegression(C=1e6, solver="newton-cholesky", fit_intercept=False, max_iter=200)
    slope = float(model.fit(columns, data.happened[rows]).coef_[0][0])
    return slope if slope > 0 else 1.0


def _forward(data: CardRows, fold: Fold, test: Matrix, train: Matrix, tested: Sequence[tuple[Rows, Matrix]]) -> Matrix:
    """Calibrate a fold as it would have been at the start of its test period.

    The slope comes from earlier test periods, their labels as settled by then; the level from the rows that the fold's
    card had learned from.
    """
    seen: list[Tested] = []
    for number, (other, (rows, z)) in enumerate(zip(data.folds, tested, strict=True)):
        settled = data.mature_us[rows] <= fold.start_us
        if other.start_us < fold.start_us and data.happened[rows][settled].any():
            seen.append((number, rows[settled], z[settled]))
    slope = _slope(data, seen)
    return slope * test + shift_to(slope * train, float(data.happened[fold.train].mean()))
