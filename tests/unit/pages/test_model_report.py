"""The page as its readers get it: whole, alone, in one language, readable by ear."""

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pages.model_report import render_model_report
from pages.report_data import Estimate, ExcludedRow, ModelReport
from pages.report_evidence import Evidence
from pages.words import Language
from tests.unit.pages.made_evidence import make_evidence

LANGUAGES: tuple[Language, ...] = ("en", "ja")
VOID = {"meta", "link", "br", "img", "input", "hr"}
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


class Page(HTMLParser):
    """Read a page into what the tests ask for; unbalanced tags fail."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.addresses: list[str] = []
        self.images: list[str] = []
        self.levels: list[int] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags[tag] += 1
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if tag == "a" else []
        self.addresses += [given[name] or "" for name in ("src", "href", "action", "data") if name in given]
        self.images += [given.get("aria-label") or ""] if given.get("role") == "img" else []
        self.levels += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_stands_alone(report: ModelReport, language: Language) -> None:
    text = render_model_report(report, language)
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert len(text.encode()) < 1_000_000
    assert all(address.startswith("#") for address in page.addresses)
    assert text.count("<script>") == page.tags["script"] == 1
    assert not {"link", "img", "iframe", "form"} & set(page.tags)
    assert not re.search(r"@import|url\(|https?://(?!www\.w3\.org/)", text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_can_be_read_by_ear(report: ModelReport, language: Language) -> None:
    page = Page(render_model_report(report, language))
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert page.tags["caption"] == page.tags["table"] > 10
    assert page.tags["svg"] == len(page.images) == page.tags["figcaption"] == 22
    assert all(len(image) > 20 for image in page.images)
    assert page.levels[0] == 1
    assert all(after - before <= 1 for before, after in zip(page.levels, page.levels[1:], strict=False))


def test_the_headline_says_it_in_plain_words(report: ModelReport) -> None:
    said = Page(render_model_report(report, "en")).words
    assert "becomes an SQL within 30 days and that it is won within 90 days" in said
    assert re.search(r"in 8[12] of 100 such pairs \(90% interval 79 to 84; 50 is a coin toss\)", said)
    assert "4.9 times the average win rate and holds 49% of all wins" in said
    assert "For every 100 wins the model predicted, 104 happened (90% interval 93 to 116)" in said
    assert "expected to earn more than ¥54,300" in said
    assert "38.6 new MQLs a week on average over the last 8 weeks; sales can start on 40 a week" in said


def test_the_japanese_page_is_japanese(report: ModelReport) -> None:
    given = {row.signal for row in report.signals} | {str(reason) for e in report.examples for reason in e["reasons"]}  # type: ignore[attr-defined]
    said = [line.strip() for text in Page(render_model_report(report, "ja")).text for line in text.split("\n")]
    english = [line for line in said if re.search(r"[a-z]+ [a-z]+ [a-z]+", line) and not JAPANESE.search(line)]
    assert [line for line in english if line not in given] == []


def test_the_english_page_is_english(report: ModelReport) -> None:
    assert not JAPANESE.search(Page(render_model_report(report, "en")).words)


@pytest.mark.parametrize("language", LANGUAGES)
def test_wins_that_are_sqls_are_not_shown_twice(single_outcome_report: ModelReport, language: Language) -> None:
    page = Page(render_model_report(single_outcome_report, language))
    assert page.tags["svg"] == 6
    said = "one and the same recorded outcome" if language == "en" else "同じ一つの成果"
    assert said in page.words


def test_what_is_empty_is_said_to_be(single_outcome_report: ModelReport) -> None:
    said = Page(render_model_report(single_outcome_report, "en")).words
    assert "No row had to be quarantined." in said
    assert "No column was refused." in said
    assert "Everything that this report can show was computed." in said
    assert "no limit is set for sales" in said
    assert "expected to earn more than it costs" in said


def test_data_cannot_put_markup_into_the_page(report: ModelReport) -> None:
    nasty = '<img src=x onerror="alert(1)">'
    signal = replace(report.signals[0], signal=nasty)
    example = {**report.examples[0], "lead_id": nasty, "reasons": [nasty], "grade": nasty}
    marked = replace(
        report,
        workspace=nasty,
        notes=(nasty,),
        signals=(signal,),
        examples=(example,),
        refused_columns=((nasty, nasty),),
        quarantine_reasons=((nasty, nasty, 1),),
        evidence=make_evidence(nasty),
    )
    page = Page(render_model_report(marked, "en"))
    assert page.tags["img"] == 0
    assert nasty in page.words


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_report_with_almost_nothing_still_renders(report: ModelReport, language: Language) -> None:
    unknown = Estimate(float("nan"), float("nan"), float("nan"))
    bare = tuple(
        replace(
            endpoint,
            test_rows=0,
            test_outcomes=0,
            metrics={"auc": unknown, "lift_at_10": unknown},
            base={},
            calibration=(),
            deciles=(),
            gains=(),
            members={},
            folds=(),
        )
        for endpoint in report.endpoints
    )
    line = replace(report.line, curve=((0.0, 0.0),), weekly=(), values=(), grades={}, equivalent_p_won=None)
    nothing = replace(report, endpoints=bare, line=line, signals=(), examples=(), tables=(), observed_from=None)
    page = Page(render_model_report(nothing, language))
    assert "nan" not in page.words.lower().replace("finan", "")


def test_limits_follow_from_the_numbers(report: ModelReport) -> None:
    said = Page(render_model_report(report, "en")).words
    assert "odds are multiplied by 1.12" in said
    assert "in 2 periods of the past that was not better" in said
    assert "holds zero" in said
    without = replace(report, line=replace(report.line, comparison=None), evidence=Evidence())
    said = Page(render_model_report(without, "en")).words
    assert "There is no old rule to compare with" in said
    assert "odds are multiplied" not in said


def test_a_report_is_the_same_twice(report: ModelReport) -> None:
    assert render_model_report(report, "ja") == render_model_report(report, "ja")


@pytest.mark.parametrize(
    ("language", "heading", "today"),
    [
        ("en", "Leads that [exclude] leaves out", "What is_customer says today."),
        ("ja", "除外したリード", "現在のis_customerの値"),
    ],
)
def test_what_is_excluded_is_counted_by_rule(report: ModelReport, language: Language, heading: str, today: str) -> None:
    rows = (ExcludedRow("customers", 1_234, 56, ("is_customer",)), ExcludedRow("students", 78, 0, ()))
    page = render_model_report(replace(report, excluded=rows), language)
    assert heading in page
    assert today in page
    assert "1,234" in page
    assert heading not in render_model_report(report, language)


@pytest.mark.parametrize(
    ("language", "old", "new"), [("en", "Old rule", "New line"), ("ja", "旧ルール", "新しいライン")]
)
def test_old_rule_and_new_line_stand_side_by_side(report: ModelReport, language: Language, old: str, new: str) -> None:
    page = render_model_report(report, language)
    table = page[page.index(f">{old}<") :]
    assert f">{new}<" in table
    assert "52.3" in table
    assert "36.9" in table
    without = replace(report, line=replace(report.line, comparison=None))
    assert f">{old}<" not in render_model_report(without, language)
