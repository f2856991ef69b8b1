import csv
from pathlib import Path

import pytest

from pages.safe_csv import safe_cell, write_csv


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+SUM(A1)",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(1+1)",
        "\t=1",
        "\r=1",
        " =1",
        "\n=1",
        "\u3000=1",
        "\ufeff=1",
        "＝1+1",
        "+81-3-1234-5678",
        "-",
        "-1e",
        "--5",
    ],
)
def test_what_a_spreadsheet_would_run_becomes_text(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "value", ["", "ACME", "a=b", "山田商事", "-12.5", "+3", "-1.5e-3", "-.5", -3, -2.5, True, None]
)
def test_all_else_stays_as_it_is(value: str | float | bool | None) -> None:
    assert safe_cell(value) == value


def test_nul_bytes_cannot_hide_a_formula() -> None:
    assert safe_cell("\x00=1") == "'=1"


def test_a_file_opens_in_excel_with_japanese(tmp_path: Path) -> None:
    path = tmp_path / "leads.csv"
    write_csv(path, ["会社", "=見出し", "value"], [["山田,商事", "二\n行", -5.5], ["@x", None, 3]])
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert b"\r\n" in path.read_bytes()
    with path.open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file)) == [
            ["会社", "'=見出し", "value"],
            ["山田,商事", "二\n行", "-5.5"],
            ["'@x", "", "3"],
        ]


def test_a_row_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Found 1 cells in row 2; expected 2"):
        write_csv(tmp_path / "x.csv", ["a", "b"], [[1, 2], [3]])
