"""What the command line prints: tables, entries, errors and scored leads."""

from __future__ import annotations

import json
import os
import shutil
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.output import TerminalProgress, print_entry, print_error, print_json, print_table
from cli.scoring_commands import show_scores
from cli.show_line import show_line
from models.line import Line

LONG = "a sentence of many words that does not fit into one line of a narrow terminal"
RECORD: dict[str, Any] = {
    "lead_id": "L1",
    "score": 61.4,
    "grade": "A",
    "p_sql": 0.204,
    "p_won": 0.051,
    "expected_value": 12345.6,
    "currency": "JPY",
    "reasons": ["visits: 3 (today) (+9.0)", "referral (+0.6)", "source: ads (-2.0)", "country: XX (-0.7)"],
}
LINE = Line(
    price=1226.81,
    margin=0.8,
    touch_cost=60,
    capacity_per_week=1,
    currency="USD",
    quantiles=tuple(range(101)),
    median_mql_value=2000.0,
    equivalent_p_won=0.061,
    crossings_per_week=0.9,
    weeks=8,
    leads_at_risk=1336,
    set_as_of=datetime(2026, 6, 30, tzinfo=UTC),
)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Make both streams terminals of 40 columns: by their class, as ``capsys`` makes them anew for the test's call."""
    del capsys
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_, **__: os.terminal_size((40, 20)))  # pytest asks too
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True)


class TestWrapping:
    def test_a_program_reads_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        print_entry("Ready", LONG)
        print_error(LONG)
        printed = capsys.readouterr()
        assert printed.out == f"Ready     {LONG}\n"
        assert printed.err == f"{LONG}\n"

    @pytest.mark.usefixtures("narrow")
    def test_a_person_reads_no_torn_words(self, capsys: pytest.CaptureFixture[str]) -> None:
        print_entry("Ready", LONG)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) > 2
        assert max(map(len, lines)) < 40
        assert all(line.startswith(" " * 10) for line in lines[1:])
        assert " ".join(line[10:] for line in lines) == LONG

    @pytest.mark.usefixtures("narrow")
    def test_lists_of_problems_stay_lists(self, capsys: pytest.CaptureFixture[str]) -> None:
        print_error(f"Found 2 problems:\n  - {LONG}\n  - short\n; expected none.")
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == "Found 2 problems:"
        assert [line for line in lines if line.startswith("  - ")] == [
            "  - a sentence of many words that does",
            "  - short",
        ]
        assert lines[-1] == "; expected none."


class TestTable:
    def test_numbers_are_right_aligned_under_their_names(self, capsys: pytest.CaptureFixture[str]) -> None:
        print_table("Title", ("name", "rows "), [("a", "5"), ("bcd", "1,234")])
        lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
        assert lines == ["Title", "name   rows", "a         5", "bcd   1,234"]

    def test_brackets_are_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        print_table("T", ("name",), [("[columns] ignore [/x]",)])
        assert "[columns] ignore [/x]" in capsys.readouterr().out


class TestScores:
    def test_the_reasons_that_count_most_one_a_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        show_scores("Leads", [RECORD, {**RECORD, "lead_id": "L2", "reasons": []}])
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert lines[1] == ["lead", "score", "grade", "p(SQL)", "p(won)", "value", "JPY", "points", "reasons"]
        assert lines[2] == ["L1", "61", "A", "20.4%", "5.1%", "12,346", "+9.0", "visits:", "3", "(today)"]
        assert lines[3:5] == [["-2.0", "source:", "ads"], ["-0.7", "country:", "XX"]]
        assert lines[5] == ["L2", "61", "A", "20.4%", "5.1%", "12,346", "nothing", "that", "stands", "out"]


class TestLine:
    def test_in_words(self, capsys: pytest.CaptureFixture[str]) -> None:
        show_line(LINE)
        text = capsys.readouterr().out
        assert "value is above 1,227 USD; at the mean amount that is a chance to win of 6.1%" in text
        assert "0.9 leads a week cross it, by the last 8 weeks; sales can start on 1 a week" in text
        assert "80% margin, less 60 USD for working the lead" in text
        assert "1,336 leads on 2026-06-30" in text

    def test_without_capacity_or_amount(self, capsys: pytest.CaptureFixture[str]) -> None:
        show_line(LINE.model_copy(update={"capacity_per_week": None, "equivalent_p_won": None, "price": -1.5}))
        text = capsys.readouterr().out
        assert "value is above 0 USD\n" in text
        assert "sales can start without a limit" in text


def test_json_keeps_japanese_and_times(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"名前": datetime(2026, 6, 1, tzinfo=UTC)})
    text = capsys.readouterr().out
    assert "名前" in text
    assert json.loads(text) == {"名前": "2026-06-01 00:00:00+00:00"}


class TestProgress:
    def test_one_line_a_step_on_the_error_stream(self, capsys: pytest.CaptureFixture[str]) -> None:
        with TerminalProgress().step("Reading [leads]", total=2) as step:
            step.advance()
            step.note("2 rows")
        with TerminalProgress().step("Judging"):
            pass
        printed = capsys.readouterr()
        assert printed.out == ""
        first, second = printed.err.splitlines()
        assert first.startswith("  Reading [leads]  ")
        assert "2 rows  (0.0 s)" in first
        assert second.startswith("  Judging  ")
        assert "done" in second

    def test_quiet_is_silent(self, capsys: pytest.CaptureFixture[str]) -> None:
        with TerminalProgress(quiet=True).step("Reading") as step:
            step.advance(5)
            step.note("x")
        assert capsys.readouterr() == ("", "")
