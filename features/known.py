"""What the two computations of a feature read: tables for many rows, arrays for leads in memory.

Both hold the same facts under the same rule of :mod:`crm.known`; ``tests/unit/features/test_parity.py`` holds them to
it. :mod:`features.known_leads` puts leads in memory beside each other, as known at their moments.
"""

# Ibis types a column as its widest class, which knows neither arithmetic nor the methods of its own kind.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import ibis
import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from crm.known import (
    account_leads_known,
    account_members_known,
    attributes_known,
    members_known,
    stages_known,
    touches_known,
)
from crm.store import Tables

__all__ = [
    "DAY_US",
    "NEVER_US",
    "NOTHING",
    "SESSION_GAP_US",
    "Arrivals",
    "Attribute",
    "Change",
    "KnownLead",
    "KnownTables",
    "Relation",
]

DAY_US = 86_400_000_000
SESSION_GAP_US = 30 * 60 * 1_000_000
NEVER_US = 2**63 - 1

Attribute = str | float | bool | None
"""Value of an attribute; None where it is missing."""
Coded = tuple[tuple[str, ...], NDArray[np.int64]]
"""Different texts, and the number of each row's."""
Relation = Literal["touches", "account_touches", "account_leads", "attributes", "mql", "recycled"]


@dataclass(frozen=True)
class KnownTables:
    """What each row of a table of snapshots knows, as Ibis relations.

    Parameters
    ----------
    tables
        The workspace's tables.
    moments
        ``row_id``, ``lead_id``, ``as_of_us``: one row a snapshot.
    """

    tables: Tables
    moments: ir.Table

    @cached_property
    def members(self) -> ir.Table:
        """The lead and the leads merged into it, by row."""
        return members_known(self.tables, self.moments)

    @cached_property
    def touches(self) -> ir.Table:
        """The lead's own touches, with ``age_us`` and ``starts_session``."""
        return _with_sessions(touches_known(self.tables, self.members))

    @cached_property
    def account_touches(self) -> ir.Table:
        """Touches of the account's other leads, with ``age_us`` and ``starts_session``."""
        others = account_members_known(self.tables, self.moments, self.members)
        return _with_sessions(touches_known(self.tables, others))

    @cached_property
    def account_leads(self) -> ir.Table:
        """The account's other leads, by row."""
        return account_leads_known(self.tables, self.moments, self.members)

    @cached_property
    def attributes(self) -> ir.Table:
        """One row a snapshot: ``as_of_us``, ``created_us`` and the attributes as known then."""
        return attributes_known(self.tables, self.moments)

    def stage(self, stage: Literal["mql", "recycled"]) -> ir.Table:
        """Entries into one of the two stages that a feature may read, with ``age_us``."""
        entries = stages_known(self.tables, self.moments, stage)
        return entries.mutate(age_us=entries.as_of_us - entries.happened_us)

    def relation(self, name: Relation) -> ir.Table:
        """Return the relation that a feature reads."""
        if name in ("mql", "recycled"):
            return self.stage(name)
        return getattr(self, name)


def _with_sessions(touches: ir.Table) -> ir.Table:
    # Touches of one instant begin a session together or not at all, so that their order does not matter.
    before = ibis.range_window(group_by="row_id", order_by="happened_us", preceding=(None, 1))
    gap = touches.happened_us - touches.happened_us.max().over(before)
    return touches.mutate(
        age_us=touches.as_of_us - touches.happened_us,
        starts_session=(gap.isnull() | (gap > SESSION_GAP_US)),
    )


