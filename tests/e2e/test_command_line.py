"""The real command, as a person or a scheduler calls it: what it prints, where, and with which exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cli.batch import COLUMNS
from cli.main import main
from crm.config import load_workspace
from crm.sources import open_source
from tests.e2e.command import CUTOFF, ROOT, WORKSPACE_FILE, Ran, kizashi
from tests.e2e.conftest import Trained

AS_OF = ("--as-of", CUTOFF)
TINY = """
[source]
url = "dir:."
[source.tables]
leads = "SELECT * FROM 'leads.csv'"
stages = "SELECT * FROM 'stages.csv'"
"""
SOME_LEADS = ("L000100", "L000200", "L000300", "L000400")

CHANCES = [f"{name}_{days}d" for days in (30, 90, 180, 365) for name in ("p_sql", "p_won")]


def assert_one_paragraph(ran: Ran) -> None:
    """An error says what was found, what was expected and what to do, and nothing on standard output."""
    *progress, message = [line for line in ran.err.splitlines() if line.strip()]
    assert all(line.startswith("  ") for line in progress), ran.err
    assert message.startswith("Found ")
    assert "; expected " in message
    assert ". To go on: " in message
    assert "Traceback" not in ran.err
    assert "nobody foresaw" not in ran.err


def in_process(*args: str, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Run the command here, where nothing but its words and its exit code matter."""
    monkeypatch.chdir(cwd)
    result = CliRunner().invoke(main, args)
    return Ran(result.exit_code, result.stdout, result.stderr)


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    (tmp_path / "kizashi.toml").write_text(TINY, encoding="utf-8")
    (tmp_path / "leads.csv").write_text("lead_id,created_at\nL1,2025-01-01\nL2,2025-01-02\n,2025-01-03\nL4,soon\n")
    (tmp_path / "stages.csv").write_text("lead_id,stage,entered_at\nL1,sql,2025-01-09\nL9,sql,2025-01-09\n")
    return tmp_path


class TestUsage:
    def test_help_names_every_command_and_the_exit_codes(self, tmp_path: Path) -> None:
        ran = kizashi("--help", cwd=tmp_path)
        assert ran.code == 0
        listed = {line.split()[0] for line in ran.out.partition("Commands:")[2].splitlines() if line.strip()}
        assert {"init", "demo", "check", "train", "backtest", "retrain", "promote", "rollback"} <= listed
        assert {"line", "score", "serve", "ui"} <= listed
        assert "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 a person should look." in ran.out

    @pytest.mark.parametrize(
        "args",
        [
            ("scoer",),
            ("check", "--colour"),
            ("check", "--workspace", "kizashi.toml"),
            ("check", "--as-of", "tomorrow"),
            ("check", "--as-of", "0001-01-01T00:00+09:00"),
            ("line", "--capacity", "0"),
            ("line", "--margin", "1.2"),
            ("line", "--touch-cost", "nan"),
            ("line", "--capacity", "inf"),
            ("line", "--band-share", "0.1"),
            ("line", "--band-share", "0.1", "--band-width", "0.1", "--hysteresis", "0.2"),
            ("line", "--agreed-by", "Sato, Marketing"),
            ("line", "--definition", "mql.pdf"),
            ("line", "--leads-out", "no/such/folder.csv"),
            ("demo", "--leads", "3"),
            ("promote", "--force"),
            ("score", "--out", "scores.xlsx"),
            ("score", "--out", "nowhere/scores.csv"),
            ("score", "--leads", "leads.csv", "--out", "leads.csv"),
        ],
    )
    def test_wrong_usage_is_exit_code_2(
        self, tiny: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
    ) -> None:
        ran = in_process(*args, cwd=tiny, monkeypatch=monkeypatch)
        assert ran.code == 2, ran.err
        assert ran.out == ""
        assert "Error: " in ran.err
        assert "Traceback" not in ran.err
        assert not (tiny / ".kizashi").exists()


def test_waiting_threads_sleep_before_any_library_is_loaded() -> None:
    code = (
        "import os, sys\n"
        "sys.argv = ['kizashi', '--version']\n"
        "from cli.entry import run\n"
        "assert 'numpy' not in sys.modules\n"
        "try:\n    run()\nexcept SystemExit:\n    print(os.environ['OMP_WAIT_POLICY'])"
    )
    environ = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "PASSIVE"


