"""Malformed workspaces and files: one clear message each, or rows in quarantine with their count; no surprises."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crm.config import load_workspace
from crm.errors import ConfigError, KizashiError
from crm.intake import take_in
from crm.progress import Silent
from crm.sources import open_source
from crm.store import Tables

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = """
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

[columns]
known_at_creation = ["source", "employees"]
"""
FILES = {
    "leads": "lead_id,created_at,source,employees\nL1,2025-01-06,web,10\nL2,2025-01-07T09:00:00+09:00,fair,\n",
    "touches": "touch_id,lead_id,happened_at,kind,value\nT1,L1,2025-01-08 10:00,visit,1\nT2,L2,2025-01-09,call,2\n",
    "stages": "lead_id,stage,entered_at\nL1,mql,2025-01-10\nL1,sql,2025-01-20\n",
    "opportunities": (
        "opportunity_id,lead_id,created_at,closed_at,is_won,amount,currency\n"
        "O1,L1,2025-01-20,2025-02-20,true,1000,JPY\n"
    ),
}
FUZZ = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


class Made:
    """A healthy workspace in a folder, to be broken."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config, self.data = folder, folder / "kizashi.toml", folder / "data"
        self.data.mkdir(exist_ok=True)
        self.config.write_text(CONFIG, encoding="utf-8")
        for name, text in FILES.items():
            self.file(name).write_text(text, encoding="utf-8")

    def file(self, name: str) -> Path:
        return self.data / f"{name}.csv"

    def replace(self, old: str, new: str) -> None:
        assert old in CONFIG
        self.config.write_text(CONFIG.replace(old, new), encoding="utf-8")

    def rewrite(self, name: str, old: str, new: str) -> None:
        assert old in FILES[name]
        self.file(name).write_text(FILES[name].replace(old, new), encoding="utf-8")

    def take_in(self) -> Tables:
        workspace = load_workspace(self.folder, environ={})
        with open_source(workspace) as source:
            return take_in(source, workspace.config, now=NOW, progress=Silent())


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_the_healthy_one_is_healthy(made: Made) -> None:
    with made.take_in() as tables:
        assert tables.quarantine().num_rows == 0
        assert {name: count.kept for name, count in tables.counts.items()} == {
            "leads": 2,
            "touches": 2,
            "stages": 2,
            "opportunities": 1,
        }


