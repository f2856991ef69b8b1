"""Whatever is wrong with a workspace file or a table is said in one message or counted; never a traceback.

Each case breaks one thing of a small healthy workspace and runs the command on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from cli.main import main

CONFIG = """\
[workspace]
timezone = "Asia/Tokyo"
currency = "JPY"
[source]
url = "dir:data"
[source.tables]
leads = "SELECT * FROM 'leads.csv'"
touches = "SELECT * FROM 'touches.csv'"
stages = "SELECT * FROM 'stages.csv'"
opportunities = "SELECT * FROM 'opportunities.csv'"
[value]
margin = 0.5
"""
LEADS = "lead_id,created_at,source\n" + "".join(f"L{n},2025-01-0{n}T09:00:00,web\n" for n in range(1, 7))
TOUCHES = "touch_id,lead_id,happened_at,kind\n" + "".join(
    f"T{n},L{n},2025-01-1{n}T09:00:00,visit\n" for n in range(1, 7)
)
STAGES = "lead_id,stage,entered_at\nL1,mql,2025-01-20T10:00:00\nL1,sql,2025-01-25T10:00:00\n"
OPPORTUNITIES = (
    "opportunity_id,lead_id,created_at,closed_at,is_won,amount,currency\n"
    "O1,L1,2025-01-25T10:00:00,2025-03-01T10:00:00,true,1000,JPY\n"
)
HEALTHY = {"leads": LEADS, "touches": TOUCHES, "stages": STAGES, "opportunities": OPPORTUNITIES}
SURPRISE = "nobody foresaw"


@dataclass(frozen=True)
class Workspace:
    """A folder with a small healthy workspace, to be broken."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "kizashi.toml"

    def table(self, name: str) -> Path:
        return self.folder / "data" / f"{name}.csv"

    def replace(self, old: str, new: str) -> None:
        assert old in CONFIG
        self.config.write_text(CONFIG.replace(old, new), encoding="utf-8")

    def add(self, table: str, *rows: str) -> None:
        with self.table(table).open("a", encoding="utf-8") as file:
            file.writelines(f"{row}\n" for row in rows)

    def run(self, *args: str) -> Result:
        return CliRunner().invoke(main, [*args, "--workspace", str(self.folder)])


