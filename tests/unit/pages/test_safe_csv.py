import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pages.safe_csv import safe_cell, write_csv, write_frame


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


def test_a_frame_is_written_as_rows_are(tmp_path: Path) -> None:
    texts = ["=1", "山田,商事", None, "-12.5", "＠x", "\x00=1", "a=b", ""]
    numbers = [-1.5, np.nan, 1 / 3, 0.0, 1e-9, 12345678.0, 2.0, -0.25]
    frame = pd.DataFrame({"name": texts, "=value": numbers, "is": [True, False] * 4}, index=range(7, 15))
    write_frame(tmp_path / "frame.csv", frame)
    rows = [[None if value != value else value for value in row] for row in frame.to_numpy().tolist()]
    write_csv(tmp_path / "rows.csv", list(frame.columns), rows)

    def read(name: str) -> list[list[str]]:
        with (tmp_path / name).open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file))

    ours, theirs = read("frame.csv"), read("rows.csv")
    assert [row[0] for row in ours] == [row[0] for row in theirs]
    assert [row[2] for row in ours] == [row[2] for row in theirs]
    assert ours[0] == ["name", "'=value", "is"]
    assert [float(row[1]) for row in ours[1:] if row[1]] == pytest.approx([n for n in numbers if n == n], rel=1e-9)
    assert (tmp_path / "frame.csv").read_bytes().startswith(b"\xef\xbb\xbf")