REFUSED: dict[str, tuple[Callable[[Made], object], str]] = {
    # The workspace file
    "a key twice": (lambda m: m.replace('url = "dir:data"', 'url = "dir:data"\nurl = "x"'), "not valid TOML"),
    "a table of unknown name": (
        lambda m: m.replace("touches =", "activities ="),
        "source.tables.activities: unknown table",
    ),
    "a number as a SELECT": (
        lambda m: m.replace("\"SELECT * FROM 'leads.csv'\"", "7"),
        "source.tables.leads: expected a text",
    ),
    "a list as a SELECT": (
        lambda m: m.replace("\"SELECT * FROM 'leads.csv'\"", "[]"),
        "source.tables.leads: expected a text",
    ),
    "an empty SELECT": (lambda m: m.replace("\"SELECT * FROM 'leads.csv'\"", '""'), "expected one SELECT"),
    "a text as a list": (
        lambda m: m.replace('["source", "employees"]', '"source"'),
        "columns.known_at_creation: expected a list",
    ),
    "numbers in a list of names": (
        lambda m: m.replace('"employees"]', "3]"),
        "columns.known_at_creation.1: expected a text",
    ),
    "an offset as a zone": (lambda m: m.replace("Asia/Tokyo", "+09:00"), "'+09:00' is no time zone"),
    "a path as a zone": (lambda m: m.replace("Asia/Tokyo", "../../etc/passwd"), "is no time zone"),
    "a currency sign": (lambda m: m.replace('"JPY"', '"¥"'), "'¥' is no currency"),
    "a word for yes": (
        lambda m: m.replace("[source]", 'hash_ids = "yes"\n[source]'),
        "workspace.hash_ids: expected true or false",
    ),
    "a lag of a table that is none": (
        lambda m: m.replace("[columns]", "[source.lag]\nvisits = 3\n[columns]"),
        "source.lag.visits",
    ),
    "a lag backwards": (
        lambda m: m.replace("[columns]", "[source.lag]\ntouches = -3\n[columns]"),
        "source.lag.touches",
    ),
    "a horizon of no days": (
        lambda m: m.replace("[columns]", "[outcome]\nwon_horizon_days = 0\n[columns]"),
        "greater than 0",
    ),
    "a horizon of a century": (
        lambda m: m.replace("[columns]", "[outcome]\nwon_horizon_days = 36500\n[columns]"),
        "3650",
    ),
    "a fraction of a snapshot": (
        lambda m: m.replace("[columns]", "[snapshots]\nrandom_per_lead = 1.5\n[columns]"),
        "whole number",
    ),
    "a port that is none": (lambda m: m.replace("[columns]", "[serve]\nport = 70000\n[columns]"), "serve.port"),
    "a section that is a number": (
        lambda m: m.config.write_text("value = 3\n" + CONFIG),
        "value: expected a table, found 3",
    ),
    "UTF-16": (lambda m: m.config.write_text(CONFIG, encoding="utf-16"), "is not UTF-8"),
    "NUL bytes": (lambda m: m.config.write_bytes(b"\0" * 50), "not valid TOML"),
    # Files and SELECTs
    "hashing without a key": (lambda m: m.replace("[source]", "hash_ids = true\n[source]"), "KIZASHI_ID_KEY"),
    "a file that is missing": (lambda m: m.file("touches").unlink(), "no file 'touches.csv'"),
    "a file without a byte": (lambda m: m.file("stages").write_bytes(b""), "an empty file 'stages.csv'"),
    "a folder called like a file": (
        lambda m: (m.file("stages").unlink(), m.file("stages").mkdir()),
        "'stages.csv', which is",
    ),
    "UTF-16 data": (lambda m: m.file("leads").write_text(FILES["leads"], encoding="utf-16"), "table 'leads'"),
    "Shift-JIS data": (
        lambda m: m.file("leads").write_bytes((FILES["leads"] + "L3,2025-01-08,展示会,\n").encode("cp932")),
        "CP932",
    ),
    "an unclosed quote": (lambda m: m.file("touches").write_text(FILES["touches"] + 'T3,"L1,2025\n' * 3), "'touches'"),
    "names only, and the wrong ones": (
        lambda m: m.file("leads").write_text("id,name\n"),
        "required columns lead_id, created_at",
    ),
    "no names": (
        lambda m: m.file("leads").write_text("L1,2025-01-06,web,10\nL2,2025-01-07,web,11\n"),
        "lead_id, created_at",
    ),
    "no rows": (
        lambda m: m.file("leads").write_text("lead_id,created_at\n"),
        "no usable row in table 'leads' (0 read)",
    ),
    "no good row": (
        lambda m: m.rewrite("leads", "2025", "3025"),
        "no usable row in table 'leads' (2 read, most often: created_at",
    ),
    "a column missing": (lambda m: m.rewrite("touches", "kind", "type"), "the required column kind"),
    "times as numbers": (
        lambda m: m.file("leads").write_text("lead_id,created_at\nL1,1736121600\n"),
        "cast it in the SELECT, for example to_timestamp(created_at)",
    ),
    "one column twice": (lambda m: m.replace("* FROM 'leads.csv'", "*, 1 AS Employees FROM 'leads.csv'"), "mployees"),
    "a column named as one inside": (
        lambda m: m.replace("* FROM 'leads.csv'", "*, 1 AS row_id FROM 'leads.csv'"),
        "used inside",
    ),
    "addresses as ids": (lambda m: m.rewrite("leads", "L1", "a@example.com"), "hash_ids = true"),
    "numbers of phones as ids": (lambda m: m.rewrite("leads", "L1", "+81 3-1234-5678"), "look like phone numbers"),
    "a parquet that is none": (
        lambda m: (m.replace("'leads.csv'", "'x.parquet'"), (m.data / "x.parquet").write_bytes(b"PAR1")),
        "an error in the SELECT for table 'leads'",
    ),
    "a JSON that breaks off": (
        lambda m: (m.replace("'leads.csv'", "'x.jsonl'"), (m.data / "x.jsonl").write_text('{"lead_id": "L1"')),
        "an error in the SELECT for table 'leads'",
    ),
    "a table that is none": (lambda m: m.replace("FROM 'leads.csv'", "FROM leads"), "leads does not exist"),
    "half a SELECT": (lambda m: m.replace("SELECT * FROM 'leads.csv'", "SELECT * FROM"), "syntax error"),
    "a SELECT that divides text": (
        lambda m: m.replace("* FROM 'leads.csv'", "*, source::INT AS n FROM 'leads.csv'"),
        "'web'",
    ),
    "a SELECT and more": (lambda m: m.replace("'leads.csv'\"", "'leads.csv'; DROP TABLE x\""), "2 statement(s)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_said_in_one_paragraph(made: Made, case: str) -> None:
    damage, words = REFUSED[case]
    damage(made)
    with pytest.raises(KizashiError) as caught:
        made.take_in()
    text = str(caught.value)
    assert words in text
    assert text.startswith("Found ")
    assert "; expected " in text
    assert ". To go on: " in text
    assert "Traceback" not in text
    assert isinstance(caught.value, ConfigError) or "\n" not in text
    assert len(text) < 1500


# Rows to add to a table, and how often which reason is then given.
QUARANTINED: dict[str, tuple[str, str, str, int]] = {
    "an unknown lead": ("touches", "T3,L9,2025-01-08,visit,1\nT4,L8,2025-01-08,visit,1\n", "unknown lead: L", 2),
    "a lead without id": ("leads", ",2025-01-08,web,1\n , 2025-01-08,web,1\n", "lead_id is missing", 2),
    "a touch without kind": ("touches", "T3,L1,2025-01-08,,1\n", "kind is missing", 1),
    "a touch without time": ("touches", "T3,L1,,visit,1\n", "happened_at is missing", 1),
    "a day that is none": (
        "touches",
        "T3,L1,2025-02-30,visit,1\nT4,L1,2025-13-01,visit,1\n",
        "happened_at is no time",
        2,
    ),
    "an American date": ("touches", "T3,L1,01/31/2025,visit,1\n", "happened_at is no time: 01/31/2025", 1),
    "a Japanese date": ("touches", "T3,L1,2025年1月8日,visit,1\n", "happened_at is no time: 2025年1月8日", 1),
    "a time to come": (
        "touches",
        "T3,L1,2035-01-08,visit,1\nT4,L1,9999-12-31,visit,1\n",
        "happened_at lies in the future",
        2,
    ),
    "a time long ago": ("touches", "T3,L1,1900-01-01,visit,1\n", "happened_at lies before 1970", 1),
    "a value that is none": (
        "touches",
        "T3,L1,2025-01-08,visit,many\nT4,L1,2025-01-08,visit,inf\n",
        "value is no number",
        2,
    ),
    "an unknown stage": ("stages", "L2,demoed,2025-01-10\n", "stage is none of mql, accepted", 1),
    "a lead twice": ("leads", "L1,2025-01-06,fair,10\n", "duplicate key: the row before it with the same lead_id", 1),
    "a touch twice": (
        "touches",
        "T1,L2,2025-01-08,visit,1\n",
        "duplicate key: the row before it with the same touch_id",
        1,
    ),
    "a negative amount": ("opportunities", "O2,L1,2025-01-20,2025-02-20,true,-5,JPY\n", "amount is negative", 1),
    "an amount without a rate": (
        "opportunities",
        "O2,L1,2025-01-20,2025-02-20,true,5,USD\n",
        "amount in USD without a rate",
        1,
    ),
    "closed before it began": (
        "opportunities",
        "O2,L1,2025-01-20,2024-02-20,true,5,JPY\n",
        "closed_at lies before created_at",
        1,
    ),
    "won at an unknown time": ("opportunities", "O2,L1,2025-01-20,,true,5,JPY\n", "won, but when is not known", 1),
    "perhaps won": (
        "opportunities",
        "O2,L1,2025-01-20,2025-02-20,perhaps,5,JPY\n",
        "is_won is no yes or no: perhaps",
        1,
    ),
    "a deal of nobody": (
        "opportunities",
        "O2,,2025-01-20,2025-02-20,true,5,JPY\n",
        "neither lead_id nor account_id",
        1,
    ),
}


@pytest.mark.parametrize("case", QUARANTINED)
def test_a_bad_row_is_quarantined_and_counted(made: Made, case: str) -> None:
    table, rows, reason, count = QUARANTINED[case]
    with made.file(table).open("a", encoding="utf-8") as file:
        file.write(rows)
    with made.take_in() as tables:
        found = tables.quarantine().to_pylist()
        assert [row["table"] for row in found] == [table] * count
        assert all(reason in row["reason"] for row in found)
        healthy = FILES[table].count("\n") - 1
        assert (tables.counts[table].kept, tables.counts[table].quarantined) == (healthy, count)


def test_an_identical_row_is_counted_apart(made: Made) -> None:
    made.file("stages").write_text(FILES["stages"] + "L1,mql,2025-01-10\n")
    with made.take_in() as tables:
        count = tables.counts["stages"]
        assert (count.read, count.kept, count.identical, count.quarantined) == (3, 2, 1, 0)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("fuzzed"))


def damaged(text: str) -> st.SearchStrategy[bytes]:
    """Draw a text with some of its bytes cut, doubled, swapped or replaced."""

    def damage(seed: int) -> bytes:
        rng = random.Random(seed)
        data = bytearray(text.encode())
        for _ in range(rng.randint(1, 4)):
            at, size = rng.randrange(len(data)), rng.randint(1, 8)
            part = data[at : at + size]
            other = rng.choice(
                [b"", part * 2, part[::-1], rng.randbytes(size), rng.choice([b'"', b"\n", b",", b"=", b"["])]
            )
            data[at : at + size] = other
        return bytes(data)

    return st.integers(0, 2**32).map(damage)


def only_kizashi_errors(made: Made) -> None:
    with contextlib.suppress(KizashiError):
        made.take_in().close()


@FUZZ
@given(st.one_of(damaged(CONFIG), st.binary(max_size=200)))
@example(b"")
def test_no_damage_to_the_workspace_file_is_a_surprise(fuzzed: Made, content: bytes) -> None:
    fuzzed.config.write_bytes(content)
    try:
        only_kizashi_errors(fuzzed)
    finally:
        fuzzed.config.write_text(CONFIG, encoding="utf-8")


@FUZZ
@given(st.sampled_from(sorted(FILES)), st.data())
def test_no_damage_to_a_file_is_a_surprise(fuzzed: Made, name: str, data: st.DataObject) -> None:
    content = data.draw(st.one_of(damaged(FILES[name]), st.binary(max_size=200)))
    fuzzed.file(name).write_bytes(content)
    try:
        only_kizashi_errors(fuzzed)
    finally:
        fuzzed.file(name).write_text(FILES[name], encoding="utf-8")