class TestInit:
    def test_it_writes_a_file_that_only_lacks_the_data(self, tmp_path: Path) -> None:
        ran = kizashi("init", "--workspace", "new/one", cwd=tmp_path)
        assert (ran.code, ran.err) == (0, "")
        assert "new/one/kizashi.toml is written." in ran.out
        config = load_workspace(tmp_path / "new" / "one").config
        assert set(config.source.tables) == {"leads", "touches", "stages"}
        ran = kizashi("check", "--workspace", "new/one", cwd=tmp_path)
        assert ran.code == 1
        assert_one_paragraph(ran)

    def test_it_leaves_an_existing_file_alone(self, tiny: Path) -> None:
        ran = kizashi("init", cwd=tiny)
        assert ran.code == 1
        assert "which exists already; expected a folder without a kizashi.toml" in ran.err
        assert "nothing was written" in ran.err
        assert (tiny / "kizashi.toml").read_text(encoding="utf-8") == TINY

    def test_a_place_that_cannot_be_written_to_is_named(self, tiny: Path) -> None:
        ran = kizashi("init", "--workspace", "leads.csv/x", cwd=tiny)
        assert ran.code == 1
        assert "which cannot be written (Not a directory)" in ran.err


class TestErrors:
    def test_no_workspace_file(self, tmp_path: Path) -> None:
        ran = kizashi("check", cwd=tmp_path)
        assert (ran.code, ran.out) == (1, "")
        assert "kizashi init" in ran.err
        assert "Traceback" not in ran.err

    def test_debug_shows_where_it_came_from(self, tmp_path: Path) -> None:
        ran = kizashi("check", "--debug", cwd=tmp_path)
        assert ran.code == 1
        assert "Traceback (most recent call last)" in ran.err
        assert ran.err.rstrip().endswith("'kizashi init' writes one.")

    @pytest.mark.parametrize("command", ["line", "promote", "rollback", "ui"])
    def test_nothing_was_trained(self, tiny: Path, command: str) -> None:
        ran = kizashi(command, cwd=tiny)
        assert (ran.code, ran.out) == (1, "")
        assert_one_paragraph(ran)
        assert "kizashi train" in ran.err

    @pytest.mark.parametrize("flag", [(), ("--debug",)])
    def test_secrets_of_the_source_are_masked(self, tiny: Path, flag: tuple[str, ...]) -> None:
        url = 'url = "postgres://app:${CRM_PASSWORD}@127.0.0.1:1/crm?token=${CRM_TOKEN}"'
        (tiny / "kizashi.toml").write_text(TINY.replace('url = "dir:."', url), encoding="utf-8")
        secrets = {"CRM_PASSWORD": "hunter2hunter2", "CRM_TOKEN": "tok-0123456789"}
        ran = kizashi("check", *flag, cwd=tiny, environ=secrets)
        assert ran.code == 1
        assert "***" in ran.err
        for secret in secrets.values():
            assert secret not in ran.out + ran.err