@pytest.fixture
def healthy(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    (tmp_path / "data").mkdir()
    workspace.config.write_text(CONFIG, encoding="utf-8")
    for name, text in HEALTHY.items():
        workspace.table(name).write_text(text, encoding="utf-8")
    return workspace


Break = Callable[[Workspace], object]

CONFIGS: dict[str, tuple[Break, str]] = {
    "unknown key": (lambda w: w.replace("margin", "margn"), "value.margn: unknown key; did you mean 'margin'?"),
    "unknown section": (lambda w: w.replace("[value]", "[values]"), "values: unknown key; did you mean 'value'?"),
    "unknown table": (lambda w: w.replace("touches =", "touchs ="), "did you mean 'touches'?"),
    "duplicate key": (lambda w: w.replace("margin = 0.5", "margin = 0.5\nmargin = 0.6"), "not valid TOML"),
    "duplicate section": (lambda w: w.replace("[value]", "[workspace]"), "not valid TOML"),
    "broken TOML": (lambda w: w.replace("margin = 0.5", "margin = "), "not valid TOML"),
    "NaN": (lambda w: w.replace("0.5", "nan"), "expected a finite number"),
    "infinite": (lambda w: w.replace("0.5", "inf"), "value.margin"),
    "number out of range": (lambda w: w.replace("0.5", "1.5"), "value.margin: expected less than or equal to 1"),
    "text for a number": (lambda w: w.replace("0.5", '"half"'), "value.margin: expected a number, found 'half'"),
    "true for a number": (lambda w: w.replace("0.5", "true"), "value.margin: expected a number"),
    "number for a table": (lambda w: w.config.write_text("source = 3\n"), "source: expected a table"),
    "no source": (lambda w: w.config.write_text("[value]\nmargin = 0.5\n"), "source: this key is required"),
    "no leads": (lambda w: w.replace("leads = \"SELECT * FROM 'leads.csv'\"\n", ""), "a SELECT for 'leads' is missing"),
    "no time zone": (lambda w: w.replace("Asia/Tokyo", "Tokyo"), "'Tokyo' is no time zone"),
    "no currency": (lambda w: w.replace('"JPY"', '"yen"'), "'yen' is no currency"),
    "unset variable": (lambda w: w.replace("dir:data", "dir:${NOWHERE_SET}"), "NOWHERE_SET is not set"),
    "variable in SQL": (lambda w: w.replace("'leads.csv'", "'${A}'"), "variables are not allowed in SQL"),
    "no SELECT": (lambda w: w.replace("SELECT * FROM 'leads.csv'", "DROP TABLE x"), "expected one SELECT"),
    "swapped dates": (
        lambda w: w.replace("[value]", "[outcome]\nobserved_from = 2025-05-01\nobserved_until = 2025-01-01\n[value]"),
        "observed_from does not lie before observed_until",
    ),
    "no date": (lambda w: w.replace("[value]", '[outcome]\nobserved_until = "soon"\n[value]'), "expected a date"),
    "empty file": (lambda w: w.config.write_bytes(b""), "source: this key is required"),
    "Shift-JIS": (lambda w: w.config.write_bytes(f"# 設定\n{CONFIG}".encode("cp932")), "is not UTF-8"),
    "binary": (lambda w: w.config.write_bytes(bytes(range(256))), "1 problem in"),
    "too large": (lambda w: w.config.write_text("#" * 1_000_001), "the file is over 1,000,000 bytes"),
    "missing": (lambda w: w.config.unlink(), "'kizashi init' writes one"),
    "a folder": (lambda w: (w.config.unlink(), w.config.mkdir()), "no kizashi.toml in"),
}

SOURCES: dict[str, tuple[Break, str]] = {
    "no folder": (lambda w: w.replace("dir:data", "dir:nowhere"), "nowhere"),
    "no such engine": (lambda w: w.replace("dir:data", "oracel://x"), "no connection to 'oracel://x'"),
    "no database file": (lambda w: w.replace("dir:data", "sqlite://no.db"), "no file"),
    "bad demo URL": (lambda w: w.config.write_text('[source]\nurl = "demo://?leads=many"\n'), "leads=many"),
    "tables of a demo": (lambda w: w.replace("dir:data", "demo://"), "makes its own tables"),
    "no such file": (lambda w: w.table("touches").unlink(), "no file 'touches.csv'"),
    "SQL error": (lambda w: w.replace("SELECT * FROM 'leads.csv'", "SELECT FROM WHERE"), "table 'leads'"),
    "two statements": (lambda w: w.replace("'leads.csv'", "'leads.csv'; SELECT 1"), "SELECT"),
    "file outside the folder": (lambda w: w.replace("'leads.csv'", "'/etc/passwd'"), "nothing outside it is read"),
    "unknown column": (lambda w: w.replace("SELECT * FROM 'leads.csv'", "SELECT nme FROM 'leads.csv'"), "nme"),
    "missing column": (
        lambda w: w.replace("SELECT * FROM 'touches.csv'", "SELECT lead_id, kind FROM 'touches.csv'"),
        "happened_at",
    ),
    "no leads at all": (lambda w: w.table("leads").write_text("lead_id,created_at\n"), "leads"),
    "empty table file": (lambda w: w.table("leads").write_bytes(b""), "leads"),
    "Shift-JIS table": (
        lambda w: w.table("leads").write_bytes((LEADS + "L7,2025-01-09,展示会\n").encode("cp932")),
        "CP932",
    ),
    "binary table": (lambda w: w.table("touches").write_bytes(bytes(range(256)) * 40), "touches"),
    "no Parquet": (
        lambda w: (
            w.replace("'leads.csv'", "'leads.parquet'"),
            (w.folder / "data" / "leads.parquet").write_text("lead_id"),
        ),
        "table 'leads'",
    ),
    "ids are addresses": (
        lambda w: w.table("leads").write_text(
            "lead_id,created_at\n" + "".join(f"p{n}@example.org,2025-01-0{n}\n" for n in range(1, 7))
        ),
        "hash_ids",
    ),
    "twice the same column": (
        lambda w: w.replace("SELECT * FROM 'leads.csv'", "SELECT *, 1 AS LEAD_ID FROM 'leads.csv'"),
        "lead_id",
    ),
    "too few outcomes": (lambda w: None, "outcome"),
}

# What is wrong with one row goes to quarantine, where it is counted with its reason.
ROWS: dict[str, tuple[str, str, str]] = {
    "no id": ("leads", ",2025-01-09T09:00:00,web", "lead_id is missing"),
    "no time": ("leads", "L7,,web", "created_at is missing"),
    "time that is none": ("leads", "L7,soon,web", "created_at is no time"),
    "day that is none": ("touches", "T7,L1,2025-02-30T09:00:00,visit", "happened_at is no time"),
    "future": ("touches", "T7,L1,2999-01-01T09:00:00,visit", "happened_at lies in the future"),
    "long ago": ("touches", "T7,L1,1901-01-01T09:00:00,visit", "happened_at lies before 1970"),
    "unknown lead": ("touches", "T7,L99,2025-01-10T09:00:00,visit", "unknown lead"),
    "no kind": ("touches", "T7,L1,2025-01-10T09:00:00,", "kind is missing"),
    "unknown stage": ("stages", "L2,demoed,2025-01-25T10:00:00", "stage"),
    "amount that is none": ("opportunities", "O2,L2,2025-01-25,2025-03-01,true,much,JPY", "amount is no number"),
    "infinite amount": ("opportunities", "O2,L2,2025-01-25,2025-03-01,true,inf,JPY", "amount"),
    "won that is neither": ("opportunities", "O2,L2,2025-01-25,2025-03-01,perhaps,1,JPY", "is_won"),
    "currency without a rate": ("opportunities", "O2,L2,2025-01-25,2025-03-01,true,1,EUR", "EUR"),
    "id twice": ("leads", "L1,2025-01-09T09:00:00,fair", "duplicate key"),
}


def assert_said(result: Result, words: str) -> None:
    assert result.exit_code in (1, 3), result.output
    for sign in ("Traceback", SURPRISE):
        assert sign not in result.output
    assert words in result.output, result.output


@pytest.mark.parametrize("name", [*CONFIGS, *SOURCES])
def test_what_is_wrong_is_said(healthy: Workspace, name: str) -> None:
    broken, words = (CONFIGS | SOURCES)[name]
    broken(healthy)
    result = healthy.run("check")
    assert_said(result, words)
    if name in CONFIGS:
        assert result.output.startswith("Found ")
        assert "; expected " in result.output
        assert " To go on: " in result.output
        assert not (healthy.folder / ".kizashi").exists()


@pytest.mark.parametrize("name", ["unknown key", "missing", "Shift-JIS"])
@pytest.mark.parametrize("command", ["train", "retrain", "line", "score", "promote", "rollback", "serve", "ui"])
def test_every_command_says_the_same_of_the_workspace_file(
    healthy: Workspace, monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    monkeypatch.setenv("KIZASHI_API_KEY", "test-key-0123456789-0123456789-0123456789")
    broken, words = CONFIGS[name]
    broken(healthy)
    assert_said(healthy.run(command), words)


@pytest.mark.parametrize("name", ["SQL error", "no such file", "Shift-JIS table", "missing column", "too few outcomes"])
def test_training_refuses_what_check_refuses(healthy: Workspace, name: str) -> None:
    broken, words = SOURCES[name]
    broken(healthy)
    result = healthy.run("train")
    assert_said(result, words)
    assert result.exit_code == 1
    assert not (healthy.folder / "mlruns").exists()


@pytest.mark.parametrize("name", ROWS)
def test_a_bad_row_is_counted_and_kept_with_its_reason(healthy: Workspace, name: str) -> None:
    table, row, reason = ROWS[name]
    healthy.add(table, row)
    result = healthy.run("check")
    assert_said(result, "went to quarantine")
    assert "Quarantine" in result.output
    kept = pq.read_table(healthy.folder / ".kizashi" / "tables" / "quarantine.parquet").to_pylist()
    assert kept
    assert {one["table"] for one in kept} >= {table}
    assert any(reason in one["reason"] for one in kept), kept


def test_a_single_id_that_is_an_address_is_kept_out(healthy: Workspace) -> None:
    healthy.add("leads", *(f"M{n},2025-02-01T09:00:00,web" for n in range(40)), "p@example.org,2025-02-01T09:00:00,web")
    assert_said(healthy.run("check"), "lead_id is an e-mail address")


def test_an_amount_that_is_nan_is_a_missing_amount(healthy: Workspace) -> None:
    healthy.add("opportunities", "O2,L2,2025-01-25,2025-03-01,true,NaN,JPY")
    found = json.loads(healthy.run("check", "--json").stdout)
    assert found["tables"]["opportunities"] == {"read": 2, "kept": 2, "identical": 0, "quarantined": 0}


def test_a_byte_order_mark_is_no_mistake(healthy: Workspace) -> None:
    plain = healthy.run("check").stdout
    healthy.config.write_text(CONFIG, encoding="utf-8-sig")
    for name, text in HEALTHY.items():
        healthy.table(name).write_text(text, encoding="utf-8-sig")
    assert healthy.run("check").stdout == plain


def test_all_mistakes_are_told_at_once(healthy: Workspace) -> None:
    healthy.replace("margin = 0.5", "margin = 2\ntouch_cost = -1\nnot_a_key = 1")
    output = healthy.run("check").output
    assert output.startswith("Found 3 problems in ")
    assert [line.split(",")[0] for line in output.splitlines() if line.startswith("  - ")] == [
        "  - line 12",
        "  - line 13",
        "  - line 14",
    ]


def test_a_column_of_another_type_is_read_or_refused_by_name(healthy: Workspace) -> None:
    nested = pa.table({"lead_id": [["a"], ["b"]], "created_at": [[1], [2]]})
    pq.write_table(nested, healthy.folder / "data" / "leads.parquet")
    healthy.replace("leads.csv", "leads.parquet")
    assert_said(healthy.run("check"), "leads")
