"""A table of the page and its CSV file hold the same numbers, whatever the language."""

from __future__ import annotations

import csv
from math import isclose
from pathlib import Path

import pytest

from pages.formats import Formats, Shown
from pages.model_report import model_page
from pages.report_data import ModelReport
from pages.report_parts import Column, Table
from pages.report_tables import write_tables
from pages.words import Language, load_words


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_file_holds_what_the_page_shows(report: ModelReport, tmp_path: Path, language: Language) -> None:
    page = model_page(report, language)
    for table, path in zip(page.tables, write_tables(page.tables, tmp_path), strict=True):
        assert f"tables/{path.name}" in page.html
        header, *rows = read(path)
        assert len(rows) == len(table.rows)
        assert len(set(header)) == len(header), path.name
        for row, cells in zip(rows, table.rows, strict=True):
            written = [float(cell) for cell in row if _is_number(cell)]
            numbers = [
                value
                for cell, column in zip(cells, table.columns, strict=True)
                if isinstance(cell, Shown) and column.kind == "number"
                for value in cell.values
                if value is not None
            ]
            assert all(any(isclose(value, cell, rel_tol=1e-8) for cell in written) for value in numbers), path.name


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_files_have_the_same_names_and_heads_in_both_languages(report: ModelReport, tmp_path: Path) -> None:
    """So that runs in different languages can be compared."""
    heads = [
        {path.name: read(path)[0] for path in write_tables(model_page(report, language).tables, tmp_path / language)}
        for language in ("en", "ja")
    ]
    assert heads[0] == heads[1]
    assert len(heads[0]) > 30


def test_an_interval_is_two_columns_named_after_its_value(tmp_path: Path) -> None:
    formats = Formats(load_words("en"), "USD")
    cells = ("a", formats.percent(0.0312), formats.interval(formats.percent(0.01), formats.percent(0.05)))
    heads = (Column("Group", "text", "group"), Column("Rate", "number", "rate"), Column("90%", "number", "interval"))
    rows = read(write_tables([Table("t", heads, (cells,), name="t")], tmp_path)[0])
    assert rows == [["group", "rate", "rate_low", "rate_high"], ["a", "0.0312", "0.01", "0.05"]]


def test_two_tables_may_not_share_a_file(tmp_path: Path) -> None:
    table = Table("t", (), (), name="t")
    with pytest.raises(ValueError, match="two tables called 't'"):
        write_tables([table, table], tmp_path)
