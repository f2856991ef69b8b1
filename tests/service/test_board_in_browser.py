"""The board in Chromium: both languages, choices, downloads, keyboard, screen readers, names that want to be run."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from serving.board_session import COOKIE
from tests.fakes.board import HOSTILE, BoardService, board_service

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FIRST_PAINT_MS = 1_000

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoardService]:
    with board_service(tmp_path_factory.mktemp("board")) as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def key(board: BoardService) -> str:
    return board.key("reader", "board", "board:rows", "board:owners")


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(viewport={"width": 1200, "height": 900})
    yield opened
    opened.close()


def enter(context: BrowserContext, board: BoardService, key: str, language: str = "en") -> Page:
    """Log in as a person does, and remember every address that was asked for."""
    page = context.new_page()
    page.goto(f"{board.url}/board")
    assert page.url.endswith("/board/login")
    page.get_by_label("Key").fill(key)
    page.get_by_role("button").click()
    page.wait_for_url(f"{board.url}/board")
    if language == "ja":
        page.get_by_role("link", name="日本語で読む").click()
        page.wait_for_url("**/board?lang=ja")
    return page


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_no_serious_barrier_and_no_wider_than_its_window(
    browser: Browser, board: BoardService, key: str, language: str, scheme: str, width: int
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # pyright: ignore[reportArgumentType]
    )
    page = enter(context, board, key, language)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    results = Axe().run(page)
    serious = [one for one in results.response["violations"] if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"][:200], one["nodes"][0]["failureSummary"]) for one in serious] == []
    context.close()


def test_the_login_has_no_serious_barrier(context: BrowserContext, board: BoardService) -> None:
    page = context.new_page()
    page.goto(f"{board.url}/board/login?wrong=1")
    expect(page.get_by_role("alert")).to_be_visible()
    results = Axe().run(page)
    assert [one["id"] for one in results.response["violations"] if one["impact"] in ("serious", "critical")] == []


def test_names_that_want_to_be_run_show_as_text(context: BrowserContext, board: BoardService, key: str) -> None:
    said: list[str] = []
    context.on("console", lambda message: said.append(message.text))
    context.on("weberror", lambda error: said.append(str(error.error)))
    page = enter(context, board, key)
    assert page.evaluate("window.hacked") is None
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0
    text = page.locator("body").text_content() or ""
    for name in HOSTILE.values():
        assert name in text, name
    assert said == []


def test_nobody_else_is_asked_and_no_key_is_in_an_address(
    context: BrowserContext, board: BoardService, key: str
) -> None:
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = enter(context, board, key, "ja")
    assert all(address.startswith(board.url) for address in asked)
    secret = key.split("_")[-1]
    assert not [address for address in asked if secret in address or key in address]
    cookies = {cookie["name"]: cookie for cookie in context.cookies()}
    assert (cookies[COOKIE]["httpOnly"], cookies[COOKIE]["sameSite"], cookies[COOKIE]["path"]) == (
        True,
        "Strict",
        "/board",
    )
    assert page.evaluate("document.cookie") == ""


def test_choices_show_one_panel_at_a_time(context: BrowserContext, board: BoardService, key: str) -> None:
    page = enter(context, board, key)
    choice = page.locator("select[data-panels=groups]")
    panels = page.locator("[data-panel=groups]")
    titles = panels.locator("h3").all_text_contents()
    assert len(titles) > 2
    for place, title in enumerate(titles):
        choice.select_option(label=title)
        assert [panels.nth(number).is_visible() for number in range(len(titles))] == [
            number == place for number in range(len(titles))
        ]


def test_a_search_leaves_the_rows_that_hold_the_text(context: BrowserContext, board: BoardService, key: str) -> None:
    page = enter(context, board, key)
    section = page.locator("#campaigns")
    rows = section.locator("table[data-name=campaign_mqls] tbody tr")
    everything = rows.count()
    section.get_by_label("Find").fill("campaign-07")
    assert everything == 12
    expect(rows.filter(visible=True)).to_have_count(1)
    section.get_by_label("Find").fill("")
    expect(rows.filter(visible=True)).to_have_count(everything)


def test_rows_are_downloaded_and_audited(
    context: BrowserContext, board: BoardService, key: str, tmp_path: Path
) -> None:
    page = enter(context, board, key)
    before = len(board.audit("board_rows"))
    with page.expect_download() as waiting:
        page.get_by_role("link", name="hand_offs.csv").click()
    waiting.value.save_as(tmp_path / "rows.csv")
    assert waiting.value.suggested_filename == "hand_offs.csv"
    rows = list(csv.reader(io.StringIO((tmp_path / "rows.csv").read_text("utf-8-sig"))))
    assert rows[0][:2] == ["hand_off_id", "lead_id"]
    assert len(rows) > 100
    assert len(board.audit("board_rows")) == before + 1


def test_it_can_be_read_with_the_keyboard_alone(context: BrowserContext, board: BoardService, key: str) -> None:
    page = enter(context, board, key)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "signs"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Enter")
    expect(page.locator("#signs details table").first).to_be_visible()
    choice = page.locator("select[data-panels=cohorts]")
    choice.focus()
    page.keyboard.press("ArrowDown")
    visible = page.locator("[data-panel=cohorts]").filter(visible=True)
    expect(visible).to_have_count(1)
    assert visible.locator("h3").text_content() == choice.locator("option").nth(1).text_content()


def test_without_a_script_everything_is_there(browser: Browser, board: BoardService, key: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = enter(context, board, key)
    assert page.locator(".panel").filter(visible=True).count() == page.locator(".panel").count() > 10
    assert page.locator(".filter").filter(visible=True).count() == 0
    context.close()


def test_a_reader_without_rows_sees_the_page_and_gets_no_file(context: BrowserContext, board: BoardService) -> None:
    page = enter(context, board, board.key("looker", "board"))
    assert "Owner 1" in (page.locator("body").text_content() or "")
    answer = page.request.get(f"{board.url}/board/rows/leads.csv")
    assert answer.status == 403


def test_the_board_is_painted_soon(context: BrowserContext, board: BoardService, key: str) -> None:
    page = enter(context, board, key)
    page.reload()
    painted: list[float] = []
    while not painted:
        painted = page.evaluate("performance.getEntriesByName('first-contentful-paint').map(one => one.startTime)")
    size = len(page.content().encode())
    assert painted[0] < FIRST_PAINT_MS
    assert size < 1_000_000
