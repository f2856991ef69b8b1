"""The last sections of a model report: data, model, what is missing, limits, versions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pages.report_data import EndpointReport
from pages.report_parts import Cell, Context, Table, columns, make_table

__all__ = ["ModelPart", "data_tables", "limit_sentences", "missing_table", "model_parts", "versions_table"]

LIMITS = ("cause", "practice", "change", "single", "selected", "chosen", "replay")


@dataclass(frozen=True)
class ModelPart:
    """Members, calibrator and folds of one endpoint."""

    members: Table
    calibrator: str
    folds_heading: str
    folds: tuple[str, ...]


def data_tables(context: Context) -> tuple[tuple[Table, ...], tuple[str, ...]]:
    """Return the tables on the data, and sentences in place of those that are empty."""
    words, phrase, report = context.words, context.words.phrase, context.report
    optional = (
        (
            make_table(
                words("data.reasons_caption"),
                columns(words, "data", "table", "reason:w", "rows:n"),
                [(table, phrase(why), context.formats.number(rows)) for table, why, rows in report.quarantine_reasons],
                name="quarantine",
            ),
            words("data.quarantine_none"),
        ),
        (
            make_table(
                words("data.refused_caption"),
                columns(words, "data", "column", "reason:w"),
                [(column, phrase(why)) for column, why in report.refused_columns],
                name="refused_columns",
            ),
            words("data.refused_none"),
        ),
        (
            make_table(
                words("data.dropped_caption"),
                columns(words, "data", "feature", "reason:w"),
                [(feature, phrase(why)) for feature, why in report.dropped_features],
                name="dropped_features",
            ),
            words("data.dropped_none"),
        ),
        (_excluded_table(context), words("data.excluded_none")),
    )
    filled = tuple(table for table, _ in optional if table.rows)
    return (_rows_table(context), _dates_table(context), *filled), tuple(
        text for table, text in optional if not table.rows
    )


def model_parts(context: Context) -> tuple[ModelPart, ...]:
    """Return what each endpoint's model is made of; one that repeats SQL is left out."""
    return tuple(_model_part(endpoint, context) for endpoint in context.report.endpoints if not endpoint.same_as_sql)


def missing_table(context: Context) -> Table:
    """Return what could not be computed, with the table that would allow it."""
    words = context.words
    rows = [(words.phrase(what), words.phrase(table)) for what, table in context.report.not_computed]
    return make_table(words("missing.caption"), columns(words, "missing", "what:w", "table"), rows, name="not_computed")


def limit_sentences(context: Context) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the limits that hold for every model, and the notes on this run."""
    words = context.words
    limits = tuple(words(f"limits.{name}") for name in LIMITS)
    return limits, tuple(words.phrase(note) for note in context.report.notes)


def versions_table(context: Context) -> Table:
    """Return what the report was made from."""
    words, report = context.words, context.report
    rows = [
        (words("versions.workspace"), report.workspace),
        (words("versions.model_version"), report.model_version),
        (words("versions.run_id"), report.run_id),
        (words("versions.trained_at"), context.formats.moment(report.trained_at)),
        (words("versions.kizashi"), report.kizashi_version),
        (words("versions.commit"), report.git_commit),
        (words("versions.digest"), report.data_digest),
    ]
    heads = columns(words, "versions", "item", "value:w")
    return make_table(words("versions.caption"), heads, rows, name="versions")


def _rows_table(context: Context) -> Table:
    words, number = context.words, context.formats.number
    rows = [
        (row.table, number(row.read), number(row.kept), number(row.identical), number(row.quarantined))
        for row in context.report.tables
    ]
    total = (
        words("data.total"),
        number(sum(row.read for row in context.report.tables)),
        number(sum(row.kept for row in context.report.tables)),
        number(sum(row.identical for row in context.report.tables)),
        number(sum(row.quarantined for row in context.report.tables)),
    )
    heads = columns(words, "data", "table", "read:n", "kept:n", "identical:n", "quarantined:n")
    return Table(words("data.tables_caption"), heads, (*rows, total), has_total=True, name="tables")


def _excluded_table(context: Context) -> Table:
    words, number = context.words, context.formats.number
    rows = [
        (
            row.rule,
            number(row.leads),
            number(row.sql),
            words("data.excluded_today", columns=", ".join(row.columns_of_today))
            if row.columns_of_today
            else words("data.excluded_then"),
        )
        for row in context.report.excluded
    ]
    heads = columns(words, "data", "rule", "excluded_leads:n", "excluded_sql:n", "excluded_reads:w")
    return make_table(words("data.excluded_caption"), heads, rows, name="excluded")


def _dates_table(context: Context) -> Table:
    words, report, moment = context.words, context.report, context.formats.moment
    begin = moment(report.observed_from) if report.observed_from else words("data.observed_from_none")
    rows: list[tuple[Cell, ...]] = [
        (words("data.cutoff"), moment(report.cutoff), words("data.cutoff_meaning")),
        (words("data.observed_from"), begin, words("data.observed_from_meaning")),
        (words("data.observed_until"), moment(report.observed_until), words("data.observed_until_meaning")),
    ]
    for endpoint in report.endpoints:
        days, name = context.days(endpoint.horizon_days), context.outcome(endpoint.outcome)["name"]
        until = moment(_mature_until(report.observed_until, endpoint.horizon_days))
        rows.append((words("data.mature", name=name), until, words("data.mature_meaning", days=days)))
    heads = columns(words, "data", "date", "value:d", "meaning:w")
    return make_table(words("data.dates_caption"), heads, rows, stacks=True, name="dates")


def _mature_until(observed_until: str, horizon_days: float) -> str | None:
    try:
        moment = datetime.fromisoformat(observed_until) - timedelta(days=horizon_days)
    except ValueError:
        return None
    return moment.date().isoformat() if len(observed_until) <= 10 else moment.isoformat()


def _model_part(endpoint: EndpointReport, context: Context) -> ModelPart:
    words, formats, name = context.words, context.formats, context.outcome(endpoint.outcome)["name"]
    rows = [
        (words.known(f"member.{member}", member), formats.percent(weight), formats.number(loss, 4))
        for member, (weight, loss) in endpoint.members.items()
    ]
    whole, base = endpoint.metrics.get("log_loss"), endpoint.base.get("log_loss")
    if whole is not None:
        rows.append((words("model.blend"), "", formats.number(whole.value, 4)))
    if endpoint.age_log_loss is not None:
        rows.append((words("model.age_alone"), "", formats.number(endpoint.age_log_loss, 4)))
    if base is not None:
        rows.append((words("model.base"), "", formats.number(base, 4)))
    heads = columns(words, "model", "member", "weight:n", "log_loss:n")
    calibrator = words("model.calibrator", name=words.known(f"calibrator.{endpoint.calibrator}", endpoint.calibrator))
    return ModelPart(
        make_table(words("model.members_caption", name=name), heads, rows, name=f"{endpoint.outcome}_members"),
        calibrator,
        words("model.folds", name=name),
        tuple(words.phrase(fold) for fold in endpoint.folds),
    )
