"""What is known of many leads in memory, each at its own moment: the in-memory twin of ``features.known.KnownTables``.

Features ask for the same few things (counts by kind in a window, days since the newest touch, ...), so each is computed
for all leads and all kinds at once when it is first asked for, and kept. One lead is the case n = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.known import DAY_US, NEVER_US, NOTHING, SESSION_GAP_US, Arrivals, Attribute, KnownLead

__all__ = ["KindPool", "KnownLeads", "KnownTouches", "Texts"]

Numbers = NDArray[np.float64]
Positions = NDArray[np.int64]
Additive = Literal["count", "value", "decay"]
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


class KnownTouches:
    """Dated rows of n leads, one lead after the other, each lead's in order of time; only what is known.

    A row is known when it happened before its lead's moment, was recorded by then and still counts.

    Parameters
    ----------
    arrivals
        Rows of each lead; None for a lead of which they are not known.
    as_of_us
        Moment of each lead, microseconds since 1970 UTC, shape (n,).

    Attributes
    ----------
    is_known
        Leads whose rows are known, shape (n,); None when those of all are.
    lead
        Number of each row's lead, shape (m,).
    happened_us, age_us
        When each row happened, and how long before its lead's moment, shape (m,).
    """

    def __init__(self, arrivals: Sequence[Arrivals | None], as_of_us: Positions) -> None:
        self._count = len(arrivals)
        self._nothing, self._never = np.zeros(self._count), np.full(self._count, np.nan)
        self._parts = parts = [NOTHING if part is None else part for part in arrivals]
        is_known = [part is not None for part in arrivals]
        self.is_known = None if all(is_known) else np.array(is_known)
        self._tables: dict[tuple[str, int, bool], Numbers] = {}
        self._columns: dict[KindPool, list[int]] = {}
        self._inside: dict[int, Positions] = {}
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

    def sums(self, what: Additive, days: int, pool: KindPool) -> Numbers:
        """Add up touches, shape (n,).

        Parameters
        ----------
        what
            ``count`` of the touches of the last ``days``, or their own ``value``, 0 days for all time; ``decay`` for
            all touches weighted by ``2^(-age / days)``.
        days
            As above.
        pool
            Kinds that are meant.
        """
        table = self._tables.get((what, days, pool.is_all))
        if table is None:
            table = self._tables[what, days, pool.is_all] = self._sum_up(what, days, pool)
        columns = self._columns_of(pool)
        if not columns:
            return self._nothing
        return table[columns[0]] if len(columns) == 1 else table[columns].sum(axis=0)

    def recency_days(self, pool: KindPool) -> Numbers:
        """Return the days since the newest touch, shape (n,); NaN without one."""
        table = self._tables.get(("recency", 0, pool.is_all))
        if table is None:
            table = self._tables["recency", 0, pool.is_all] = self._newest(pool)
        columns = self._columns_of(pool)
        if not columns:
            return self._never
        return table[columns[0]] if len(columns) == 1 else np.fmin.reduce(table[columns], axis=0)

    def distinct(self, what: Thing, days: int, pool: KindPool) -> Numbers:
        """Count different contents, days (UTC) or beginnings of sessions touched in the last ``days``, shape (n,)."""
        ids, owner = {"content": self._contents, "day": self._days, "session": self._sessions}[what]
        rows = ids if not days else ids[self._rows_inside(days)]
        if not pool.is_all:
            is_meant = np.zeros(len(self._codes), dtype=bool)
            is_meant[self._columns_of(pool)] = True
            rows = np.where(is_meant[self._kind], ids, -1)[self._rows_inside(days)]
        is_seen = np.zeros(len(owner), dtype=bool)
        is_seen[rows[rows >= 0]] = True
        return np.bincount(owner[is_seen], minlength=self._count).astype(np.float64)

    def _of_kept(self, rows: Positions) -> Positions:
        return rows if self._kept is None else rows[self._kept]

    def _rows_inside(self, days: int) -> Positions:
        """Return the rows of the last ``days``, or all for 0."""
        found = self._inside.get(days)
        if found is None:
            found = np.flatnonzero(self.age_us <= days * DAY_US) if days else np.arange(self.age_us.size)
            self._inside[days] = found
        return found

    def _sum_up(self, what: Additive, days: int, pool: KindPool) -> Numbers:
        """Return sums by kind and lead, shape (n_kinds, n), or by lead alone, shape (1, n)."""
        group, weights = self.lead if pool.is_all else self._kind_and_lead, None
        if what == "decay":
            weights = np.exp(self.age_us * (-np.log(2.0) / (days * DAY_US)))
        elif what == "value":
            weights = self._value
        if days and what != "decay":
            rows = self._rows_inside(days)
            group, weights = group[rows], None if weights is None else weights[rows]
        total = np.bincount(group, weights, minlength=self._width(pool) * self._count)
        return total.astype(np.float64, copy=False).reshape(-1, self._count)

    def _newest(self, pool: KindPool) -> Numbers:
        """Return days since the newest touch by kind and lead, or by lead alone, as :meth:`_sum_up` does."""
        group = self.lead if pool.is_all else self._kind_and_lead
        youngest = np.full(self._width(pool) * self._count, NEVER_US)
        last = _is_new(group[::-1])[::-1]  # of each run of rows of one group, the newest: few are left to compare
        np.minimum.at(youngest, group[last], self.age_us[last])
        return np.where(youngest == NEVER_US, np.nan, youngest / DAY_US).reshape(-1, self._count)

    def _width(self, pool: KindPool) -> int:
        return 1 if pool.is_all else len(self._codes)

    def _columns_of(self, pool: KindPool) -> list[int]:
        """Return which kinds, by number, are meant: rows of the tables."""
        found = self._columns.get(pool)
        if found is None:
            meant = set(pool.kinds)
            found = [0] if pool.is_all else [c for kind, c in self._codes.items() if (kind in meant) != pool.is_rest]
            self._columns[pool] = found
        return found

    @cached_property
    def _value(self) -> Numbers:
        found = np.concatenate([part.value for part in self._parts])
        found = found if self._kept is None else found[self._kept]
        return np.where(np.isnan(found), 0.0, found)

    @cached_property
    def _codes(self) -> dict[str, int]:
        """Number each kind that any lead has."""
        return {kind: code for code, kind in enumerate(dict.fromkeys(k for p in self._parts for k in p.kinds[0]))}

    @cached_property
    def _kind(self) -> Positions:
        """Number of each row's kind."""
        codes, starts = self._codes, _starts([len(part.kinds[0]) for part in self._parts])
        table = np.array([codes[kind] for part in self._parts for kind in part.kinds[0]], dtype=np.int64)
        own = np.concatenate([part.kinds[1] for part in self._parts])
        return table[self._of_kept(own) + starts[self.lead]]

    @cached_property
    def _kind_and_lead(self) -> Positions:
        return self._kind * self._count + self.lead

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


