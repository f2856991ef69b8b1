"""Where raw tables come from: a folder that nothing leads out of, a database that nothing writes to, the demo."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm.config import load_workspace
from crm.errors import SourceError
from crm.sources import open_source

SECRET = "id\noutside\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the source's folder, with a file inside and others around it."""
    inside = tmp_path / "data"
    (inside / "sub").mkdir(parents=True)
    (inside / "leads.csv").write_text("id\ninside\n")
    (inside / "sub" / "more.csv").write_text("id\nsub\n")
    (tmp_path / "secret.csv").write_text(SECRET)
    return inside


def read(folder: Path, sql: str, url: str = "dir:data", environ: Mapping[str, str] | None = None) -> pa.Table:
    text = f"[source]\nurl = {json.dumps(url)}\n[source.tables]\nleads = {json.dumps(sql)}\n"  # TOML knows these texts
    (folder.parent / "kizashi.toml").write_text(text, encoding="utf-8")
    with open_source(load_workspace(folder.parent, environ=environ or {})) as source:
        assert source.tables == ("leads",)
        return source.read("leads")


def ids(folder: Path, sql: str) -> list[str]:
    return read(folder, sql).column("id").to_pylist()


def refusal(folder: Path, sql: str, url: str = "dir:data") -> str:
    with pytest.raises(SourceError) as caught:
        read(folder, sql, url)
    text = str(caught.value)
    assert text.startswith("Found ")
    assert "; expected " in text
    assert " To go on: " in text
    return text


class TestNames:
    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT * FROM 'leads.csv'",
            'SELECT * FROM "leads.csv"',
            "SELECT * FROM read_csv('leads.csv')",
            "FROM read_csv(['leads.csv'], header = true)",
            "WITH x AS (FROM 'leads.csv') SELECT (SELECT min(id) FROM read_csv('leads.csv')) AS id FROM x",
            "-- 日本語 'leads.csv'\nSELECT l.id FROM 'leads.csv' AS l",
            "SELECT leads.id FROM 'leads.csv'",
            "SELECT id FROM 'leads.csv' WHERE 'leads.csv' = 'leads' || '.csv';",
            "SELECT id FROM read_csv('lead*.csv', filename = true)",
        ],
    )
    def test_files_of_the_folder_are_found_by_name(self, folder: Path, sql: str) -> None:
        assert ids(folder, sql) == ["inside"]

    def test_folders_below_and_patterns_too(self, folder: Path) -> None:
        assert ids(folder, "FROM 'sub/more.csv'") == ["sub"]
        assert sorted(ids(folder, "FROM read_csv('**/*.csv')")) == ["inside", "sub"]
        assert sorted(ids(folder, "FROM read_csv(['leads.csv', 'sub/more.csv'])")) == ["inside", "sub"]

    def test_a_file_of_the_same_name_in_the_current_folder_is_not_read(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder.parent / "leads.csv").write_text(SECRET)
        monkeypatch.chdir(folder.parent)
        assert ids(folder, "FROM 'leads.csv'") == ["inside"]
        assert ids(folder, "FROM read_csv('leads.csv')") == ["inside"]

    def test_odd_names_of_folders_and_files(self, folder: Path) -> None:
        odd = folder.parent / "it's, a folder; 日本"
        odd.mkdir()
        (odd / "o'leads.csv").write_text("id\nodd\n")
        assert read(folder, 'FROM "o\'leads.csv"', f"dir:{odd.name}").column("id").to_pylist() == ["odd"]

    def test_the_full_path_of_a_file_inside_is_inside(self, folder: Path) -> None:
        assert ids(folder, f"FROM '{folder}/leads.csv'") == ["inside"]

    def test_a_missing_file_is_named_with_what_is_there(self, folder: Path) -> None:
        for sql in ("FROM 'lead.csv'", "FROM read_csv('lead.csv')", "FROM read_csv('x*.csv')"):
            assert "expected one of its files: leads.csv" in refusal(folder, sql)

    def test_a_missing_folder_is_named(self, folder: Path) -> None:
        assert "no folder" in refusal(folder, "SELECT 1", "dir:exports")


