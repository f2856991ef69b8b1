"""Leads that the service holds, ready to be scored: kept in memory until something new is told of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

from crm.held import HeldRows
from crm.with_sales import SalesRows, sales_rows
from features.history import AttributeKind, LeadRows, leads_of_rows
from features.known import KnownLead
from serving.reading import Reading

__all__ = ["HeldLead", "HeldLeads", "load_leads"]

Row = dict[str, Any]
KEPT_TOUCHES = 2_000_000
"""Touches of leads in memory at most, some 40 bytes each; the leads that were asked for least recently go first."""


@dataclass(frozen=True)
class HeldLead:
    """A lead that is held here.

    Parameters
    ----------
    lead_id, account_id
        As they are held.
    known
        What features read.
    sales
        What tells whether sales has it.
    """

    lead_id: str
    account_id: str | None
    known: KnownLead
    sales: SalesRows

    def columns(self, as_of_us: int, wanted: Collection[str]) -> dict[str, str | float | bool | None]:
        """Return what the rules of ``[exclude]`` read, as known at a moment."""
        own = {"lead_id": self.lead_id, "account_id": self.account_id}
        return {name: own[name] if name in own else self.known.attribute(name, as_of_us) for name in wanted}

    @property
    def size(self) -> int:
        """Touches that it keeps in memory."""
        others = self.known.account_touches
        return 20 + len(self.known.touches.happened_us) + (0 if others is None else len(others.happened_us))


def load_leads(rows: LeadRows, lead_ids: Collection[str], reading: Reading) -> dict[str, HeldLead]:
    """Gather leads from rows; those of which there is no row are left out."""
    ruled: dict[str, AttributeKind] = {
        name: "text" if kind == "any" else kind for name, kind in reading.rule_columns.items()
    }
    kinds: Mapping[str, AttributeKind] = {**ruled, **reading.attributes}
    known = leads_of_rows(rows, lead_ids, kinds)
    leads = {row["lead_id"]: row for row in rows.rows("leads", "lead_id", known)}
    sales = sales_rows(rows, leads)
    return {
        lead_id: HeldLead(lead_id, leads[lead_id]["account_id"], lead, sales[lead_id])
        for lead_id, lead in known.items()
    }


@dataclass
class HeldLeads:
    """Leads by id, from memory where they are kept there.

    Parameters
    ----------
    rows
        Where their rows lie.
    reading
        What the model in force reads of them.
    keeps
        Whether leads stay in memory. Not where other processes store rows that this one would not hear of.
    """

    rows: HeldRows
    reading: Reading
    keeps: bool = True
    _kept: OrderedDict[str, HeldLead] = field(default_factory=OrderedDict)
    _of_account: dict[str, set[str]] = field(default_factory=dict)
    _size: int = 0
    _told: int = 0
    _lock: RLock = field(default_factory=RLock)

    def get(self, lead_ids: Sequence[str]) -> dict[str, HeldLead]:
        """Return the leads that are held here, by id."""
        with self._lock:
            found: dict[str, HeldLead] = {}
            for lead_id in lead_ids:
                lead = self._kept.get(lead_id)
                if lead is not None:
                    self._kept.move_to_end(lead_id)
                    found[lead_id] = lead
            told = self._told
        missing = [lead_id for lead_id in lead_ids if lead_id not in found]
        if missing:
            loaded = load_leads(self.rows, missing, self.reading)
            found |= loaded
            self._keep(loaded, told)
        return found

    def has_all(self, lead_ids: Sequence[str]) -> bool:
        """Tell whether all of some leads are in memory, so that getting them takes no time."""
        return all(lead_id in self._kept for lead_id in lead_ids)

    def forget(self, lead_ids: Collection[str]) -> frozenset[str]:
        """Gather leads anew the next time, as something was told of them; and every lead that reads their touches.

        Returns
        -------
        frozenset of str
            Accounts of the leads, whose other leads have another score from now on.
        """
        related = self._related(lead_ids)
        accounts = {row["account_id"] for row in self.rows.rows("leads", "lead_id", related)} - {None}
        with self._lock:
            self._told += 1
            accounts |= {lead.account_id for one in related if (lead := self._kept.get(one))} - {None}
            for lead_id in related:
                self._drop(lead_id)
            for account in accounts:
                for lead_id in tuple(self._of_account.get(account, ())):
                    self._drop(lead_id)
        return frozenset(accounts)

    def forget_all(self) -> None:
        """Gather every lead anew: the copy of the source was replaced."""
        with self._lock:
            self._told += 1
            self._kept.clear()
            self._of_account.clear()
            self._size = 0

    def others_of(self, accounts: Collection[str], lead_ids: Collection[str]) -> list[str]:
        """Return the leads of some accounts but for those of ``lead_ids``."""
        found = {row["lead_id"] for row in self.rows.rows("leads", "account_id", accounts)}
        return sorted(found - set(lead_ids))

    def _related(self, lead_ids: Collection[str]) -> set[str]:
        """Return the leads and all that merges join to them."""
        found = set(lead_ids)
        merges = self.rows.merges()
        grown = bool(merges)
        while grown:
            more = {one for merge in merges if merge[0] in found or merge[1] in found for one in merge[:2]} - found
            found |= more
            grown = bool(more)
        return found

    def _keep(self, loaded: Mapping[str, HeldLead], told: int) -> None:
        with self._lock:
            if told != self._told or not self.keeps:
                return  # something was told while these were gathered, perhaps of them
            for lead_id, lead in loaded.items():
                self._drop(lead_id)
                self._kept[lead_id] = lead
                self._size += lead.size
                if lead.account_id is not None:
                    self._of_account.setdefault(lead.account_id, set()).add(lead_id)
            while self._size > KEPT_TOUCHES and len(self._kept) > 1:
                self._drop(next(iter(self._kept)))

    def _drop(self, lead_id: str) -> None:
        lead = self._kept.pop(lead_id, None)
        if lead is None:
            return
        self._size -= lead.size
        if lead.account_id is not None:
            members = self._of_account.get(lead.account_id, set())
            members.discard(lead_id)
            if not members:
                self._of_account.pop(lead.account_id, None)
