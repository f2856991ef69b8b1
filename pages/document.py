"""A document that two teams sign or read in a meeting, as Markdown and as one HTML file."""

from __future__ import annotations

from dataclasses import dataclass

from pages.markdown import markdown_cell, markdown_table
from pages.report_parts import Badge, Cell, Items, Section, Table
from pages.templating import templates
from pages.words import Language, load_words

__all__ = ["Document", "render_document"]


@dataclass(frozen=True)
class Document:
    """A document.

    Parameters
    ----------
    kind, title
        What it is, and of what.
    facts
        Below the title.
    sections
        Paragraphs, lists and tables; other blocks are left to pages.
    signers
        Who signs, a name and a team each; empty where nobody does.
    """

    kind: str
    title: str
    facts: tuple[str, ...]
    sections: tuple[Section, ...]
    signers: tuple[str, ...] = ()


def render_document(document: Document, language: Language, *, as_html: bool) -> str:
    """Return a document as one HTML file, or as Markdown.

    Parameters
    ----------
    document
        What it says.
    language
        Of the reader.
    as_html
        HTML, else Markdown.
    """
    if as_html:
        template = templates().get_template("document.html")
        return template.render(t=load_words(language), document=document)
    return _markdown(document, language)


def _markdown(document: Document, language: Language) -> str:
    words = load_words(language)
    parts = [f"# {markdown_cell(document.title)}", document.kind, "\n".join(f"- {fact}" for fact in document.facts)]
    for section in document.sections:
        parts.append(f"## {markdown_cell(section.heading)}")
        for block in section.blocks:
            if isinstance(block, str):
                parts.append(markdown_cell(block))
            elif isinstance(block, Items):
                parts.append("\n".join(f"- {markdown_cell(one)}" for one in block.sentences))
            elif isinstance(block, Table):
                parts.append(f"**{markdown_cell(block.caption)}**")
                parts.append(_table(block))
    if document.signers:
        parts.append(f"## {words('document.signatures')}")
        header = [words(f"document.{name}") for name in ("who", "date", "signature")]
        parts.append(markdown_table(header, [(markdown_cell(who), "", "") for who in document.signers], left=3))
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(table: Table) -> str:
    header = " | ".join(markdown_cell(column.text) for column in table.columns)
    rule = "|".join("---:" if column.kind == "number" else "---" for column in table.columns)
    rows = [" | ".join(markdown_cell(_plain(cell)) for cell in row) for row in table.rows]
    return "\n".join([f"| {header} |", f"|{rule}|", *(f"| {row} |" for row in rows)])


def _plain(cell: Cell) -> str:
    if isinstance(cell, Badge):
        return cell.text
    return "; ".join(cell) if isinstance(cell, tuple) else cell
