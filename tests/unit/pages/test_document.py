"""Documents: the same content as Markdown and as HTML, in which no name becomes markup."""

from __future__ import annotations

import pytest

from pages.document import Document, render_document
from pages.report_parts import Badge, Column, Items, Section, Table
from pages.words import Language, load_words

HOSTILE = "<script>x</script> | [a](b) *c*"
TABLE = Table(
    "Due | soon",
    (Column("who"), Column("hours", "number")),
    ((HOSTILE, "3"), (("one", "two"), Badge("late", "care"))),
)
DOCUMENT = Document(
    "SLA",
    HOSTILE,
    ("version 1",),
    (Section("due", "What is due", ("A sentence.", Items((HOSTILE,)), TABLE)),),
    ("Aoi Tanaka, marketing",),
)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_markdown_has_everything_and_no_markup_of_names(language: Language) -> None:
    text = render_document(DOCUMENT, language, as_html=False)
    assert "<script" not in text
    assert "[a](b)" not in text.replace("\\[", "")
    assert "| one; two | late |" in text
    assert "|---|---:|" in text
    assert load_words(language)("document.signatures") in text
    assert "| Aoi Tanaka, marketing |" in text
    assert text.endswith("\n")


@pytest.mark.parametrize("language", ["en", "ja"])
def test_html_has_everything_and_needs_nothing_else(language: Language) -> None:
    text = render_document(DOCUMENT, language, as_html=True)
    assert text.startswith("<!DOCTYPE html>")
    assert f'<html lang="{language}">' in text
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "Aoi Tanaka, marketing" in text
    assert "http" not in text.replace("http://www.w3.org", "")


def test_without_signers_nobody_is_asked_to_sign() -> None:
    unsigned = Document("Digest", "Week", (), ())
    for as_html in (True, False):
        assert load_words("en")("document.signatures") not in render_document(unsigned, "en", as_html=as_html)
