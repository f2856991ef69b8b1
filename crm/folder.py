"""A folder of files as a source: the analyst's SELECTs run in DuckDB, which sees this folder and nothing else.

File names in a SELECT are relative to the folder. DuckDB would look for them in the current directory, so each is found
in the syntax tree that DuckDB itself gives and replaced by its full path before the SELECT runs.
"""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false

from __future__ import annotations

import json
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa

from crm.errors import SourceError

__all__ = ["Folder", "check_one_select", "more_than_a_select", "open_folder"]

MAX_FILE_BYTES = 50_000_000_000
DATA_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".jsonl", ".ndjson", ".json", ".csv.gz", ".jsonl.gz")
_GLOB = "*?["


class Folder:
    """An opened folder, ready to run SELECTs."""

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self._path, self._connection = path, connection

    def run(self, sql: str) -> pa.Table:
        """Return the rows of one SELECT.

        Raises
        ------
        SourceError
            When it is anything but one SELECT, or names a file that is missing, empty or no regular file.
        """
        check_one_select(sql)
        return self._connection.sql(self._with_full_paths(sql)).to_arrow_table()

    def _with_full_paths(self, sql: str) -> str:
        rows = self._connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
        text = sql.encode()
        # From the end, so that the places before stay where they are.
        for start, name in sorted(set(self._names(json.loads(rows[0][0]))), reverse=True):
            written = [f"{mark}{name.replace(mark, 2 * mark)}{mark}".encode() for mark in ("'", '"')]
            found = next((form for form in written if text[start:].startswith(form)), None)
            if found is not None:
                full = "'" + str(self._path / name).replace("'", "''") + "'"
                text = text[:start] + full.encode() + text[start + len(found) :]
        return text.decode()

    def _names(self, tree: Any) -> Iterator[tuple[int, str]]:
        """Yield byte position and text of whatever in a syntax tree names files, once they have been looked at."""
        for node in _nodes(tree):
            if node.get("type") == "BASE_TABLE" and not node.get("schema_name"):
                name = node["table_name"]
                path = self._path / name
                is_file = "/" in name or name.lower().endswith(DATA_SUFFIXES) or (path.exists() and not path.is_dir())
                found = [(node["query_location"], name)] if is_file else []
            elif node.get("type") == "TABLE_FUNCTION" and _reads_files(node["function"]["function_name"]):
                found = [(at, name) for at, name in _texts(node["function"]["arguments"]) if "://" not in name]
            else:
                continue
            for at, name in found:
                self._check(name)
                yield at, name

    def _check(self, name: str) -> None:
        """Refuse a file name or pattern that finds nothing, leads outside, or finds what is no regular file."""
        is_pattern = set(name) & set(_GLOB) and not Path(name).is_absolute()
        found = [match for match in self._path.glob(name) if not match.is_dir()] if is_pattern else [self._path / name]
        if not found or not all(match.exists() for match in found):
            raise SourceError(
                found=f"no file '{name}' in '{self._path}'",
                expected=f"one of its files: {', '.join(self._files()) or '(the folder has none)'}",
                fix="correct the name in [source.tables], or put the file there",
            )
        for match in found:
            if self._path not in match.resolve().parents:
                raise SourceError(
                    found=f"the file '{name}' outside '{self._path}'",
                    expected="files inside the folder of [source] url",
                    fix="copy the file into the folder; nothing outside it is read",
                )
            _check_file(match)

    def _files(self) -> list[str]:
        return [path.name for path in sorted(self._path.iterdir()) if path.name.lower().endswith(DATA_SUFFIXES)][:20]


def check_one_select(sql: str) -> None:
    """Refuse whatever is anything but one SELECT in DuckDB's SQL."""
    statements = duckdb.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise more_than_a_select(len(statements))


def more_than_a_select(count: int) -> SourceError:
    """Return the error for a text of ``count`` statements that is not one SELECT."""
    return SourceError(
        found=f"{count} statement(s), not all of them SELECT",
        expected="one SELECT, which cannot write",
        fix="keep only the SELECT in kizashi.toml",
    )


@contextmanager
def open_folder(path: Path) -> Generator[Folder]:
    """Open a folder for reading, with everything outside it shut: no other file, no network, no extension.

    Raises
    ------
    SourceError
        When there is no such folder.
    """
    if not path.is_dir():
        raise SourceError(
            found=f"no folder '{path}'",
            expected="a folder of CSV, TSV, Parquet or JSONL files",
            fix="correct [source] url in kizashi.toml, or set the environment variable that it names",
        )
    with TemporaryDirectory() as spill:
        connection = duckdb.connect(
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "threads": "2",
                "temp_directory": spill,
            }
        )
        try:
            quoted = str(path.resolve()).replace("'", "''")
            connection.execute(f"SET allowed_directories = ['{quoted}/']")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            yield Folder(path.resolve(), connection)
        finally:
            connection.close()


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a syntax tree."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from _nodes(part)


def _reads_files(function: str) -> bool:
    return function.startswith(("read_", "parquet_")) or function in ("glob", "sniff_csv")


def _texts(arguments: list[dict[str, Any]]) -> Iterator[tuple[int, str]]:
    """Yield byte position and text of a reader's first argument, a text or a list of texts."""
    first = arguments[0]["expression"] if arguments else {}
    parts = [part["expression"] for part in first.get("arguments", ())]
    for part in parts if first.get("function_name") == "list_value" else [first]:
        if (part.get("literal") or {}).get("kind") == "STRING":
            yield part["query_location"], part["literal"]["text"]


def _check_file(path: Path) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(
            found=f"'{path.name}', which is a pipe, a device or a folder",
            expected="regular files only",
            fix="write the stream to a file first; nothing was read from it",
        )
    if status.st_size == 0:
        raise SourceError(
            found=f"an empty file '{path.name}'",
            expected="at least a line with the names of the columns",
            fix="export the file again; a table without rows keeps its first line",
        )
    if status.st_size > MAX_FILE_BYTES:
        raise SourceError(
            found=f"'{path.name}' with {status.st_size / 1e9:.1f} GB",
            expected=f"at most {MAX_FILE_BYTES / 1e9:.0f} GB a file",
            fix="split it, or load it into a database and name that as the source",
        )
