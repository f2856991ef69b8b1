import pytest

from pages.model_report import render_model_report
from pages.report_data import ModelReport
from pages.words import Language


@pytest.mark.parametrize("language", ["en", "ja"])
def test_renders_in_either_language(
    report: ModelReport, single_outcome_report: ModelReport, language: Language
) -> None:
    for each in (report, single_outcome_report):
        page = render_model_report(each, language)
        assert page.lstrip().startswith("<!DOCTYPE html>")
        assert len(page.encode()) < 1_000_000
