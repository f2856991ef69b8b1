"""The files of a scorecard: for the tool, for a person in two languages, for a warehouse, and for a program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from crm.errors import WorkspaceError
from features.feature import Language
from models.intervals import Interval
from models.scorecard_entries import CardRow
from models.scorecard_sql import scorecard_sql
from models.scorecard_words import row_words
from pages.safe_csv import Value, write_csv
from pages.scorecard_page import CardPage, GradeBand, Measured, PointsMeaning, render_scorecard_page
from training.scorecard_run import MadeScorecard

__all__ = ["card_page", "write_scorecard"]

HEADER = (
    "row",
    "signal",
    "feature",
    "above",
    "up_to",
    "values",
    "or_missing",
    "points",
    "condition_en",
    "condition_ja",
)
EXACT_HEADER = ("signal", "feature", "kind", "from", "to", "points")


def write_scorecard(made: MadeScorecard, folder: Path) -> list[Path]:
    """Write every file of a scorecard into a folder, which is made where there is none, and return them.

    ``scorecard.csv`` (one row of the card a line), ``scorecard.md`` and ``scorecard.ja.md`` (for a person),
    ``scorecard.sql`` (one SELECT), ``exact_points.csv`` (what each feature adds to the served score) and
    ``scorecard.json`` (all of it).

    Raises
    ------
    WorkspaceError
        When the folder cannot be written to.
    """
    texts = {
        "scorecard.md": render_scorecard_page(card_page(made, "en"), "en"),
        "scorecard.ja.md": render_scorecard_page(card_page(made, "ja"), "ja"),
        "scorecard.sql": scorecard_sql(made.card),
        "scorecard.json": json.dumps(made.to_json(), ensure_ascii=False, indent=1, allow_nan=False) + "\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_csv(folder / "scorecard.csv", HEADER, _rows(made))
        exact = ([r.signal, r.feature, r.kind, r.low, r.high, r.points] for r in made.exact_rows)
        write_csv(folder / "exact_points.csv", EXACT_HEADER, exact)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise WorkspaceError(
            found=f"'{folder}', which cannot be written to ({error.strerror or error})",
            expected="a folder with room for the scorecard",
            fix="name another folder with --out",
        ) from error
    return [folder / name for name in ("scorecard.csv", *texts, "exact_points.csv")]


def _rows(made: MadeScorecard) -> Iterator[list[Value]]:
    booleans = made.card.facts.booleans
    for number, row in enumerate(made.card.rows, start=1):
        words: list[Value] = [row_words(row, language, booleans) for language in ("en", "ja")]
        yield [number, row.feature.signal, _feature(row), row.low, row.high, _values(row), *_ends(row), *words]


def _feature(row: CardRow) -> str:
    is_level = row.levels or row.others_than is not None or (row.includes_missing and row.feature.shape == "flag")
    return f"lead.{row.feature.signal}" if is_level else row.feature.name


def _values(row: CardRow) -> str | None:
    if row.levels:
        return " | ".join(row.levels)
    return None if row.others_than is None else f"not: {' | '.join(row.others_than)}"


def _ends(row: CardRow) -> list[Value]:
    return ["yes" if row.includes_missing else "no", row.points]


def card_page(made: MadeScorecard, language: Language) -> CardPage:
    """Return what the page says, its rows in a language."""
    risk = made.at_risk
    bands = zip("ABC", made.card.cutoffs, risk.by_card, risk.by_line, strict=True)
    return CardPage(
        made.workspace,
        made.model.version,
        made.model.line.version,
        made.card.outcome,
        made.card.horizon_days,
        made.card.points_per_doubling,
        [(row_words(row, language, made.card.facts.booleans), row.points) for row in made.card.rows],
        made.card.most,
        [GradeBand(grade, points, card, line) for grade, points, card, line in bands],
        risk.as_of[:10],
        risk.leads,
        [PointsMeaning(points, chance, share) for points, chance, share in made.meanings()],
        _measured(made),
        made.agreement.leads,
        made.agreement.outcomes,
        made.agreement.is_unseen,
        made.fit.outcomes,
        made.has_few_outcomes,
    )


def _measured(made: MadeScorecard) -> list[Measured]:
    unseen, risk = made.agreement.metrics, made.at_risk.metrics
    found = [Measured(name, _ends_of(unseen[name])) for name in ("spearman", "overlap_at_10") if name in unseen]
    found += [
        Measured(
            name,
            _ends_of(unseen[f"card_{name}"]),
            _ends_of(unseen[f"model_{name}"]),
            _ends_of(unseen[f"{name}_difference"]),
        )
        for name in ("auc", "auc_alike", "log_loss")
        if f"card_{name}" in unseen
    ]
    names = {"spearman": "spearman_at_risk", "mql_overlap": "mql_overlap"}
    return found + [Measured(names[name], _ends_of(interval)) for name, interval in risk.items()]


def _ends_of(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high
