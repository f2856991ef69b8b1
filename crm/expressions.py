"""The SQL expressions of the workspace file: one scalar over columns of a lead, and nothing else.

An expression is parsed, held to a short list of operators and functions, and written anew for DuckDB: no text of the
file reaches an engine. Every part of it has a kind (text, number, boolean) that follows from how it is used, so a
comparison of text with a number is found before any row is read, and tables and one lead in memory are read alike.
Numbers are doubles throughout: no row can make an expression fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from crm.expression_reader import KIND_WORDS, ColumnKind, ExpressionError, ExpressionReader, Kind, short
from crm.parsing import quote

__all__ = ["COLUMN_TYPES", "ColumnKind", "Expression", "ExpressionError", "Kind", "columns_of", "parse_expression"]

COLUMN_TYPES: Mapping[ColumnKind, str] = {
    "text": "VARCHAR",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "any": "VARCHAR",
}
"""DuckDB's type of a column of each kind; of ``any``, only whether there is a value counts."""
MAX_LENGTH = 4_000


@dataclass(frozen=True)
class Expression:
    """One expression, understood.

    Parameters
    ----------
    text
        As the workspace file has it.
    sql
        The same for DuckDB, over columns of :data:`COLUMN_TYPES` by their quoted names.
    columns
        The columns that it reads, each with the kind that it takes it for.
    """

    text: str
    sql: str
    columns: Mapping[str, ColumnKind]


@lru_cache(maxsize=1_000)
def parse_expression(text: str, kind: Kind = "boolean") -> Expression:
    """Understand one expression.

    Parameters
    ----------
    text
        SQL, as a person writes it.
    kind
        What its value must be.

    Raises
    ------
    ExpressionError
        When it is none, reads anything but columns of one row, calls what is not on the list, or mixes kinds.

    Examples
    --------
    >>> dict(parse_expression("job_level = 'student' OR employees < 5").columns)
    {'job_level': 'text', 'employees': 'number'}
    >>> try:
    ...     parse_expression("id IN (SELECT lead_id FROM customers)")
    ... except ExpressionError as error:
    ...     print(error)
    a subquery is not taken; an expression reads the columns of one lead
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"an expression of {len(text):,} characters; at most {MAX_LENGTH:,} are taken")
    if any(ord(sign) < 32 and sign not in "\t\n\r" for sign in text):
        raise ExpressionError("a control character is not taken")
    reader = ExpressionReader()
    try:
        parsed = sqlglot.parse_one(text, into=exp.Condition, dialect="duckdb")
        sql = reader.whole(parsed, kind)
    except SqlglotError:
        raise ExpressionError(f"expected one SQL expression over columns of a lead, found {short(text)}") from None
    except RecursionError:
        raise ExpressionError("it is nested too deeply; split it into several") from None
    if not reader.columns:
        raise ExpressionError("it reads no column of a lead, so it says the same of every lead")
    found = Expression(text, sql, reader.column_kinds())
    _try_out(found)
    return found


def columns_of(texts: Iterable[str]) -> dict[str, ColumnKind]:
    """Return every column that several expressions, each true or false, read, with its kind.

    Raises
    ------
    ExpressionError
        When two of them take a column for different things.
    """
    found: dict[str, ColumnKind] = {}
    for text in texts:
        for name, kind in parse_expression(text).columns.items():
            before = found.setdefault(name, kind)
            if "any" not in (before, kind) and before != kind:
                raise ExpressionError(
                    f"'{name}' is taken for {KIND_WORDS[before]} by one rule, for {KIND_WORDS[kind]} by another"
                )
            found[name] = kind if before == "any" else before
    return found


def _try_out(found: Expression) -> None:
    """Let DuckDB plan the expression over a row without values: it refuses what only it can, such as a bad pattern."""
    columns = ", ".join(f"CAST(NULL AS {COLUMN_TYPES[kind]}) AS {quote(name)}" for name, kind in found.columns.items())
    with _engine().cursor() as connection:
        try:
            connection.execute(f"SELECT {found.sql} FROM (SELECT {columns})").fetchall()
        except duckdb.Error as error:
            raise ExpressionError(" ".join(str(error).split())[:200]) from None


@lru_cache(maxsize=1)
def _engine() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET enable_external_access = false")
    return connection
