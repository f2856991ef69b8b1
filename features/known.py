"""What the two computations of a feature read: tables for many rows, arrays for one lead.

Both hold the same facts under the same rule of :mod:`crm.known`; ``tests/unit/features/test_parity.py`` holds them to
it.
"""

# Ibis types a column as its widest class, which knows neither arithmetic nor the methods of its own kind.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
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

__all__ = ["DAY_US", "SESSION_GAP_US", "Arrivals", "Change", "KnownLead", "KnownTables", "Relation"]

DAY_US = 86_400_000_000
SESSION_GAP_US = 30 * 60 * 1_000_000
NEVER_US = 2**63 - 1

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

    def known(self, as_of_us: int) -> Arrivals:
        """Return the rows that happened before ``as_of_us``, were recorded by then and still count."""
        keep = (self.happened_us < as_of_us) & (self.recorded_us <= as_of_us)
        if self.until_us is not None:
            keep &= as_of_us < self.until_us
        if keep.all():
            return self
        return Arrivals(
            self.happened_us[keep],
            self.recorded_us[keep],
            self.kind[keep],
            self.content_id[keep],
            self.value[keep],
            None if self.until_us is None else self.until_us[keep],
        )


NOTHING = Arrivals.of([])


@dataclass(frozen=True)
class Change:
    """One recorded change of an attribute; ``value`` None when it was emptied."""

    recorded_us: int
    value: str | float | bool | None


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
    attributes: Mapping[str, str | float | bool | None]
    changes: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    touches: Arrivals = NOTHING
    account_touches: Arrivals | None = NOTHING
    account_leads_us: tuple[int, ...] | None = ()
    mql: Arrivals = NOTHING
    recycled: Arrivals = NOTHING
    account_leads_until_us: tuple[int, ...] = ()

    def as_known(self, as_of_us: int) -> KnownLead:
        """Return the lead with nothing in it that was not known at ``as_of_us``."""
        return KnownLead(
            self.created_us,
            {name: self.attribute(name, as_of_us) for name in {*self.attributes, *self.changes}},
            {},
            self.touches.known(as_of_us),
            None if self.account_touches is None else self.account_touches.known(as_of_us),
            self._account_leads_known(as_of_us),
            self.mql.known(as_of_us),
            self.recycled.known(as_of_us),
        )

    def attribute(self, name: str, as_of_us: int) -> str | float | bool | None:
        """Return an attribute as known at ``as_of_us``."""
        value = self.attributes.get(name)
        for change in self.changes.get(name, ()):
            if change.recorded_us <= as_of_us:
                value = change.value
        return value

    def _account_leads_known(self, as_of_us: int) -> tuple[int, ...] | None:
        if self.account_leads_us is None:
            return None
        spans = zip_longest(self.account_leads_us, self.account_leads_until_us, fillvalue=NEVER_US)
        return tuple(since for since, until in spans if since <= as_of_us < until)
