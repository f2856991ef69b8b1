"""Clean tables in a local DuckDB, with what was left out of them and why."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from crm.errors import TableError

__all__ = ["Attribute", "TableCount", "Tables", "counting"]

SIDE_BY_SIDE = 2
"""Queries that :meth:`Tables.read_each` runs at a time, whose answers are held in memory together."""


@contextmanager
def counting(connection: Any) -> Generator[None]:
    """Let the engine of the tables use all cores: for counts, minima and maxima, which come out the same in any order.

    Sums of floats do not, and are computed by one thread otherwise.

    Parameters
    ----------
    connection
        To the DuckDB that holds the tables.
    """
    connection.execute("RESET threads")
    try:
        yield
    finally:
        connection.execute("SET threads = 1")


@dataclass(frozen=True)
class Attribute:
    """One attribute of a lead.

    Parameters
    ----------
    name
        Column of ``leads``, or field of ``lead_changes``.
    type
        ``number``, ``text`` or ``boolean``.
    known_at_creation
        The column of ``leads`` holds the value at creation.
    has_history
        ``lead_changes`` tells its later values.
    refused
        Why it is not used, empty when it is.
    """

    name: str
    type: Literal["number", "text", "boolean"]
    known_at_creation: bool
    has_history: bool
    refused: str = ""


@dataclass(frozen=True)
class TableCount:
    """What became of a table's rows: read = kept + identical + quarantined."""

    read: int
    kept: int
    identical: int
    quarantined: int


@dataclass(frozen=True)
class Tables:
    """The tables of one workspace, taken in and checked.

    Every clean table has its times as UTC, and as whole microseconds since 1970 in ``*_us`` columns, on which ages are
    computed so that both computations of a feature divide the same integers.

    Parameters
    ----------
    backend
        The local DuckDB that holds them; close with :meth:`close` or a ``with`` statement.
    counts
        What became of the rows, by table.
    attributes
        Attributes of leads, used and refused.
    notes
        What a person should know of the intake, one sentence each.
    observed_until_recorded
        Newest ``recorded_at`` of the outcome tables, None without any.
    exclude
        The rules of ``[exclude]``, name and expression, in the file's order. Moments of excluded leads are left out
        wherever moments are taken (:mod:`crm.rules`).
    """

    backend: ibis.BaseBackend
    counts: Mapping[str, TableCount]
    attributes: tuple[Attribute, ...]
    notes: tuple[str, ...]
    observed_until_recorded: datetime | None
    exclude: Mapping[str, str] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Tell whether the workspace has this table."""
        return name in self.counts

    def table(self, name: str) -> ir.Table:
        """Return a clean table; ``TableError`` when the workspace has none of this name."""
        if not self.has(name):
            raise TableError(
                found=f"no table '{name}'",
                expected=f"a SELECT for it beside {', '.join(self.counts)}",
                fix=f"add {name} to [source.tables] in kizashi.toml",
            )
        return self.backend.table(name)

    def read_each(self, queries: Sequence[ir.Table], take: Callable[[int, pa.Table], None]) -> None:
        """Run queries side by side, and hand over each answer as it comes.

        Each query runs on one thread from beginning to end, so that sums of floats come in the same order every time.

        Parameters
        ----------
        queries
            On tables of this workspace.
        take
            Called with a query's position and its answer, on the thread that ran it: two calls may run at a time. The
            answer is let go afterwards.
        """
        texts = [self.backend.compile(query) for query in queries]

        def run(number: int) -> None:
            take(number, self._read(texts[number]))

        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            for done in [pool.submit(run, number) for number in range(len(texts))]:
                done.result()

    def _read(self, text: str) -> pa.Table:
        with self.backend.con.cursor() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET enable_progress_bar = false")
            return connection.sql(text).to_arrow_table()

    @property
    def used_attributes(self) -> tuple[Attribute, ...]:
        """Attributes that may become features."""
        return tuple(attribute for attribute in self.attributes if not attribute.refused)

    def quarantine(self) -> pa.Table:
        """Return the rows that were left out: table, row, key, reason, content (JSON of the contract's columns)."""
        return self.backend.table("quarantine").to_pyarrow()

    def close(self) -> None:
        """Give the memory back."""
        self.backend.disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
