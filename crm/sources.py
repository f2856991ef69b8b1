"""Where raw tables come from: a folder of files, any database that Ibis reaches, or the simulator.

A source is asked for one table at a time, by the SELECT that the workspace gives for it. Nothing is written to it.
"""

# pyarrow publishes no types.
# Ibis declares what every backend has on the backends only.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import duckdb
import ibis
import pyarrow as pa
import sqlglot
from sqlglot import exp

from crm.config import Workspace, mask_secrets
from crm.config_sections import STATE_URL
from crm.errors import SourceError
from crm.folder import check_one_select, more_than_a_select, open_folder
from crm.tables import TABLES

__all__ = ["Source", "open_source"]

_WRITING = (
    *(exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Into),
    *(exp.Create, exp.Drop, exp.Alter, exp.Copy, exp.Command),
)

# A DuckDB file is a source, not a way to other files or the network.
_SHUT: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


class Source(Protocol):
    """A place that answers one SELECT a table.

    ``known_at_creation`` names attributes that the source itself vouches for, beside those of the workspace file.
    """

    tables: tuple[str, ...]
    known_at_creation: tuple[str, ...]

    def read(self, table: str) -> pa.Table:
        """Return the rows of one table as the source has them; ``SourceError`` when its SQL fails."""
        ...


@contextmanager
def open_source(workspace: Workspace) -> Generator[Source]:
    """Open the source that ``[source] url`` names, and close it afterwards.

    ``dir:FOLDER`` (relative to the workspace), ``demo://``, ``state:`` (nothing but what is told to the service) or any
    URL of Ibis.

    Raises
    ------
    SourceError
        When it cannot be opened.
    """
    config = workspace.config.source
    if config.url.startswith("demo:"):
        from crm.simulator import parse_demo_url, simulate  # the demo's code is read by the demo alone

        tables = simulate(parse_demo_url(config.url))
        yield _DemoSource(tables)
    elif config.url == STATE_URL:
        yield _NoSource()
    elif config.url.startswith("dir:"):
        with open_folder(workspace.folder / config.url.removeprefix("dir:").removeprefix("//")) as folder:
            yield _SqlSource(config.tables, folder.run, workspace.secrets)
    elif config.url.startswith("duckdb://"):  # not through ibis 12, whose backend.sql() fails with duckdb 2
        with _reach(workspace):
            connection = duckdb.connect(_file_of(config.url, workspace.folder), read_only=True, config=_SHUT)
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
        try:
            yield _SqlSource(config.tables, lambda sql: _query_duckdb(connection, sql), workspace.secrets)
        finally:
            connection.close()
    else:
        with _reach(workspace):
            backend = _connect(config.url, workspace.folder)
        try:
            yield _SqlSource(config.tables, lambda sql: _query_ibis(backend, sql), workspace.secrets)
        finally:
            backend.disconnect()


class _DemoSource:
    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        self._tables = tables
        self.tables = tuple(tables)
        declared = TABLES["leads"].column_names
        self.known_at_creation = tuple(name for name in tables["leads"].column_names if name not in declared)

    def read(self, table: str) -> pa.Table:
        return self._tables[table]


class _NoSource:
    """A source without tables: everything is posted or pulled."""

    tables = ()
    known_at_creation = ()

    def read(self, table: str) -> pa.Table:
        raise KeyError(table)


class _SqlSource:
    def __init__(self, selects: Mapping[str, str], run: Callable[[str], pa.Table], secrets: tuple[str, ...]) -> None:
        self._selects, self._run, self._secrets = selects, run, secrets
        self.tables = tuple(name for name in TABLES if name in selects)
        self.known_at_creation = ()

    def read(self, table: str) -> pa.Table:
        sql = self._selects[table].strip().rstrip(";")
        try:
            return self._run(sql)
        except SourceError:
            raise
        except Exception as error:  # every engine has its own errors; all mean that this SELECT failed
            message = mask_secrets(" ".join(str(error).split())[:600], self._secrets)
            raise SourceError(
                found=f"an error in the SELECT for table '{table}': {message}",
                expected="one SELECT that the source's engine can run",
                fix=_hint(message, table),
            ) from error


def _hint(message: str, table: str) -> str:
    if re.search(r"not utf-8|invalid unicode|invalid utf-?8|byte sequence mismatch", message, re.IGNORECASE):
        return (
            "save the file as UTF-8 (a Japanese export is often Shift-JIS: 'iconv -f CP932 -t UTF-8 in.csv > out.csv') "
            f"and run again; table '{table}' was not read"
        )
    if "operations are disabled by configuration" in message:
        return f"name files of the folder only in [source.tables] {table}; nothing outside it is read"
    return f"correct [source.tables] {table} in kizashi.toml"


def _query_duckdb(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    check_one_select(sql)
    return connection.sql(sql).to_arrow_table()


def _query_ibis(backend: ibis.BaseBackend, sql: str) -> pa.Table:
    statements = sqlglot.parse(sql, dialect=backend.dialect)
    writes = [part for part in statements if part is None or next(part.find_all(*_WRITING), None)]
    if len(statements) != 1 or writes or not isinstance(statements[0], exp.Query):
        raise more_than_a_select(len(statements))
    return backend.sql(sql).to_pyarrow()


@contextmanager
def _reach(workspace: Workspace) -> Generator[None]:
    """Turn whatever goes wrong while a database is opened into one error without secrets."""
    try:
        yield
    except Exception as error:  # every engine has its own errors; all mean that it could not be reached
        message = mask_secrets(" ".join(str(error).split())[:400], workspace.secrets)
        shown = mask_secrets(workspace.config.source.url, workspace.secrets)
        raise SourceError(
            found=f"no connection to '{shown}': {message}",
            expected="'dir:FOLDER', 'demo://' or a URL that Ibis can open (duckdb, sqlite, postgres, ...)",
            fix="check the URL, the network and the engine's extra (for example: pip install 'kizashi[postgres]')",
        ) from error


def _connect(url: str, folder: Path) -> ibis.BaseBackend:
    return ibis.connect(f"sqlite://{_file_of(url, folder)}" if url.startswith("sqlite://") else url)


def _file_of(url: str, folder: Path) -> str:
    """Return the full path of a database file; opening one that is missing would make it."""
    path = folder / url.partition("://")[2]
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    return str(path)
