"""The model report: one page that opens anywhere, for the head of sales and for the data scientist beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pages.formats import Formats
from pages.report_background import data_tables, limit_sentences, missing_table, model_parts, versions_table
from pages.report_calibration import calibration_section
from pages.report_curves import curves_section
from pages.report_data import ModelReport
from pages.report_endpoint import endpoint_section
from pages.report_facts import facts_of
from pages.report_hand_offs import hand_offs_section
from pages.report_line import amount_table, examples_table, line_section, signals_figure
from pages.report_maturity import leaks_section, maturity_section
from pages.report_origins import origins_section
from pages.report_parts import Context, Section, Table
from pages.report_revenue import revenue_section
from pages.report_slider import capacity_section
from pages.report_summary import report_summary
from pages.report_tables import find_tables
from pages.report_weak import censored_section, weak_section
from pages.templating import templates
from pages.words import Language, load_words

__all__ = ["ModelPage", "model_page", "render_model_report"]

MORE: Mapping[str, tuple[Callable[[Context], Section | None], ...]] = {
    "endpoints": (origins_section, calibration_section, weak_section, censored_section),
    "line": (capacity_section, revenue_section, hand_offs_section),
    "signals": (curves_section,),
    "data": (maturity_section, leaks_section),
}
"""Sections that follow the endpoints, the line, the signals and the data, each a module of its own."""


def render_model_report(report: ModelReport, language: Language) -> str:
    """Return a model report as one HTML file that asks nothing of the network.

    Charts are drawn beforehand and stand in the page as SVG; styles are in the page, and a few lines of
    script without which it still reads. So it opens in MLflow's sandboxed frame, from a mail, and from a disk
    without a network, light or dark, and prints.

    Texts of the report itself (signals, reasons, notes) are shown as they come, apart from known English
    sentences, which the Japanese page translates.

    Parameters
    ----------
    report
        The numbers.
    language
        Of the reader: ``en`` or ``ja``.

    Returns
    -------
    str
        The page, UTF-8 when written.
    """
    return model_page(report, language).html


@dataclass(frozen=True)
class ModelPage:
    """A page, and those of its tables that are CSV files too, in order of the page."""

    html: str
    tables: tuple[Table, ...]


def model_page(report: ModelReport, language: Language) -> ModelPage:
    """Return the page with its tables, both made from the same cells; see :func:`render_model_report`."""
    sections = _sections(_context(report, language))
    html = templates().get_template("model_report.html").render(**sections)
    return ModelPage(html, tuple(find_tables(sections)))


def _context(report: ModelReport, language: Language) -> Context:
    words = load_words(language)
    return Context(report, words, Formats(words, report.currency))


def _sections(context: Context) -> dict[str, Any]:
    report, formats = context.report, context.formats
    tables, empty = data_tables(context)
    amount_sentences, amounts = amount_table(context)
    limits, notes = limit_sentences(context)
    return {
        "t": context.words,
        "report": report,
        "moment": formats.moment,
        "number": formats.number,
        "summary": report_summary(context),
        "endpoints": tuple(endpoint_section(endpoint, context) for endpoint in report.endpoints),
        "line": line_section(context),
        "amount_sentences": amount_sentences,
        "amounts": amounts,
        "signals": signals_figure(context),
        "examples": examples_table(context),
        "data_tables": tables,
        "data_sentences": empty,
        "parts": model_parts(context),
        "missing": missing_table(context),
        "more": {
            place: [section for make in makers if (section := make(context)) is not None]
            for place, makers in MORE.items()
        },
        "facts": facts_of(context),
        "limits": limits,
        "notes": notes,
        "versions": versions_table(context),
    }