@dataclass(frozen=True)
class Arrivals:
    """Dated rows of one lead in memory, in order of ``happened_us``.

    Parameters
    ----------
    happened_us, recorded_us
        Shape (n,), microseconds since 1970 UTC. ``recorded_us`` is when the row became known *for this lead*:
        for a touch of a merged lead not before the merge, for one of an account's other lead not before that
        lead's creation.
    kind, content_id
        Shape (n,), text; empty where unknown.
    value
        Shape (n,), NaN where none.
    until_us
        Shape (n,), the moment from which a row no longer counts: a touch of the account's other lead, once that
        lead was merged into this one. None where every row counts for good.
    """

    happened_us: NDArray[np.int64]
    recorded_us: NDArray[np.int64]
    kind: NDArray[np.str_]
    content_id: NDArray[np.str_]
    value: NDArray[np.float64]
    until_us: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        happened_us: list[int],
        recorded_us: list[int] | None = None,
        kind: list[str] | None = None,
        content_id: list[str | None] | None = None,
        value: list[float | None] | None = None,
        until_us: list[int] | None = None,
    ) -> Arrivals:
        """Sort plain lists into arrays; what is left out was recorded at once, for good, without content or value."""
        size = len(happened_us)
        happened = np.asarray(happened_us, dtype=np.int64)
        order = np.argsort(happened, kind="stable")
        numbers = [np.nan if v is None else v for v in value] if value else [np.nan] * size
        return cls(
            happened[order],
            np.asarray(recorded_us if recorded_us is not None else happened_us, dtype=np.int64)[order],
            np.asarray(kind or [""] * size, dtype=np.str_)[order],
            np.asarray([c or "" for c in content_id] if content_id else [""] * size, dtype=np.str_)[order],
            np.asarray(numbers, dtype=np.float64)[order],
            None if until_us is None else np.asarray(until_us, dtype=np.int64)[order],
        )

    @cached_property
    def ends_us(self) -> NDArray[np.int64]:
        """``until_us``, far in the future where every row counts for good."""
        return np.full(self.happened_us.size, NEVER_US) if self.until_us is None else self.until_us

    # Texts are compared once a lead and not once a score: leads are kept between requests.
    @cached_property
    def kinds(self) -> Coded:
        """Different kinds, and the number of each row's."""
        return _coded(self.kind.tolist(), {})

    @cached_property
    def contents(self) -> Coded:
        """Different contents, and the number of each row's; -1 where it has none."""
        return _coded(self.content_id.tolist(), {"": -1})


def _coded(texts: Iterable[str], numbers: dict[str, int]) -> Coded:
    """Give texts numbers in order of first mention, beside those that have a number below 0 already."""
    before = len(numbers)
    codes = [numbers.setdefault(text, len(numbers) - before) for text in texts]
    return tuple(numbers)[before:], np.array(codes, dtype=np.int64)


NOTHING = Arrivals.of([])


@dataclass(frozen=True)
class Change:
    """One recorded change of an attribute; ``value`` None when it was emptied."""

    recorded_us: int
    value: Attribute


@dataclass(frozen=True)
class KnownLead:
    """One lead in memory, with everything that its features may read.

    Parameters
    ----------
    created_us
        When the lead was created, microseconds since 1970 UTC.
    attributes
        Values at creation (or as known now, where the caller knows no history).
    changes
        Later values by attribute, oldest first.
    touches
        Touches by the lead and by leads merged into it.
    account_touches
        Touches by the account's other leads; None when the caller does not know them, which makes their features
        missing rather than zero.
    account_leads_us
        When each of the account's other leads became known; None as above.
    account_leads_until_us
        When each of them, in the same order, stopped being another lead because it was merged; empty when none was.
    mql, recycled
        Entries into these two stages.
    """

    created_us: int
    attributes: Mapping[str, Attribute]
    changes: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    touches: Arrivals = NOTHING
    account_touches: Arrivals | None = NOTHING
    account_leads_us: tuple[int, ...] | None = ()
    mql: Arrivals = NOTHING
    recycled: Arrivals = NOTHING
    account_leads_until_us: tuple[int, ...] = ()

    def attribute(self, name: str, as_of_us: int) -> Attribute:
        """Return an attribute as known at ``as_of_us``."""
        value = self.attributes.get(name)
        for change in self.changes.get(name, ()):
            if change.recorded_us <= as_of_us:
                value = change.value
        return value

    @cached_property
    def account_spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """From when on and until when each of the account's other leads counts; None where they are not known."""
        if self.account_leads_us is None:
            return None
        since, until = np.array(self.account_leads_us, dtype=np.int64), np.full(len(self.account_leads_us), NEVER_US)
        until[: len(self.account_leads_until_us)] = self.account_leads_until_us
        return since, until
