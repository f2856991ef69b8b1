"""Dated rows of many leads in memory, as known at each lead's moment, and what is counted and added up of them.

Features ask for the same few things (counts by kind in a window, days since the newest touch, ...). All that a list of
features asks is laid out once, as :class:`Cells`; each table of it is then computed for all leads, kinds and windows at
once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.known import DAY_US, NEVER_US, NOTHING, SESSION_GAP_US, Arrivals

__all__ = ["EVERY_KIND", "Cell", "Cells", "KindPool", "KnownTouches"]

Numbers = NDArray[np.float64]
Positions = NDArray[np.int64]
What = Literal["count", "value", "decay", "recency"]
Thing = Literal["content", "day", "session"]


class KindPool(NamedTuple):
    """Which kinds of touches are meant.

    Parameters
    ----------
    kinds
        Kinds by name.
    is_rest
        All kinds but these are meant, so that the rest of no kinds is every touch.
    """

    kinds: tuple[str, ...]
    is_rest: bool

    @property
    def is_all(self) -> bool:
        """Every touch is meant."""
        return self.is_rest and not self.kinds


EVERY_KIND = KindPool((), is_rest=True)


class Cell(NamedTuple):
    """One number of a lead's touches.

    Parameters
    ----------
    what
        ``count`` of the touches of the last ``days``, or the sum of their own ``value``, 0 days for all time; ``decay``
        for all touches weighted by ``2^(-age / days)``; ``recency`` for days since the newest one, NaN without one.
    days
        As above; 0 for ``recency``.
    pool
        Kinds that are meant.
    """

    what: What
    days: int
    pool: KindPool


class Cells:
    """Cells that are asked of leads again and again, laid out once.

    Parameters
    ----------
    cells
        What is asked, in order.
    kinds
        Number of each kind that is told apart, from 0 on, with every kind that a cell names.

    Attributes
    ----------
    tables
        What must be computed: what, whether by kind, and the days of each part, all time last.
    first
        Row of each cell in the tables, one below the other, or the first of them.
    several
        Cells that are put together from several rows: number, rows and what is asked.
    """

    def __init__(self, cells: Sequence[Cell], kinds: Mapping[str, int]) -> None:
        asked: dict[tuple[What, bool], set[int]] = {}
        for cell in cells:
            asked.setdefault((cell.what, not cell.pool.is_all), set()).add(cell.days)
        self.tables: list[tuple[What, bool, tuple[int, ...]]] = [
            (what, by_kind, tuple(sorted(days, key=lambda day: day or np.inf)))
            for (what, by_kind), days in asked.items()
        ]
        starts: dict[tuple[What, bool, int], int] = {}
        height = 0
        for what, by_kind, days in self.tables:
            for day in days:
                starts[what, by_kind, day] = height
                height += len(kinds) + 1 if by_kind else 1
        rows = [
            [starts[cell.what, not cell.pool.is_all, cell.days] + column for column in columns_of(cell.pool, kinds)]
            for cell in cells
        ]
        self.first = np.array([row[0] for row in rows], dtype=np.int64)
        self.several = [(n, row, cells[n].what) for n, row in enumerate(rows) if len(row) > 1]


def columns_of(pool: KindPool, kinds: Mapping[str, int]) -> list[int]:
    """Return the numbers of the kinds that are meant; all others are one more kind, numbered last."""
    if pool.is_all:
        return [0]
    named = {kinds[kind] for kind in pool.kinds}
    return [number for number in range(len(kinds) + 1) if number not in named] if pool.is_rest else sorted(named)


class KnownTouches:
    """Dated rows of n leads, one lead after the other, each lead's in order of time; only what is known.

    A row is known when it happened before its lead's moment, was recorded by then and still counts.

    Parameters
    ----------
    arrivals
        Rows of each lead; None for a lead of which they are not known, all of whose numbers are NaN.
    as_of_us
        Moment of each lead, microseconds since 1970 UTC, shape (n,).
    kinds
        Number of each kind that is told apart, from 0 on. Kinds are an open set: all others are one.

    Attributes
    ----------
    lead
        Number of each row's lead, shape (m,).
    happened_us, age_us
        When each row happened, and how long before its lead's moment, shape (m,).
    """

    def __init__(
        self, arrivals: Sequence[Arrivals | None], as_of_us: Positions, kinds: Mapping[str, int] | None = None
    ) -> None:
        self._count = len(arrivals)
        self._codes = kinds or {}
        self._parts = parts = [NOTHING if part is None else part for part in arrivals]
        is_known = [part is not None for part in arrivals]
        self._is_unknown = None if all(is_known) else ~np.array(is_known)
        sizes = [part.happened_us.size for part in parts]
        lead, at = np.repeat(np.arange(len(parts)), sizes), np.repeat(as_of_us, sizes)
        happened = np.concatenate([part.happened_us for part in parts])
        keep = (happened < at) & (np.concatenate([part.recorded_us for part in parts]) <= at)
        if any(part.until_us is not None for part in parts):
            keep &= at < np.concatenate([part.ends_us for part in parts])
        # Most often all is known, and nothing needs to be copied.
        self._kept = None if keep.all() else np.flatnonzero(keep)
        self.lead, self.happened_us = self._of_kept(lead), self._of_kept(happened)
        self.age_us = self._of_kept(at) - self.happened_us

    def cells(self, cells: Cells) -> Numbers:
        """Return what is asked, shape (n_cells, n); ``cells`` were laid out for the same kinds."""
        table = np.concatenate([self._table(*asked) for asked in cells.tables])
        found = table[cells.first]
        for number, rows, what in cells.several:
            found[number] = np.fmin.reduce(table[rows], axis=0) if what == "recency" else table[rows].sum(axis=0)
        if self._is_unknown is not None:
            found[:, self._is_unknown] = np.nan
        return found

    def distinct(self, what: Thing, days: int, pool: KindPool) -> Numbers:
        """Count different contents, days (UTC) or beginnings of sessions touched in the last ``days``, shape (n,).

        0 days for all time.
        """
        ids, owner = {"content": self._contents, "day": self._days, "session": self._sessions}[what]
        is_meant = ids >= 0
        if days:
            is_meant &= self.age_us <= days * DAY_US
        if not pool.is_all:
            is_meant &= np.isin(self._kind, columns_of(pool, self._codes))
        is_seen = np.zeros(len(owner), dtype=bool)
        is_seen[ids[is_meant]] = True
        found = np.bincount(owner[is_seen], minlength=self._count).astype(np.float64)
        if self._is_unknown is not None:
            found[self._is_unknown] = np.nan
        return found

    def _of_kept(self, rows: Positions) -> Positions:
        return rows if self._kept is None else rows[self._kept]

    def _table(self, what: What, by_kind: bool, days: tuple[int, ...]) -> Numbers:
        """Return numbers for each of ``days``, in it by kind or of all kinds, shape (n_days * n_kinds, n)."""
        group = self._kind * self._count + self.lead if by_kind else self.lead
        size = (len(self._codes) + 1 if by_kind else 1) * self._count
        if what == "recency":
            found = self._youngest(group, size)
        elif what == "decay":
            each = [np.bincount(group, self._decayed(half_life), minlength=size) for half_life in days]
            found = np.concatenate(each).astype(np.float64)
        else:
            found = self._in_windows(group, size, days, self._value if what == "value" else None)
        return found.reshape(-1, self._count)

    def _in_windows(self, group: Positions, size: int, days: tuple[int, ...], weights: Numbers | None) -> Numbers:
        """Add up the rows of each group in each window, shape (n_days, size)."""
        ends = np.array([each * DAY_US if each else NEVER_US for each in days])
        window = np.searchsorted(ends, self.age_us)  # the smallest that holds a row; so do all that are larger
        total = np.bincount(window * size + group, weights, minlength=(len(days) + 1) * size)
        by_window: Numbers = total.reshape(-1, size)[:-1].astype(np.float64)
        return np.cumsum(by_window, axis=0)

    def _youngest(self, group: Positions, size: int) -> Numbers:
        """Return the smallest age in each group, days, shape (size,); NaN without a row."""
        youngest = np.full(size, NEVER_US)
        last = _is_new(group[::-1])[::-1]  # of each run of rows of one group, the newest: few are left to compare
        np.minimum.at(youngest, group[last], self.age_us[last])
        return np.where(youngest == NEVER_US, np.nan, youngest / DAY_US)

    def _decayed(self, half_life_days: int) -> Numbers:
        return np.exp(self.age_us * (-np.log(2.0) / (half_life_days * DAY_US)))

    @cached_property
    def _value(self) -> Numbers:
        found = np.concatenate([part.value for part in self._parts])
        found = found if self._kept is None else found[self._kept]
        return np.where(np.isnan(found), 0.0, found)

    @cached_property
    def _kind(self) -> Positions:
        """Number of each row's kind."""
        number, rest = self._codes.get, len(self._codes)
        table = np.array([number(kind, rest) for part in self._parts for kind in part.kinds[0]], dtype=np.int64)
        own = np.concatenate([part.kinds[1] for part in self._parts])
        return table[self._of_kept(own) + _starts([len(part.kinds[0]) for part in self._parts])[self.lead]]

    @cached_property
    def _contents(self) -> tuple[Positions, Positions]:
        """Number each lead's contents: of each row (-1 for none), and the lead of each number."""
        sizes = [len(part.contents[0]) for part in self._parts]
        own = self._of_kept(np.concatenate([part.contents[1] for part in self._parts]))
        ids = np.where(own < 0, -1, own + _starts(sizes)[self.lead])
        return ids, np.repeat(np.arange(len(sizes)), sizes)

    @cached_property
    def _days(self) -> tuple[Positions, Positions]:
        """Number each lead's days: of each row, and the lead of each number."""
        return _runs(self.lead, self.happened_us // DAY_US)

    @cached_property
    def _sessions(self) -> tuple[Positions, Positions]:
        """Number each lead's moments: of each row that begins a session (-1 for others), and the lead of each number.

        Touches of one instant begin a session together or not at all, so that their order does not matter.
        """
        ids, owner = _runs(self.lead, self.happened_us)
        moments = self.happened_us[_is_new(ids)]
        begins = _is_new(owner)
        begins[1:] |= moments[1:] - moments[:-1] > SESSION_GAP_US
        return np.where(begins[ids], ids, -1), owner


def _starts(sizes: Sequence[int]) -> Positions:
    """Return where each part begins when parts of these sizes lie one after the other."""
    return np.cumsum([0, *sizes[:-1]])


def _runs(lead: Positions, number: Positions) -> tuple[Positions, Positions]:
    """Give numbers to the runs of rows with one lead and one number: of each row, and the lead of each run."""
    is_new = _is_new(lead) | _is_new(number)
    return np.cumsum(is_new) - 1, lead[is_new]


def _is_new(number: Positions) -> NDArray[np.bool_]:
    """Tell which rows have another number than the row before."""
    found = np.ones(number.size, dtype=bool)
    np.not_equal(number[1:], number[:-1], out=found[1:])
    return found