class Texts(NamedTuple):
    """Values of a text attribute, by number.

    Parameters
    ----------
    codes
        Number of each lead's text, shape (n,).
    numbers
        Number by text; a missing text has one too.
    """

    codes: Positions
    numbers: dict[str | None, int]

    def is_text(self, text: str | None) -> Numbers:
        """Return 1 for leads with this very text (None: a missing one) and 0 for others, shape (n,)."""
        number = self.numbers.get(text)
        if number is None:  # so most often, of the many levels of a lead's attributes
            return np.zeros(len(self.codes))
        return (self.codes == number).astype(np.float64)


class KnownLeads:
    """n leads in memory, each at its own moment.

    Parameters
    ----------
    leads
        The leads, at least one; what was not known at a lead's moment is put aside here.
    as_of_us
        Moment of each, microseconds since 1970 UTC, shape (n,).
    """

    def __init__(self, leads: Sequence[KnownLead], as_of_us: Positions) -> None:
        self._leads, self.as_of_us = leads, as_of_us
        self._attributes: dict[str, list[Attribute]] = {}
        self._texts: dict[str, Texts] = {}
        self._moments: list[int] = as_of_us.tolist()

    @cached_property
    def touches(self) -> KnownTouches:
        """The leads' own touches."""
        return KnownTouches([lead.touches for lead in self._leads], self.as_of_us)

    @cached_property
    def account_touches(self) -> KnownTouches:
        """Touches of the accounts' other leads."""
        return KnownTouches([lead.account_touches for lead in self._leads], self.as_of_us)

    @cached_property
    def age_days(self) -> Numbers:
        """Days since each lead was created, shape (n,)."""
        return (self.as_of_us - np.array([lead.created_us for lead in self._leads], dtype=np.int64)) / DAY_US

    @cached_property
    def account_leads(self) -> Numbers:
        """Number of each account's other leads, shape (n,); NaN where the account is not known."""
        spans = [lead.account_spans for lead in self._leads]
        sizes = [0 if span is None else span[0].size for span in spans]
        at = np.repeat(self.as_of_us, sizes)
        since, until = (np.concatenate([_NONE, *(span[end] for span in spans if span is not None)]) for end in (0, 1))
        owner = np.repeat(np.arange(len(spans)), sizes)[(since <= at) & (at < until)]
        found = np.bincount(owner, minlength=len(spans)).astype(np.float64)
        found[[span is None for span in spans]] = np.nan
        return found

    def stage_age_days(self, stage: Literal["mql", "recycled"]) -> Numbers:
        """Return the days since each lead last entered a stage, shape (n,); NaN if never."""
        entries = [lead.mql if stage == "mql" else lead.recycled for lead in self._leads]
        if not any(part.happened_us.size for part in entries):
            return np.full(len(entries), np.nan)
        return KnownTouches(entries, self.as_of_us).recency_days(EVERY_KIND)

    def attribute(self, name: str) -> list[Attribute]:
        """Return an attribute of each lead as known at its moment, length n."""
        found = self._attributes.get(name)
        if found is None:
            pairs = zip(self._leads, self._moments, strict=True)
            found = self._attributes[name] = [lead.attribute(name, moment) for lead, moment in pairs]
        return found

    def texts(self, name: str) -> Texts:
        """Return an attribute of each lead as text; yes and no as ``true`` and ``false``."""
        found = self._texts.get(name)
        if found is None:
            numbers: dict[str | None, int] = {}
            codes = [numbers.setdefault(_text(value), len(numbers)) for value in self.attribute(name)]
            found = self._texts[name] = Texts(np.array(codes, dtype=np.int64), numbers)
        return found


_NONE: Positions = np.array([], dtype=np.int64)


def _text(value: Attribute) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


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