class TestCheck:
    def test_tables_and_quarantine_are_counted(self, tiny: Path) -> None:
        ran = kizashi("check", cwd=tiny)
        assert ran.code == 1
        lines = [line.split() for line in ran.out.splitlines()]
        assert ["leads", "4", "2", "0", "2"] in lines
        assert ["stages", "2", "1", "0", "1"] in lines
        assert ["stages", "unknown", "lead", "1"] in lines
        assert "Look at   3 rows went to quarantine" in ran.out
        assert "Refused   Found 0 leads with an SQL" in ran.out
        kept = pq.read_table(tiny / ".kizashi" / "tables" / "quarantine.parquet")
        assert kept.num_rows == 3

    def test_json_is_all_there_is_on_standard_output(self, tiny: Path) -> None:
        ran = kizashi("check", "--json", cwd=tiny)
        assert (ran.code, ran.err) == (1, "")
        assert ran.json["tables"]["leads"] == {"read": 4, "kept": 2, "identical": 0, "quarantined": 2}
        assert ["stages", "unknown lead", 1] in ran.json["reasons"]
        assert len(ran.json["refusals"]) == 1

    def test_retrain_stops_where_check_refuses(self, tiny: Path) -> None:
        ran = kizashi("retrain", "--auto", "--json", cwd=tiny)
        assert ran.code == 1
        assert ran.json["trained"] is False
        assert not (tiny / "mlruns").exists()

    def test_a_simulated_crm_can_carry_a_model(self, tmp_path: Path) -> None:
        (tmp_path / "kizashi.toml").write_text(WORKSPACE_FILE, encoding="utf-8")
        ran = kizashi("check", cwd=tmp_path)
        assert ran.code == 0, ran.out
        assert "Ready     SQL: " in ran.out
        assert ran.out.rstrip().endswith("The tables can carry a model: 'kizashi train' is next.")

    @pytest.mark.slow
    @pytest.mark.parametrize("kept", [1.0, 0.5])
    @pytest.mark.parametrize("stage", ["sql", "closed_won"])
    def test_a_column_filled_in_after_the_outcome_is_refused(self, tmp_path: Path, stage: str, kept: float) -> None:
        """Whenever the outcome came, and even where the column was filled for half of them."""
        (tmp_path / "kizashi.toml").write_text(WORKSPACE_FILE, encoding="utf-8")
        export(tmp_path, tmp_path / "copy", None)
        leads = pq.read_table(tmp_path / "copy" / "leads.parquet")
        stages = pq.read_table(tmp_path / "copy" / "stages.parquet").to_pylist()
        reached = {row["lead_id"] for row in stages if row["stage"] == stage}
        assert len(reached) > 50
        rng = random.Random(1)
        filled = [
            "signed" if lead in reached and rng.random() < kept else None for lead in leads["lead_id"].to_pylist()
        ]
        pq.write_table(leads.append_column("contract", pa.array(filled)), tmp_path / "copy" / "leads.parquet")
        path = tmp_path / "copy" / "kizashi.toml"
        text = path.read_text(encoding="utf-8").replace("known_at_creation = [", 'known_at_creation = ["contract", ')
        path.write_text(text, encoding="utf-8")
        ran = kizashi("check", "--workspace", "copy", cwd=tmp_path)
        assert ran.code == 1, ran.out
        assert "contract" in ran.out.partition("Refused")[2]

    def test_rows_in_quarantine_are_exit_code_3(self, tmp_path: Path) -> None:
        (tmp_path / "kizashi.toml").write_text(WORKSPACE_FILE, encoding="utf-8")
        export(tmp_path, tmp_path / "copy", None)
        path = tmp_path / "copy" / "stages.parquet"
        stages = pq.read_table(path)
        stray = stages.slice(0, 1).set_column(stages.column_names.index("lead_id"), "lead_id", pa.array(["L9"]))
        pq.write_table(pa.concat_tables([stages, stray.cast(stages.schema)]), path)
        ran = kizashi("check", "--workspace", "copy", cwd=tmp_path)
        assert ran.code == 3, ran.out
        assert "Look at   1 row went to quarantine" in ran.out


def export(workspace: Path, target: Path, until: str | None) -> None:
    """Write a workspace's tables as Parquet files beside a workspace file that reads them; later rows left out."""
    target.mkdir()
    selects: list[str] = []
    loaded = load_workspace(workspace)
    with open_source(loaded) as source:
        attributes = source.known_at_creation
        for name in source.tables:
            table = source.read(name)
            clock = {"leads": "created_at", "expectations": "registered_at"}.get(name, "recorded_at")
            if until is not None and clock in table.column_names:
                moment = pa.scalar(until).cast(table.schema.field(clock).type)
                table = table.filter(pc.less_equal(table.column(clock), moment))
            pq.write_table(table, target / f"{name}.parquet")
            selects.append(f"{name} = \"SELECT * FROM '{name}.parquet'\"")
    text = WORKSPACE_FILE.replace(
        'url = "demo://?leads=2500&seed=7"', "\n".join(['url = "dir:."', "[source.tables]", *selects])
    )
    text += f"[columns]\nknown_at_creation = {json.dumps(list(attributes))}\n"
    (target / "kizashi.toml").write_text(text, encoding="utf-8")


