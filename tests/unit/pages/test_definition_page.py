"""The definition to sign: complete, in both languages, and inert whatever a rule or a name contains."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pages.definition_page import DefinitionPage, OldRule, render_definition_html, render_definition_markdown
from pages.report_data import EquivalentRow, Estimate, MarkRow, RuleRow, RulesReport
from pages.words import Language

HOSTILE = "<script>alert(1)</script> | `x` *y*"
LANGUAGES: tuple[Language, ...] = ("en", "ja")


def estimate(value: float) -> Estimate:
    return Estimate(value, value * 0.5, value * 1.5)


def side(worked: float) -> RuleRow:
    return RuleRow(
        worked + 4, worked, estimate(0.2), estimate(0.05), estimate(90_000.0), estimate(40_000.0), worked * 1.5
    )


PAGE = DefinitionPage(
    workspace="Kizuna Cloud",
    currency="JPY",
    line_version="0123456789ab",
    model_version="7",
    is_in_force=True,
    set_as_of="2026-09-28",
    review_on="2026-12-27",
    threshold=54_300.0,
    margin=0.62,
    touch_cost=5_000.0,
    capacity=40.0,
    hours_per_lead=1.5,
    crossings=38.6,
    weeks=8,
    sql_days=30.0,
    won_days=90.0,
    basis="as_run",
    hysteresis=0.1,
    band=(0.2, 0.15),
    equivalents=(
        EquivalentRow("all", 6_218, 311, 1_842_000.0, MarkRow(0.09, 66.0), MarkRow(0.052, 62.0), MarkRow(0.004, -3.0)),
        EquivalentRow("enterprise", 410, 60, 5_100_000.0, MarkRow(0.98, 140.0), MarkRow(0.02, 55.0), None),
    ),
    exclusions=(("customers", "is_customer"), (HOSTILE, HOSTILE)),
    old_rule=OldRule("points", threshold=100.0, window_days=90.0, points=(("touch: demo", 50.0), (HOSTILE, -20.0))),
    comparison=RulesReport(
        "2026-01-14", "2026-04-08", 12, side(40.0), side(36.9), Estimate(12_000.0, -1_000.0, 24_000.0), 0.93, 11.4,
        28.6, 25.5, (("job level", 3.1, -0.4),),
    ),
    agreed_by=(("Sato", "Marketing"), (HOSTILE, "Sales")),
)  # fmt: skip


class _Checked(HTMLParser):
    """Counts what stays open, and refuses what would run or fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        assert not any(name in ("src", "href") or name.startswith("on") for name, _ in attrs)
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "page",
    [
        PAGE,
        replace(PAGE, capacity=None, hours_per_lead=None, comparison=None, equivalents=(), exclusions=(), agreed_by=()),
        replace(PAGE, threshold=0.0, review_on=None, old_rule=OldRule("stage", stage="mql"), is_in_force=False),
        replace(PAGE, old_rule=OldRule("sql", sql=HOSTILE)),
        replace(PAGE, old_rule=OldRule("sql", sql=HOSTILE, threshold=10.0)),
        replace(PAGE, old_rule=OldRule("unknown", stage="mql")),
    ],
)
def test_both_forms_are_whole_and_run_nothing(page: DefinitionPage, language: Language) -> None:
    checked = _Checked()
    checked.feed(render_definition_html(page, language))
    assert checked.open == []
    markdown = render_definition_markdown(page, language)
    assert "<script" not in markdown
    assert not re.search(r"(?<!\{)\{\w+\}", markdown)
    for block in markdown.split("\n\n"):
        if block.startswith("|"):
            assert len({len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()}) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_both_teams_sign_is_there(language: Language) -> None:
    text = render_definition_markdown(PAGE, language)
    price = {"en": "¥54,300", "ja": "54,300円"}[language]
    for part in (price, "62%", "0123456789ab", "enterprise", "is_customer", "38.6", "Sato", "93%"):
        assert part in text


def test_a_score_that_nobody_can_have_is_said_so_and_none_is_below_nought() -> None:
    text = render_definition_markdown(PAGE, "en")
    assert "98%, score above 100" in text
    assert "0.40%, score 0 |" in text


def test_an_interval_around_nought_is_no_proof() -> None:
    sure = replace(PAGE.comparison, gain=Estimate(12_000.0, 3_000.0, 24_000.0)) if PAGE.comparison else None
    assert "it is not shown" in render_definition_markdown(PAGE, "en")
    assert "it is not shown" not in render_definition_markdown(replace(PAGE, comparison=sure), "en")


def test_a_team_without_a_name_gets_a_line_to_sign() -> None:
    def teams(page: DefinitionPage, language: Language) -> list[str]:
        block = render_definition_markdown(page, language).split("\n\n")[-2]
        return [row.split("|")[1].strip() for row in block.splitlines()[2:]]

    assert teams(replace(PAGE, agreed_by=()), "en") == ["Marketing", "Sales"]
    assert teams(replace(PAGE, agreed_by=(("Sato", "Marketing"),)), "en") == ["Marketing", "Sales"]
    assert teams(replace(PAGE, agreed_by=(("佐藤", "営業部"),)), "ja") == ["営業部", "マーケティング"]


@pytest.mark.parametrize(
    ("language", "adds", "applies"),
    [
        ("en", "what working the lead adds", "whoever carries decisions out"),
        ("ja", "対応によって増える", "判定を実行する側"),
    ],
)
def test_it_says_what_the_value_speaks_of_and_who_applies_memory_and_draws(
    language: Language, adds: str, applies: str
) -> None:
    for render in (render_definition_markdown, render_definition_html):
        as_run, worked = (render(replace(PAGE, basis=basis), language) for basis in ("as_run", "if_worked"))
        assert adds in worked
        assert adds not in as_run
        assert applies in as_run
        assert applies not in render(replace(PAGE, hysteresis=0.0, band=None), language)
