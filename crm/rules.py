"""Who is excluded, and which segments a lead belongs to, as known at a moment.

One expression is evaluated two ways, both in DuckDB over the same types: for every moment of a table, and for leads in
memory that no table holds (the service). ``tests/unit/crm/test_rules.py`` holds the two to one another.
"""

# pyarrow publishes no types. Ibis declares what every backend has on the backends only.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crm.config import WorkspaceConfig
from crm.expressions import COLUMN_TYPES, ColumnKind, columns_of, parse_expression
from crm.lead_columns import column_problems, lead_columns, rows_known
from crm.parsing import BLANKS, quote
from crm.store import Tables

__all__ = ["LeadRules", "Segments", "columns_of_today", "excluded_at", "rule_problems", "segments_of"]

Value = str | float | bool | None


@dataclass(frozen=True)
class Segments:
    """Which segments each row belongs to.

    Parameters
    ----------
    names
        Names of the segments, in the file's order.
    member
        Shape (n, n_segments): the row's lead belonged to the segment at the row's moment.
    """

    names: tuple[str, ...]
    member: NDArray[np.bool_]

    def of_row(self, row: int) -> tuple[str, ...]:
        """Return the names of one row's segments."""
        return tuple(name for name, is_in in zip(self.names, self.member[row], strict=True) if is_in)


def rule_problems(tables: Tables, config: WorkspaceConfig) -> list[str]:
    """Say which columns that ``[exclude]`` and ``[segments]`` read do not exist or hold another kind of value.

    A segment may not read a column without history: it would tell leads apart by what they became later.
    """
    columns = lead_columns(tables)
    problems: list[str] = []
    for section, rules, takes_today in (("exclude", config.exclude, True), ("segments", config.segments, False)):
        for name, text in rules.items():
            found = column_problems(tables, columns, parse_expression(text).columns, takes_today=takes_today)
            problems += [f"{section}.{name}: {problem}" for problem in found]
    return problems


def columns_of_today(tables: Tables, text: str) -> tuple[str, ...]:
    """Name the columns of a rule that have no history: what they say today is taken for every moment."""
    columns = lead_columns(tables)
    return tuple(name for name in parse_expression(text).columns if not columns[name].is_known_then)


def excluded_at(tables: Tables, moments: pa.Table) -> NDArray[np.object_]:
    """Give, for each moment, the first rule of ``[exclude]`` that meets the lead as known then.

    Parameters
    ----------
    tables
        The workspace's tables, with the rules.
    moments
        ``row_id`` (0, 1, 2, ...), ``lead_id``, ``as_of_us``.

    Returns
    -------
    ndarray of object
        Shape (n,): the rule's name, or None.
    """
    if not tables.exclude or moments.num_rows == 0:
        return np.full(moments.num_rows, None, dtype=object)
    wanted = columns_of(tables.exclude.values())
    with rows_known(tables, lead_columns(tables), wanted, moments) as relation:
        found = tables.backend.con.execute(
            f"SELECT {_first_match(tables.exclude)} FROM {relation} ORDER BY row_id"
        ).fetchnumpy()
    return _names(tables.exclude, found["rule"])


def segments_of(tables: Tables, config: WorkspaceConfig, moments: pa.Table) -> Segments:
    """Tell which segments each moment's lead belonged to, as known then; an expression of unknown value is not met.

    Parameters
    ----------
    tables
        The workspace's tables.
    config
        The workspace file.
    moments
        ``row_id`` (0, 1, 2, ...), ``lead_id``, ``as_of_us``.
    """
    names = tuple(config.segments)
    member = np.zeros((moments.num_rows, len(names)), dtype=bool)
    if not names or moments.num_rows == 0:
        return Segments(names, member)
    wanted = columns_of(config.segments.values())
    tests = ", ".join(
        f"coalesce({parse_expression(text).sql}, FALSE) AS s{number}"
        for number, text in enumerate(config.segments.values())
    )
    with rows_known(tables, lead_columns(tables), wanted, moments) as relation:
        found = tables.backend.con.execute(f"SELECT {tests} FROM {relation} ORDER BY row_id").fetchnumpy()
    for number in range(len(names)):
        member[:, number] = found[f"s{number}"]
    return Segments(names, member)


class LeadRules:
    """The rules of ``[exclude]`` for leads in memory.

    Parameters
    ----------
    exclude
        Names and expressions, in the file's order.
    """

    def __init__(self, exclude: Mapping[str, str]) -> None:
        self._exclude = dict(exclude)
        self.columns: Mapping[str, ColumnKind] = columns_of(self._exclude.values())
        self._lock = Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._query = ""
        if self._exclude:
            # One list a column: a table of Arrow would have to be registered, which takes five times as long.
            lists = "".join(
                f", unnest(?::{COLUMN_TYPES[kind]}[]) AS {quote(name)}" for name, kind in self.columns.items()
            )
            rows = f"(SELECT unnest(?::BIGINT[]) AS row_number_{lists})"
            self._query = f"SELECT {_first_match(self._exclude)} FROM {rows} ORDER BY row_number_"
            self._connection = duckdb.connect(config={"threads": 1})
            self._connection.execute("SET enable_external_access = false")

    def excluded(self, leads: Sequence[Mapping[str, Value]]) -> list[str | None]:
        """Give, for each lead, the first rule that meets it, or None.

        Parameters
        ----------
        leads
            Values by column as known at the moment of scoring: text, finite numbers, True or False; a column that is
            left out has no value. Kinds are those of :attr:`columns`.
        """
        if self._connection is None or not leads:
            return [None] * len(leads)
        values = [[_value(lead.get(name), kind) for lead in leads] for name, kind in self.columns.items()]
        with self._lock:
            found = self._connection.execute(self._query, [list(range(len(leads))), *values]).fetchnumpy()
        return _names(self._exclude, found["rule"]).tolist()


def _value(value: Value, kind: ColumnKind) -> Value:
    if value is None:
        return None
    if kind in ("boolean", "number"):
        return bool(value) if kind == "boolean" else float(value)
    return str(value).strip(BLANKS) or None


def _first_match(rules: Mapping[str, str]) -> str:
    whens = (f"WHEN {parse_expression(text).sql} THEN {number}" for number, text in enumerate(rules.values()))
    return f"CASE {' '.join(whens)} ELSE -1 END AS rule"


def _names(rules: Iterable[str], numbers: Any) -> NDArray[np.object_]:
    return np.array([*rules, None], dtype=object)[np.asarray(numbers, dtype=np.int64)]