@pytest.mark.slow
class TestTrain:
    def test_json_is_all_there_is_on_standard_output(self, trained: Trained) -> None:
        assert trained.ran.code == 0, trained.ran.err
        assert trained.ran.err == ""
        found = trained.ran.json
        assert {"model_version", "run_id", "cutoff", "rows", "outcomes", "metrics", "line"} <= set(found)
        assert (found["model_version"], found["is_champion"]) == ("1", True)
        assert found["cutoff"].startswith(CUTOFF)
        assert found["outcomes"]["sql"] >= found["outcomes"]["won"] > 0
        for metrics in found["metrics"].values():
            assert metrics["ece"]["low"] is None  # a distance: resampling can only make it larger
            for name in ("auc", "log_loss", "lift_at_10", "observed_over_expected"):
                assert metrics[name]["low"] <= metrics[name]["high"]
        assert found["line"]["capacity_per_week"] == 3
        assert found["line"]["crossings_per_week"] <= 3

    def test_what_it_wrote_lies_in_the_workspace(self, trained: Trained) -> None:
        found = {path.name for path in trained.folder.iterdir()}
        assert found <= {"kizashi.toml", ".kizashi", "mlruns"}
        assert (trained.folder / "mlruns" / "mlflow.db").is_file()
        assert list((trained.folder / "mlruns" / "artifacts").rglob("report.*.html"))

    def test_nothing_recorded_later_exists(self, tmp_path: Path) -> None:
        """Training at an earlier moment is training on tables that end there."""
        (tmp_path / "kizashi.toml").write_text(WORKSPACE_FILE, encoding="utf-8")
        moment = "2026-03-01T00:00:00+00:00"
        export(tmp_path, tmp_path / "whole", None)
        export(tmp_path, tmp_path / "ended", moment)
        found = []
        for name in ("whole", "ended"):
            ran = kizashi("train", "--json", "--as-of", moment, "--workspace", name, cwd=tmp_path)
            assert ran.code == 0, ran.err
            found.append({key: value for key, value in ran.json.items() if key != "run_id"})
        assert found[0]["rows"]["snapshots"] > 0
        assert found[0] == found[1]