class TestOutside:
    @pytest.mark.parametrize(
        "sql",
        [
            "FROM '{top}/secret.csv'",
            "FROM read_csv('{top}/secret.csv')",
            "FROM '../secret.csv'",
            "FROM read_csv('../secret.csv')",
            "FROM read_csv('sub/../../secret.csv')",
            "FROM read_csv('../*.csv')",
            "FROM read_csv(['leads.csv', '../secret.csv'])",
            "FROM read_csv('..' || '/secret.csv')",
            "FROM read_text('{top}/secret.csv')",
            "FROM read_blob('{top}/*')",
            "FROM glob('{top}/*')",
            "FROM read_csv('/proc/self/environ')",
            "FROM read_csv('/dev/stdin')",
            "FROM read_csv('link.csv')",
            "FROM read_csv('links/secret.csv')",
            "FROM read_csv('links/*.csv')",
            "FROM read_csv('http://127.0.0.1:9/x.csv')",
            "FROM read_parquet('s3://bucket/x.parquet')",
            "FROM sniff_csv('{top}/secret.csv')",
            "FROM query('FROM ''{top}/secret.csv''')",
            "SELECT getenv('HOME') AS id",
        ],
    )
    def test_nothing_outside_can_be_reached(self, folder: Path, sql: str) -> None:
        top = folder.parent
        (folder / "link.csv").symlink_to(top / "secret.csv")
        (folder / "links").symlink_to(top)
        assert "outside\n" not in refusal(folder, sql.format(top=top))

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT 1; SELECT 2",
            "SELECT 1; COPY (SELECT 1) TO 'x.csv'",
            "WITH x AS (SELECT 1) INSERT INTO t FROM x",
            "FROM query('COPY (SELECT 1) TO ''x.csv''')",
            "(SELECT 1); ATTACH 'x.db'",
            "SELECT 1; INSTALL httpfs",
            "SELECT 1; LOAD httpfs",
            "SELECT 1; SET enable_external_access = true",
            "SELECT 1; PRAGMA enable_profiling",
        ],
    )
    def test_only_one_select_runs(self, folder: Path, sql: str) -> None:
        before = sorted(folder.rglob("*"))
        refusal(folder, sql)
        assert sorted(folder.rglob("*")) == before

    def test_a_settings_table_shows_that_the_doors_are_shut(self, folder: Path) -> None:
        names = "'enable_external_access', 'autoinstall_known_extensions', 'autoload_known_extensions'"
        found = read(folder, f"SELECT name, value FROM duckdb_settings() WHERE name IN ({names})")
        assert set(found.column("value").to_pylist()) == {"false"}


class TestFiles:
    def test_a_byte_order_mark_is_no_part_of_the_first_name(self, folder: Path) -> None:
        (folder / "leads.csv").write_bytes("id,会社\n1,兆し\n".encode("utf-8-sig"))
        assert read(folder, "FROM 'leads.csv'").to_pylist() == [{"id": 1, "会社": "兆し"}]

    @pytest.mark.parametrize("encoding", ["cp932", "euc_jp"])
    def test_a_japanese_encoding_says_how_to_convert(self, folder: Path, encoding: str) -> None:
        (folder / "leads.csv").write_bytes("id,会社\n1,兆し株式会社\n".encode(encoding))
        assert "save the file as UTF-8 (a Japanese export is often Shift-JIS: 'iconv -f CP932" in refusal(
            folder, "FROM read_csv('leads.csv')"
        )

    def test_an_empty_file_is_named(self, folder: Path) -> None:
        (folder / "leads.csv").write_bytes(b"")
        assert "an empty file 'leads.csv'" in refusal(folder, "FROM 'leads.csv'")

    def test_a_file_with_names_alone_is_a_table_without_rows(self, folder: Path) -> None:
        (folder / "leads.csv").write_text("lead_id,created_at\n")
        found = read(folder, "FROM read_csv('leads.csv', header = true)")
        assert (found.num_rows, found.column_names) == (0, ["lead_id", "created_at"])

    @pytest.mark.parametrize("name", ["pipe.csv", "pipe"])
    def test_a_pipe_is_refused_and_never_waited_for(self, folder: Path, name: str) -> None:
        os.mkfifo(folder / name)
        assert "which is a pipe, a device or a folder" in refusal(folder, f"FROM read_csv('{name}')")

    def test_every_format_is_read(self, folder: Path) -> None:
        (folder / "a.tsv").write_text("id\tname\n1\tx, y\n")
        (folder / "a.jsonl").write_text('{"id": 1, "name": "x, y"}\n')
        (folder / "a.csv.gz").write_bytes(gzip.compress(b'id,name\n1,"x, y"\n', mtime=0))
        pq.write_table(pa.table({"id": [1], "name": ["x, y"]}), folder / "a.parquet")
        for name in ("a.tsv", "a.jsonl", "a.csv.gz", "a.parquet"):
            assert read(folder, f"FROM '{name}'").to_pylist() == [{"id": 1, "name": "x, y"}], name

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.parquet", b"PAR1 but not really"),
            ("a.jsonl", b'{"id": 1}\n{"id": '),
            ("a.csv.gz", b"no gzip at all"),
            ("a.parquet", b"x"),
        ],
    )
    def test_a_broken_file_is_an_error_with_the_table(self, folder: Path, name: str, content: bytes) -> None:
        (folder / name).write_bytes(content)
        assert "an error in the SELECT for table 'leads'" in refusal(folder, f"FROM '{name}'")

    def test_a_mistake_in_sql_says_where(self, folder: Path) -> None:
        text = refusal(folder, "SELECT nam FROM 'leads.csv'")
        assert '"nam"' in text
        assert "correct [source.tables] leads in kizashi.toml" in text
        assert "\n" not in text


