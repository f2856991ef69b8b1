"""What ``kizashi backtest`` prints, and the files that it leaves, for methods whose measures are known."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from cli.backtest_command import show_backtest
from crm.outcomes import Observation, Outcome
from training.backtest_measures import Compared, JudgedRows, compare
from training.backtest_result import Backtest, Origin
from training.backtest_tracking import write_backtest
from training.baselines import Said

START = datetime(2026, 1, 7, tzinfo=UTC)


@pytest.fixture(scope="module")
def made() -> Backtest:
    """Forty leads of which the model puts the four that were won first, and chance last."""
    score = np.linspace(0.9, 0.01, 40)
    happened = np.arange(40) < 4
    rows = JudgedRows(
        happened,
        np.arange(40),
        np.zeros(40, dtype=np.int64),
        np.arange(40),
        happened * 1.0,
        happened * 1000.0,
        (0.05,),
    )
    said = {"kizashi": Said(score, score), "random": Said(-score), "odoo": Said(score, np.sqrt(score))}
    ranks = {name: answer.score for name, answer in said.items()}
    both: dict[Outcome, Compared] = {
        "sql": compare(rows, said, None, seed=1, draws=30),
        "won": compare(rows, said, ranks, seed=1, draws=30),
    }
    seen = Observation(None, START + timedelta(days=200), START + timedelta(days=200))
    numbers: dict[Outcome, int] = {"sql": 4, "won": 4}
    origin = Origin(START, START + timedelta(days=28), numbers, numbers, 40, numbers, 4.0, 4000.0, 2.0, both)
    return Backtest(seen, (origin,), both, ("An origin is left out.",), tuple(said), "JPY")


def test_the_table_has_a_line_a_method_and_says_who_is_beaten(made: Backtest, capsys: pytest.CaptureFixture) -> None:
    show_backtest(made, None)
    out = capsys.readouterr().out
    assert "40 rows, 4 won, 4 SQL" in out
    assert "a list of 2 leads a window catches, of 4.0 deals with 4,000 JPY" in out
    won = out[out.index("Won: order") :]
    line = next(line for line in won.splitlines() if line.startswith("kizashi"))
    assert "1.000 [1.000, 1.000]" in line
    chance = next(line for line in won.splitlines() if line.startswith("chance"))
    assert chance.split()[-1] != "-"
    assert chance.count(" - ") == 2  # it claims no probability, so it has no log-loss and no observed / expected
    assert "kizashi is better than: chance" in out
    assert "Note: An origin is left out." in out


def test_files_hold_every_number_once(made: Backtest, tmp_path: Path) -> None:
    table, document = write_backtest(made, tmp_path / "new")
    rows = list(csv.DictReader(table.read_text(encoding="utf-8-sig").splitlines()))
    keys = [(row["origin"], row["outcome"], row["method"], row["measure"]) for row in rows]
    assert len(keys) == len(set(keys))
    assert {row["origin"] for row in rows} == {"2026-01-07", "all"}
    found = {key: row for key, row in zip(keys, rows, strict=True)}
    caught = found["all", "won", "kizashi", "captured_revenue"]
    assert (float(caught["value"]), caught["unit"]) == (2000.0, "JPY a window")
    gain = found["all", "won", "random", "captured_wins_share_gain"]
    assert float(gain["value"]) == 0.5
    assert found["all", "won", "kizashi", "ece"]["low"] == ""
    read = json.loads(document.read_text(encoding="utf-8"))
    assert read == json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert read["pooled"]["won"]["kizashi_less"]["random"]["captured_wins_share"]["value"] == 0.5