@pytest.mark.slow
class TestScore:
    def test_without_a_file_all_leads_at_risk(self, trained: Trained) -> None:
        ran = kizashi("score", *AS_OF, "--json", cwd=trained.folder)
        assert (ran.code, ran.err) == (0, "")
        assert ran.json["scored"] == len(ran.json["scores"]) > 1000
        assert ran.json["rejections"] == []
        ids = [record["lead_id"] for record in ran.json["scores"]]
        assert len(set(ids)) == len(ids)
        for record in ran.json["scores"][:50]:
            assert set(COLUMNS) <= set(record)
            assert record["as_of"] == "2026-06-29T15:00:00+00:00"  # 00:00 in Tokyo
            assert 0 <= record["score"] <= 100
            points = sum(part["points"] for part in record["points"]) + record["base"]
            assert points == pytest.approx(record["score_unclipped"], abs=1e-9)

    def test_leads_best_first_and_as_many_as_training_saw_at_risk(self, trained: Trained) -> None:
        """At the moment at which outcomes end, the leads at risk are those that the line's replay ended with."""
        moment = trained.ran.json["cutoff"]
        ran = kizashi("score", "--as-of", moment, "--json", cwd=trained.folder)
        values = [record["expected_value"] for record in ran.json["scores"]]
        assert values == sorted(values, reverse=True)
        assert ran.json["scored"] == trained.ran.json["line"]["leads_at_risk"]

    def test_a_moment_to_come_is_wrong_usage(self, trained: Trained) -> None:
        ran = kizashi("score", "--as-of", "2999-01-01", cwd=trained.folder)
        assert (ran.code, ran.out) == (2, "")
        assert "future" in ran.err

    def test_a_moment_before_there_were_leads(self, trained: Trained) -> None:
        ran = kizashi("score", "--as-of", "1990-01-01", cwd=trained.folder)
        assert (ran.code, ran.out) == (0, "No lead was at risk on 1989-12-31.\n")

    @pytest.mark.parametrize("ending", ["csv", "parquet"])
    def test_each_row_of_a_file_at_its_own_moment_in_order(self, trained: Trained, tmp_path: Path, ending: str) -> None:
        asked = [(lead, f"2026-0{month}-01") for month in (6, 4, 5) for lead in reversed(SOME_LEADS)]
        columns = {"lead_id": [lead for lead, _ in asked], "as_of": [moment for _, moment in asked], "note": [""] * 12}
        path, out = tmp_path / f"leads.{ending}", tmp_path / f"scores.{ending}"
        if ending == "csv":
            lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
            path.write_text("\n".join(lines), encoding="utf-8-sig")
        else:
            pq.write_table(pa.table(columns), path)
        ran = kizashi("score", "--leads", path, "--out", out, "--workspace", trained.folder, cwd=tmp_path)
        assert ran.code == 0, ran.err
        assert f"12 scores written to {out}" in ran.out
        if ending == "csv":
            written = rows_of(out)
            assert list(written[0]) == [*COLUMNS, *CHANCES]
            moments = [row["as_of"] for row in written]
        else:
            table = pq.read_table(out)
            assert table.column_names == [*COLUMNS, *CHANCES]
            assert table.schema.field("as_of").type == pa.timestamp("us", "UTC")
            written = table.to_pylist()
            moments = [row["as_of"].isoformat() for row in written]
        assert [row["lead_id"] for row in written] == columns["lead_id"]
        previous = {4: "2026-03-31", 5: "2026-04-30", 6: "2026-05-31"}
        assert moments == [f"{previous[int(moment[6])]}T15:00:00+00:00" for moment in columns["as_of"]]

    def test_one_moment_for_rows_without_one(self, trained: Trained, tmp_path: Path) -> None:
        (tmp_path / "leads.csv").write_text("lead_id,as_of\nL000100,\nL000100,2026-06-30\n", encoding="utf-8")
        ran = kizashi("score", "--leads", "leads.csv", *AS_OF, "--json", "--workspace", trained.folder, cwd=tmp_path)
        first, second = ran.json["scores"]
        assert first == second

    def test_what_cannot_be_scored_is_listed(self, trained: Trained, tmp_path: Path) -> None:
        rows = ["lead_id,as_of", "L000100,2026-06-01", "=1+1,2026-06-01", "L002499,2020-01-01", "L000200,2026-06-01"]
        (tmp_path / "leads.csv").write_text("\n".join(rows), encoding="utf-8")
        workspace = ("--workspace", trained.folder)
        ran = kizashi("score", "--leads", "leads.csv", "--out", "out.csv", *workspace, cwd=tmp_path)
        assert ran.code == 3
        assert "Not scored: 2 rows (unknown lead: 1; created after as_of: 1). Leads: =1+1, L002499." in ran.err
        assert [row["lead_id"] for row in rows_of(tmp_path / "out.csv")] == ["L000100", "L000200"]
        rejected = rows_of(tmp_path / "out.rejected.csv")
        assert [(row["lead_id"], row["reason"]) for row in rejected] == [
            ("'=1+1", "unknown lead"),
            ("L002499", "created after as_of"),
        ]
        assert rejected[0]["as_of"] == "2026-05-31T15:00:00+00:00"
        ran = kizashi("score", "--leads", "leads.csv", "--json", *workspace, cwd=tmp_path)
        assert ran.code == 3
        assert (ran.json["scored"], ran.json["rejected"]) == (2, 2)
        assert [row["lead_id"] for row in ran.json["rejections"]] == ["=1+1", "L002499"]

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "which is empty"),
            (b"lead_id\n", "without a row"),
            (b"id,as_of\nL000100,2026-06-01\n", "with the columns id, as_of; expected a column lead_id"),
            (b"lead_id,as_of\nL000100,tomorrow\n", "as_of 'tomorrow' in row 1"),
            (b"lead_id,note\nL000100,a\n ,b\n", "no lead_id in row 2"),
            ("lead_id,名前\nL000100,山田\n".encode("cp932"), "iconv -f CP932 -t UTF-8"),
        ],
    )
    def test_a_file_that_cannot_be_used(self, trained: Trained, tmp_path: Path, content: bytes, words: str) -> None:
        (tmp_path / "leads.csv").write_bytes(content)
        ran = kizashi("score", "--leads", "leads.csv", "--workspace", trained.folder, cwd=tmp_path)
        assert (ran.code, ran.out) == (1, "")
        assert_one_paragraph(ran)
        assert words in ran.err

    def test_endless_streams_are_refused_at_once(self, trained: Trained, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.csv")
        for path in ("/dev/zero", tmp_path / "pipe.csv", tmp_path):
            ran = kizashi("score", "--leads", path, "--workspace", trained.folder, cwd=tmp_path, timeout=60)
            assert (ran.code, ran.out) == (1, "")
            assert "no regular file" in ran.err

    def test_reasons_in_japanese(self, copied: Path) -> None:
        text = WORKSPACE_FILE.replace('name = "small"', 'name = "small"\nlanguage = "ja"')
        (copied / "kizashi.toml").write_text(text, encoding="utf-8")
        ran = kizashi("score", *AS_OF, "--out", "out.csv", cwd=copied)
        assert ran.code == 0, ran.err
        reasons = [row["reasons"] for row in rows_of(copied / "out.csv") if row["reasons"]]
        assert reasons
        assert all(any("\u3040" <= sign <= "\u9fff" for sign in text) for text in reasons)

    def test_where_ids_are_hashed_a_file_names_leads_as_the_crm_does(self, copied: Path) -> None:
        (copied / "leads.csv").write_text("lead_id,as_of\n" + "".join(f"{lead},2026-06-01\n" for lead in SOME_LEADS))
        plain = kizashi("score", "--leads", "leads.csv", "--json", cwd=copied).json["scores"]
        text = WORKSPACE_FILE.replace('name = "small"', 'name = "small"\nhash_ids = true')
        (copied / "kizashi.toml").write_text(text, encoding="utf-8")
        ran = kizashi("score", "--leads", "leads.csv", "--json", cwd=copied, environ={"KIZASHI_ID_KEY": "k" * 32})
        assert ran.code == 0, ran.err
        assert [record["lead_id"] for record in ran.json["scores"]] == list(SOME_LEADS)
        assert [record["score"] for record in ran.json["scores"]] == [record["score"] for record in plain]

    def test_a_model_that_is_not_there(self, trained: Trained) -> None:
        ran = kizashi("score", "--model", "99", cwd=trained.folder)
        assert ran.code == 1
        assert_one_paragraph(ran)


@pytest.mark.slow
class TestLine:
    def test_what_if_changes_nothing_until_it_is_saved(self, copied: Path) -> None:
        (copied / "leads.csv").write_text("lead_id,as_of\nL000100,2026-06-01\n", encoding="utf-8")
        score = ("score", "--leads", "leads.csv", "--json")
        before = kizashi(*score, cwd=copied).json["scores"][0]
        tried = kizashi("line", "--capacity", "1", "--json", cwd=copied)
        assert (tried.code, tried.err, tried.json["saved"]) == (0, "", False)
        assert not (copied / ".kizashi" / "line.json").exists()
        assert kizashi(*score, cwd=copied).json["scores"][0] == before
        saved = kizashi("line", "--capacity", "1", "--touch-cost", "100", "--save", "--json", cwd=copied).json
        assert saved["crossings_per_week"] <= 1
        after = kizashi(*score, cwd=copied).json["scores"][0]
        assert after["line_version"] == saved["version"] != before["line_version"]
        assert after["expected_value"] == pytest.approx(before["expected_value"] - 40)
        for name in ("score", "p_sql", "p_won", "expected_revenue"):
            assert after[name] == before[name]

    def test_a_smaller_capacity_is_a_higher_line(self, trained: Trained) -> None:
        wide, narrow = (
            kizashi("line", "--capacity", capacity, "--json", cwd=trained.folder).json for capacity in ("20", "1")
        )
        assert wide["price"] < narrow["price"]
        assert wide["crossings_per_week"] > narrow["crossings_per_week"]

    def test_in_words(self, trained: Trained) -> None:
        ran = kizashi("line", cwd=trained.folder)
        assert ran.code == 0
        assert ran.out.startswith("The MQL line\n  Line    a lead is an MQL when its expected value is above ")
        assert "sales can start on 3 a week" in ran.out
        assert ran.out.rstrip().endswith("Nothing was changed; add --save to put this line in force.")

    def test_the_old_rule_beside_another_capacity_and_the_files(self, copied: Path) -> None:
        files = ("--leads-out", "crossed.csv", "--definition", "mql.md", "--language", "ja")
        ran = kizashi("line", "--capacity", "5", "--grid", *files, "--json", cwd=copied)
        found = ran.json
        assert (ran.code, ran.err, found["notes"]) == (0, "", [])
        old, new = found["comparison"]["old"], found["comparison"]["new"]
        assert max(old["worked"], new["worked"]) <= 5
        assert found["gain"]["value"] == pytest.approx(new["value"]["value"] - old["value"]["value"])
        assert found["equivalents"][0]["segment"] == "all"
        assert 5.0 in [row["capacity"] for row in found["grid"]]
        with (copied / "crossed.csv").open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["change"] for row in rows].count("gained") == found["gained"]
        assert [row["change"] for row in rows].count("lost") == found["lost"]
        assert all(row["reasons"] for row in rows)
        text = (copied / "mql.md").read_text(encoding="utf-8")
        assert text.startswith("# MQLの定義")
        assert found["version"] in text

    def test_an_agreed_line_is_what_is_shown_from_then_on(self, copied: Path) -> None:
        people = ("--agreed-by", "Sato, Marketing", "--agreed-by", "Tanaka, Sales")
        saved = kizashi("line", "--capacity", "2", "--hysteresis", "0.1", "--save", *people, "--json", cwd=copied).json
        shown = kizashi("line", "--definition", "mql.html", "--json", cwd=copied).json
        for name in ("version", "capacity_per_week", "hysteresis", "agreed_by", "review_on", "price", "gain"):
            assert shown[name] == saved[name]
        page = (copied / "mql.html").read_text(encoding="utf-8")
        assert "In force" in page
        assert "Sato" in page

    def test_what_a_line_does_without_stays_so_when_the_file_says_otherwise(self, copied: Path) -> None:
        kizashi("line", "--capacity", "2", "--save", "--json", cwd=copied)
        file = copied / "kizashi.toml"
        told = file.read_text(encoding="utf-8").replace("[value]\n", "[value]\nhours_per_lead = 9\n")
        file.write_text(told + "[line]\nband_share = 0.1\nband_width = 0.2\n", encoding="utf-8")
        shown = kizashi("line", "--definition", "mql.md", "--json", cwd=copied).json
        assert (shown["band"], shown["hours_per_lead"]) == (None, None)
        assert shown["comparison"]["new"]["hours"] is None

    def test_an_earlier_moment_knows_nothing_of_the_weeks_after_it(self, copied: Path) -> None:
        found = kizashi("line", "--as-of", "2026-03-01", "--json", cwd=copied).json
        assert (found["comparison"], found["gain"], found["gained"]) == (None, None, 0)
        assert "were not known by then" in found["notes"][0]

    def test_which_leads_cross_is_known_in_the_workspace_alone(self, copied: Path) -> None:
        shutil.rmtree(copied / ".kizashi" / "gain")
        found = kizashi("line", "--leads-out", "crossed.csv", "--json", cwd=copied).json
        assert found["comparison"] is not None
        assert "train again" in found["notes"][0].lower()
        assert not (copied / "crossed.csv").exists()

    def test_no_line_without_leads(self, copied: Path) -> None:
        ran = kizashi("line", "--as-of", "2000-01-01", "--save", cwd=copied)
        assert (ran.code, ran.out) == (1, "")
        assert_one_paragraph(ran)
        assert not (copied / ".kizashi" / "line.json").exists()