class TestDatabases:
    @pytest.fixture(params=["sqlite", "duckdb"])
    def database(self, request: pytest.FixtureRequest, folder: Path) -> str:
        path = folder.parent / f"crm.{request.param}"
        connection = sqlite3.connect(path) if request.param == "sqlite" else duckdb.connect(str(path))
        connection.execute("CREATE TABLE people (id INTEGER, born TEXT)")
        connection.execute("INSERT INTO people VALUES (1, '2024-01-01'), (2, NULL)")
        connection.commit()
        connection.close()
        return f"{request.param}://{path.name}"

    def test_a_select_is_answered(self, folder: Path, database: str) -> None:
        found = read(folder, "SELECT id AS lead_id, born FROM people ORDER BY 1", database)
        assert found.to_pylist() == [{"lead_id": 1, "born": "2024-01-01"}, {"lead_id": 2, "born": None}]

    def test_a_full_path_is_one_too(self, folder: Path, database: str) -> None:
        scheme, name = database.split("://")
        assert read(folder, "SELECT * FROM people", f"{scheme}://{folder.parent / name}").num_rows == 2

    @pytest.mark.parametrize(
        "sql",
        [
            "WITH x AS (SELECT 1) DELETE FROM people",
            "WITH x AS (DELETE FROM people RETURNING *) SELECT * FROM x",
            "SELECT 1; DROP TABLE people",
            "SELECT * INTO copies FROM people",
        ],
    )
    def test_nothing_is_written(self, folder: Path, database: str, sql: str) -> None:
        assert "SELECT" in refusal(folder, sql, database)
        assert read(folder, "SELECT * FROM people", database).num_rows == 2

    def test_a_column_of_mixed_values_is_read_as_text(self, folder: Path) -> None:
        with sqlite3.connect(folder.parent / "mixed.sqlite") as connection:
            connection.execute("CREATE TABLE deals (amount, won)")
            connection.execute("INSERT INTO deals VALUES (1.5, 1), ('many', 0), (NULL, NULL)")
        connection.close()
        found = read(folder, "SELECT CAST(amount AS TEXT) AS amount, won FROM deals", "sqlite://mixed.sqlite")
        assert found.column("amount").to_pylist() == ["1.5", "many", None]

    def test_a_missing_table_is_an_error_of_that_select(self, folder: Path, database: str) -> None:
        assert "an error in the SELECT for table 'leads'" in refusal(folder, "SELECT * FROM persons", database)

    def test_a_missing_file_is_not_made(self, folder: Path, database: str) -> None:
        url = database.replace("crm.", "other.")
        assert "no connection to" in refusal(folder, "SELECT 1", url)
        assert not list(folder.parent.glob("other.*"))

    def test_an_unknown_scheme_lists_the_known_ones(self, folder: Path) -> None:
        assert "expected 'dir:FOLDER', 'demo://' or a URL that Ibis can open" in refusal(folder, "SELECT 1", "ftp://x")

    def test_secrets_stay_out_of_errors(self, folder: Path, database: str) -> None:
        with pytest.raises(SourceError) as caught:
            read(folder, "SELECT 1", "sqlite://${TOKEN}/x.db", {"TOKEN": "s3cr3t-t0ken"})
        assert "s3cr3t" not in str(caught.value)
        assert "***" in str(caught.value)


def test_the_demo_vouches_for_its_attributes(tmp_path: Path) -> None:
    (tmp_path / "kizashi.toml").write_text('[source]\nurl = "demo://?leads=200&seed=3"\n')
    with open_source(load_workspace(tmp_path)) as source:
        assert source.read("leads").num_rows == 200
        assert "industry" in source.known_at_creation
        assert {"leads", "touches", "stages", "opportunities"} <= set(source.tables)
