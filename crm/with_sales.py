"""Whether sales has a lead at a moment: the rule of :func:`crm.outcomes.risk_spells` for one lead in memory.

Only what was recorded by the moment counts. ``tests/unit/crm/test_with_sales.py`` holds the two to one another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from crm.tables import ENDING_STAGES

__all__ = ["SalesRows", "sales_rows"]

Row = dict[str, Any]
SQL_STAGES = ("sql", "opportunity", "closed_won")


class _Source(Protocol):
    def rows(self, name: str, column: str, wanted: Collection[str]) -> list[Row]: ...
    def merges(self) -> Sequence[tuple[str, str, int]]: ...


@dataclass(frozen=True)
class SalesRows:
    """What may put a lead with sales, or bring it back, as far as it is held here.

    Parameters
    ----------
    lead_id
        The lead.
    created
        Creation of the lead and of every lead that a merge joins to it, microseconds since 1970 UTC.
    stages, hand_offs, opportunities
        Rows by lead, of the lead and of every lead that a merge joins to it.
    account_deals
        Opportunities of their accounts, by lead.
    merges
        Merges that join these leads: from, into, and when known.
    """

    lead_id: str
    created: Mapping[str, int]
    stages: Mapping[str, Sequence[Row]]
    hand_offs: Mapping[str, Sequence[Row]]
    opportunities: Mapping[str, Sequence[Row]]
    account_deals: Mapping[str, Sequence[Row]]
    merges: Sequence[tuple[str, str, int]]

    def is_with_sales(self, as_of_us: int) -> bool:
        """Tell whether the lead was handed off, decided on or merged away, and has not come back.

        Parameters
        ----------
        as_of_us
            Microseconds since 1970 UTC; what was recorded later is not known.
        """
        if self._is_untouched:
            return False
        recycled = [
            row["entered_us"] + 1
            for row in self.stages.get(self.lead_id, ())
            if row["stage"] == "recycled" and row["recorded_us"] <= as_of_us and row["entered_us"] + 1 <= as_of_us
        ]
        start = max([self.created[self.lead_id], *recycled])
        return any(start <= at < as_of_us for at in self._ends(as_of_us))

    @cached_property
    def _is_untouched(self) -> bool:
        """No row of any moment could say that sales has the lead, as of most leads."""
        rows = (*self.hand_offs.values(), *self.opportunities.values(), *self.account_deals.values())
        entered = {row["stage"] for found in self.stages.values() for row in found}
        return not self.merges and not any(rows) and entered.isdisjoint((*SQL_STAGES, *ENDING_STAGES))

    def _ends(self, as_of_us: int) -> Iterator[int]:
        known = [merge for merge in self.merges if merge[2] <= as_of_us]
        for lead_id in _person(self.lead_id, known):
            yield from self._outcomes(lead_id, as_of_us)
        yield from (at for at, is_end in self._own(self.lead_id, as_of_us) if is_end)
        for start, into, merged_us in known:
            if start == self.lead_id:
                yield merged_us
            elif into == self.lead_id:
                yield from self._inherited(start, merged_us, as_of_us)

    def _outcomes(self, lead_id: str, as_of_us: int) -> Iterator[int]:
        for row in self.stages.get(lead_id, ()):
            if row["stage"] in SQL_STAGES and row["recorded_us"] <= as_of_us:
                yield row["entered_us"]
        deals = (*self.opportunities.get(lead_id, ()), *self.account_deals.get(lead_id, ()))
        for row in _newest(deals, "opportunity_id", as_of_us):
            # One that names an account alone belongs to the account's leads created before it.
            if row["lead_id"] != lead_id and not (row["lead_id"] is None and self.created[lead_id] < row["created_us"]):
                continue
            yield row["created_us"]
            if row["is_won"]:
                yield row["recorded_us"] if row["closed_us"] is None else row["closed_us"]

    def _own(self, lead_id: str, as_of_us: int) -> list[tuple[int, bool]]:
        """Return ends (True) and recyclings (False) of a lead's own; at one moment the recycling comes last."""
        found = [
            (row["entered_us"], row["stage"] in ENDING_STAGES)
            for row in self.stages.get(lead_id, ())
            if row["recorded_us"] <= as_of_us and (row["stage"] in ENDING_STAGES or row["stage"] == "recycled")
        ]
        newest = _newest(self.hand_offs.get(lead_id, ()), "hand_off_id", as_of_us)
        found += [(row["handed_off_us"], True) for row in newest]
        return sorted(found, key=lambda one: (one[0], not one[1]))

    def _inherited(self, lead_id: str, merged_us: int, as_of_us: int) -> Iterator[int]:
        own = self._own(lead_id, as_of_us)
        before = [is_end for at, is_end in own if at <= merged_us]
        if before and before[-1]:
            yield merged_us
        yield from (at for at, is_end in own if at > merged_us and is_end)


def _newest(rows: Iterable[Row], key: str, as_of_us: int) -> list[Row]:
    """Return the newest version of each row that was recorded by a moment."""
    found: dict[str, Row] = {}
    for row in rows:
        before = found.get(row[key])
        if row["recorded_us"] <= as_of_us and (before is None or row["recorded_us"] >= before["recorded_us"]):
            found[row[key]] = row
    return list(found.values())


def _person(lead_id: str, merges: Iterable[tuple[str, str, int]]) -> set[str]:
    """Return the lead and every lead that merges join to it, also by way of a third."""
    pairs = [(start, into) for start, into, _ in merges]
    found, grown = {lead_id}, True
    while grown:
        more = {one for pair in pairs if found & set(pair) for one in pair} - found
        found |= more
        grown = bool(more)
    return found


def sales_rows(source: _Source, leads: Mapping[str, Row]) -> dict[str, SalesRows]:
    """Gather what :class:`SalesRows` needs of some leads.

    Parameters
    ----------
    source
        Where the rows lie.
    leads
        Rows of ``leads`` by lead id.
    """
    merges = source.merges()
    persons = {lead_id: _person(lead_id, merges) if merges else {lead_id} for lead_id in leads}
    everyone = {one for person in persons.values() for one in person}
    others = {row["lead_id"]: row for row in source.rows("leads", "lead_id", everyone - set(leads))}
    known = {**others, **leads}
    stages = _by_lead(source.rows("stages", "lead_id", everyone))
    hand_offs = _by_lead(source.rows("hand_offs", "lead_id", everyone))
    opportunities = _by_lead(source.rows("opportunities", "lead_id", everyone))
    deals = _account_deals(source, known)
    return {
        lead_id: SalesRows(
            lead_id,
            {one: known[one]["created_us"] for one in person if one in known},
            _of(person, stages),
            _of(person, hand_offs),
            _of(person, opportunities),
            _of(person, deals),
            [merge for merge in merges if merge[0] in person or merge[1] in person],
        )
        for lead_id, person in persons.items()
    }


def _account_deals(source: _Source, leads: Mapping[str, Row]) -> dict[str, list[Row]]:
    accounts = {row["account_id"] for row in leads.values()} - {None}
    by_account: dict[str, list[Row]] = {}
    for row in source.rows("opportunities", "account_id", accounts):
        by_account.setdefault(row["account_id"], []).append(row)
    return {lead_id: by_account.get(lead["account_id"], []) for lead_id, lead in leads.items()}


def _of(person: Collection[str], rows: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
    return {lead_id: rows[lead_id] for lead_id in person if lead_id in rows}


def _by_lead(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["lead_id"], []).append(row)
    return found