@pytest.mark.slow
def test_versions_come_and_go(copied: Path) -> None:
    """A second version is a challenger, a person promotes it, and goes back."""
    only = kizashi("rollback", cwd=copied)
    assert only.code == 1
    assert_one_paragraph(only)
    ran = kizashi("retrain", "--as-of", "2026-05-31", "--no-backtest", "--json", cwd=copied)
    assert (ran.code, ran.err) == (3, "")
    assert (ran.json["model_version"], ran.json["is_champion"], ran.json["promoted"]) == ("2", False, False)
    (copied / "leads.csv").write_text("lead_id,as_of\nL000100,2026-06-01\n", encoding="utf-8")
    score = ("score", "--leads", "leads.csv", "--json")
    assert kizashi(*score, cwd=copied).json["scores"][0]["model_version"] == "1"
    challenger = kizashi(*score, "--model", "challenger", cwd=copied)
    assert challenger.json["scores"][0]["model_version"] == "2"
    looked = kizashi("promote", "--dry-run", "--json", cwd=copied)
    assert (looked.code, looked.json["promoted"], looked.json["champion"]) == (3, False, "1")
    asked = {item["name"]: item for item in looked.json["gate"]["conditions"]}
    assert {"leaks", "enough rows", "log-loss", "overlap"} <= set(asked)
    assert all(item["found"] and item["limit"] for item in asked.values())
    assert looked.json["gate"]["basis"]["is_refresh"]
    moved = rows_of(Path(looked.json["migration_file"]))
    assert len(moved) == looked.json["migration"]["up"] + looked.json["migration"]["down"]
    ran = kizashi("promote", "2", "--force", "--reason", "a test of promotion", "--json", cwd=copied)
    assert (ran.code, ran.json["version"], ran.json["promoted"]) == (0, "2", True)
    assert kizashi(*score, cwd=copied).json["scores"][0]["model_version"] == "2"
    ran = kizashi("rollback", cwd=copied)
    assert (ran.code, ran.out) == (0, "Version 1 is champion again; version 2 stays in the registry.\n")
    assert kizashi(*score, cwd=copied).json["scores"][0]["model_version"] == "1"
    ran = kizashi("promote", "99", cwd=copied)
    assert ran.code == 1
    assert_one_paragraph(ran)


