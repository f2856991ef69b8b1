"""The SLA as a document that both sides can sign, versioned by what it says."""

from __future__ import annotations

import hashlib
import json

from alignment.board.context import BoardContext
from crm.config import WorkspaceConfig
from crm.config_sla import HoursConfig, SlaConfig, Terms
from pages.document import Document
from pages.report_parts import Block, Cell, Items, Section, columns, make_table

__all__ = ["agreement_document", "agreement_version"]


def agreement_version(config: WorkspaceConfig) -> str:
    """Return the first 12 hex digits of the SHA-256 of what an agreement says, without who signs it.

    Examples
    --------
    >>> config = WorkspaceConfig.model_validate({"source": {"url": "demo://"}})
    >>> stricter = config.model_copy(update={"sla": SlaConfig(accept_hours=4)})
    >>> agreement_version(config) == agreement_version(stricter)
    False
    """
    sla = config.sla or SlaConfig()
    said = {
        "sla": sla.model_dump(mode="json", exclude={"parties"}),
        "segments": {name: config.segments[name] for name in sla.segments},
        "dispositions": config.dispositions.model_dump(mode="json"),
        "timezone": config.workspace.timezone,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]


def agreement_document(config: WorkspaceConfig, context: BoardContext) -> Document:
    """Return the agreement of ``[sla]``, or what holds where there is none.

    Parameters
    ----------
    config
        The workspace file.
    context
        The reader's words.
    """
    words, sla = context.words, config.sla or SlaConfig()
    facts = [words("agreement.version", version=agreement_version(config))]
    if sla.effective_on is not None:
        facts.append(words("agreement.effective", when=context.formats.moment(sla.effective_on.isoformat())))
    sections = (
        Section("scope", words("agreement.scope_heading"), _scope(config, sla, context)),
        Section("sales", words("agreement.sales_heading"), _sales(sla, context)),
        Section("marketing", words("agreement.marketing_heading"), _marketing(sla, context)),
        Section("hours", words("agreement.hours_heading"), _hours(config, sla, context)),
        Section("measured", words("agreement.measured_heading"), _measured(config, context)),
    )
    signers = sla.parties or (words("agreement.head_of_marketing"), words("agreement.head_of_sales"))
    return Document(words("agreement.kind"), config.workspace.name, tuple(facts), sections, signers)


def _scope(config: WorkspaceConfig, sla: SlaConfig, context: BoardContext) -> tuple[Block, ...]:
    words = context.words
    if not sla.segments:
        return (words("agreement.all_leads"),)
    rows = [(name, config.segments[name]) for name in sla.segments]
    heads = columns(words, "agreement_column", "segment", "expression:w")
    return (words("agreement.some_leads"), make_table(words("agreement.segments"), heads, rows))


def _sales(sla: SlaConfig, context: BoardContext) -> tuple[Block, ...]:
    words = context.words
    rows: list[tuple[Cell, ...]] = [(words("board.all"), *_terms(sla.terms_of(""), context))]
    rows += [(band, *_terms(sla.terms_of(band), context)) for band in sorted(sla.band)]
    heads = columns(words, "agreement_column", "band", "accept:n", "contact:n", "attempts:n", "within:n", "outcome:n")
    share = context.formats.round_percent(sla.target_share)
    kinds = words("board.comma").join(sla.contact_kinds) or words("agreement.any_contact")
    return (
        words("agreement.sales", share=share),
        make_table(words("agreement.terms"), heads, rows),
        words("agreement.contact", kinds=kinds),
    )


def _terms(terms: Terms, context: BoardContext) -> tuple[str, ...]:
    return (
        f"{terms.accept_hours:g}",  # what is signed is not rounded
        f"{terms.first_contact_hours:g}",
        f"{terms.attempts:g}",
        f"{terms.attempts_hours:g}",
        f"{terms.disposition_hours:g}",
    )


def _marketing(sla: SlaConfig, context: BoardContext) -> tuple[Block, ...]:
    words, owed = context.words, sla.marketing
    sentences = []
    if owed.mqls_per_week is not None:
        sentences.append(words("agreement.mqls_per_week", n=f"{owed.mqls_per_week:g}"))
    if owed.value_per_week is not None:
        sentences.append(words("agreement.value_per_week", value=context.formats.money(owed.value_per_week)))
    if owed.above_line_share is not None:
        sentences.append(
            words("agreement.above_line_share", share=context.formats.round_percent(owed.above_line_share))
        )
    sentences.append(words("agreement.expectations"))
    return (Items(tuple(sentences)),)


def _hours(config: WorkspaceConfig, sla: SlaConfig, context: BoardContext) -> tuple[Block, ...]:
    words = context.words
    rows = [(words("board.all"), *_day(sla.hours, config, context))]
    rows += [(team, *_day(hours, config, context)) for team, hours in sorted(sla.hours_of_team.items())]
    heads = columns(words, "agreement_column", "team", "days", "from_to", "zone", "holidays:w")
    return (words("agreement.hours"), make_table(words("agreement.calendar"), heads, rows))


def _day(hours: HoursConfig, config: WorkspaceConfig, context: BoardContext) -> tuple[str, ...]:
    words = context.words
    closes = "24:00" if hours.closes.microsecond else f"{hours.closes:%H:%M}"
    off = [words("agreement.holidays_of", country=hours.country)] if hours.country else []
    off += [day.isoformat() for day in hours.closed_on]
    return (
        words("board.comma").join(words(f"agreement.day_{day}") for day in hours.days),
        f"{hours.opens:%H:%M} – {closes}",
        hours.timezone or config.workspace.timezone,
        words("board.comma").join(off) or words("agreement.no_holidays"),
    )


def _measured(config: WorkspaceConfig, context: BoardContext) -> tuple[Block, ...]:
    words = context.words
    listed = config.dispositions
    sentences = [
        words("board.define.clock"),
        words("board.define.business_hours"),
        words("board.define.censored"),
        words(
            "agreement.dispositions",
            accepted=words("board.comma").join(listed.accepted),
            rejected=words("board.comma").join(listed.rejected),
        ),
    ]
    if listed.reasons:
        sentences.append(words("agreement.reasons", reasons=words("board.comma").join(listed.reasons)))
    return (Items(tuple(sentences)),)
