"""The page in Chromium: as wide as its window, quiet, with links that work in MLflow's sandboxed frame."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, sync_playwright

from pages.model_report import render_model_report
from pages.report_data import ModelReport
from pages.words import Language

Scheme = Literal["light", "dark"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_page_fits_and_asks_for_nothing(
    browser: Browser, report: ModelReport, tmp_path: Path, language: Language, scheme: Scheme, width: int
) -> None:
    file = tmp_path / "report.html"
    file.write_text(render_model_report(report, language), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert asked == [file.as_uri()]
    assert said == []
    page.close()


def test_links_work_in_a_sandboxed_frame(browser: Browser, report: ModelReport, tmp_path: Path) -> None:
    content = json.dumps(render_model_report(report, "en")).replace("</", "<\\/")
    outside = tmp_path / "outside.html"
    outside.write_text(
        '<!DOCTYPE html><meta charset="utf-8"><iframe sandbox="allow-scripts" width="900" height="800">'
        "</iframe>"
        f"<script>document.querySelector('iframe').src = "
        f"URL.createObjectURL(new Blob([{content}], {{type: 'text/html'}}))</script>",
        encoding="utf-8",
    )
    page = browser.new_page(viewport={"width": 1000, "height": 900}, reduced_motion="reduce")
    page.goto(outside.as_uri())
    frame = page.frame_locator("iframe")
    frame.locator('a[href="#limits"]').first.click()
    top = frame.locator("#limits").evaluate("part => part.getBoundingClientRect().top")
    assert abs(top) < 400
    assert frame.locator("#limits").evaluate("part => part === document.activeElement")
    page.close()


def test_the_slider_moves_the_line_by_key_in_a_sandboxed_frame(
    browser: Browser, report: ModelReport, tmp_path: Path
) -> None:
    file, outside = tmp_path / "report.html", tmp_path / "outside.html"
    file.write_text(render_model_report(report, "en"), encoding="utf-8")
    outside.write_text(
        '<!DOCTYPE html><meta charset="utf-8">'
        '<iframe sandbox="allow-scripts" width="900" height="800" src="report.html"></iframe>',
        encoding="utf-8",
    )
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.goto(outside.as_uri())
    slider = page.frame_locator("iframe").locator("#capacity-range")
    cells = page.frame_locator("iframe").locator(".slider output b")
    before = cells.all_text_contents()
    assert before[0] == "40"
    slider.focus()
    slider.press("Home")
    after = cells.all_text_contents()
    assert after[1] != before[1]
    assert slider.get_attribute("aria-valuetext") == after[0]
    page.close()


def test_without_a_script_the_table_says_it(browser: Browser, report: ModelReport, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(render_model_report(report, "en"), encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    assert not page.locator(".slider").is_visible()
    assert page.locator("#capacity table").is_visible()
    context.close()