def masked(line: str) -> str:
    """A line without its numbers, the spaces that follow their width, and the folder of the command."""
    return re.sub(r"[\d.,]+", "#", re.sub(r"\S*/kizashi ", "kizashi ", " ".join(line.split())))


def readme_demo() -> list[str]:
    """Lines of the README's demo but those of leads, whose reasons depend on the data."""
    shown = (ROOT / "README.md").read_text(encoding="utf-8").partition("<!-- demo-output -->")[2]
    lines = shown.partition("<!-- /demo-output -->")[0].strip().strip("`").removeprefix("text").splitlines()
    return [line for line in lines if line.strip() not in ("", "...") and not re.match(r"L\d{6}| {40}", line)]


@pytest.mark.slow
def test_the_demo_ends_with_what_to_do_next(tmp_path: Path) -> None:
    ran = kizashi("demo", cwd=tmp_path)
    assert ran.code == 0, ran.err
    learned, shown = ran.out.split("The ten leads to call first, of ", 1)
    assert "The MQL line\n" in learned
    assert "Registered as version 1" in learned
    leads = [line for line in shown.splitlines() if line.startswith("L00")]
    assert len(leads) == 10
    assert all("+" in line or "-" in line for line in leads)
    for words in ("ui --workspace demo", "serve --workspace demo", "export KIZASHI_API_KEY", "/v1/score"):
        assert words in shown
    assert (tmp_path / "demo" / "kizashi.toml").is_file()
    printed = {masked(line) for line in ran.out.splitlines()}
    missing = [line for line in readme_demo() if masked(line) not in printed]
    assert missing == [], "README.md shows lines that the demo does not print any more"


def test_the_demo_leaves_another_workspace_alone(tiny: Path) -> None:
    ran = kizashi("demo", "--workspace", tiny, cwd=tiny.parent)
    assert ran.code == 1
    assert "which is no demo's; expected an empty folder, or a demo's" in ran.err
    assert (tiny / "kizashi.toml").read_text(encoding="utf-8") == TINY


def test_scorecard_writes_what_it_prints(trained: Trained, tmp_path: Path) -> None:
    version = trained.ran.json["model_version"]
    ran = kizashi("scorecard", "--model-version", version, "--out", tmp_path / "card", "--json", cwd=trained.folder)
    assert ran.code == 0, ran.err
    printed = ran.json
    files = printed.pop("files")
    assert sorted(Path(path).name for path in files) == [
        "exact_points.csv",
        "scorecard.csv",
        "scorecard.ja.md",
        "scorecard.json",
        "scorecard.md",
        "scorecard.sql",
    ]
    assert json.loads((tmp_path / "card" / "scorecard.json").read_text(encoding="utf-8")) == printed
    rows = rows_of(tmp_path / "card" / "scorecard.csv")
    assert len(rows) == printed["rows"] <= 60
    assert printed["agreement"]["model_is_out_of_fold"]
    assert {"signal", "feature", "kind", "from", "to", "points"} == set(
        rows_of(tmp_path / "card" / "exact_points.csv")[0]
    )


def test_scorecard_refuses_a_version_that_there_is_not(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = in_process("scorecard", "--model-version", "99", cwd=trained.folder, monkeypatch=monkeypatch)
    assert ran.code == 1
    assert_one_paragraph(ran)
